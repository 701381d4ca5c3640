"""Where lists hit what is relevant: the checks of both, and the search that all ranking metrics share."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from engagelib import errors

# Positions looked at in one go: enough to make a block's overhead vanish, few enough to stay in cache.
_BLOCK_POSITIONS = 1 << 18

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hits:
    """The places where lists hold relevant items, by row and then by rank.

    `row`, `rank` (from 1) and `nth` (the how-manieth hit of its row, from 1) have one entry a hit;
    `n_relevant` has one a row.
    """

    row: Ints
    rank: Ints
    nth: Ints
    n_relevant: Ints

    def within(self, k: int) -> "Hits":
        """Keep the hits of the first `k` positions; `nth` holds, since what precedes a hit stays."""
        keep = self.rank <= k
        return Hits(self.row[keep], self.rank[keep], self.nth[keep], self.n_relevant)

    def per_row(self, weights: Floats | None = None) -> Floats:
        """Sum weights, or count hits, row by row; in the order of ranks, which `_ndcg` relies upon."""
        sums = np.bincount(self.row, weights=weights, minlength=len(self.n_relevant))
        return sums.astype(np.float64, copy=False)

    def divide(self, sums: Floats, by: npt.ArrayLike) -> Floats:
        """Divide row by row, giving NaN where there is nothing to find."""
        out = np.full(len(self.n_relevant), np.nan)
        np.divide(sums, by, out=out, where=self.n_relevant > 0)
        return out


def find_hits(lists: npt.NDArray[Any], truth: Any, k: int) -> Hits:
    """Look up the first `k` positions of all lists; `truth` is a canonical CSR of relevant items."""
    n_items = truth.shape[1]
    n_relevant = np.diff(truth.indptr).astype(np.int64)
    rows: list[Ints] = [np.empty(0, np.int64)]
    ranks: list[Ints] = [np.empty(0, np.int64)]
    for start, block in checked_blocks(lists, n_items):
        stop = start + len(block)
        # One key for each (row of the block, item). The indices are sorted, hence the keys are too.
        row = np.arange(len(block), dtype=np.int64)
        keys = np.repeat(row, n_relevant[start:stop]) * n_items
        keys += truth.indices[truth.indptr[start] : truth.indptr[stop]]
        if not len(keys):
            continue
        head = block[:, :k]
        asked = np.where(head < 0, -1, head + row[:, np.newaxis] * n_items)
        place = np.searchsorted(keys, asked)
        found = keys[np.minimum(place, len(keys) - 1)] == asked
        at_row, at_position = np.nonzero(found)
        rows.append(at_row + start)
        ranks.append(at_position + 1)
    row, rank = np.concatenate(rows), np.concatenate(ranks)
    counts = np.bincount(row, minlength=len(n_relevant))
    before = np.cumsum(counts) - counts
    nth = np.arange(1, len(row) + 1) - before[row]
    return Hits(row, rank, nth, n_relevant)


def first_shown(lists: npt.NDArray[Any], n_items: int, k: int) -> Ints:
    """Give each item's first position in any list, from 0; the largest int64 if none of the first `k`."""
    first = np.full(n_items, np.iinfo(np.int64).max)
    for _, block in checked_blocks(lists, n_items):
        head = block[:, :k]
        at_row, at_position = np.nonzero(head >= 0)
        np.minimum.at(first, head[at_row, at_position], at_position)
    return first


# What is refused.


def checked_pair(item_index: npt.ArrayLike, relevant: Any) -> tuple[npt.NDArray[Any], Any]:
    """Give the lists and, as a canonical CSR, what is relevant; the lists' contents are checked later."""
    lists = checked_lists(item_index)
    if not issparse(relevant) or relevant.ndim != 2:
        given = f"{type(relevant).__name__} of {getattr(relevant, 'ndim', 0)} dimensions"
        raise errors.metrics.not_a_sparse_matrix("relevant", given)
    if len(lists) != relevant.shape[0]:
        raise errors.metrics.rows_differ("item_index", len(lists), "relevant", relevant.shape[0])
    return lists, _relevant_only(relevant)


def _relevant_only(relevant: Any) -> Any:
    """Sort the indices, add up duplicates and drop what is not above 0, leaving the caller's arrays alone."""
    # A new object over the same arrays: the caller's flags may be out of date, and SciPy checks a new one.
    truth = csr_array(relevant)
    if not truth.has_canonical_format:
        # In float64, because sums of small integers could wrap round to 0.
        data = truth.data.astype(np.float64)
        truth = csr_array((data, truth.indices.copy(), truth.indptr.copy()), shape=truth.shape)
        truth.sum_duplicates()
    keep = truth.data > 0
    if keep.all():
        return truth
    indptr = np.concatenate(([0], np.cumsum(keep)))[truth.indptr]
    return csr_array((truth.data[keep], truth.indices[keep], indptr), shape=truth.shape)


def checked_lists(item_index: npt.ArrayLike) -> npt.NDArray[Any]:
    """Give the lists as an array of integers of two dimensions; what they hold is checked block by block."""
    lists = np.asarray(item_index)
    if lists.ndim != 2:
        hint = "one list is item_index[np.newaxis]." if lists.ndim == 1 else ""
        raise errors.bad_argument("item_index.ndim", lists.ndim, "2, shape (n_rows, width)", hint)
    if not np.issubdtype(lists.dtype, np.integer):
        hint = "pad short lists with -1, not with NaN." if np.issubdtype(lists.dtype, np.floating) else ""
        raise errors.bad_argument("item_index.dtype", str(lists.dtype), "an integer type", hint)
    return lists


def checked_blocks(lists: npt.NDArray[Any], n_items: int) -> Iterator[tuple[int, Ints]]:
    """Give the lists in blocks of rows, found sound, each with the number of its first row."""
    n_rows, width = lists.shape
    step = max(1, _BLOCK_POSITIONS // max(width, 1))
    for start in range(0, n_rows, step):
        given = lists[start : start + step]
        # First places of what is wrong, if anything; argwhere goes row by row.
        for row, position in np.argwhere((given < -1) | (given >= n_items))[:1]:
            raise errors.metrics.item_out_of_range(start + row, position, int(given[row, position]), n_items)
        block = given.astype(np.int64)
        for row, position in np.argwhere((block[:, :-1] < 0) & (block[:, 1:] >= 0))[:1]:
            raise errors.metrics.padding_before_item(start + row, position)
        ordered = np.sort(block, axis=1)
        for row, position in np.argwhere((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0))[:1]:
            raise errors.metrics.repeated_item(start + row, int(ordered[row, position]))
        yield start, block


def checked_whole(name: str, given: Any, *, least: int) -> int:
    """Give a Python or NumPy integer of at least `least` as an int; True is a flag, not a 1."""
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not whole or given < least:
        raise errors.bad_argument(name, given, f"an integer of at least {least}")
    return int(given)


def depth_of(k: int | None, width: int) -> int:
    """Give how many positions count: `k`, or all of them."""
    # Lists of no width are lists of one missing position, which keeps precision defined: 0 hits of 1.
    return max(width, 1) if k is None else checked_whole("k", k, least=1)
