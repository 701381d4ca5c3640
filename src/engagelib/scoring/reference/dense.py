"""Dense scoring in NumPy: items by falling norm, tile by tile, until no further one can be listed."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows, row_norms
from engagelib.scoring._operands import Factors, Ranking, TopK
from engagelib.scoring.reference.ranking import ranking_topk
from engagelib.scoring.reference.rows import (
    Positions,
    best_of_rows,
    block_rows,
    blocks,
    entries_of,
    packed,
    padded,
    part_of,
    take_rows,
)

_TILE_ITEMS = 1024  # items multiplied at once; with 256 rows the products stay in cache
_FEW_ROWS = 8  # up to here a call costs more than its arithmetic, so each tile is twice the last
_POOL_LIMIT = 1 << 22  # candidates held before they are settled
_RESCORE_CELLS = 1 << 20  # products held at once while candidates are rescored
_SAFE_NORM = 1e37  # a product of norms up to here can't overflow float32
_EPS = float(np.finfo(np.float32).eps)
_TINY = float(np.finfo(np.float32).tiny)
_LOWEST = float(np.finfo(np.float32).min)


def dense_topk(
    queries: FloatArray,
    factors: Factors,
    k: int,
    excluded: Rows | None,
    available: MaskArray | None,
    *,
    n_threads: int = 1,  # noqa: ARG001
) -> TopK:
    """Search the items by falling norm, a block of queries at a time, on the calling thread."""
    n_rows = len(queries)
    found = padded(n_rows, k)
    shelf = _shelve(factors, available)
    depth = min(k, len(shelf.items))
    if depth == 0 or n_rows == 0:
        return found
    norms = row_norms(queries)
    # A query whose products may overflow float32 goes by itself, over exact scores.
    risky = norms * shelf.norms[0] > _SAFE_NORM
    edges = [0, *(np.flatnonzero(risky[1:] != risky[:-1]) + 1).tolist(), n_rows]
    for first, last in pairwise(edges):
        size = 1 if risky[first] else block_rows(depth)
        for start, stop in blocks(last, size, first):
            hidden = None if excluded is None else entries_of(excluded, start, stop)
            search = _Search(queries[start:stop], norms[start:stop], factors, shelf, depth)
            row, item, score = search.run(hidden, exact=bool(risky[first]))
            best_of_rows(part_of(found, start, stop), row, item, score)
    # To a query of zeros all items are the same, and a search would have to settle the tie of all of them.
    blank = np.flatnonzero(norms == 0)
    if blank.size:
        barred = None if excluded is None else take_rows(excluded, blank)
        by_index = Ranking.from_array(np.arange(factors.shape[0]), factors.shape[0])
        lists = ranking_topk(by_index, len(blank), k, barred, available)
        found.item_index[blank] = lists
        found.score[blank] = np.where(lists >= 0, np.float32(0), np.float32(-np.inf))
    return found


def dense_pairs(
    queries: FloatArray,
    factors: Factors,
    wanted: IndexArray,
    *,
    n_threads: int = 1,  # noqa: ARG001
) -> FloatArray:
    """Score the wanted items in the fixed order of addition, on the calling thread."""
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
            both = np.hstack([self.best[active], packed(row, value - slack[row], len(active), -np.inf)])
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
            ahead = padded(len(self.queries), self.depth)
            best_of_rows(ahead, row, item, score)
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
    for start, stop in blocks(len(row), max(1, _RESCORE_CELLS // padded_width)):
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
