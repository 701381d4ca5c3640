"""Half steps of alternating least squares, in NumPy and float64."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray, Rows
from engagelib.scoring.reference import folding

Doubles = npt.NDArray[np.float64]

_CLOSE_ENOUGH: Final = 1e-6
"""Length of a residual, in lengths of the first one, that float32 can't tell from none."""


def als_room(n_rows: int, n_factors: int) -> None:
    """Return memory for half steps with up to so many fixed rows; here, none is needed."""


def als_half_step(
    rows: Rows,
    fixed: FloatArray,
    solved: FloatArray,
    regularization: float,
    *,
    n_steps: int,
    n_threads: int,  # noqa: ARG001
    room: None = None,  # noqa: ARG001
) -> None:
    """Move the vectors of all rows towards the minimum of the loss, the others fixed, in place.

    The loss is the sum over all cells of `c (p - x.y)^2`, with `p` 1 for stored entries and 0 for others,
    and `c` the entry or 1, plus `regularization` times all squares (Hu, Koren and Volinsky, 2008). A few
    conjugate gradients each go towards it, from where the row is (Takacs, Pilaszy and Tikk, 2011), in
    coordinates `z = L'x` with `L L' = Y'Y + regularization I`, in which the part that all rows share is the
    identity.

    Parameters
    ----------
    rows
        Confidences, float32, of at least 1, shape (n_rows, n_fixed).
    fixed
        Vectors `Y` that stay, shape (n_fixed, n_factors).
    solved
        Vectors `x` that are moved, float32, shape (n_rows, n_factors). Those of rows without entry become 0.
    regularization
        Above 0.
    n_steps
        Steps, at least 1.
    n_threads
        Threads to take them with; their number changes nothing.
    room
        What `als_room` gave, to be used again; None takes new memory.

    Raises
    ------
    ArtifactError
        If an entry leads beyond the fixed vectors.
    ValueError
        If the fixed vectors are not finite, or their products not positive definite.
    """
    with np.errstate(all="ignore"):
        lower, turned = _turned(fixed.astype(np.float64), regularization)
        matrix = folding.checked_rows(_extra(rows), len(fixed))
        for piece in folding.pieces(np.diff(matrix.indptr), fixed.shape[1]):
            part = matrix[piece]
            start = solved[piece].astype(np.float64) @ lower
            entries = turned[part.indices].astype(np.float64)
            row = np.repeat(np.arange(len(start)), np.diff(part.indptr))
            there = np.einsum("ij,ij->i", entries, start[row])
            sums = folding.by_entry(1.0 + part.data - part.data * there, part.indptr)
            residual = sums @ entries - start
            solution = folding.descend(part, entries, start, residual, n_steps, close=_CLOSE_ENOUGH)
            solution[np.diff(part.indptr) == 0] = 0.0
            solved[piece] = _turned_back(solution, lower)


def als_solve(
    rows: Rows,
    fixed: FloatArray,
    regularization: float,
    *,
    n_threads: int,  # noqa: ARG001
    room: None = None,  # noqa: ARG001
) -> Doubles:
    """Return the minimum that half steps move towards, float64, shape (n_rows, n_factors).

    The arguments and errors are those of `als_half_step`.
    """
    with np.errstate(all="ignore"):
        lower, turned = _turned(fixed.astype(np.float64), regularization)
        return _turned_back(folding.fold_rows(rows, turned), lower)


def als_turn(vectors: Doubles, regularization: float, *, n_threads: int) -> Doubles:  # noqa: ARG001
    """Return `Y L^-T`, with `L L' = Y'Y + regularization I`, float64.

    In these coordinates, what all rows' systems share is the identity.

    Raises
    ------
    ValueError
        If the vectors are not finite, or their products not positive definite.
    """
    with np.errstate(all="ignore"):
        return _turn(vectors, _root(vectors, regularization))


def _extra(rows: Rows) -> Rows:
    data = np.asarray(rows.data, np.float32).astype(np.float64) - 1.0
    return Rows(rows.indptr, rows.indices, data, rows.shape)


def _turned(vectors: Doubles, regularization: float) -> tuple[Doubles, FloatArray]:
    lower = _root(vectors, regularization)
    return lower, _turn(vectors, lower).astype(np.float32)


def _root(vectors: Doubles, regularization: float) -> Doubles:
    gram = vectors.T @ vectors + regularization * np.eye(vectors.shape[1])
    if not np.isfinite(gram).all():
        raise ValueError("the products of factors are not finite")
    return np.asarray(np.linalg.cholesky(gram), np.float64)


def _turn(vectors: Doubles, lower: Doubles) -> Doubles:
    return np.ascontiguousarray(np.linalg.solve(lower, vectors.T).T)


def _turned_back(turned: Doubles, lower: Doubles) -> Doubles:
    return np.ascontiguousarray(np.linalg.solve(lower.T, turned.T).T)
