"""Small logs and histories to test with, made by hand or at random."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from engagelib.events import EventLog
from engagelib.histories import Histories, TimeKind
from engagelib.vocabulary import Id

Event = Id | tuple[Id, str] | Mapping[str, Any]
"""An item (bought), an item and an event type, or the columns of a row."""

_START = datetime(2024, 1, 1, tzinfo=UTC)
_DAY = 24 * 60  # minutes


def log_of(
    visits: Mapping[Id, Sequence[Event]], *, time_kind: TimeKind = "timestamp", **keywords: Any
) -> EventLog:
    """Make a log by hand: `log_of({"ann": ["lamp", ("rug", "view")], "bob": ["rug"]})`.

    Parameters
    ----------
    visits
        The events of each customer, oldest first: an item, which was bought; an item and an event type; or
        a mapping of columns. A customer's first event is on 1 January 2024, the others follow day by day.
    time_kind
        "timestamp", "position" (from 0), or "set" for neither.
    keywords
        As for `EventLog.from_records`.
    """
    records = []
    for customer, events in visits.items():
        for place, event in enumerate(events):
            if isinstance(event, tuple):
                row: Mapping[str, Any] = {"item_id": event[0], "event_type": event[1]}
            else:
                row = event if isinstance(event, Mapping) else {"item_id": event}
            when: dict[TimeKind, dict[str, Any]] = {
                "timestamp": {"timestamp": _START + timedelta(days=place)},
                "position": {"position": place},
                "set": {},
            }
            defaults = {"customer_id": customer, "event_type": "purchase"}
            records.append({**defaults, **when[time_kind], **row})
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return EventLog.from_frame(columns, **keywords)


def histories_of(
    visits: Mapping[Id, Sequence[Event]], *, time_kind: TimeKind = "timestamp", **keywords: Any
) -> Histories:
    """Make the histories of a log by hand; the parameters are those of `log_of`."""
    return Histories.from_log(log_of(visits, time_kind=time_kind, **keywords))


def random_log(
    n_customers: int = 40,
    n_items: int = 30,
    n_events: int = 600,
    *,
    time_kind: TimeKind = "timestamp",
    rng: int | np.random.Generator = 0,
    prefix: str = "",
    shuffled: bool = False,
    tied: bool = False,
    **keywords: Any,
) -> EventLog:
    """Make a log of views, carts, purchases and returns in which customers of a kind like the same items.

    No two events share a time unless they are `tied`, some visits are anonymous, some events have no item,
    some purchases are returned in part or in whole.

    Parameters
    ----------
    n_customers, n_items, n_events
        Its size; ids are drawn, so that a few may never occur.
    time_kind
        "timestamp", "position", or "set" for neither.
    rng
        A Generator or a seed.
    prefix
        What all ids begin with.
    shuffled
        Whether the rows come in another order than that of time; the same events all the same.
    tied
        Whether times are whole days (or positions the number of the day), so that events share them.
    keywords
        As for `EventLog.from_frame`.
    """
    rng = np.random.default_rng(rng)
    customer = rng.integers(0, n_customers, n_events)
    item = (customer % 5 * (n_items // 5) + rng.geometric(7.5 / max(n_items, 10), n_events)) % n_items
    event_type = rng.choice(["view", "cart", "purchase", "survey"], n_events, p=[0.5, 0.1, 0.35, 0.05])
    quantity = rng.integers(1, 4, n_events).astype(float)
    # A return repeats an earlier purchase by the same customer, now and then of fewer pieces.
    for place in range(2, n_events, 12):
        bought = np.flatnonzero((event_type[:place] == "purchase") & (customer[:place] == customer[place]))
        if len(bought):
            item[place], event_type[place] = item[bought[-1]], "return"
            quantity[place] = min(quantity[place], quantity[bought[-1]])
    anonymous = rng.random(n_events) < 0.1
    minutes = np.sort(rng.choice(200 * _DAY, n_events, replace=False))
    if tied:
        minutes = minutes // _DAY * _DAY
    columns: dict[str, list[Any]] = {
        "customer_id": [
            None if hidden else f"{prefix}c{one:03d}" for one, hidden in zip(customer, anonymous, strict=True)
        ],
        "item_id": [
            None if kind == "survey" else f"{prefix}i{one:03d}"
            for one, kind in zip(item, event_type, strict=True)
        ],
        "event_type": event_type.tolist(),
        "quantity": quantity.tolist(),
        "session_id": [f"s{one}" for one in customer],
        "location": [f"{prefix}l{one % 3}" for one in customer],
    }
    if time_kind == "timestamp":
        columns["timestamp"] = [_START + timedelta(minutes=int(minute)) for minute in minutes]
    elif time_kind == "position":
        columns["position"] = (minutes // _DAY).tolist() if tied else list(range(n_events))
    if shuffled:
        order = rng.permutation(n_events)
        columns = {name: [values[place] for place in order] for name, values in columns.items()}
    return EventLog.from_frame(columns, **keywords)
