"""What the demo reads off a log beside the library's own answers: two customers, and what they bought."""

from typing import TYPE_CHECKING

import numpy as np

from engagelib.times import spell

if TYPE_CHECKING:
    from engagelib.events import EventLog
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


def _is_purchase(log: "EventLog") -> np.ndarray:
    return np.asarray(log.columns["event_type"] == log.vocabularies["event_type"].find("purchase"))
