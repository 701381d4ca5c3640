"""The thin side of neighbours in C++: room for what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import Rows
from engagelib.scoring.native import _kernel

if TYPE_CHECKING:
    from engagelib.scoring.neighbours import Placed

_SOUND = -1  # any other answer is the row at which a fault was found
_ROOM = 1 << 22


def near_items(
    rows: Rows, postings: Placed, stored: Placed, closeness: npt.NDArray[np.float64], n_nearest: int
) -> Rows:
    """Go through the rows, as many at a time as there is room for."""
    n_items = len(postings.indptr) - 1
    most = min(n_items, n_nearest * (len(closeness) // 2 + 1))
    size = max(_ROOM // max(most, 1), 1)
    n_rows = rows.shape[0]
    parts = [
        _some(rows, slice(first, min(first + size, n_rows)), most, (postings, stored), closeness, n_nearest)
        for first in range(0, max(n_rows, 1), size)
    ]
    if len(parts) == 1:
        return Rows(*parts[0], (n_rows, n_items))
    ends = np.cumsum([indptr[-1] for indptr, _, _ in parts])
    indptr = np.concatenate(
        [part[0][:-1] + end - part[0][-1] for part, end in zip(parts, ends, strict=True)] + [ends[-1:]]
    )
    indices, data = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return Rows(indptr, indices, data, (n_rows, n_items))


def _some(
    rows: Rows,
    which: slice,
    most: int,
    held: tuple[Placed, Placed],
    closeness: npt.NDArray[np.float64],
    n_nearest: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    n_rows = which.stop - which.start
    indptr = np.empty(n_rows + 1, np.int64)
    indices, data = np.empty(most * n_rows, np.int32), np.empty(most * n_rows, np.float32)
    starts = np.ascontiguousarray(rows.indptr[which.start : which.stop + 1], np.int64)
    items = np.ascontiguousarray(rows.indices, np.int32)
    fault = _kernel.near_items(
        starts, items, rows.data, *held[0], *held[1], closeness, n_nearest, indptr, indices, data
    )
    if fault != _SOUND:
        raise errors.scoring.altered_neighbours()
    n_cells = int(indptr[-1])
    return indptr, indices[:n_cells].copy(), data[:n_cells].copy()
