"""What lists are beyond accurate: new to people, varied within, and fair to the catalogue; over arrays alone.

None of these looks at what was relevant: a list of random items is novel, diverse and even. They are read
beside an accuracy, never alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, csr_matrix, issparse

from engagelib import errors
from engagelib.metrics._hits import Floats, checked_blocks, checked_lists, checked_whole, depth_of

__all__ = ["gini", "intra_list_diversity", "novelty"]

# Entries of a block's sums of vectors, at most: some 64 MB.
_BLOCK_ENTRIES = 1 << 22


def novelty(
    item_index: npt.ArrayLike, n_met: npt.ArrayLike, n_customers: int, k: int | None = None
) -> Floats:
    """Mean surprise of the first `k` items: how few customers had met them.

    The surprise of an item is its self-information, -log2 of the share of customers who met it: 0 bits for
    what all have met, 1 bit more for each halving. An item that nobody met counts as met by one.

    Parameters
    ----------
    item_index
        Items of each list, best first, integers of shape (n_rows, width). Lists shorter than the width end
        in -1; an item stands at most once in a list.
    n_met
        How many customers met each item, shape (n_items,), from 0 to `n_customers`.
    n_customers
        Number of customers, at least 1.
    k
        Positions that count, at least 1; None is the width.

    Returns
    -------
    Bits in [0, log2(n_customers)], float64, shape (n_rows,), the mean over the items that a list holds. NaN
    for a list that holds none.

    Raises
    ------
    ArgumentError
        If the lists are such as `recall` refuses, or counts or `n_customers` are outside their range.

    References
    ----------
    T. Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 107(10),
    2010: there "surprisal".
    """
    lists = checked_lists(item_index)
    depth = depth_of(k, lists.shape[1])
    n_customers = checked_whole("n_customers", n_customers, least=1)
    counts = np.asarray(n_met)
    if counts.ndim != 1:
        raise errors.bad_argument("n_met.ndim", counts.ndim, "1, shape (n_items,)")
    wrong = ~((counts >= 0) & (counts <= n_customers))  # NaN is neither
    for place in np.flatnonzero(wrong)[:1]:
        expected = f"a number of customers from 0 to n_customers={n_customers}"
        raise errors.bad_argument(f"n_met[{place}]", counts[place].item(), expected)
    bits = np.append(np.log2(n_customers / np.maximum(counts, 1.0)), 0.0)
    out = np.full(len(lists), np.nan)
    for start, block in checked_blocks(lists, len(counts)):
        head = block[:, :depth]
        length = np.count_nonzero(head >= 0, axis=1)
        part = out[start : start + len(block)]
        np.divide(bits[head].sum(axis=1), length, out=part, where=length > 0)
    return out


def intra_list_diversity(
    item_index: npt.ArrayLike,
    vectors: csr_array | csr_matrix | None = None,
    *,
    category: npt.ArrayLike | None = None,
    k: int | None = None,
) -> Floats:
    """Mean difference of two items of the first `k`: 0 for a list of one thing, 1 where no two are alike.

    Give exactly one of `vectors` and `category`.

    Parameters
    ----------
    item_index, k
        As in `novelty`.
    vectors
        What each item is like, sparse, shape (n_items, n_features): attributes, or the customers who met it.
        Two items differ by 1 minus the cosine of their vectors. An item without any entry is like no other.
    category
        A code for each item, integers of shape (n_items,), negative where it is not known. Two items differ
        by 0 where they share a category, else by 1; an unknown one is shared with no other item.

    Returns
    -------
    Mean over all pairs, float64, shape (n_rows,), in [0, 1] for categories and for vectors without negative
    entries, else in [0, 2]. NaN for lists of fewer than two items.

    Raises
    ------
    ArgumentError
        If the lists are such as `recall` refuses; if not exactly one of the two is given, or it has another
        form, or holds NaN or infinity.

    References
    ----------
    C.-N. Ziegler et al., Improving recommendation lists through topic diversification, WWW 2005, section
    3.3: there the sum of the likenesses, here their mean, taken from 1.
    """
    lists = checked_lists(item_index)
    depth = depth_of(k, lists.shape[1])
    if (vectors is None) == (category is None):
        given = [] if vectors is None else ["vectors", "category"]
        raise errors.evaluation.exactly_one(given, ["vectors", "category"])
    unit = _unit_rows(vectors) if category is None else _as_vectors(category)
    n_entries = np.append(np.diff(unit.indptr), 0)
    out = np.full(len(lists), np.nan)
    for start, block in checked_blocks(lists, unit.shape[0]):
        head = block[:, :depth]
        cost = np.cumsum(n_entries[head].sum(axis=1))
        edges = np.searchsorted(cost, np.arange(_BLOCK_ENTRIES, int(cost[-1]), _BLOCK_ENTRIES)) + 1
        for first, stop in zip([0, *edges], [*edges, len(head)], strict=True):
            if first < stop:
                out[start + first : start + stop] = _mean_distance(head[first:stop], unit)
    return out


def gini(item_index: npt.ArrayLike, n_items: int, k: int | None = None) -> float:
    """How unevenly the first `k` positions of all lists are spread over the catalogue.

    Parameters
    ----------
    item_index, k
        As in `novelty`; every row counts.
    n_items
        Size of the catalogue, at least 0: items that no list shows count too.

    Returns
    -------
    The Gini index of how often each item is shown: 0 where all are shown alike, 1 - 1 / n_items where one
    takes every place. NaN where nothing is shown, or the catalogue is empty.

    Raises
    ------
    ArgumentError
        If the lists are such as `recall` refuses, or `n_items` is not an integer of at least 0.

    References
    ----------
    C. Gini, Variabilità e mutabilità, Bologna 1912. For recommenders: D. Fleder, K. Hosanagar, Blockbuster
    culture's next rise or fall, Management Science 55(5), 2009.
    """
    lists = checked_lists(item_index)
    depth = depth_of(k, lists.shape[1])
    n_items = checked_whole("n_items", n_items, least=0)
    shown = np.zeros(n_items, np.int64)
    for _, block in checked_blocks(lists, n_items):
        head = block[:, :depth]
        shown += np.bincount(head[head >= 0], minlength=n_items)
    return float(gini_of(shown))


def gini_of(counts: npt.NDArray[Any]) -> Floats:
    """Return the Gini index along the last axis, NaN where the counts sum to 0."""
    n = counts.shape[-1]
    ordered = np.sort(counts, axis=-1).astype(np.float64)
    total = np.asarray(ordered.sum(axis=-1))
    weighed = ordered @ (2.0 * np.arange(1, n + 1) - n - 1)
    out = np.full(total.shape, np.nan)
    return np.asarray(np.divide(weighed, n * total, out=out, where=total > 0))


def _mean_distance(head: npt.NDArray[np.int64], unit: Any) -> Floats:
    """Return 1 minus the mean cosine of the pairs of each list.

    The square of a sum of unit vectors is the sum of all their products, of each with itself too: no pair
    has to be looked at.
    """
    rows, places = np.nonzero(head >= 0)
    items = head[rows, places]
    length = np.bincount(rows, minlength=len(head))
    held = csr_array(
        (np.ones(len(items)), items, np.append(0, np.cumsum(length))), (len(head), unit.shape[0])
    )
    sums = csr_array(held @ unit)
    squares = np.bincount(
        np.repeat(np.arange(len(head)), np.diff(sums.indptr)), sums.data**2, minlength=len(head)
    )
    alone = held @ (np.diff(unit.indptr) > 0).astype(np.float64)  # vectors of length 1, not 0
    pairs = length * (length - 1.0)
    out = np.full(len(head), np.nan)
    np.divide(squares - alone, pairs, out=out, where=pairs > 0)
    # Rounding alone could leave the range.
    return np.asarray(np.clip(1.0 - out, 0.0, 2.0 if (unit.data < 0).any() else 1.0))


def _unit_rows(vectors: Any) -> Any:
    """Return the rows of a sparse matrix, each of length 1 or empty."""
    if not issparse(vectors) or vectors.ndim != 2:
        given = f"{type(vectors).__name__} of {getattr(vectors, 'ndim', 0)} dimensions"
        raise errors.metrics.not_a_sparse_matrix("vectors", given)
    matrix = csr_array(vectors, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise errors.bad_argument("vectors", "NaN or infinity", "finite numbers")
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    # The largest entry is divided out first, so that no square leaves the range of numbers.
    for norm in (_largest, _length):
        of_row = norm(row, matrix.data, matrix.shape[0])
        matrix.data /= np.where(of_row > 0, of_row, 1.0)[row]
    matrix.eliminate_zeros()
    return matrix


def _largest(row: npt.NDArray[np.int64], data: Floats, n_rows: int) -> Floats:
    largest = np.zeros(n_rows)
    np.maximum.at(largest, row, np.abs(data))
    return largest


def _length(row: npt.NDArray[np.int64], data: Floats, n_rows: int) -> Floats:
    return np.asarray(np.sqrt(np.bincount(row, data**2, minlength=n_rows)))


def _as_vectors(category: npt.ArrayLike) -> Any:
    """Return categories as vectors: one entry each, none where a category is not known."""
    codes = np.asarray(category)
    if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
        given = f"{codes.dtype} of {codes.ndim} dimensions"
        raise errors.bad_argument("category", given, "integers of shape (n_items,), negative for unknown")
    known = codes >= 0
    _, column = np.unique(codes[known], return_inverse=True)
    indptr = np.append(0, np.cumsum(known))
    shape = (len(codes), int(column.max(initial=-1)) + 1)
    return csr_array((np.ones(len(column)), column, indptr), shape=shape)
