"""Visits: the histories of a log as sequences of distinct items, each where it first stands."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from engagelib.cells import heaviest_of, weights_of
from engagelib.drawing import check_unaltered, shares_left
from engagelib.histories import Histories

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class Visits(NamedTuple):
    """The items of each stored history, by history and place; histories from the oldest to the newest.

    Attributes
    ----------
    row_of
        Row of each stored history among the histories, int64, shape (n_stored,).
    history, item, place
        Stored history of each cell, int64; its item, int32; and at which distinct moment of the history it
        first stands, int32 from 0.
    time
        When it last stands there, int64.
    weight, to_weight
        The highest of the weights of its events, by either weighing, in [0, 1], float64.
    """

    row_of: np.ndarray
    history: np.ndarray
    item: np.ndarray
    place: np.ndarray
    time: np.ndarray
    weight: np.ndarray
    to_weight: np.ndarray


def visits_of(
    histories: Histories,
    event_weights: Mapping[str, float] | None,
    to_event_weights: Mapping[str, float] | None,
    max_length: int,
    apart: int | None,
) -> Visits:
    """Collect the items of each history's newest events that count, at most `max_length` of them.

    With timestamps histories stand by their newest event; with positions by their row.
    """
    whole, item, time, weight, to_weight = _counting(histories, event_weights, to_event_weights)
    row = _parts(whole, time, apart)
    kept = _newest(row, item, time, weight + to_weight, max_length)
    whole, row, item, time, weight, to_weight = (
        part[kept] for part in (whole, row, item, time, weight, to_weight)
    )
    _, first = np.unique(row, return_index=True)
    rows = whole[first]
    history = np.repeat(np.arange(len(rows)), np.diff(np.append(first, len(row))))
    if histories.time_kind == "timestamp" and len(rows):
        by_age = np.argsort(time[np.append(first[1:], len(row)) - 1], kind="stable")
        number = np.empty(len(rows), np.int64)
        number[by_age] = np.arange(len(rows))
        rows, history = rows[by_age], number[history]
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (time[1:] != time[:-1])
    moment = np.cumsum(new) - 1
    # By history and item, first moments first; there is one cell for all events of both.
    order = np.lexsort((moment, item, history))
    history, item, moment = history[order], item[order], moment[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (history[1:] != history[:-1]) | (item[1:] != item[:-1])
    starts = np.flatnonzero(begins)
    history, item, moment = history[starts], item[starts], moment[starts]
    time, weight, to_weight = (
        np.maximum.reduceat(values[order], starts) if len(starts) else values
        for values in (time, weight, to_weight)
    )
    opening = np.full(len(rows), len(new), np.int64)
    np.minimum.at(opening, history, moment)
    place = (moment - opening[history]).astype(np.int32)
    order = np.lexsort((item, place, history))
    cells = (part[order] for part in (history, item, place, time, weight, to_weight))
    return Visits(rows, *cells)


def rarity_of(item: np.ndarray, n_items: int, n_stored: int) -> np.ndarray:
    """Return the logarithm of how many stored histories there are for each that holds an item; above 0."""
    breadth = np.bincount(item, minlength=n_items)
    return np.asarray(np.log((n_stored + 1.0) / np.maximum(breadth, 1)))


def _counting(
    histories: Histories,
    event_weights: Mapping[str, float] | None,
    to_event_weights: Mapping[str, float] | None,
) -> tuple[np.ndarray, ...]:
    """Return row, item, time and both weights of the events that count, by row and time."""
    check_unaltered(histories)
    time = histories.time
    assert time is not None
    left = shares_left(histories, None)
    weight, to_weight = (
        weights_of(histories.event_types, given)[histories.event_type]
        / heaviest_of(given)
        * (1.0 if left is None else left)
        for given in (event_weights, event_weights if to_event_weights is None else to_event_weights)
    )
    kept = np.flatnonzero((histories.item_index >= 0) & (np.maximum(weight, to_weight) > 0))
    return histories.rows()[kept], histories.item_index[kept], time[kept], weight[kept], to_weight[kept]


def _parts(row: np.ndarray, time: np.ndarray, apart: int | None) -> np.ndarray:
    """Number the parts of the histories, which end where the next event is more than `apart` away."""
    new = np.ones(len(row), bool)
    new[1:] = row[1:] != row[:-1]
    if apart is not None:
        new[1:] |= time[1:] - time[:-1] > apart
    return np.cumsum(new) - 1


def _newest(
    row: np.ndarray, item: np.ndarray, time: np.ndarray, weight: np.ndarray, max_length: int
) -> np.ndarray:
    """Return the places of the newest events of each row, in order.

    Events of one moment have no order: which of them stay must not depend on that of the log.
    """
    if not len(row) or np.bincount(row).max() <= max_length:
        return np.arange(len(row))
    mixed = (item.astype(np.uint64) + np.uint64(1)) * _MIX
    order = np.lexsort((weight, mixed, time, row))
    ends = np.searchsorted(row, row, side="right")
    return np.sort(order[ends - np.arange(len(row)) <= max_length])
