"""What the demo shows beside the library's own answers: two customers, and what happens while it serves."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from engagelib.times import spell

if TYPE_CHECKING:
    from engagelib.events import EventLog
    from engagelib.recommender import Recommendation, Recommender
    from engagelib.vocabulary import Id


def last_to_order(log: "EventLog", n_orders: int) -> "tuple[Id, int]":
    """Find the customer who ordered last of those with exactly so many orders.

    Returns
    -------
    The customer, of several at the same moment the first in the order of ids; and how many customers have
    so many orders.
    """
    customer, order = log.columns["customer_id"], log.columns["order_id"]
    rows = np.flatnonzero(_is_purchase(log) & (customer >= 0) & (order >= 0))
    pairs = np.unique(np.stack([customer[rows], order[rows]]), axis=1)
    alike = np.bincount(pairs[0], minlength=log.n_customers) == n_orders
    newest = np.zeros(log.n_customers, np.int64)
    np.maximum.at(newest, customer[rows], log.columns["time"][rows])
    return log.customers[int(np.argmax(np.where(alike, newest, -1)))], int(alike.sum())


def bought_last(log: "EventLog", customer_id: "Id", n: int) -> tuple[list[tuple[str, str, str]], int]:
    """List the items for sale that a customer bought last.

    Returns
    -------
    The date, id and title of at most n items, newest first, each once; and how many items there are beyond.
    """
    item = log.columns["item_id"]
    theirs = _is_purchase(log) & (log.columns["customer_id"] == log.customers.find(customer_id))
    rows = np.flatnonzero(theirs & np.append(log.item_for_sale(), False)[item])
    rows = rows[np.argsort(log.columns["time"][rows], kind="stable")][::-1]
    items, first = np.unique(item[rows], return_index=True)
    newest = rows[np.sort(first)[:n]]
    index = item[newest].tolist()
    dates = [spell(time)[:10] for time in log.columns["time"][newest].tolist()]
    titles = log.item_texts("title").take(index)
    return list(zip(dates, map(str, log.items.ids(index)), titles, strict=True)), len(items) - len(newest)


class Step(NamedTuple):
    """Something that happened while the recommender served, and the answer that came next, as titles."""

    what: str
    answer: list[str]


def serve(
    recommender: "Recommender",
    customer_id: "Id",
    visitor_id: "Id",
    looked_at: "Recommendation",
    *,
    k: int = 3,
) -> list[Step]:
    """Let an item sell out, the customer buy one, and a visitor turn out to be the customer; no refit.

    Parameters
    ----------
    recommender
        It is changed: its availability, and what it observed and linked.
    customer_id, visitor_id
        A known customer, and an id that nobody has.
    looked_at
        What the visitor looks at.
    k
        Length of each answer, of items new to the customer.
    """
    from engagelib.availability import Availability

    def new_to(who: "Id") -> "list[Recommendation]":
        return list(recommender.recommend(who, k=k, repeat=False))

    on_shelf = Availability.from_frame({"item_id": list(recommender.items_)})
    recommender.availability = on_shelf
    steps, found = [], new_to(customer_id)
    steps.append(Step(f"Next for customer {customer_id}", _titles(found)))
    gone = found[0]
    on_shelf.update([gone.item_id], False)
    found = new_to(customer_id)
    steps.append(Step(f"Sold out: {_title(gone)}", _titles(found)))
    steps.append(Step("What could stand in for it", _titles(recommender.substitutes(gone.item_id, k))))
    bought = found[0]
    recommender.observe({"customer_id": customer_id, "item_id": bought.item_id})
    steps.append(Step(f"Bought just now: {_title(bought)}", _titles(new_to(customer_id))))
    recommender.observe({"customer_id": visitor_id, "item_id": looked_at.item_id, "event_type": "view"})
    steps.append(Step(f"Visitor {visitor_id} looks at: {_title(looked_at)}", _titles(new_to(visitor_id))))
    recommender.link(customer_id, visitor_id)
    steps.append(Step(f"The visitor signs in as {customer_id}", _titles(new_to(visitor_id))))
    return steps


def _titles(entries: "Iterable[Recommendation]") -> list[str]:
    return [_title(entry) for entry in entries]


def _title(entry: "Recommendation") -> str:
    return entry.title or str(entry.item_id)


def _is_purchase(log: "EventLog") -> np.ndarray:
    return np.asarray(log.columns["event_type"] == log.vocabularies["event_type"].find("purchase"))
