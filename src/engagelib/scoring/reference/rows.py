"""Rows in blocks, and the best of each row: what all of the reference implementation works with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray, IndexArray, Rows
from engagelib.scoring._operands import TopK

Positions: TypeAlias = npt.NDArray[np.intp]
_Value = TypeVar("_Value", bound=np.generic)

_BLOCK_ROWS = 256  # rows answered at once
_BLOCK_CELLS = 1 << 24  # rows times width at once: large catalogues get fewer rows to a block
_NO_KEY = np.iinfo(np.int64).min
_LOW_BITS = (1 << 32) - 1


def block_rows(width: int) -> int:
    """Return how many rows of a width are answered at once."""
    return max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // max(width, 1)))


def blocks(stop: int, size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Cut a range into pieces of one size, the last one shorter."""
    for low in range(start, stop, size):
        yield low, min(low + size, stop)


def entries_of(rows: Rows, start: int, stop: int) -> tuple[Positions, IndexArray]:
    """Spell out the stored positions of a block, with rows counted from its start."""
    indptr = rows.indptr[start : stop + 1]
    row = np.repeat(np.arange(stop - start), np.diff(indptr))
    return row, rows.indices[int(indptr[0]) : int(indptr[-1])]


def take_rows(rows: Rows, chosen: Positions) -> Rows:
    """Draw the stored positions of some rows."""
    counts = np.diff(rows.indptr)[chosen]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    at = np.arange(indptr[-1]) + np.repeat(rows.indptr[chosen] - indptr[:-1], counts)
    data = None if rows.data is None else rows.data[at]
    return Rows(indptr, rows.indices[at], data, (len(chosen), rows.shape[1]))


def padded(n_rows: int, k: int) -> TopK:
    """Return lists without any item, to be written into."""
    return TopK(np.full((n_rows, k), -1, np.int32), np.full((n_rows, k), -np.inf, np.float32))


def part_of(found: TopK, start: int, stop: int) -> TopK:
    """Look at some of the rows, to write to them."""
    return TopK(found.item_index[start:stop], found.score[start:stop])


def packed(row: Positions, value: npt.NDArray[_Value], n_rows: int, fill: float) -> npt.NDArray[_Value]:
    """Lay flat values, which come by row, into as many columns as the longest row needs."""
    counts = np.bincount(row, minlength=n_rows)
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    packed = np.full((n_rows, int(counts.max(initial=0))), fill, value.dtype)
    packed[row, column] = value
    return packed


def best_of_rows(found: TopK, row: Positions, item: IndexArray, score: FloatArray) -> None:
    """Write the highest scores of each row into `found`; the entries come by row, and none is NaN.

    Score and item are joined into one integer, which orders as (score, lower item first) does: the bits of
    a float32 rise with it, once those of negative numbers are turned round. So ties need no further care.
    """
    bits = score.view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = packed(row, (rising << 32) + (_LOW_BITS - item.astype(np.int64)), len(found), _NO_KEY)
    depth = min(found.score.shape[1], keys.shape[1])
    if depth < keys.shape[1]:
        keys = np.partition(keys, keys.shape[1] - depth, axis=1)[:, keys.shape[1] - depth :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    rising = (keys >> 32).astype(np.int32)
    bits = np.where(rising < 0, rising ^ np.int32(0x7FFFFFFF), rising)
    listed = keys != _NO_KEY
    found.item_index[:, :depth] = np.where(listed, _LOW_BITS - (keys & _LOW_BITS), -1)
    found.score[:, :depth] = np.where(listed, bits.view(np.float32), np.float32(-np.inf))
