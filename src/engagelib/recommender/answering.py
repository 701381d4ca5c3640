"""Answering: what was learned and one request become lists, named items, reasons and audiences."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_array

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.recommender.explaining import explain_list
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists, best_lists, fill_lists, listed_scales, model_scales
from engagelib.recommender.recommendations import Reason, Recommendation
from engagelib.recommender.request import Request
from engagelib.vocabulary import Id

BLOCK: Final = 256
"""Customers scored at once: enough to keep a product busy, few enough to stay in cache."""


_AUDIENCE_BLOCK: Final = 16_384
"""Customers asked about one item at once: there is one column to multiply with, so blocks can be large."""


def rank_block(learned: Learned, block: Histories, seen: csr_array | None, request: Request) -> Lists:
    """Rank for a block of histories: the models first, then popularity where the request lets it."""
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed}
    lists = best_lists(_models(learned, request), block, request.width, at=request.at, **limits)
    wanted = request.fill or request.every_candidate
    if not wanted or (lists.counts == request.width).all():
        return lists
    ranking = learned.popularity.ranking(request.location)
    return fill_lists(lists, ranking, n_items=block.n_items, n_models=len(learned.models), **limits)


def name_items(
    learned: Learned, lists: Lists, reasons: Sequence[tuple[Reason, ...]] | None
) -> tuple[Recommendation, ...]:
    """Turn the first list into objects of built-in types."""
    n, sources = int(lists.counts[0]), learned.sources
    index, scores, source = (part[0, :n].tolist() for part in (lists.item_index, lists.score, lists.source))
    return tuple(
        Recommendation(item_id, title, scores[place], place + 1, sources[source[place]], None, why)
        for place, ((item_id, title), why) in enumerate(
            zip(_named(learned, index), reasons or [()] * n, strict=True)
        )
    )


def give_reasons(
    learned: Learned, history: Histories, seen: csr_array | None, request: Request, lists: Lists
) -> list[tuple[Reason, ...]]:
    """Say for each item of the first list what speaks for it."""
    models = _models(learned, request)
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed}
    scales = listed_scales(models, history, lists, at=request.at, **limits)

    def named(index: Sequence[int]) -> list[tuple[Id, str | None]]:
        return _named(learned, index)

    listed = lists.item_index[0, : lists.counts[0]]
    return explain_list(
        models, scales, history, listed, at=request.at, showable=learned.for_sale, named=named
    )


def score_customers(learned: Learned, item: int, request: Request) -> np.ndarray:
    """Score one item for every customer, float32 of shape (n_customers,), 0 where the customer met it."""
    histories, models = learned.histories, _models(learned, request)
    score = np.zeros(histories.n_customers, np.float32)
    for start in range(0, len(score), _AUDIENCE_BLOCK):
        block = histories.block(start, min(start + _AUDIENCE_BLOCK, len(score)))
        seen = request.excluded(block)
        scales = model_scales(models, block, at=request.at, exclude=seen, available=request.allowed)
        total = np.zeros(block.n_histories)
        for model, scale in zip(models, scales.T, strict=True):
            total += scale * model.score_item(block, item, at=request.at)
        if seen is not None:
            total[seen[:, [item]].nonzero()[0]] = 0.0
        score[start : start + _AUDIENCE_BLOCK] = total
    return score


def _models(learned: Learned, request: Request) -> list[Model]:
    """Return the models as they stand at the location of a request."""
    return [model.for_location(request.location) for model in learned.models]


def _named(learned: Learned, index: Sequence[int]) -> list[tuple[Id, str | None]]:
    """Return the ids and titles of items."""
    titles = (title or None for title in learned.titles.take(index))
    return list(zip(learned.histories.items.ids(index), titles, strict=True))
