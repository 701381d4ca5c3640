"""Listing: from a block of histories to ranked lists, by one model or several, completed by popularity."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.scoring import Ranking, TopK, ranking_topk
from engagelib.segments import counting_order, gather, offsets_of

# Each of several models hands over its best so many, whatever k is, so that a shorter list is a prefix of
# a longer one.
HEAD: Final = 100

POPULAR: Final = "popular"
"""The `source` of items that fill a list."""


@dataclass(frozen=True)
class Lists:
    """Ranked items for each row of a block.

    Attributes
    ----------
    item_index
        int32, shape (n_rows, k), -1 where a list is short; short places stand last.
    score
        float32, -inf where a list is short.
    source
        int8 index of the model that contributed most, `n_models` for an item that fills, -1 where short.
    """

    item_index: np.ndarray
    score: np.ndarray
    source: np.ndarray

    @classmethod
    def empty(cls, n_rows: int, k: int) -> "Lists":
        """Return lists without any item, to be written into."""
        shape = (n_rows, k)
        return cls(
            np.full(shape, -1, np.int32), np.full(shape, -np.inf, np.float32), np.full(shape, -1, np.int8)
        )

    @property
    def counts(self) -> np.ndarray:
        """Length of each list."""
        return np.asarray(np.count_nonzero(self.item_index >= 0, axis=1))


def best_lists(
    models: Sequence[Model],
    block: Histories,
    k: int,
    *,
    at: int | None = None,
    exclude: csr_array | None = None,
    available: np.ndarray | None = None,
) -> Lists:
    """List the k best items of each row.

    One model lists by its own score. Of several, each names its best `HEAD` items, scaled by the best score
    among them; an item's score is the mean over the models, and counts 0 for a model that did not name it.
    """
    head = k if len(models) == 1 else HEAD
    found = [model.score_topk(block, head, at=at, exclude=exclude, available=available) for model in models]
    return combine(found, k, n_items=block.n_items)


def combine(found: Sequence[TopK], k: int, *, n_items: int) -> Lists:
    """Make one list for each row of those of several models; of one model, its own.

    In a blend only scores above 0 speak for an item.
    """
    if len(found) == 1:
        best = found[0]
        item_index, score = best.item_index[:, :k], best.score[:, :k]
        return Lists(item_index, score, np.where(item_index >= 0, np.int8(0), np.int8(-1)))
    keys, parts, sources = [], [], []
    for place, best in enumerate(found):
        row, rank = np.nonzero(best.score > 0)
        keys.append(row * n_items + best.item_index[row, rank])
        parts.append(best.score[row, rank] / best.score[row, 0].astype(np.float64) / len(found))
        sources.append(np.full(len(row), place, np.int8))
    shape = (len(found[0]), n_items)
    return _add(np.concatenate(keys), np.concatenate(parts), np.concatenate(sources), shape, k)


def model_scales(
    models: Sequence[Model],
    block: Histories,
    *,
    at: int | None = None,
    exclude: csr_array | None = None,
    available: np.ndarray | None = None,
) -> np.ndarray:
    """Return what each model's scores are multiplied by in a blend, float64 of shape (n_rows, n_models)."""
    if len(models) == 1:
        return np.ones((block.n_histories, 1))
    best = [
        model.score_topk(block, 1, at=at, exclude=exclude, available=available).score[:, 0]
        for model in models
    ]
    return _scales(np.stack(best, axis=1))


def listed_scales(
    models: Sequence[Model],
    history: Histories,
    lists: Lists,
    *,
    at: int | None = None,
    exclude: csr_array | None = None,
    available: np.ndarray | None = None,
) -> np.ndarray:
    """Return what each model's score of each listed item was multiplied by, to become its part of the list's.

    `history` and `lists` hold one row. float64 of shape (n_models, n_listed): 0 where the model did not
    name the item among its best `HEAD`, or where the item only fills the list.
    """
    n_listed = int(lists.counts[0])
    named = np.tile(lists.source[0, :n_listed] < len(models), (len(models), 1))
    if len(models) == 1:
        return named.astype(np.float64)
    found = [model.score_topk(history, HEAD, at=at, exclude=exclude, available=available) for model in models]
    scales = _scales(np.array([[best.score[0, 0] for best in found]]))[0]
    for place, best in enumerate(found):
        named[place] &= np.isin(lists.item_index[0, :n_listed], best.item_index[0, best.score[0] > 0])
    return np.where(named, scales[:, None], 0.0)


def similar_lists(
    models: Sequence[Model], item_index: int, k: int, *, n_items: int, available: np.ndarray | None = None
) -> Lists | None:
    """List the k items most like one item, None where no model knows which items are alike.

    The source of an item is the place of its model among all models.
    """
    asked = {
        place: model.similar_topk(item_index, HEAD, available=available) for place, model in enumerate(models)
    }
    found = {place: best for place, best in asked.items() if best is not None}
    if not found:
        return None
    if len(found) == 1 and k > HEAD:  # it need not hand over only so many to anybody
        ((place, _),) = found.items()
        best = models[place].similar_topk(item_index, k, available=available)
        found = {place: best} if best is not None else found
    knowing = list(found)
    lists = combine(list(found.values()), k, n_items=n_items)
    return Lists(
        lists.item_index, lists.score, np.append(np.array(knowing, np.int8), np.int8(-1))[lists.source]
    )


def fill_lists(
    lists: Lists,
    ranking: np.ndarray,
    *,
    n_items: int,
    n_models: int,
    exclude: csr_array | None = None,
    available: np.ndarray | None = None,
) -> Lists:
    """Complete short lists in the order of a ranking, with score 0 and source `n_models`."""
    k = lists.item_index.shape[1]
    counts = lists.counts
    short = np.flatnonzero(counts < k)
    if not len(short):
        return lists
    taken = _taken(lists.item_index[short], short, exclude, n_items)
    more = ranking_topk(
        Ranking.from_array(ranking, n_items), len(short), k, exclude=taken, available=available
    )
    free = k - counts[short]
    n_more = np.minimum(np.count_nonzero(more >= 0, axis=1), free)
    to_row = np.repeat(short, n_more)
    to_place = gather(counts[short], n_more)
    filling = more[np.repeat(np.arange(len(short)), n_more), gather(np.zeros(len(short), np.int64), n_more)]
    item_index, score, source = lists.item_index.copy(), lists.score.copy(), lists.source.copy()
    item_index[to_row, to_place] = filling
    score[to_row, to_place] = 0.0
    source[to_row, to_place] = n_models
    return Lists(item_index, score, source)


def _scales(best: np.ndarray) -> np.ndarray:
    """Divide by the best score of each model, shape (n_rows, n_models), and by their number."""
    scales = np.zeros(best.shape)
    np.divide(1.0 / best.shape[1], best, out=scales, where=best > 0)
    return scales


def _taken(item_index: np.ndarray, rows: np.ndarray, exclude: csr_array | None, n_items: int) -> csr_array:
    """Join what is listed already, shape (n_rows, k), with what these rows of `exclude` rule out."""
    row, place = np.nonzero(item_index >= 0)
    item = item_index[row, place]
    if exclude is not None:
        starts = exclude.indptr[rows]
        lengths = exclude.indptr[rows + 1] - starts
        row = np.append(row, np.repeat(np.arange(len(rows)), lengths))
        item = np.append(item, exclude.indices[gather(starts, lengths)])
    by_row = counting_order(row, len(rows))
    return csr_array(
        (np.ones(len(row), np.float32), item[by_row], offsets_of(row, len(rows))), shape=(len(rows), n_items)
    )


def _add(keys: np.ndarray, parts: np.ndarray, sources: np.ndarray, shape: tuple[int, int], k: int) -> Lists:
    """Add the parts of each (row, item), and keep the k best of each row, ties to the lower index."""
    cells, cell = np.unique(keys, return_inverse=True)
    total = np.bincount(cell, parts, minlength=len(cells)).astype(np.float32)
    # The source of a cell is its largest part; of equal parts, the earlier model's.
    by_cell = np.lexsort((sources, -parts, cell))
    source = sources[by_cell[np.searchsorted(cell[by_cell], np.arange(len(cells)))]]
    row, item = np.divmod(cells, max(shape[1], 1))
    order = np.lexsort((item, -total, row))
    row, item, total, source = row[order], item[order], total[order], source[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    best = place < k
    lists = Lists.empty(shape[0], k)
    lists.item_index[row[best], place[best]] = item[best]
    lists.score[row[best], place[best]] = total[best]
    lists.source[row[best], place[best]] = source[best]
    return lists
