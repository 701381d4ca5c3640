"""Profiles against the definition: every fact of a page is what plain Python counts from the rows."""

import math
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

import engagelib as eg
from engagelib.testing import random_log


def rich_log(time_kind):
    """A random log with orders, channels and money, of which some are missing."""
    rng, rows = np.random.default_rng(7), random_log(n_events=900, time_kind=time_kind).to_table().to_pylist()
    for row in rows:
        bought = row["event_type"] in ("purchase", "return")
        row["value"] = round(float(rng.uniform(1, 90)), 2) if bought and rng.random() < 0.9 else None
        row["quantity"] = row["quantity"] if rng.random() < 0.9 else None
        row["channel"] = rng.choice(["web", "app", "store", None])
        row["order_id"] = f"o{rng.integers(0, 40)}" if bought and rng.random() < 0.6 else None
        if row["event_type"] == "return" and row["value"] is not None and rng.random() < 0.5:
            row["value"] = -row["value"]
    items = [
        {"item_id": f"i{n:03d}", "title": f"Thing {n}" if n % 3 else None, "for_sale": n % 5 != 2,
         "category": None if n % 7 == 0 else f"category {n % 4}"} for n in range(30)
    ]  # fmt: skip
    return eg.EventLog.from_records(rows, items=items), rows, {item["item_id"]: item for item in items}


def undo(moves, *, ordered):
    """Match returns to purchases of one customer: the kept share of each purchase, and what is left over."""
    kept, left = {}, 0.0
    for item in {row["item_id"] for _, row in moves}:
        stack = []
        of_item = [(place, row) for place, row in moves if row["item_id"] == item]
        size = {place: 1.0 if row["quantity"] is None else row["quantity"] for place, row in of_item}
        if not ordered:  # all of one moment: each purchase loses the same share
            total = {kind: sum(size[place] for place, row in of_item if row["event_type"] == kind)
                     for kind in ("purchase", "return")}  # fmt: skip
            share = max(0.0, 1 - total["return"] / total["purchase"]) if total["purchase"] else 1.0
            kept |= {place: share for place, row in of_item if row["event_type"] == "purchase"}
            left += max(0.0, total["return"] - total["purchase"])
            continue
        for place, row in of_item:
            if row["event_type"] == "purchase":
                stack.append([place, size[place]])
                continue
            back = size[place]
            while back and stack:
                taken = min(back, stack[-1][1])
                back, stack[-1][1] = back - taken, stack[-1][1] - taken
                if not stack[-1][1]:
                    kept[stack.pop()[0]] = 0.0
            left += back
        kept |= {place: rest / size[place] for place, rest in stack}
    return kept, left


def by_hand(rows, items, time_kind, as_of):
    """The page without its suggestions, in plain Python, from the rows of one customer."""
    time = {"timestamp": "timestamp", "position": "position", "set": None}[time_kind]
    rows = sorted(rows, key=lambda row: row[time] if time else 0)
    if time_kind == "timestamp" and as_of is not None:
        rows = [row for row in rows if row["timestamp"] <= as_of]
    numbered = list(enumerate(rows))

    def spelled(row):
        return row["timestamp"].isoformat() if time_kind == "timestamp" else None

    def tallies(name):
        counts, last = Counter(row[name] for row in rows), {row[name]: spelled(row) for row in rows}
        order = sorted(counts, key=lambda key: (key is None, -counts[key], key))
        return [{"name": key, "n_events": counts[key], "last_seen": last[key]} for key in order]

    def of(kind):
        return [(place, row) for place, row in numbered if row["event_type"] == kind]

    def sums(found):
        pieces = sum(1 if row["quantity"] is None else row["quantity"] for _, row in found)
        money = math.fsum(abs(row["value"] or 0) for _, row in found)
        return {"n_items": len({row["item_id"] for _, row in found}), "quantity": pieces,
                "value": round(money, 2)}  # fmt: skip

    bought, returned = of("purchase"), of("return")
    kept, left = undo([pair for pair in numbered if pair in bought + returned], ordered=time_kind != "set")
    began = {}
    for _, row in bought:
        moment = {"timestamp": lambda row: row["timestamp"].date(), "position": lambda row: row["position"],
                  "set": lambda row: None}[time_kind](row)  # fmt: skip
        began.setdefault(row["order_id"] or (moment,), moment)
    rhythm = dict.fromkeys(("usual_interval_days", "days_since_last", "days_overdue", "n_events_since"))
    rhythm |= {"n_intervals": 0, "n_longer_intervals": 0}
    if time_kind != "set":
        since = bought[-1][1][time] if bought else max((row[time] for row in rows), default=None)
        rhythm["n_events_since"] = sum(row[time] > since for row in rows)
    if time_kind == "timestamp" and bought:
        days = sorted(set(began.values()))
        gaps = [(second - first).days for first, second in pairwise(days)]
        rhythm |= {"n_intervals": len(gaps), "days_since_last": (as_of.date() - days[-1]).days}
        rhythm["n_longer_intervals"] = sum(gap > rhythm["days_since_last"] for gap in gaps)
        if gaps:
            rhythm["usual_interval_days"] = median(gaps)
            rhythm["days_overdue"] = rhythm["days_since_last"] - median(gaps)
    shares = defaultdict(float)
    for place, row in bought:
        item = items[row["item_id"]]
        if item["for_sale"] and item["category"] and kept[place]:
            shares[item["category"]] += kept[place]
    total = sum(shares.values())

    def line(row, **also):
        said = {name: row[name] for name in ("item_id", "channel", "quantity", "value")}
        return said | {"title": items[row["item_id"]]["title"], "timestamp": spelled(row)} | also

    sold = [(place, row) for place, row in bought if items[row["item_id"]]["for_sale"]]
    back = {}
    for _, row in reversed(returned):
        if items[row["item_id"]]["for_sale"]:
            back.setdefault(row["item_id"], []).append(row)
    return {
        "as_of": as_of.isoformat() if time_kind == "timestamp" else None,
        "n_events": len(rows),
        "first_seen": spelled(rows[0]) if rows else None,
        "last_seen": spelled(rows[-1]) if rows else None,
        "event_types": tallies("event_type"),
        "channels": tallies("channel"),
        "bought": {"n_occasions": len(began), "occasion": "order", "n_purchases": len(bought)} | sums(bought),
        "returned": {"n_returns": len(returned), "unmatched": left, **sums(returned)},
        "rhythm": rhythm,
        "categories": [{"category": name, "share": shares[name] / total}
                       for name in sorted(shares, key=lambda name: (-shares[name], name))],
        "last_purchases": [line(row, returned=round(1 - kept[place], 4)) for place, row in sold[:-11:-1]],
        "last_returns": [
            line(found[0]) | {"quantity": sums(list(enumerate(found)))["quantity"],
                              "value": sums(list(enumerate(found)))["value"], "returned": 1.0}
            for found in list(back.values())[:10]
        ],
    }  # fmt: skip


@pytest.mark.parametrize("time_kind", ["timestamp", "position", "set"])
def test_a_page_says_what_counting_by_hand_says(time_kind):
    log, rows, items = rich_log(time_kind)
    recommender = eg.Recommender("popularity").fit(log)
    moments = [None]
    if time_kind == "timestamp":
        moments += [datetime(2024, 3, 30, 12, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)]
    newest = max((row["timestamp"] for row in rows), default=None) if time_kind == "timestamp" else None
    seen = Counter()
    for customer in recommender.customers_:
        theirs = [row for row in rows if row["customer_id"] == customer]
        for at in moments:
            page = recommender.profile(customer, at=at, k=1).to_dict()
            expected = by_hand(theirs, items, time_kind, at or newest)
            found = {name: page[name] for name in expected}
            for share, wanted in zip(found["categories"], expected["categories"], strict=True):
                assert share["share"] == pytest.approx(wanted["share"], abs=1e-9)
                share["share"] = wanted["share"]
            assert found == expected
            assert (page["customer_id"], page["known"], page["identities"]) == (customer, True, [])
            seen.update(
                returned=bool(page["last_returns"]), unmatched=page["returned"]["unmatched"] > 0,
                in_part=any(0 < line["returned"] < 1 for line in page["last_purchases"]),
                ten=len(page["last_purchases"]) == 10, nothing=not page["n_events"],
            )  # fmt: skip
    assert min(seen[name] for name in ("returned", "unmatched", "in_part", "ten")) > 0
    assert seen["nothing"] > 0 or time_kind != "timestamp"
