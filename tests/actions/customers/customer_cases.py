"""Random rows of a small shop with everything that a log can tell, and what plain Python says of them."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np

import engagelib as eg
from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
ITEMS = [
    {"item_id": "desk", "category": "office"},
    {"item_id": "lamp", "category": "light"},
    {"item_id": "mug", "category": None},
    {"item_id": "rug", "category": "floor"},
]
NAMES = ["ann", "bob", "cas"]
ITEMLESS = ("complaint", "survey", "referral", "message_click")
TYPES = ["view", "purchase", "return", "rating", "cart", *ITEMLESS]
CHANCES = [0.2, 0.33, 0.17, 0.08, 0.05, 0.03, 0.06, 0.03, 0.05]


def random_rows(seed, n_most=45, days=30):
    """Rows in any order, with many ties in time; columns that the shop lacks stand in no row."""
    rng = np.random.default_rng(seed)
    has = {name: rng.random() < 0.8 for name in ("value", "quantity", "order_id", "channel", "rating")}
    rows = []
    # With one event type on items alone, that type would count as a purchase.
    kinds = ["view", "purchase", *rng.choice(TYPES, rng.integers(0, n_most), p=CHANCES)]
    for kind in map(str, kinds):
        rating = rng.integers(1, 6) if kind in ("rating", "return") else rng.integers(0, 11)
        told = kind in ("rating", "survey") or (kind == "return" and rng.random() < 0.3)
        n_items = 3 if rng.random() < 0.5 else 4
        item = ITEMS[rng.integers(0, n_items)]["item_id"]
        hours = 24 * int(rng.integers(0, days)) + 12 * int(rng.integers(0, 2))
        row = {
            "customer_id": str(rng.choice(NAMES)),
            "item_id": None if kind in ITEMLESS else item,
            "event_type": kind,
            "timestamp": START + timedelta(hours=hours),
            "value": None,
            "quantity": float(rng.choice([0.5, 1, 1, 2, 3])) if rng.random() < 0.9 else None,
            "order_id": None,
            "channel": rng.choice(["web", "app", None]),
            "rating": float(rating) if told else None,
        }
        if kind == "purchase":
            row["value"] = round(float(rng.uniform(1, 90)), 2) if rng.random() < 0.9 else None
            row["order_id"] = f"o{rng.integers(0, 6)}" if rng.random() < 0.6 else None
        rows.append({name: value for name, value in row.items() if has.get(name, True)})
    return rows


def log_of_rows(rows):
    return eg.EventLog.from_records(rows, items=ITEMS, itemless=ITEMLESS)


def histories_of_rows(rows):
    return Histories.from_log(log_of_rows(rows))


def shop_of(rows):
    log = log_of_rows(rows)
    return Histories.from_log(log), ItemAttributes.from_table(log.item_table, log.items)


def micros(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def moments_around(rows):
    """Moments before, at, between and after the events."""
    times = sorted({micros(row["timestamp"]) for row in rows})
    return sorted({times[0] - 1, *times[::3], times[len(times) // 2] + 7, times[-1], times[-1] + 3 * DAY})


def events_of(rows, name, at):
    """The events of one customer up to a moment, oldest first."""
    return sorted(
        (row for row in rows if row["customer_id"] == name and micros(row["timestamp"]) <= at),
        key=lambda row: row["timestamp"],
    )


def kept_shares(events):
    """What is left of each purchase, by its place: a stack for each item, as fractions."""
    left = {}
    for item in {event["item_id"] for event in events if event["event_type"] == "return"}:
        stack = []
        moves = [(place, event) for place, event in enumerate(events)
                 if event["item_id"] == item and event["event_type"] in ("purchase", "return")]  # fmt: skip
        for moment in sorted({event["timestamp"] for _, event in moves}):
            now = [(place, event, Fraction(event.get("quantity") or 1))
                   for place, event in moves if event["timestamp"] == moment]  # fmt: skip
            bought = [(place, size) for place, event, size in now if event["event_type"] == "purchase"]
            if bought:
                total = sum(size for _, size in bought)
                stack.append([total, total, [place for place, _ in bought]])
            for _, event, size in now:
                back = size if event["event_type"] == "return" else 0
                while back and stack:
                    taken = min(back, stack[-1][0])
                    back -= taken
                    stack[-1][0] -= taken
                    if not stack[-1][0]:
                        left |= dict.fromkeys(stack.pop()[2], Fraction(0))
        for rest, total, places in stack:
            left |= dict.fromkeys(places, rest / total)
    return {
        place: left.get(place, Fraction(1))
        for place, event in enumerate(events)
        if event["event_type"] == "purchase"
    }


def occasion_of(event):
    order = event.get("order_id")
    return order if order is not None else event["timestamp"].date()


def occasions(events):
    """When each occasion of a purchase began."""
    began = {}
    for event in events:
        if event["event_type"] == "purchase":
            began.setdefault(occasion_of(event), event["timestamp"])
    return began


def n_kept(events):
    """How many occasions something was kept of."""
    shares = kept_shares(events)
    return len({occasion_of(events[place]) for place, share in shares.items() if share > 0})


def usual_interval(events):
    days = sorted({moment.toordinal() for moment in occasions(events).values()})
    gaps = np.diff(days)
    return float(gaps.mean()) if len(gaps) else None


def bad_kind(event):
    rating = event.get("rating")
    if event["event_type"] in ("complaint", "return"):
        return event["event_type"]
    if event["event_type"] == "survey":
        return "low_survey" if rating is not None and rating <= 6 else None
    return "low_rating" if rating is not None and rating <= 2 else None


def money(events):
    shares = kept_shares(events)
    paid = {place: events[place].get("value") for place in shares}
    return sum(
        float(np.float32(paid[place])) * float(share) for place, share in shares.items() if paid[place]
    )
