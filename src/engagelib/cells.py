"""Cells: how events become the cells of a matrix, and the checks of what they are drawn from."""

import math
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from engagelib import errors
from engagelib.segments import offsets_of, sum_cells
from engagelib.weights import EVENT_WEIGHTS

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LIGHTEST: Final = float(np.finfo(np.float64).tiny)
_HEAVIEST: Final = 1e30  # sums of so many as any log holds stay finite in float32


def as_number(value: object) -> float:
    """Read a setting as a number; what is none is NaN, which every comparison refuses."""
    if type(value) is float:
        return value
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
    """Return the weight of each event type, float64, not to be written to; 0 for those not named."""
    if event_weights is None:
        return _default_weights(event_types)
    weights = check_event_weights(event_weights)
    return np.array([weights.get(name, 0.0) for name in event_types], np.float64)


@lru_cache(maxsize=64)
def _default_weights(event_types: tuple[str, ...]) -> np.ndarray:
    return np.array([EVENT_WEIGHTS.get(name, 0.0) for name in event_types], np.float64)


def heaviest_of(event_weights: Mapping[str, float] | None) -> float:
    """Return the largest weight of any event type, above 0 even where none has weight."""
    return max((*check_event_weights(event_weights).values(), _LIGHTEST))


def cells_matrix(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> "csr_array":
    """Sum values that fall into one cell, as `segments.sum_cells` does, and return them as a matrix."""
    from scipy.sparse import csr_array

    row, column, value = sum_cells(rows, columns, values, shape)
    cells = csr_array((value, column, offsets_of(row, shape[0])), shape=shape)
    cells.has_canonical_format = True
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
