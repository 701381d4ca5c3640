"""Arguments: pairs of rows and moments, and numbers in their ranges, as the calls of this room take them."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.times import Moment, all_as_microseconds, to_microseconds

_EVENTS: Final = 1 << 18
_PAIRS: Final = 1 << 18
"""Events and pairs worked at once, so that memory stays flat and the arrays near the processor."""


def number(name: str, given: Any, *, above: float | None = None) -> float:
    """Read a finite number, or refuse it."""
    found = as_number(given)
    if not math.isfinite(found) or (above is not None and found <= above):
        expected = "a finite number" if above is None else f"a finite number above {above:g}"
        raise errors.bad_argument(name, given, expected)
    return found


def whole(name: str, given: Any, least: int) -> int:
    """Read an integer, or refuse it."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < least:
        raise errors.bad_argument(name, given, f"an integer of at least {least}")
    return int(given)


def moments_of(moments: Sequence[Moment] | np.ndarray) -> np.ndarray:
    """Read moments, int64 microseconds since 1970."""
    if isinstance(moments, np.ndarray) and moments.dtype.kind in "iu":
        return np.atleast_1d(moments).astype(np.int64)
    if isinstance(moments, str) or not hasattr(moments, "__iter__"):
        expected = "a sequence of moments, or an array of int64 microseconds since 1970"
        raise errors.bad_argument("moments", moments, expected)
    found = [to_microseconds(moment, f"moments[{place}]") for place, moment in enumerate(moments)]
    return np.array(found, np.int64)


def check_pairs(histories: Histories, row: Any, moment: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and moments as int64 of one shape, or refuse them."""
    row, moment = np.asarray(row), all_as_microseconds(moment, "moment")
    for name, given in (("row", row), ("moment", moment)):
        if given.ndim != 1 or (given.dtype.kind not in "iu" and given.size):
            raise errors.wrong_kind(name, f"{given.dtype} of shape {given.shape}", "integers of shape (n,)")
    if len(row) != len(moment):
        raise errors.customers.rows_and_moments(len(row), len(moment))
    outside = (row < -1) | (row >= histories.n_histories)
    if outside.any():
        raise errors.customers.no_such_row(int(row[np.argmax(outside)]), histories.n_histories)
    return row.astype(np.int64), moment.astype(np.int64)


def in_blocks(histories: Histories, row: np.ndarray) -> Iterator[tuple[np.ndarray, Histories, np.ndarray]]:
    """Go through pairs block by block, each of not too many rows, events and pairs.

    Yields
    ------
    The places of the pairs, the histories that they are about, and the row of each pair in those.
    """
    order = np.arange(len(row)) if (row[1:] >= row[:-1]).all() else np.argsort(row, kind="stable")
    ordered = row[order]
    used, first = np.unique(ordered, return_index=True)
    if not len(used):
        return
    lengths = np.where(used >= 0, histories.indptr[used + 1] - histories.indptr[used], 0)
    last = np.append(first[1:], len(row))
    block = np.maximum(np.cumsum(lengths) // _EVENTS, last // _PAIRS)
    begins = np.flatnonzero(np.append(True, block[1:] != block[:-1]))
    for begin, stop in zip(begins.tolist(), [*begins[1:].tolist(), len(used)], strict=True):
        rows = used[begin:stop]
        pairs = order[first[begin] : last[stop - 1]]
        together = rows[0] >= 0 and rows[-1] - rows[0] + 1 == len(rows)
        some = histories.block(int(rows[0]), int(rows[-1]) + 1) if together else histories.take(rows)
        yield pairs, some, np.where(row[pairs] >= 0, np.searchsorted(rows, row[pairs]), -1)
