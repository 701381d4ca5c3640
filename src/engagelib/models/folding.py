"""Folding: the factor of a history from those of its items, each row as if there were no other."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy.sparse import csr_array

_CLOSE_ENOUGH: Final = 1e-8
"""Length of a residual, in lengths of the right-hand side, at which a row is solved."""

_CELLS: Final = 1 << 19
"""Entries times factors that are worked with at once, in float64: they stay in cache."""


def solve_rows(
    extra: csr_array, vectors: np.ndarray, right: np.ndarray, *, most_steps: int | None = None
) -> np.ndarray:
    """Solve `(I + V' D V) z = b` for each row, by conjugate gradients (Hestenes and Stiefel, 1952).

    `V` holds the vectors of the entries of a row and the diagonal of `D` their values. As the matrix is the
    identity plus one direction for each entry, a row of n entries takes at most n + 1 steps but for rounding.

    Nothing here depends on what other rows there are, to the last bit: sums over entries come in their
    order, and BLAS, whose sums depend on the shape of all that it is given, is left out.

    Parameters
    ----------
    extra
        What each entry adds, at least 0, shape (n_rows, n_items).
    vectors
        Item factors, shape (n_items, n_factors).
    right
        Right-hand sides, float64, shape (n_rows, n_factors).
    most_steps
        Where to stop at the latest; None is enough for any row.

    Returns
    -------
    float64, shape (n_rows, n_factors).
    """
    n_factors = vectors.shape[1]
    solved = np.zeros(right.shape)
    lengths = np.diff(extra.indptr)
    # Rows of like length take like numbers of steps.
    order = np.argsort(lengths, kind="stable")
    for piece in _pieces(lengths[order], max(1, _CELLS // max(n_factors, 1))):
        rows = order[piece]
        part = extra[rows]
        entries = vectors[part.indices].astype(np.float64)
        solved[rows] = _conjugate_gradients(part, entries, right[rows], most_steps or 4 * n_factors + 16)
    return solved


def sum_rows(weights: csr_array, vectors: np.ndarray) -> np.ndarray:
    """Sum vectors by row, each times its weight, in the order of the entries; float64 (n_rows, n_factors)."""
    summed = np.zeros((weights.shape[0], vectors.shape[1]))
    lengths = np.diff(weights.indptr)
    for rows in _pieces(lengths, max(1, _CELLS // max(vectors.shape[1], 1))):
        part = weights[rows]
        summed[rows] = _by_entry(part.data, part.indptr) @ vectors[part.indices].astype(np.float64)
    return summed


def _conjugate_gradients(
    extra: csr_array, entries: np.ndarray, right: np.ndarray, most_steps: int
) -> np.ndarray:
    weight = extra.data.astype(np.float64)
    row = np.repeat(np.arange(len(right)), np.diff(extra.indptr))
    sums = _by_entry(weight, extra.indptr)
    solution, residual, direction = np.zeros(right.shape), right.copy(), right.copy()
    square = np.einsum("ij,ij->i", residual, residual)
    small = _CLOSE_ENOUGH**2 * square
    active = square > 0
    for _ in range(most_steps):
        if not active.any():
            break
        sums.data = weight * np.einsum("ij,ij->i", entries, direction[row])
        image = direction + sums @ entries
        step = np.zeros(len(right))
        np.divide(square, np.einsum("ij,ij->i", direction, image), out=step, where=active)
        solution += step[:, None] * direction
        residual -= step[:, None] * image
        smaller = np.einsum("ij,ij->i", residual, residual)
        active &= smaller > small
        turn = np.zeros(len(right))
        np.divide(smaller, square, out=turn, where=active)
        direction = residual + turn[:, None] * direction
        square = smaller
    return solution


def _by_entry(values: np.ndarray, indptr: np.ndarray) -> csr_array:
    """Return the matrix whose product with one vector an entry sums them by row."""
    places = np.arange(len(values))
    return csr_array((values.astype(np.float64), places, indptr), shape=(len(indptr) - 1, len(values)))


def _pieces(lengths: np.ndarray, most: int) -> Iterator[slice]:
    """Cut rows into pieces of at most so many entries, or of one row that has more."""
    ends = np.cumsum(np.maximum(lengths, 1))
    start = 0
    while start < len(lengths):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
