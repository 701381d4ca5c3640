"""Listing: from a block of histories to ranked lists, by one model or several, completed by popularity."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.ranking import HEAD, Ranker, ranked_blend
from engagelib.recommender.rules import CompiledRules, Pin
from engagelib.scoring import Ranking, Rows, TopK, ranking_topk
from engagelib.scoring.blending import blend
from engagelib.segments import gather, offsets_of

POPULAR: Final = "popular"
"""The `source` of items that fill a list."""

BOOSTED: Final = "+rule"
"""What stands behind the `source` of items whose score a rule changed."""

EXPLORED: Final = "explored"
"""The `source` of items that are tried, as they are hardly shown."""

PINNED: Final = "pinned"
"""The `source` of items that a rule put on top."""


class Lists(NamedTuple):
    """Ranked items for each row of a block.

    Attributes
    ----------
    item_index
        int32, shape (n_rows, k), -1 where a list is short; short places stand last.
    score
        float32, -inf where a list is short.
    source
        int8 code, an index into `source_names`: the model that contributed most, `n_models` for an item that
        fills, so many more than both for an item whose score a rule changed, then one for pinned items and
        one for explored ones; -1 where short.
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
    def are_full(self) -> bool:
        """Whether no list is short."""
        # The most frequent case, a single customer, is told in a tenth of the time.
        if self.item_index.size and len(self.item_index) == 1:
            return bool(self.item_index.item(-1) >= 0)
        last = self.item_index[:, -1:]
        return bool(last.min(initial=0) >= 0)

    @property
    def counts(self) -> np.ndarray:
        """Length of each list."""
        return np.asarray(np.count_nonzero(self.item_index >= 0, axis=1))


def source_names(models: Sequence[Model], *, ruled: bool = False, explored: bool = False) -> tuple[str, ...]:
    """Return what `source` can say: the models' names and "popular"; what rules, and trials, add to these."""
    plain = (*(model.name for model in models), POPULAR)
    if not (ruled or explored):
        return plain
    return (*plain, *(name + BOOSTED for name in plain), PINNED, *((EXPLORED,) if explored else ()))


def best_lists(
    models: Sequence[Model],
    block: Histories,
    k: int,
    *,
    at: int | None = None,
    exclude: Rows | None = None,
    available: np.ndarray | None = None,
    rules: CompiledRules | None = None,
    ranker: Ranker | None = None,
) -> Lists:
    """List the k best items of each row.

    One model lists by its own score. Of several, each names its best `HEAD` items, scaled by the best score
    among them; an item's score is the mean over the models, and counts 0 for a model that did not name it.
    A ranker then puts the best `HEAD` of all in its order. What rules boost is multiplied at the end; of the
    items of each boost, and of those without one, a model names so many of its own, so that no boosted item
    is missed for standing too low without the boost.
    """
    found = named_lists(models, block, k, at=at, exclude=exclude, available=available, rules=rules)
    if ranker is None:
        return combine(found, k, n_items=block.n_items, rules=rules)
    factor = None if rules is None else rules.factor
    return Lists(*ranked_blend(ranker, found, block, k, at=at, factor=factor))


def named_lists(
    models: Sequence[Model],
    block: Histories,
    k: int,
    *,
    at: int | None,
    exclude: Rows | None,
    available: np.ndarray | None,
    rules: CompiledRules | None,
) -> list[TopK]:
    """Let each model name its best items of each row, k of a single model and `HEAD` of each of several.

    With rules a model names so many of each group of equal boosts, and of the items of each pin; an item may
    then be named twice, with the same score.
    """
    head = k if len(models) == 1 else HEAD
    masks = [available]
    if rules is not None and (rules.groups or rules.pins):
        within = [mask for _, mask in rules.groups] or [np.ones(block.n_items, bool)]
        within += [pin_mask(pin, block.n_items) for pin in rules.pins]
        masks = [mask if available is None else available & mask for mask in within]
    found = []
    for model in models:
        parts = [
            model.score_topk(block, head, at=at, exclude=exclude, available=mask)
            for mask in masks
            if mask is None or mask is masks[0] or mask.any()
        ]
        if len(parts) > 1:
            item_index = np.concatenate([part.item_index for part in parts], axis=1)
            parts = [TopK(item_index, np.concatenate([part.score for part in parts], axis=1))]
        found.append(parts[0])
    return found


def pin_mask(pin: Pin, n_items: int) -> np.ndarray:
    """Return which items a pin names, bool of shape (n_items,)."""
    if pin.mask is not None:
        return pin.mask
    mask = np.zeros(n_items, bool)
    mask[pin.item_index] = True
    return mask


def combine(found: Sequence[TopK], k: int, *, n_items: int, rules: CompiledRules | None = None) -> Lists:
    """Make one list for each row of those of several models; of one model, its own."""
    if len(found) == 1 and (rules is None or not (rules.groups or rules.pins)):
        best = found[0]
        item_index, score = best.item_index[:, :k], best.score[:, :k]
        # The bits of the sign: 0 for items, -1 for padding.
        return Lists(item_index, score, (item_index >> 31).astype(np.int8))
    return Lists(*blend(found, k, n_items, factor=None if rules is None else rules.factor))


def model_scales(
    models: Sequence[Model],
    block: Histories,
    *,
    at: int | None = None,
    exclude: Rows | None = None,
    available: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return what each model's scores are multiplied by in a blend, float64 of shape (n_rows, n_models).

    `weights` are those of a ranker's blend, None for equal ones.
    """
    if len(models) == 1:
        return np.ones((block.n_histories, 1))
    best = [
        model.score_topk(block, 1, at=at, exclude=exclude, available=available).score[:, 0]
        for model in models
    ]
    return _scales(np.stack(best, axis=1), weights)


def listed_scales(
    models: Sequence[Model],
    history: Histories,
    lists: Lists,
    *,
    at: int | None = None,
    exclude: Rows | None = None,
    available: np.ndarray | None = None,
    rules: CompiledRules | None = None,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Return what each model's score of each listed item was multiplied by, to become its part of the list's.

    `history` and `lists` hold one row. float64 of shape (n_models, n_listed): 0 where the model did not
    name the item among its best `HEAD`, or where the item only fills the list or is pinned without a score.
    """
    n_listed = int(lists.counts[0])
    items, source = lists.item_index[0, :n_listed], lists.source[0, :n_listed]
    n_plain = len(models) + 1
    fills = (source % n_plain == len(models)) & (source < 2 * n_plain)
    unscored = (source >= 2 * n_plain) & (lists.score[0, :n_listed] == 0)
    scored = ~(fills | unscored)
    boost = np.ones(n_listed)
    if rules is not None and rules.groups:
        assert rules.factor is not None  # there are groups
        boost = rules.factor[items].astype(np.float64)
        boost = np.where(lists.score[0, :n_listed] > 0, boost, 1.0 / boost)
    if len(models) == 1:
        return np.asarray(scored * boost)[None, :]
    found = named_lists(models, history, HEAD, at=at, exclude=exclude, available=available, rules=rules)
    scales = _scales(np.array([[best.score[0].max() for best in found]]), weights)[0]
    named = np.stack([scored & np.isin(items, best.item_index[0, best.score[0] > 0]) for best in found])
    return np.where(named, scales[:, None] * boost, 0.0)


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
    exclude: Rows | None = None,
    available: np.ndarray | None = None,
    rules: CompiledRules | None = None,
) -> Lists:
    """Complete short lists in the order of a ranking, with score 0 and source `n_models`.

    With boosts, the ranking has to be one that knows of them.
    """
    k = lists.item_index.shape[1]
    if lists.are_full:
        return lists
    counts = lists.counts
    short = np.flatnonzero(counts < k)
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
    if rules is not None and rules.groups:
        assert rules.factor is not None  # there are groups
        source[to_row, to_place] += np.where(rules.factor[filling] != 1, n_models + 1, 0).astype(np.int8)
    return Lists(item_index, score, source)


def _scales(best: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Divide the weight of each model by its best score, shape (n_rows, n_models)."""
    scales = np.zeros(best.shape)
    np.divide(1.0 / best.shape[1] if weights is None else weights, best, out=scales, where=best > 0)
    return scales


def _taken(item_index: np.ndarray, rows: np.ndarray, exclude: Rows | None, n_items: int) -> Rows:
    """Join what is listed already, shape (n_rows, k), with what these rows of `exclude` rule out."""
    row, place = np.nonzero(item_index >= 0)
    item = item_index[row, place]
    if exclude is not None:
        starts = exclude.indptr[rows]
        lengths = exclude.indptr[rows + 1] - starts
        row = np.append(row, np.repeat(np.arange(len(rows)), lengths))
        item = np.append(item, exclude.indices[gather(starts, lengths)])
    by_row = np.argsort(row, kind="stable")  # two runs at most, each by row: they are merged
    ones = np.ones(len(row), np.float32)
    return Rows(offsets_of(row, len(rows)), item[by_row], ones, (len(rows), n_items))
