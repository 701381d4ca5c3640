"""Folding: the factor of a history from those of its items, each row as if there were no other."""

from typing import TYPE_CHECKING

import numpy as np

from engagelib.scoring import Rows
from engagelib.scoring import _kernels as kernels

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def fold_rows(confidence: "Rows | csr_array", vectors: np.ndarray) -> np.ndarray:
    """Solve `(I + V' (C - I) V) z = V' c` for each row of confidences `c`, to 1e-8 of the right-hand side.

    `V` holds the vectors of the entries of a row. Nothing here depends on what other rows there are, to the
    last bit.

    Parameters
    ----------
    confidence
        Float32, at least 1, shape (n_rows, n_items).
    vectors
        Item factors, shape (n_items, n_factors).

    Returns
    -------
    float64, shape (n_rows, n_factors).

    Raises
    ------
    ArtifactError
        If an entry leads beyond the items.
    """
    return np.asarray(kernels.active.fold_rows(_arrays(confidence, np.float32), vectors))


def solve_rows(
    extra: "Rows | csr_array", vectors: np.ndarray, right: np.ndarray, *, most_steps: int | None = None
) -> np.ndarray:
    """Solve `(I + V' D V) z = b` for each row, by conjugate gradients (Hestenes and Stiefel, 1952).

    `V` holds the vectors of the entries of a row and the diagonal of `D` their values. As the matrix is the
    identity plus one direction for each entry, a row of n entries takes at most n + 1 steps but for rounding.
    Nothing here depends on what other rows there are, to the last bit.

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

    Raises
    ------
    ArtifactError
        If an entry leads beyond the items.
    """
    rows = _arrays(extra, np.float64)
    return np.asarray(kernels.active.solve_rows(rows, vectors, right, most_steps=most_steps))


def sum_rows(weights: "Rows | csr_array", vectors: np.ndarray) -> np.ndarray:
    """Sum vectors by row, each times its weight, in the order of the entries; float64 (n_rows, n_factors).

    Raises
    ------
    ArtifactError
        If an entry leads beyond the items.
    """
    return np.asarray(kernels.active.sum_rows(_arrays(weights, np.float64), vectors))


def _arrays(rows: "Rows | csr_array", dtype: type) -> Rows:
    return Rows(rows.indptr, rows.indices, rows.data.astype(dtype, copy=False), rows.shape)
