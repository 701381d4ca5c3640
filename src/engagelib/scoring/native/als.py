"""Alternating least squares and folding in C++; see `engagelib.scoring.reference` for what they do.

Both agree up to rounding; no number of threads changes a bit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import FloatArray, Rows
from engagelib.scoring.native import _kernel

Doubles = npt.NDArray[np.float64]

_LANE = 16  # vectors are padded to a multiple of this
_TILE = 4  # and rows to one of this


def als_room(n_rows: int, n_factors: int) -> FloatArray:
    """Return memory for half steps with up to so many fixed rows.

    It is NumPy's, which asks for large pages: rows are fetched from all over it.
    """
    n_cells = (n_rows + _TILE - 1) // _TILE * _TILE * ((n_factors + _LANE - 1) // _LANE * _LANE)
    return np.empty(n_cells + _LANE, np.float32)


def als_half_step(
    rows: Rows,
    fixed: FloatArray,
    solved: FloatArray,
    regularization: float,
    *,
    n_steps: int,
    n_threads: int,
    room: FloatArray | None = None,
) -> None:
    """Move the vectors of all rows towards the minimum of the loss, the others fixed, in place."""
    if room is None:
        room = als_room(len(fixed), fixed.shape[1])
    found = _kernel.als_half_step(
        rows.indptr, rows.indices, rows.data, fixed, solved, regularization, n_steps, n_threads, room
    )
    _check(found, rows, len(fixed))


def als_solve(
    rows: Rows,
    fixed: FloatArray,
    regularization: float,
    *,
    n_threads: int,
    room: FloatArray | None = None,
) -> Doubles:
    """Return the minimum that half steps move towards, float64, shape (n_rows, n_factors)."""
    if room is None:
        room = als_room(len(fixed), fixed.shape[1])
    solved = np.empty((len(rows.indptr) - 1, fixed.shape[1]))
    found = _kernel.als_solve(
        rows.indptr,
        rows.indices,
        rows.data,
        fixed,
        solved,
        regularization,
        _most_steps(fixed),
        n_threads,
        room,
    )
    _check(found, rows, len(fixed))
    return solved


def als_turn(vectors: Doubles, regularization: float, *, n_threads: int) -> Doubles:
    """Return `Y L^-T`, with `L L' = Y'Y + regularization I`, float64."""
    turned = np.empty(vectors.shape)
    _kernel.als_turn(vectors, turned, regularization, n_threads)
    return turned


def fold_rows(rows: Rows, vectors: FloatArray) -> Doubles:
    """Solve `(I + V' (C - I) V) z = V' c` for each row of confidences `c`; float64, (n_rows, n_factors)."""
    solved = np.empty((len(rows.indptr) - 1, vectors.shape[1]))
    found = _kernel.fold_rows(rows.indptr, rows.indices, rows.data, vectors, solved, _most_steps(vectors), 1)
    _check(found, rows, len(vectors))
    return solved


def solve_rows(extra: Rows, vectors: FloatArray, right: Doubles, *, most_steps: int | None = None) -> Doubles:
    """Solve `(I + V' D V) z = b` for each row; float64, (n_rows, n_factors)."""
    solved = np.empty(right.shape)
    found = _kernel.solve_rows(
        extra.indptr, extra.indices, extra.data, vectors, right, solved, most_steps or _most_steps(vectors), 1
    )
    _check(found, extra, len(vectors))
    return solved


def sum_rows(weights: Rows, vectors: FloatArray) -> Doubles:
    """Sum vectors by row, each times its weight, in the order of the entries; float64 (n_rows, n_factors)."""
    summed = np.empty((len(weights.indptr) - 1, vectors.shape[1]))
    found = _kernel.sum_rows(weights.indptr, weights.indices, weights.data, vectors, summed, 1)
    _check(found, weights, len(vectors))
    return summed


def _most_steps(vectors: FloatArray) -> int:
    return 4 * int(vectors.shape[1]) + 16


def _check(position: int, rows: Rows, n_vectors: int) -> None:
    if position >= 0:
        raise errors.scoring.altered_weights(position, int(rows.indices[position]), n_vectors)
