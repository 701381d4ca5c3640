"""Random calls: whatever is asked, nothing that can't be had, was left out or is not for sale is ever shown.

`pytest tests/recommender/test_random_calls.py --random-calls 200000` makes so many.
"""

import itertools
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import engagelib as eg
from engagelib.availability import Availability
from engagelib.recommender.rules import Rule
from engagelib.testing import random_log

ITEMS = [f"i{number:03d}" for number in range(60)]
CUSTOMERS = [f"c{number:03d}" for number in range(45)]  # the last five are unknown at first
TABLE = {
    "item_id": ITEMS,
    "category": [f"category {number % 5}" for number in range(60)],
    "for_sale": [number % 9 != 4 for number in range(60)],
}
FOR_SALE = {item for item, sold in zip(ITEMS, TABLE["for_sale"], strict=True) if sold}
START = datetime(2024, 1, 1, tzinfo=UTC)
CHANNELS, LOCATIONS = ("web", "store"), ("l0", "l1", "l2")


class Stock:
    """What can be had, said to the library and kept beside it in sets."""

    def __init__(self, rng):
        rows = []
        for item in ITEMS:
            for _ in range(rng.integers(0, 4)):
                begins, ends = sorted(rng.integers(0, 220, 2).tolist())
                windowed = rng.random() < 0.4
                rows.append(
                    {
                        "item_id": item,
                        "channel": _or_none(rng, CHANNELS, 0.6),
                        "location": _or_none(rng, LOCATIONS, 0.7),
                        "starts": START + timedelta(days=begins) if windowed else None,
                        "ends": START + timedelta(days=ends + 1) if windowed else None,
                        "quantity": [None, None, 0, 5][rng.integers(4)],
                    }
                )
        self.rows = rows
        self.turn = 0
        self.said = {}  # by scope, what updates said last of each item, and when
        self.known = {}  # what the table says, by place and moment
        self.bound = Availability.from_frame({name: [row[name] for row in rows] for name in rows[0]})

    def update(self, items, available, channel, location):
        """Say it to the library, and in place of all that was said of a part of this scope before."""
        self.bound.update(items, available, channel=channel, location=location)
        self.turn += 1
        for (of_channel, of_location), said in self.said.items():
            if channel in (None, of_channel) and location in (None, of_location):
                for item in items:
                    said.pop(item, None)
        said = self.said.setdefault((channel, location), {})
        said |= {item: (self.turn, value) for item, value in zip(items, available, strict=True)}

    def can_be_had(self, channel, location, at):
        """The items, by the words of the table and of the updates since."""
        channels = [channel] if channel is not None else CHANNELS
        locations = [location] if location is not None else LOCATIONS
        places = [(one, other) for one in channels for other in locations]
        return set(ITEMS).intersection(*(self._there(*place, at) for place in places))

    def _there(self, channel, location, at):
        if (channel, location, at) not in self.known:
            self.known[channel, location, at] = {
                row["item_id"]
                for row in self.rows
                if row["channel"] in (None, channel)
                and row["location"] in (None, location)
                and (row["starts"] is None or row["starts"] <= at < row["ends"])
                and row["quantity"] != 0
            }
        newest = {}
        for scope in itertools.product((None, channel), (None, location)):
            for item, what in self.said.get(scope, {}).items():
                newest[item] = max(newest.get(item, what), what)
        gone = {item for item, (_, value) in newest.items() if not value}
        back = {item for item, (_, value) in newest.items() if value}
        return (self.known[channel, location, at] - gone) | back


def _or_none(rng, names, share):
    return None if rng.random() < share else names[rng.integers(len(names))]


@pytest.mark.parametrize("models", ["item_knn", ["item_knn", "popularity"]], ids=["alone", "blend"])
def test_nothing_that_may_not_be_shown_is_shown(models, request):
    n_calls = request.config.getoption("--random-calls") // 2
    rng = np.random.default_rng(7)
    shop = eg.Recommender(models, popular_by=("location",))
    shop.fit(random_log(40, 60, 1200, items=TABLE, rng=3))
    bought = _bought(shop)
    returns = set(shop.items_.ids(np.flatnonzero(shop._serving.learned.repeats.returns).tolist()))
    stock = Stock(rng)
    shop.availability = stock.bound
    n_short = 0
    for turn in range(n_calls):
        if turn % 400 == 399:
            stock = Stock(rng)
            shop.availability = stock.bound
        if turn % 7 == 0:
            items = rng.choice(ITEMS, rng.integers(1, 6), replace=False).tolist()
            available = (rng.random(len(items)) < 0.5).tolist()
            stock.update(items, available, _or_none(rng, CHANNELS, 0.5), _or_none(rng, LOCATIONS, 0.5))
        if turn % 11 == 0:
            customer, item = (str(rng.choice(names)) for names in (CUSTOMERS, ITEMS))
            shop.observe({"customer_id": customer, "item_id": item})
            bought.setdefault(customer, set()).add(item)
        if turn % 97 == 0 and (customer := str(rng.choice(CUSTOMERS))) in bought:
            shop.forget(customer)
            del bought[customer]
        n_short += _check_one(shop, stock, bought, returns, rng)
    assert 0.05 < n_short / n_calls < 0.95


def _check_one(shop, stock, bought, returns, rng):
    """Make one call of drawn arguments, hold the answer against the sets; return whether it was short."""
    at = START + timedelta(days=int(rng.integers(200, 220)))
    call = {
        "customer_id": None if rng.random() < 0.1 else str(rng.choice(CUSTOMERS)),
        "k": int(rng.choice([1, 5, 10, 60])),
        "at": at,
        "channel": _or_none(rng, CHANNELS, 0.3),
        "location": _or_none(rng, LOCATIONS, 0.3),
        "fill": bool(rng.random() < 0.8),
        "explain": bool(rng.random() < 0.2),
    }
    for name in ("session", "basket", "exclude", "candidates"):
        if rng.random() < 0.25:
            call[name] = rng.choice([*ITEMS, "unknown"], rng.integers(1, 12)).tolist()
    call["exclude_seen"] = str(rng.choice(["purchased", "any", "none"]))
    call["repeat"] = [None, None, True, False][rng.integers(4)]
    removed = set()
    if rng.random() < 0.3:
        place = int(rng.integers(5))
        removed = {item for item in ITEMS if int(item[1:]) % 5 == place}
        call["rules"] = [
            Rule.remove(where={"category": f"category {place}"}),
            Rule.boost(3.0, where={"category": f"category {(place + 1) % 5}"}),
            Rule.pin(items=rng.choice(ITEMS, 2).tolist()),
        ]
    found = shop.recommend(**call)
    may = FOR_SALE & stock.can_be_had(call["channel"], call["location"], at) - removed
    may -= {*call.get("exclude", ()), *call.get("basket", ())}
    if "candidates" in call:
        may &= set(call["candidates"])
    theirs = bought.get(call["customer_id"], set())
    if call["repeat"] is False or (call["repeat"] is None and call["exclude_seen"] == "any"):
        may -= theirs
    elif call["repeat"] is None and call["exclude_seen"] == "purchased":
        may -= theirs - returns
    if call["exclude_seen"] == "any":
        may -= set(call.get("session", ()))
    listed = found.item_ids
    assert set(listed) <= may, (call, set(listed) - may)
    assert len(set(listed)) == len(listed) <= call["k"]
    assert found.known == (call["customer_id"] in bought)
    is_short = len(listed) < call["k"]
    assert is_short == (found.shortfall is not None), call
    if is_short:
        assert found.shortfall.startswith(f"{len(listed):,} of {call['k']:,} items asked for: ")
        if call["exclude_seen"] != "any" and (call["fill"] or "candidates" in call):
            assert len(listed) == len(may), (call, may - set(listed))
    json.dumps(found.to_records())
    return is_short


def _bought(shop):
    """What each customer purchased or returned, and an empty set for those who only looked."""
    histories = shop.histories_
    seen = histories.seen("purchased")
    return {
        customer: set(shop.items_.ids(seen.indices[seen.indptr[row] : seen.indptr[row + 1]].tolist()))
        for row, customer in enumerate(histories.customers)
    }
