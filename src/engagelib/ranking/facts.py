"""Facts: what the second stage knows of each item whoever asks."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.drawing import check_unaltered
from engagelib.histories import Histories
from engagelib.ranking.goals import group_codes
from engagelib.scoring.describing import ItemFacts
from engagelib.times import DAY

_RECENT: Final = (0.1, 0.02)
"""The shares of the log's time that trends look at."""

_CATEGORY: Final = "category"
_PRICE: Final = "price"


def draw_facts(
    histories: Histories, attributes: ItemAttributes, repeats: np.ndarray, groups: Sequence[Sequence[str]]
) -> tuple[ItemFacts, tuple[str, ...], tuple[str, ...]]:
    """Work out what is known of each item, up to the newest event.

    Parameters
    ----------
    repeats
        The chance that an item is bought again, shape (n_items,).
    groups
        Event types in groups, as `goals.groups_of` makes them.

    Returns
    -------
    The facts, and the names of their columns and levels. Columns are, of each group, the logarithm of the
    item's share of its events; the logarithm of its share of the newest tenth, and fiftieth, of the log's
    time less that of all; how long ago its first and its last event were; and the chance of a repeat.
    Levels are the logarithms of its price, NaN where none is known, and of its share of the first group.
    """
    check_unaltered(histories)
    n_items, code = histories.n_items, group_codes(groups, histories.event_types)
    place = np.flatnonzero((histories.item_index >= 0) & (code >= 0)[histories.event_type])
    item, group = histories.item_index[place], code[histories.event_type[place]]
    columns, names = [], []
    for number, types in enumerate(groups):
        count = np.bincount(item[group == number], minlength=n_items)
        columns.append(_log_share(count))
        names.append(f"fame.{'+'.join(types)}")
    moment, unit = _moments(histories)
    times = [np.zeros(n_items) for _ in (*_RECENT, "age", "quiet")]
    if moment is not None and len(place):
        time, newest = moment[place], int(moment.max())
        span = newest - int(time.min())
        every = _log_share(np.bincount(item, minlength=n_items))
        first, last = np.full(n_items, newest), np.full(n_items, int(time.min()))
        np.minimum.at(first, item, time)
        np.maximum.at(last, item, time)
        recent = (np.bincount(item[time > newest - part * span], minlength=n_items) for part in _RECENT)
        times = [
            *(_log_share(count) - every for count in recent),
            (newest - first) / unit,
            (newest - last) / unit,
        ]
    columns += [*times, repeats]
    names += [*(f"trend.{part:g}" for part in _RECENT), "age", "quiet", "repeats"]
    levels = [_log_prices(histories, attributes), columns[0]]
    category, n_categories = np.full(n_items, -1, np.int32), 0
    if _CATEGORY in attributes.texts:
        codes, values = attributes.texts[_CATEGORY]
        category, n_categories = codes.astype(np.int32), len(values)
    facts = ItemFacts(_float32(columns), _float32(levels), category, n_categories)
    return facts, tuple(names), (_PRICE, "fame")


def _moments(histories: Histories) -> tuple[np.ndarray | None, float]:
    """Say when each event was, comparable between histories, and how long a day is; None where nothing tells.

    Among visits with positions their numbers do, if the ids of sessions are integers, which are taken to grow
    with time. All visits together are one day then.
    """
    if histories.time_kind == "timestamp":
        return histories.time, float(DAY)
    n_visits = histories.n_histories - histories.n_customers
    sessions = histories.tables.get("session")
    if n_visits <= histories.n_customers or sessions is None or sessions.kind != "int":
        return None, 1.0
    return np.maximum(histories.rows() - histories.n_customers, 0), float(n_visits)


def _log_share(count: np.ndarray) -> np.ndarray:
    """Return the logarithm of each item's share; one event more each, so that none is without."""
    return np.asarray(np.log((count + 1.0) / (count.sum() + len(count) or 1.0)))


def _log_prices(histories: Histories, attributes: ItemAttributes) -> np.ndarray:
    """Return the logarithm of each item's price, NaN where unknown: the table's, or else what was paid."""
    price = np.full(histories.n_items, np.nan)
    if _PRICE in attributes.numbers:
        price = attributes.numbers[_PRICE].astype(np.float64)
    elif "value" in histories.numbers:
        value = histories.numbers["value"].astype(np.float64)
        quantity = histories.numbers["quantity"] if "quantity" in histories.numbers else np.ones(len(value))
        paid = np.flatnonzero((histories.item_index >= 0) & (value > 0) & (quantity > 0))
        item = histories.item_index[paid]
        total = np.bincount(item, value[paid], minlength=histories.n_items)
        pieces = np.bincount(item, quantity[paid], minlength=histories.n_items)
        np.divide(total, pieces, out=price, where=pieces > 0)
    return np.asarray(np.log(np.where(price > 0, price, np.nan)))


def _float32(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.stack(columns, axis=1), np.float32)
