"""Answering: what is served and one request become lists, named items, reasons and audiences."""

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.recommender.explaining import explain_list
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import (
    Lists,
    best_lists,
    fill_lists,
    listed_scales,
    model_scales,
    named_lists,
    pin_mask,
)
from engagelib.recommender.recommendations import Member, Reason, Recommendation
from engagelib.recommender.request import Request
from engagelib.recommender.ruling import boosted_ranking, pinned_lists, put_on_top
from engagelib.recommender.serving import Serving
from engagelib.scoring import Rows, threads
from engagelib.scoring.blending import blend
from engagelib.vocabulary import Id
from engagelib.weaving import stack_rows

BLOCK: Final = 256
"""Customers scored at once: enough to keep a product busy, few enough to stay in cache."""


_BLOCK_OF_THREADS: Final = 4096
"""The same for several threads: what is not shared among them costs little a customer then."""

_AUDIENCE_BLOCK: Final = 16_384
"""Customers asked about one item at once: there is one column to multiply with, so blocks can be large."""


_NO_REASONS: Final = repeat(())


def over_blocks(answer: Callable[[slice], None], n_rows: int, n_threads: int) -> None:
    """Answer block by block; the kernel shares the rows of each among threads."""
    size = BLOCK if n_threads == 1 else _BLOCK_OF_THREADS
    with threads(n_threads):
        for start in range(0, n_rows, size):
            answer(slice(start, start + size))


def rank_block(serving: Serving, block: Histories, seen: Rows | None, request: Request) -> Lists:
    """Rank for a block of histories: what is pinned, then the models, then popularity where it may fill."""
    models, rules = _models(serving.learned, request), request.rules
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed, "rules": rules}
    if rules is None or not rules.pins:
        lists = best_lists(models, block, request.width, at=request.at, **limits)
        return _filled(serving, lists, request, **limits)
    most = [min(pin.most, int(pin_mask(pin, block.n_items).sum())) for pin in rules.pins]
    width = min(request.width + sum(most), block.n_items)
    found = named_lists(models, block, width, at=request.at, **limits)

    def ranked_lists(k: int, among: np.ndarray | None = None) -> Lists:
        return Lists(*blend(found, k, block.n_items, factor=rules.factor, among=among))

    pinned = []
    for place, pin in enumerate(rules.pins):
        within = request.allowed & pin_mask(pin, block.n_items)
        # Items named one by one have an order of their own; of others, earlier pins take the first at most.
        deep = int(within.sum()) if pin.item_index is not None else min(sum(most[: place + 1]), block.n_items)
        ranked = ranked_lists(max(deep, 1), within)
        # What the shop wants on top is there whether it may fill a list or not.
        ranked = _filled(serving, ranked, request, always=True, **{**limits, "available": within})
        pinned.append(pinned_lists(ranked, pin, block.n_items))
    lists = _filled(serving, ranked_lists(width), request, **limits)
    source = 2 * (len(models) + 1)
    return put_on_top(lists, pinned, request.width, n_items=block.n_items, source=source)


def _filled(
    serving: Serving, lists: Lists, request: Request, *, always: bool = False, **limits: Any
) -> Lists:
    """Complete lists by popularity, where the request lets it."""
    if not (request.fill or request.every_candidate or always):
        return lists
    if lists.are_full:
        return lists
    n_models = len(serving.learned.models)
    n_items = serving.learned.histories.n_items
    return fill_lists(lists, _ranking(serving, request), n_items=n_items, n_models=n_models, **limits)


def _ranking(serving: Serving, request: Request) -> np.ndarray:
    """Return the order in which items fill lists."""
    popularity, location = serving.learned.popularity, request.location
    if request.rules is None:
        return popularity.ranking(location)
    if request.rules is not serving.compiled:
        return boosted_ranking(popularity, location, request.rules)
    found = serving.rankings.get(location)
    if found is None:
        found = serving.rankings[location] = boosted_ranking(popularity, location, request.rules)
    return found


def name_items(
    learned: Learned,
    lists: Lists,
    reasons: Sequence[tuple[Reason, ...]] | None,
    *,
    sources: tuple[str, ...] | None = None,
) -> tuple[Recommendation, ...]:
    """Turn the first list into objects of built-in types; `sources` tells what its codes mean."""
    sources = sources or learned.sources
    index, scores, source = lists.item_index[0].tolist(), lists.score[0].tolist(), lists.source[0].tolist()
    if index and index[-1] < 0:
        index = index[: index.index(-1)]
    ids, titles = learned.histories.items.ids(index), learned.titles.take(index)
    return tuple(
        [
            Recommendation(item_id, title or None, score, rank, sources[code], None, why)
            for rank, item_id, title, score, code, why in zip(
                range(1, len(index) + 1), ids, titles, scores, source, reasons or _NO_REASONS, strict=False
            )
        ]
    )


def give_reasons(
    learned: Learned, history: Histories, seen: Rows | None, request: Request, lists: Lists
) -> list[tuple[Reason, ...]]:
    """Say for each item of the first list what speaks for it."""
    models = _models(learned, request)
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed, "rules": request.rules}
    scales = listed_scales(models, history, lists, at=request.at, **limits)

    def named(index: Sequence[int]) -> list[tuple[Id, str | None]]:
        return _named(learned, index)

    listed = lists.item_index[0, : lists.counts[0]]
    pinned = lists.source[0, : lists.counts[0]] == 2 * (len(models) + 1)
    return explain_list(
        models, scales, history, listed, at=request.at, showable=learned.for_sale, named=named, pinned=pinned
    )


def find_audience(serving: Serving, item: int, request: Request, k: int) -> list[Member]:
    """List the customers whom one item suits best, those that were observed since fitting among them."""
    learned, live = serving.learned, serving.live
    entries = dict(live.entries)
    customers = live.as_of_now(learned.histories.block(0, learned.histories.n_customers))
    score = score_customers(learned, customers, item, request)
    stale = live.stale_rows(entries)
    score[stale[stale < len(score)]] = 0.0
    best = np.argsort(-score, kind="stable")[:k]
    best = best[score[best] > 0]
    found = list(zip(learned.histories.customers.ids(best.tolist()), score[best].tolist(), strict=True))
    fresh = [(key, entry) for key, entry in entries.items() if entry.known and key not in live.aliases]
    if fresh:
        block = stack_rows([live.row_of(entry) for _, entry in fresh])
        scores = score_customers(learned, block, item, request).tolist()
        found += [(key, value) for (key, _), value in zip(fresh, scores, strict=True) if value > 0]
        found.sort(key=lambda pair: (-pair[1], pair[0]))
    return [Member(*member, rank) for rank, member in enumerate(found[:k], 1)]


def score_customers(learned: Learned, histories: Histories, item: int, request: Request) -> np.ndarray:
    """Score one item for every history, float32 of shape (n_histories,), 0 where the customer met it."""
    models = _models(learned, request)
    score = np.zeros(histories.n_histories, np.float32)
    for start in range(0, len(score), _AUDIENCE_BLOCK):
        block = histories.block(start, min(start + _AUDIENCE_BLOCK, len(score)))
        seen = request.seen.excluded(block)
        scales = model_scales(models, block, at=request.at, exclude=seen, available=request.allowed)
        total = np.zeros(block.n_histories)
        for model, scale in zip(models, scales.T, strict=True):
            total += scale * model.score_item(block, item, at=request.at)
        if seen is not None:
            total[np.searchsorted(seen.indptr, np.flatnonzero(seen.indices == item), side="right") - 1] = 0.0
        score[start : start + _AUDIENCE_BLOCK] = total
    return score


def _models(learned: Learned, request: Request) -> list[Model]:
    """Return the models as they stand at the location of a request."""
    return [model.for_location(request.location) for model in learned.models]


def _named(learned: Learned, index: Sequence[int]) -> list[tuple[Id, str | None]]:
    """Return the ids and titles of items."""
    titles = (title or None for title in learned.titles.take(index))
    return list(zip(learned.histories.items.ids(index), titles, strict=True))
