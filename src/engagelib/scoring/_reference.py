"""The kernel in NumPy and SciPy: the definition that any faster one must match, and the fallback.

Operands come checked. Rows are answered in blocks, so that memory grows neither with their number nor with
the catalogue, and within a block nothing loops over rows in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from engagelib.scoring._operands import (
    Factors,
    FloatArray,
    IndexArray,
    ItemWeights,
    MaskArray,
    Ranking,
    SparseRows,
    TopK,
    row_norms,
)

Positions: TypeAlias = npt.NDArray[np.intp]
_Value = TypeVar("_Value", bound=np.generic)

_BLOCK_ROWS = 256  # rows answered at once
_BLOCK_CELLS = 1 << 24  # rows times width at once: large catalogues get fewer rows to a block
_TILE_ITEMS = 1024  # items multiplied at once; with 256 rows the products stay in cache
_FEW_ROWS = 8  # up to here a call costs more than its arithmetic, so each tile is twice the last
_POOL_LIMIT = 1 << 22  # candidates held before they are settled
_RESCORE_CELLS = 1 << 20  # products held at once while candidates are rescored
_SAFE_NORM = 1e37  # a product of norms up to here can't overflow float32

_EPS = float(np.finfo(np.float32).eps)
_TINY = float(np.finfo(np.float32).tiny)
_LOWEST = float(np.finfo(np.float32).min)
_SMALLEST = np.finfo(np.float32).smallest_subnormal
_NO_KEY = np.iinfo(np.int64).min
_LOW_BITS = (1 << 32) - 1


def sparse_topk(
    rows: SparseRows, weights: ItemWeights, k: int, excluded: SparseRows | None, available: MaskArray | None
) -> TopK:
    """Multiply, drop what may not be listed, and keep the k highest scores above 0 of each row."""
    n_rows, n_to = rows.shape[0], weights.shape[1]
    found = _padded(n_rows, k)
    size = _block_rows(n_to)
    hidden = np.zeros((min(size, n_rows), n_to), np.bool_) if excluded is not None else None
    for start, stop in _blocks(n_rows, size):
        indptr, items, scores = _product(rows, weights, start, stop)
        if available is not None:
            scores = np.where(available[items], scores, np.float32(0))
        depth = np.full(stop - start, k)
        if excluded is not None:
            depth += np.diff(excluded.indptr[start : stop + 1])
        row, at = _contenders(indptr, scores, depth)
        item, score = items[at], scores[at]
        listed = score > 0
        if excluded is not None and hidden is not None:
            marks = _entries(excluded, start, stop)
            hidden[marks] = True
            listed &= ~hidden[row, item]
            hidden[marks] = False
        _best_of_rows(_part(found, start, stop), row[listed], item[listed], score[listed])
    return found


def sparse_pairs(rows: SparseRows, weights: ItemWeights, wanted: IndexArray) -> FloatArray:
    """Multiply as `sparse_topk` does and look the wanted items up."""
    n_rows, n_to = rows.shape[0], weights.shape[1]
    found = np.zeros(wanted.shape, np.float32)
    size = _block_rows(n_to)
    scratch = np.zeros((min(size, n_rows), n_to), np.float32)
    for start, stop in _blocks(n_rows, size):
        indptr, items, scores = _product(rows, weights, start, stop)
        row = np.repeat(np.arange(stop - start), np.diff(indptr))
        scratch[row, items] = scores
        asked_row, asked = np.nonzero(wanted[start:stop] >= 0)
        found[start + asked_row, asked] = scratch[asked_row, wanted[start + asked_row, asked]]
        scratch[row, items] = 0
    return found


def _product(
    rows: SparseRows, weights: ItemWeights, start: int, stop: int
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Multiply a block of rows with the weights; within a row the entries come in no order.

    SciPy adds each row up by itself, in float32, so no row's result depends on the others of its block. All
    sparse scores come from here, which is why pairs and lists agree to the last bit.
    """
    indptr = rows.indptr[start : stop + 1]
    entries = slice(int(indptr[0]), int(indptr[-1]))
    indices = rows.indices[entries]
    starts = (indptr - indptr[0]).astype(indices.dtype, copy=False)
    block = csr_array((rows.data[entries], indices, starts), shape=(stop - start, rows.shape[1]))
    product = weights.product(block)
    scores = product.data
    # Only overflows of opposite sign add up to NaN; they are evidence of nothing.
    if scores.size and np.isnan(scores.max()):
        scores = np.where(np.isnan(scores), np.float32(0), scores)
    return product.indptr, product.indices, scores


def _contenders(
    indptr: IndexArray, scores: FloatArray, depth: npt.NDArray[np.int64]
) -> tuple[Positions, Positions]:
    """Pick the entries that may be among the `depth` highest of their row, as (row, position in `scores`).

    A row of a product has thousands of entries, nearly all far below its k-th. They are dealt into groups,
    and the depth-th highest of the groups' maxima bounds the depth-th highest score from below. `depth` is
    k plus the exclusions of the row, so that the bound holds whichever of them come out on top.
    """
    counts = np.diff(indptr)
    width = int(counts.max())
    n_groups = min(2 * int(depth.max()), width // 4)
    if n_groups <= depth.min():
        return np.repeat(np.arange(len(counts)), counts), np.arange(len(scores))
    padded_width = -(-width // n_groups) * n_groups
    packed = np.zeros((len(counts), padded_width), np.float32)
    packed[np.arange(padded_width) < counts[:, None]] = scores
    tops = np.sort(packed.reshape(len(counts), -1, n_groups).max(axis=1), axis=1)
    bound = tops[np.arange(len(counts)), np.maximum(n_groups - depth, 0)]
    # Where there are fewer groups than places, or fewer entries above 0, only the sign is known to matter.
    bound[(depth > n_groups) | (bound <= 0)] = _SMALLEST
    row, column = np.divmod(np.flatnonzero(packed >= bound[:, None]), padded_width)
    return row, indptr[:-1].astype(np.intp)[row] + column


def dense_topk(
    queries: FloatArray, factors: Factors, k: int, excluded: SparseRows | None, available: MaskArray | None
) -> TopK:
    """Search the items by falling norm, a block of queries at a time."""
    n_rows = len(queries)
    found = _padded(n_rows, k)
    shelf = _shelve(factors, available)
    depth = min(k, len(shelf.items))
    if depth == 0 or n_rows == 0:
        return found
    norms = row_norms(queries)
    # A query whose products may overflow float32 goes by itself, over exact scores.
    risky = norms * shelf.norms[0] > _SAFE_NORM
    edges = [0, *(np.flatnonzero(risky[1:] != risky[:-1]) + 1).tolist(), n_rows]
    for first, last in pairwise(edges):
        size = 1 if risky[first] else _block_rows(depth)
        for start, stop in _blocks(last, size, first):
            hidden = None if excluded is None else _entries(excluded, start, stop)
            search = _Search(queries[start:stop], norms[start:stop], factors, shelf, depth)
            row, item, score = search.run(hidden, exact=bool(risky[first]))
            _best_of_rows(_part(found, start, stop), row, item, score)
    # To a query of zeros all items are the same, and a search would have to settle the tie of all of them.
    blank = np.flatnonzero(norms == 0)
    if blank.size:
        barred = None if excluded is None else _take_rows(excluded, blank)
        by_index = Ranking.from_array(np.arange(factors.shape[0]), factors.shape[0])
        lists = ranking_topk(by_index, len(blank), k, barred, available)
        found.item_index[blank] = lists
        found.score[blank] = np.where(lists >= 0, np.float32(0), np.float32(-np.inf))
    return found


def dense_pairs(queries: FloatArray, factors: Factors, wanted: IndexArray) -> FloatArray:
    """Score the wanted items in the fixed order of addition."""
    found = np.zeros(wanted.shape, np.float32)
    row, column = np.nonzero(wanted >= 0)
    found[row, column] = _fixed_order_scores(queries, row, factors.array, wanted[row, column])
    return found


class _Shelf(NamedTuple):
    """The items that a search goes through, by falling norm."""

    vectors: FloatArray
    norms: npt.NDArray[np.float64]
    items: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]  # where each item of the catalogue stands, or -1
    penalty: FloatArray | None  # -inf for those that stand here and are unavailable, else 0


def _shelve(factors: Factors, available: MaskArray | None) -> _Shelf:
    norms = factors.norms_by_norm
    if available is None:
        return _Shelf(factors.by_norm, norms, factors.permutation, factors.place, None)
    listed = available[factors.permutation]
    if 10 * np.count_nonzero(listed) >= len(listed):
        penalty = np.where(listed, np.float32(0), np.float32(-np.inf))
        return _Shelf(factors.by_norm, norms, factors.permutation, factors.place, penalty)
    at = np.flatnonzero(listed)
    items = factors.permutation[at]
    place = np.full(len(listed), -1, np.int32)
    place[items] = np.arange(len(at), dtype=np.int32)
    return _Shelf(factors.by_norm[at], norms[at], items, place, None)


class _Search:
    """The search of one block of queries.

    The floor of a row, `best[row, 0]`, is a score that `depth` of its eligible items are known to reach,
    whatever the rounding of the products; -inf until so many were seen. An item is a candidate while its
    product plus the rounding error reaches the floor, so nothing that belongs on the list is lost, not even
    by a tie.
    """

    def __init__(
        self,
        queries: FloatArray,
        norms: npt.NDArray[np.float64],
        factors: Factors,
        shelf: _Shelf,
        depth: int,
    ) -> None:
        self.queries, self.norms, self.factors, self.shelf = queries, norms, factors, shelf
        self.depth = depth
        self.best = np.full((len(queries), depth), -np.inf)
        # Candidates: (row, item, highest score possible).
        self.pool: list[tuple[Positions, IndexArray, npt.NDArray[np.float64]]] = []

    def run(
        self, hidden: tuple[Positions, IndexArray] | None, *, exact: bool
    ) -> tuple[Positions, IndexArray, FloatArray]:
        """Return the finalists as (row, item, exact score), by row."""
        n_items, n_factors = len(self.shelf.items), self.queries.shape[1]
        limit = max(_POOL_LIMIT, 2 * self.best.size)
        active = np.flatnonzero(self.norms > 0)
        start, step = 0, _TILE_ITEMS
        while start < n_items:
            # No item from here on has a longer row than the first.
            reach = self.norms[active] * self.shelf.norms[start]
            active = active[reach * (1 + 4 * n_factors * _EPS) + n_factors * _TINY >= self.best[active, 0]]
            if not active.size:
                break
            if start and len(active) <= _FEW_ROWS:
                step *= 2
            stop = min(start + step, n_items)
            self._look(active, start, stop, hidden, exact)
            if sum(len(row) for row, _, _ in self.pool) > limit:
                self._settle(limit // 2)
            start = stop
        row, item, _ = self._candidates()
        return row, item, _fixed_order_scores(self.queries, row, self.factors.array, item)

    def _look(
        self,
        active: Positions,
        start: int,
        stop: int,
        hidden: tuple[Positions, IndexArray] | None,
        exact: bool,
    ) -> None:
        """Look at one tile of items: raise the floors, and pool what reaches them."""
        n_factors, width = self.queries.shape[1], stop - start
        if exact:
            products = self._exact_tile(start, stop)
            slack = np.zeros(len(active))
        else:
            products = _tile(self.queries[active], self.shelf.vectors[start:stop])
            reach = self.norms[active] * self.shelf.norms[start]
            slack = reach * ((n_factors + 2) * _EPS) + (n_factors + 1) * _TINY
        if self.shelf.penalty is not None:
            products += self.shelf.penalty[start:stop]
        if hidden is not None:
            slot = np.full(len(self.queries), -1)
            slot[active] = np.arange(len(active))
            row, place = slot[hidden[0]], self.shelf.place[hidden[1]] - start
            here = (row >= 0) & (place >= 0) & (place < width)
            products[row[here], place[here]] = -np.inf
        if start == 0:
            kept = min(self.depth, width)
            top = np.partition(products, width - kept, axis=1)[:, width - kept :]
            self.best[active, self.depth - kept :] = top - slack[:, None]
        # Rounded down, so that float32 can't lift the cut; never -inf, which marks what may not be listed.
        cut = np.nextafter((self.best[active, 0] - slack).astype(np.float32), np.float32(-np.inf))
        reached = np.flatnonzero(products >= np.maximum(cut, _LOWEST)[:, None])
        row, column = np.divmod(reached, width)
        value = products[row, column].astype(np.float64)
        if start and len(row):
            both = np.hstack([self.best[active], _packed(row, value - slack[row], len(active), -np.inf)])
            surplus = both.shape[1] - self.depth
            self.best[active] = np.partition(both, surplus, axis=1)[:, surplus:]
        self.pool.append((active[row], self.shelf.items[start + column], value + slack[row]))

    def _exact_tile(self, start: int, stop: int) -> FloatArray:
        """Score a tile for the only query of the block; what overflows float32 can't be listed."""
        at = np.arange(start, stop)
        scores = _fixed_order_scores(self.queries, np.zeros(len(at), np.intp), self.shelf.vectors, at)
        return np.where(np.isfinite(scores), scores, np.float32(-np.inf))[None]

    def _candidates(self) -> tuple[Positions, IndexArray, npt.NDArray[np.float64]]:
        """Merge the pool, by row, without what the floors have overtaken."""
        if not self.pool:
            return np.empty(0, np.intp), np.empty(0, np.int32), np.empty(0)
        row, item, upper = (np.concatenate(part) for part in zip(*self.pool, strict=True))
        alive = upper >= self.best[row, 0]
        row, item, upper = row[alive], item[alive], upper[alive]
        order = np.argsort(row, kind="stable")
        return row[order], item[order], upper[order]

    def _settle(self, limit: int) -> None:
        """Shrink the pool; where ties fill it, decide between the candidates so far by their exact scores."""
        row, item, upper = self._candidates()
        if len(row) > limit:
            score = _fixed_order_scores(self.queries, row, self.factors.array, item)
            ahead = _padded(len(self.queries), self.depth)
            _best_of_rows(ahead, row, item, score)
            row, column = np.nonzero(ahead.item_index >= 0)
            item = ahead.item_index[row, column]
            self.best = ahead.score[:, ::-1].astype(np.float64)
            upper = ahead.score[row, column].astype(np.float64)
        self.pool = [(row, item, upper)]


def _tile(queries: FloatArray, vectors: FloatArray) -> FloatArray:
    """Multiply queries and items, near enough to choose candidates by.

    One query stays out of BLAS, whose threads take longer to wake than the product to compute.
    """
    if len(queries) == 1:
        single: FloatArray = np.einsum("ij,j->i", vectors, queries[0])[None]
        return single
    products: FloatArray = queries @ vectors.T
    return products


def _fixed_order_scores(
    queries: FloatArray, row: Positions, vectors: FloatArray, at: IndexArray
) -> FloatArray:
    """Compute `queries[row] @ vectors[at]` entry by entry, in an order that depends on nothing else.

    The products, exact in float64, are padded with zeros to a power of two and halved by adding the second
    half to the first until one is left, which is rounded to float32.
    """
    n_factors = queries.shape[1]
    padded_width = 1 << (max(n_factors, 1) - 1).bit_length()
    scores = np.empty(len(row), np.float32)
    for start, stop in _blocks(len(row), max(1, _RESCORE_CELLS // padded_width)):
        terms = np.zeros((stop - start, padded_width))
        np.multiply(
            queries[row[start:stop]], vectors[at[start:stop]], out=terms[:, :n_factors], dtype=np.float64
        )
        while terms.shape[1] > 1:
            half = terms.shape[1] // 2
            terms = terms[:, :half] + terms[:, half:]
        with np.errstate(over="ignore"):
            scores[start:stop] = terms[:, 0]
    # One zero for both signs, so that they tie.
    return scores + np.float32(0)


def ranking_topk(
    ranking: Ranking, n_rows: int, k: int, excluded: SparseRows | None, available: MaskArray | None
) -> npt.NDArray[np.int32]:
    """Strike each row's exclusions from the shared order, looking no further than they can push the list."""
    found = np.full((n_rows, k), -1, np.int32)
    if excluded is None:
        order = _first_available(ranking, k, available)
        found[:, : len(order)] = order
        return found
    n_excluded = np.diff(excluded.indptr)
    order = _first_available(ranking, k + int(n_excluded.max(initial=0)), available)
    for start, stop in _blocks(n_rows, _block_rows(len(order))):
        head = order[: k + int(n_excluded[start:stop].max())]
        row, item = _entries(excluded, start, stop)
        by_item = np.argsort(head)
        kept = np.ones((stop - start, len(head)), np.bool_)
        if len(head):
            at = by_item[np.minimum(np.searchsorted(head, item, sorter=by_item), len(head) - 1)]
            struck = head[at] == item
            kept[row[struck], at[struck]] = False
        rank = np.cumsum(kept, axis=1)
        row, column = np.nonzero(kept & (rank <= k))
        found[start + row, rank[row, column] - 1] = head[column]
    return found


def _first_available(ranking: Ranking, n: int, available: MaskArray | None) -> IndexArray:
    """Read the ranking until n items were found that may be listed; most often they come soon."""
    if available is None:
        return ranking.first(n)
    stop = 2 * n
    while True:
        head = ranking.first(stop)
        listed = head[available[head]]
        if len(listed) >= n or stop >= len(ranking):
            return listed[:n]
        stop *= 4


def _block_rows(width: int) -> int:
    return max(1, min(_BLOCK_ROWS, _BLOCK_CELLS // max(width, 1)))


def _blocks(stop: int, size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    for low in range(start, stop, size):
        yield low, min(low + size, stop)


def _entries(rows: SparseRows, start: int, stop: int) -> tuple[Positions, IndexArray]:
    """Spell out the stored positions of a block, with rows counted from its start."""
    indptr = rows.indptr[start : stop + 1]
    row = np.repeat(np.arange(stop - start), np.diff(indptr))
    return row, rows.indices[int(indptr[0]) : int(indptr[-1])]


def _take_rows(rows: SparseRows, chosen: Positions) -> SparseRows:
    """Draw the stored positions of some rows."""
    counts = np.diff(rows.indptr)[chosen]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    at = np.arange(indptr[-1]) + np.repeat(rows.indptr[chosen] - indptr[:-1], counts)
    return SparseRows(indptr, rows.indices[at], rows.data[at], (len(chosen), rows.shape[1]))


def _padded(n_rows: int, k: int) -> TopK:
    return TopK(np.full((n_rows, k), -1, np.int32), np.full((n_rows, k), -np.inf, np.float32))


def _part(found: TopK, start: int, stop: int) -> TopK:
    """Look at some of the rows, to write to them."""
    return TopK(found.item_index[start:stop], found.score[start:stop])


def _packed(row: Positions, value: npt.NDArray[_Value], n_rows: int, fill: float) -> npt.NDArray[_Value]:
    """Lay flat values, which come by row, into as many columns as the longest row needs."""
    counts = np.bincount(row, minlength=n_rows)
    column = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    packed = np.full((n_rows, int(counts.max(initial=0))), fill, value.dtype)
    packed[row, column] = value
    return packed


def _best_of_rows(found: TopK, row: Positions, item: IndexArray, score: FloatArray) -> None:
    """Write the highest scores of each row into `found`; the entries come by row, and none is NaN.

    Score and item are joined into one integer, which orders as (score, lower item first) does: the bits of
    a float32 rise with it, once those of negative numbers are turned round. So ties need no further care.
    """
    bits = score.view(np.int32)
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    keys = _packed(row, (rising << 32) + (_LOW_BITS - item.astype(np.int64)), len(found), _NO_KEY)
    depth = min(found.score.shape[1], keys.shape[1])
    if depth < keys.shape[1]:
        keys = np.partition(keys, keys.shape[1] - depth, axis=1)[:, keys.shape[1] - depth :]
    keys = np.sort(keys, axis=1)[:, ::-1]
    rising = (keys >> 32).astype(np.int32)
    bits = np.where(rising < 0, rising ^ np.int32(0x7FFFFFFF), rising)
    listed = keys != _NO_KEY
    found.item_index[:, :depth] = np.where(listed, _LOW_BITS - (keys & _LOW_BITS), -1)
    found.score[:, :depth] = np.where(listed, bits.view(np.float32), np.float32(-np.inf))
