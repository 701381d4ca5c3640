"""Neighbours in NumPy: all postings of a block of rows at once, then all that the nearest hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import Rows
from engagelib.segments import gather, offsets_of

if TYPE_CHECKING:
    from engagelib.scoring.neighbours import Placed

_BLOCK_ROWS = 256

_Places = npt.NDArray[np.int64]
_Doubles = npt.NDArray[np.float64]


def near_items(rows: Rows, postings: Placed, stored: Placed, closeness: _Doubles, n_nearest: int) -> Rows:
    """Go through the rows in blocks."""
    n_items, n_rows = len(postings.indptr) - 1, rows.shape[0]
    parts = [
        _some(rows, range(first, min(first + _BLOCK_ROWS, n_rows)), postings, stored, closeness, n_nearest)
        for first in range(0, max(n_rows, 1), _BLOCK_ROWS)
    ]
    row, item, score = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return Rows(offsets_of(row, n_rows), item.astype(np.int32), score, (n_rows, n_items))


def _some(
    rows: Rows, which: range, postings: Placed, stored: Placed, closeness: _Doubles, n_nearest: int
) -> tuple[_Places, _Places, npt.NDArray[np.float32]]:
    n_items = len(postings.indptr) - 1
    row, history, likeness, anchor = _nearest(rows, which, postings, len(stored.indptr) - 1, n_nearest)
    near, item, close, value = _held(history, anchor, stored, closeness, n_items)
    part = likeness[near] * close * value
    speaks = part > 0
    row, item, part = row[near][speaks], item[speaks], part[speaks]
    _, first, group = np.unique(row * n_items + item, return_index=True, return_inverse=True)
    order = np.argsort(first)  # rows come one after the other, so this keeps them apart
    sums = np.bincount(group, part, minlength=len(first))[order].astype(np.float32)
    met = first[order]
    return row[met], item[met], sums


def near_parts(
    row: Rows,
    postings: Placed,
    stored: Placed,
    closeness: _Doubles,
    n_nearest: int,
    item_index: npt.NDArray[np.integer],
) -> _Doubles:
    """Multiply what each entry adds to the likeness of the nearest by what these say of each item."""
    n_items, n_stored = len(postings.indptr) - 1, len(stored.indptr) - 1
    _, history, _, anchor = _nearest(row, range(1), postings, n_stored, n_nearest)
    near, item, close, value = _held(history, anchor, stored, closeness, n_items)
    place = np.full(n_items, -1)
    place[item_index] = np.arange(len(item_index))
    wanted = np.flatnonzero(place[item] >= 0)
    said = np.zeros((len(history), len(item_index)))
    np.add.at(said, (near[wanted], place[item[wanted]]), (close * value)[wanted])
    starts, lengths = _spans(postings, row.indices)
    entry, found = np.repeat(np.arange(len(starts)), lengths), gather(starts, lengths)
    slot = np.full(n_stored, -1)
    slot[history] = np.arange(len(history))
    at = slot[postings.column[found]]
    entry, found, at = entry[at >= 0], found[at >= 0], at[at >= 0]
    likeness = np.zeros((row.nnz, len(history)))
    likeness[entry, at] = row.data[entry].astype(np.float64) * postings.value[found]
    parts: _Doubles = likeness @ said
    return parts


def _held(
    history: _Places, anchor: _Places, stored: Placed, closeness: _Doubles, n_items: int
) -> tuple[_Places, _Places, _Doubles, _Doubles]:
    """Return what the nearest hold: whose cell it is, its item, its closeness to the anchor, its value."""
    starts, lengths = _spans(stored, history)
    near, cell = np.repeat(np.arange(len(history)), lengths), gather(starts, lengths)
    item = stored.column[cell].astype(np.int64)
    middle = len(closeness) // 2
    apart = stored.place[cell].astype(np.int64) - anchor[near]
    if ((item < 0) | (item >= n_items) | (np.abs(apart) > middle)).any():
        raise errors.scoring.altered_neighbours()
    return near, item, closeness[middle + apart], stored.value[cell].astype(np.float64)


def _nearest(
    rows: Rows, which: range, postings: Placed, n_stored: int, n_nearest: int
) -> tuple[_Places, _Places, _Doubles, _Places]:
    """Find the stored histories most like each row, by row and index, with their likeness and anchor."""
    offsets = np.asarray(rows.indptr[which.start : which.stop + 1], np.int64)
    cells = np.arange(offsets[0], offsets[-1])
    row = np.repeat(np.arange(which.start, which.stop, dtype=np.int64), np.diff(offsets))
    starts, lengths = _spans(postings, rows.indices[cells])
    asked, found = np.repeat(np.arange(len(cells)), lengths), gather(starts, lengths)
    history = postings.column[found].astype(np.int64)
    if ((history < 0) | (history >= n_stored)).any():
        raise errors.scoring.altered_neighbours()
    x = rows.data[cells][asked]
    _, first, group = np.unique(row[asked] * n_stored + history, return_index=True, return_inverse=True)
    part = x.astype(np.float64) * postings.value[found].astype(np.float64)
    likeness: _Doubles = np.asarray(np.bincount(group, part, minlength=len(first)), np.float64)
    # The strongest item first, of equal ones the first.
    by_strength = np.lexsort((np.arange(len(x)), -x, group))
    strongest = by_strength[np.searchsorted(group[by_strength], np.arange(len(first)))]
    anchor: _Places = postings.place[found[strongest]].astype(np.int64)
    row, history = row[asked[first]], history[first]
    best: _Places = np.lexsort((-history, -likeness, row))
    rank = np.arange(len(best)) - np.searchsorted(row[best], row[best])
    kept: _Places = np.sort(best[rank < n_nearest])  # groups are numbered by row and history
    return row[kept], history[kept], likeness[kept], anchor[kept]


def _spans(cells: Placed, row: npt.NDArray[np.integer]) -> tuple[_Places, _Places]:
    """Return where rows begin and how long they are."""
    row = row.astype(np.int64)
    if ((row < 0) | (row >= len(cells.indptr) - 1)).any():
        raise errors.scoring.altered_neighbours()
    starts, ends = cells.indptr[row], cells.indptr[row + 1]
    n_cells = min(len(cells.column), len(cells.place), len(cells.value))
    if ((starts < 0) | (ends < starts) | (ends > n_cells)).any():
        raise errors.scoring.altered_neighbours()
    return starts, ends - starts
