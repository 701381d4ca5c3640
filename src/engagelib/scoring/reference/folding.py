"""Sums and small systems by row, in NumPy: each row as if there were no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.scoring._checks import FloatArray, Rows

Doubles = npt.NDArray[np.float64]

_CLOSE_ENOUGH: Final = 1e-8
"""Length of a residual, in lengths of the first one, at which a row is solved."""

_CELLS: Final = 1 << 19
"""Entries times factors that are worked with at once, in float64: they stay in cache."""


def fold_rows(rows: Rows, vectors: FloatArray) -> Doubles:
    """Solve `(I + V' (C - I) V) z = V' c` for each row of confidences `c`; float64, (n_rows, n_factors).

    `V` holds the vectors of the entries of a row. Nothing depends on what other rows there are.

    Raises
    ------
    ArtifactError
        If an entry leads beyond the vectors.
    """
    data = np.asarray(rows.data, np.float32).astype(np.float64)
    extra = Rows(rows.indptr, rows.indices, data - 1.0, rows.shape)
    right = sum_rows(Rows(rows.indptr, rows.indices, data, rows.shape), vectors)
    return solve_rows(extra, vectors, right)


def solve_rows(extra: Rows, vectors: FloatArray, right: Doubles, *, most_steps: int | None = None) -> Doubles:
    """Solve `(I + V' D V) z = b` for each row, by conjugate gradients (Hestenes and Stiefel, 1952).

    `D` is the diagonal of the values of a row. As the matrix is the identity plus one direction for each
    entry, a row of n entries takes at most n + 1 steps but for rounding; `most_steps` is where to stop at
    the latest, and None enough for any row.

    Sums over entries come in their order, and BLAS, whose sums depend on the shape of all that it is given,
    is left out.
    """
    n_factors = vectors.shape[1]
    solved = np.zeros(right.shape)
    matrix = checked_rows(extra, len(vectors))
    lengths = np.diff(matrix.indptr)
    # Rows of like length take like numbers of steps.
    order = np.argsort(lengths, kind="stable")
    for piece in pieces(lengths[order], n_factors):
        part = matrix[order[piece]]
        entries = vectors[part.indices].astype(np.float64)
        residual = right[order[piece]]
        most = most_steps or 4 * n_factors + 16
        solved[order[piece]] = descend(
            part, entries, np.zeros(residual.shape), residual, most, close=_CLOSE_ENOUGH
        )
    return solved


def sum_rows(weights: Rows, vectors: FloatArray) -> Doubles:
    """Sum vectors by row, each times its weight, in the order of the entries; float64 (n_rows, n_factors)."""
    matrix = checked_rows(weights, len(vectors))
    summed = np.zeros((matrix.shape[0], vectors.shape[1]))
    for rows in pieces(np.diff(matrix.indptr), vectors.shape[1]):
        part = matrix[rows]
        summed[rows] = by_entry(part.data, part.indptr) @ vectors[part.indices].astype(np.float64)
    return summed


def descend(
    extra: csr_array,
    entries: Doubles,
    solution: Doubles,
    residual: Doubles,
    most_steps: int,
    *,
    close: float,
) -> Doubles:
    """Go from a solution and its residual towards the exact one, until the residual is that much shorter.

    `entries` holds the vector of each entry of `extra`, in their order.
    """
    weight = extra.data.astype(np.float64)
    row = np.repeat(np.arange(len(residual)), np.diff(extra.indptr))
    sums = by_entry(weight, extra.indptr)
    direction = residual.copy()
    square = np.einsum("ij,ij->i", residual, residual)
    small = close**2 * square
    active = square > 0
    for _ in range(most_steps):
        if not active.any():
            break
        sums.data = weight * np.einsum("ij,ij->i", entries, direction[row])
        image = direction + sums @ entries
        step = np.zeros(len(residual))
        np.divide(square, np.einsum("ij,ij->i", direction, image), out=step, where=active)
        solution = solution + step[:, None] * direction
        residual = residual - step[:, None] * image
        smaller = np.einsum("ij,ij->i", residual, residual)
        active &= smaller > small
        turn = np.zeros(len(residual))
        np.divide(smaller, square, out=turn, where=active)
        direction = residual + turn[:, None] * direction
        square = smaller
    return solution


def by_entry(values: npt.NDArray[Any], indptr: npt.NDArray[Any]) -> csr_array:
    """Return the matrix whose product with one vector an entry sums them by row."""
    places = np.arange(len(values))
    return csr_array((values.astype(np.float64), places, indptr), shape=(len(indptr) - 1, len(values)))


def pieces(lengths: npt.NDArray[Any], n_factors: int) -> Iterator[slice]:
    """Cut rows into pieces that stay in cache, or of one row that has more entries than do."""
    most = max(1, _CELLS // max(n_factors, 1))
    ends = np.cumsum(np.maximum(lengths, 1))
    start = 0
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def checked_rows(rows: Rows, n_vectors: int) -> csr_array:
    """Return rows as a matrix, or refuse the first entry that leads beyond the vectors."""
    outside = (rows.indices < 0) | (rows.indices >= n_vectors)
    if outside.any():
        at = int(np.argmax(outside))
        raise errors.scoring.altered_weights(at, int(rows.indices[at]), n_vectors)
    shape = (len(rows.indptr) - 1, n_vectors)
    return csr_array((rows.data, rows.indices, rows.indptr), shape=shape)
