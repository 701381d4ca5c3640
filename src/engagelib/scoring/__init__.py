"""The kernel: a history or a query vector in, the best items out, as arrays.

Every model that is linear in the history scores through `score_topk` and `score_pairs`, every model of
factors through `dense_topk` and `dense_pairs`, and one list for everybody goes through `ranking_topk`. The
kernel knows no customer, no model and no file. Operands are checked here, and trusted by the implementation
underneath; weights, factors and rankings are checked when `ItemWeights`, `Factors` or `Ranking` is made, and
not again. Those over the arrays of a file are checked as far as they are read, when they are first read.

What holds for all of them:

- A list is always `k` columns wide. Where there are fewer items to show, the rest is index -1 with score
  -inf; there is never a placeholder item and never the same item twice.
- Ties go to the lower item index.
- Excluded and unavailable items never appear. In `exclude` what is stored counts, whatever its value.
- The answer is the same bit for bit for any block size, alone or in a batch, and for either index type.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring import _checks as checks
from engagelib.scoring import _kernels as kernels
from engagelib.scoring import _operands as operands
from engagelib.scoring._checks import FloatArray, Rows, Sparse
from engagelib.scoring._kernels import threads
from engagelib.scoring._operands import Factors, ItemWeights, Ranking, TopK

__all__ = [
    "Factors",
    "ItemWeights",
    "Ranking",
    "Rows",
    "TopK",
    "dense_pairs",
    "dense_topk",
    "implementation",
    "ranking_topk",
    "score_pairs",
    "score_topk",
    "threads",
]

_SPARSE: Final = "a SciPy sparse matrix or Rows"


def implementation() -> str:
    """Name the implementation in use: "native" is the one in C++, "reference" the one in NumPy and SciPy.

    The environment variable `ENGAGELIB_KERNEL` can ask for either before the first import.
    """
    return str(kernels.active.NAME)


def score_topk(
    history: Sparse | Rows,
    weights: ItemWeights | Sparse,
    k: int,
    *,
    exclude: Sparse | Rows | None = None,
    available: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> TopK:
    """List the k items of each row with the highest `history @ weights`, of those above 0.

    Parameters
    ----------
    history
        What each row did and how much it counts, sparse, shape (n_rows, n_from): a SciPy matrix or `Rows`.
        Rows may be empty, values negative. Terms are added in the order in which a row stores them.
    weights
        Weights `[from, to]`, shape (n_from, n_to). A bare SciPy matrix is checked at each call; an
        `ItemWeights` is not.
    k
        Length of a list, at least 1. It may exceed the catalogue.
    exclude
        Positions never to list, sparse, shape (n_rows, n_to).
    available
        True for items that may be listed, shape (n_to,). None means all.
    n_threads
        Threads that share the rows, at least 1; the answer is the same for any number. None takes as many as
        `threads` says around the call, or one. The reference implementation uses one.

    Returns
    -------
    Lists by falling score, ties to the lower index, shape (n_rows, k), padded with -1 and -inf.

    Raises
    ------
    ArgumentError
        If k or `n_threads` is not an integer of at least 1, the shapes do not fit, an index is out of range,
        or the history holds a number that is not finite in float32; the message names the first such
        position.
    ArtifactError
        If stored weights turn out to be damaged where they are read.
    """
    rows, weights = _sparse_operands(history, weights)
    k = checks.whole_number(k, "k", 1)
    n_threads = kernels.threads_of(n_threads)
    excluded = _excluded(exclude, rows.shape[0], weights.shape[1])
    mask = checks.check_available(available, weights.shape[1])
    return kernels.active.sparse_topk(rows, weights, k, excluded, mask, n_threads=n_threads)


def score_pairs(
    history: Sparse | Rows, weights: ItemWeights | Sparse, item_index: npt.ArrayLike
) -> FloatArray:
    """Score given items for each row, bit for bit as `score_topk` scores them.

    Parameters
    ----------
    history, weights
        As for `score_topk`.
    item_index
        Items to score for each row, integers, shape (n_rows, m); -1 is padding.

    Returns
    -------
    float32, shape (n_rows, m): 0 where nothing speaks for or against the item, and for padding. Unlike a
    list this holds scores below 0 as well.

    Raises
    ------
    ArgumentError
        As for `score_topk`, and for item indices outside the catalogue.
    """
    rows, weights = _sparse_operands(history, weights)
    wanted = checks.check_item_index(item_index, rows.shape[0], weights.shape[1])
    return kernels.active.sparse_pairs(rows, weights, wanted)


def dense_topk(
    queries: npt.ArrayLike,
    factors: Factors | npt.ArrayLike,
    k: int,
    *,
    exclude: Sparse | Rows | None = None,
    available: npt.ArrayLike | None = None,
    n_threads: int | None = None,
) -> TopK:
    """List the k items of each query with the highest dot product, of any sign.

    Items are searched by falling norm, and no further than where the largest possible product is below the
    k-th found. The products that guide the search are approximate; whatever they can't rule out is rescored
    in one fixed order of addition, and that score ranks and is returned.

    Parameters
    ----------
    queries
        Query vectors, shape (n_rows, n_factors).
    factors
        Item factors, shape (n_items, n_factors). A bare array is checked and sorted at each call; a
        `Factors` is not.
    k
        Length of a list, at least 1. It may exceed the catalogue.
    exclude
        Positions never to list, sparse, shape (n_rows, n_items).
    available
        True for items that may be listed, shape (n_items,). None means all.
    n_threads
        Threads that share the rows, as for `score_topk`.

    Returns
    -------
    Lists by falling score, ties to the lower index, shape (n_rows, k), padded with -1 and -inf. An item
    whose score is too large for float32 is left out.

    Raises
    ------
    ArgumentError
        If k or n_threads is not an integer of at least 1, the shapes do not fit, an index is out of range,
        or a query holds a number that is not finite in float32; the message names the first such position.
    ArtifactError
        If stored factors turn out to be damaged where they are read.
    """
    vectors, factors = _dense_operands(queries, factors)
    k = checks.whole_number(k, "k", 1)
    n_threads = kernels.threads_of(n_threads)
    excluded = _excluded(exclude, len(vectors), factors.shape[0])
    mask = checks.check_available(available, factors.shape[0])
    return kernels.active.dense_topk(vectors, factors, k, excluded, mask, n_threads=n_threads)


def dense_pairs(
    queries: npt.ArrayLike, factors: Factors | npt.ArrayLike, item_index: npt.ArrayLike
) -> FloatArray:
    """Score given items for each query, bit for bit as `dense_topk` scores them.

    Parameters
    ----------
    queries, factors
        As for `dense_topk`.
    item_index
        Items to score for each row, integers, shape (n_rows, m); -1 is padding.

    Returns
    -------
    float32, shape (n_rows, m), 0 for padding. A score too large for float32 is infinite.

    Raises
    ------
    ArgumentError
        As for `dense_topk`, and for item indices outside the catalogue.
    """
    vectors, factors = _dense_operands(queries, factors)
    wanted = checks.check_item_index(item_index, len(vectors), factors.shape[0])
    return kernels.active.dense_pairs(vectors, factors, wanted)


def ranking_topk(
    ranking: Ranking | npt.ArrayLike,
    n_rows: int,
    k: int,
    *,
    n_items: int | None = None,
    exclude: Sparse | Rows | None = None,
    available: npt.ArrayLike | None = None,
) -> npt.NDArray[np.int32]:
    """Give every row the first k items of one shared ranking, without those that the row excludes.

    Parameters
    ----------
    ranking
        Item indices, best first, each at most once, shape (any,). It need not name every item. A bare array
        is checked at each call, in time that grows with the catalogue; a `Ranking` is not.
    n_rows
        Number of lists, at least 0.
    k
        Length of a list, at least 1.
    n_items
        Size of the catalogue, for a bare array; a `Ranking` knows it.
    exclude
        Positions never to list, sparse, shape (n_rows, n_items).
    available
        True for items that may be listed, shape (n_items,). None means all.

    Returns
    -------
    Item indices, int32, shape (n_rows, k), padded with -1.

    Raises
    ------
    ArgumentError
        If a number is not an integer in its range, the shapes do not fit, or the ranking repeats an item or
        names one outside the catalogue; the message names the first such position.
    ArtifactError
        If a stored ranking turns out to be damaged where it is read.
    """
    n_rows = checks.whole_number(n_rows, "n_rows", 0)
    k = checks.whole_number(k, "k", 1)
    checked = operands.checked_ranking(ranking, n_items)
    excluded = _excluded(exclude, n_rows, checked.n_items)
    mask = checks.check_available(available, checked.n_items)
    return kernels.active.ranking_topk(checked, n_rows, k, excluded, mask)


def _sparse_operands(history: Sparse | Rows, weights: ItemWeights | Sparse) -> tuple[Rows, ItemWeights]:
    checked = weights if isinstance(weights, ItemWeights) else ItemWeights(weights)
    rows = checks.arrays_of(history, "history", _SPARSE)
    if rows.data is None or not kernels.active.are_sound(rows):
        rows = checks.finite_rows(rows, "history")
    if rows.shape[1] != checked.shape[0]:
        expected = "as many columns in history as rows in weights"
        raise errors.scoring.shapes_differ("history", rows.shape, "weights", checked.shape, expected)
    return rows, checked


def _excluded(exclude: Sparse | Rows | None, n_rows: int, n_items: int) -> Rows | None:
    if exclude is None:
        return None
    rows = checks.arrays_of(exclude, "exclude", _SPARSE)
    rows = Rows(rows.indptr, rows.indices, None, rows.shape)
    if not kernels.active.are_sound(rows):
        rows = checks.checked_rows(rows, "exclude")
    if tuple(rows.shape) != (n_rows, n_items):
        meaning = "one row a list, one column an item"
        raise errors.scoring.wrong_shape("exclude", rows.shape, (n_rows, n_items), meaning)
    return rows


def _dense_operands(queries: npt.ArrayLike, factors: Factors | npt.ArrayLike) -> tuple[FloatArray, Factors]:
    checked = factors if isinstance(factors, Factors) else Factors(factors)
    vectors = checks.dense_rows(queries, "queries")
    if vectors.shape[1] != checked.shape[1]:
        expected = "as many columns in one as in the other"
        raise errors.scoring.shapes_differ("queries", vectors.shape, "factors", checked.shape, expected)
    return vectors, checked
