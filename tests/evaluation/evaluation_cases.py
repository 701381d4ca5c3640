"""A small shop, and a recommender that lists what it is told."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np

from engagelib import Recommender
from engagelib.events import EventLog
from engagelib.splitting import split_by_time

START = datetime(2024, 1, 1, tzinfo=UTC)
CUT = "2024-01-02"


def log_of(rows, **keywords):
    """Make a log of rows "customer item day[ channel]"."""
    cells = [(*row.split(), None)[:4] for row in rows]
    columns = {
        "customer_id": [who for who, *_ in cells],
        "item_id": [what for _, what, *_ in cells],
        "timestamp": [START + timedelta(days=float(day)) for _, _, day, _ in cells],
    }
    if any(channel for *_, channel in cells):
        columns["channel"] = [channel for *_, channel in cells]
    return EventLog.from_frame(columns, **keywords)


class Told(Recommender):
    """A recommender that lists what it was told, whatever it was fitted on."""

    def __init__(self, lists):
        super().__init__("popularity")
        self.lists = lists
        self.asked = []

    def recommend_many(self, customer_ids, *, k, **keywords):
        self.asked.append(keywords)
        found = np.full((len(customer_ids), k), -1, np.int32)
        for row, who in enumerate(customer_ids):
            items = [self.items_.find(item) for item in self.lists.get(who, ())][:k]
            found[row, : len(items)] = items
        return SimpleNamespace(item_index=found)


# Bought by everybody on the first day, so that p, q, r, s is the order of popularity.
BASKETS = {"a": "pqrs", "b": "pqr", "c": "pq", "d": "p"}
BEFORE = [
    f"{who} {item} 0 {'web' if who in 'ab' else 'app'}" for who, items in BASKETS.items() for item in items
]
# Of what is new to them d finds q at rank 1 and misses s, c finds s at rank 2; b buys p again; e is new.
AFTER = ["d q 1 app", "d s 1 web", "c s 1 web", "c new 1 web", "b p 1 web", "e p 1 app"]
SPLIT = split_by_time(log_of(BEFORE + AFTER), at=CUT)


def shop(seed=0, n=600, **keywords):
    """Draw a log in which customers like one half of the items."""
    rng = np.random.default_rng(seed)
    customer = rng.integers(0, 40, n)
    item = rng.integers(0, 30, n) * 2 + customer % 2
    day = rng.uniform(0, 10, n)
    rows = zip(customer, item, day, strict=True)
    return log_of([f"c{who} i{what} {when:.6f} ch{who % 3}" for who, what, when in rows], **keywords)
