"""Cells: how events become the cells of a matrix, and the checks of what they are drawn from."""

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.segments import counting_order, offsets_of
from engagelib.weights import EVENT_WEIGHTS

_HEAVIEST: Final = 1e30  # sums of so many as any log holds stay finite in float32


def as_number(value: object) -> float:
    """Read a setting as a number; what is none is NaN, which every comparison refuses."""
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond all floats
            return float(value)
    return math.nan


def check_event_weights(event_weights: Mapping[str, float] | None) -> Mapping[str, float]:
    """Return the weights that count, `EVENT_WEIGHTS` for None; refuse what is no mapping to weights."""
    if event_weights is None:
        return EVENT_WEIGHTS
    if not isinstance(event_weights, Mapping):
        expected = 'a mapping from event types to weights, such as {"view": 1.0}, or None'
        raise errors.bad_argument("event_weights", event_weights, expected)
    for name, weight in event_weights.items():
        if not 0 <= as_number(weight) <= _HEAVIEST:
            raise errors.bad_argument(
                "event_weights",
                dict(event_weights),
                f"weights from 0 to {_HEAVIEST:g}; {name!r} has {weight!r}",
            )
    return event_weights


def weights_of(event_types: tuple[str, ...], event_weights: Mapping[str, float] | None) -> np.ndarray:
    """Return the weight of each event type, float64; 0 for those not named."""
    weights = check_event_weights(event_weights)
    return np.array([weights.get(name, 0.0) for name in event_types], np.float64)


def steps_back(history: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Count for each event the distinct later moments of its history; the events come by history and time."""
    if not len(history):
        return np.zeros(0)
    moves = np.append(0, np.cumsum((history[1:] != history[:-1]) | (time[1:] != time[:-1])))
    last_of_row = np.searchsorted(history, history, side="right") - 1
    return np.asarray(moves[last_of_row] - moves)


def sum_cells(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Sum values that fall into one cell, in the order they come, in float64.

    SciPy sums duplicates in an order that depends on its sort; here one row alone gives the same bits as
    the row within a matrix.
    """
    order = counting_order(columns, shape[1])
    if shape[0] > 1:
        order = order[counting_order(rows[order], shape[0])]
    rows, columns = rows[order], columns[order]
    new = np.ones(len(order), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    cell = np.cumsum(new) - 1
    sums = np.bincount(cell, values[order]).astype(np.float32)
    cells = csr_array((sums, columns[new], offsets_of(rows[new], shape[0])), shape=shape)
    cells.has_canonical_format = True
    if not sums.all():  # decayed below what float32 can tell from 0
        cells.eliminate_zeros()
    return cells


def check_offsets(starts: np.ndarray, ends: np.ndarray, n_events: int) -> None:
    """Refuse rows that end before they start, or lie outside the events."""
    broken = (starts < 0) | (ends < starts) | (ends > n_events)
    if broken.any():
        row = int(np.argmax(broken))
        found = f"has a row from {starts[row]} to {ends[row]}"
        raise errors.log.altered_histories("indptr", found, f"rows that follow each other up to {n_events}")


def check_codes(name: str, codes: np.ndarray, lowest: int, n: int) -> None:
    """Refuse codes below `lowest`, or of `n` and above."""
    if not codes.size:
        return
    low, high = int(codes.min()), int(codes.max())
    if low < lowest or high >= n:
        found = f"holds {low if low < lowest else high}"
        raise errors.log.altered_histories(name, found, f"numbers from {lowest} to {n - 1}")
