"""Answering: what is served and one request become lists, named items, reasons and audiences."""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from math import isnan
from typing import Any, Final

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.ranking import HEAD, Ranker, ranked_blend
from engagelib.recommender.diversifying import arrange
from engagelib.recommender.explaining import explain_list, with_ranking
from engagelib.recommender.exploring import customer_seeds, draw_trials, trial_places
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
from engagelib.scoring import Rows, TopK, threads
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
_NO_CHANCES: Final[Iterable[float | None]] = repeat(None)


def over_blocks(answer: Callable[[slice], None], n_rows: int, n_threads: int) -> None:
    """Answer block by block; the kernel shares the rows of each among threads."""
    size = BLOCK if n_threads == 1 else _BLOCK_OF_THREADS
    with threads(n_threads):
        for start in range(0, n_rows, size):
            answer(slice(start, start + size))


def rank_block(
    serving: Serving,
    block: Histories,
    seen: Rows | None,
    request: Request,
    who: Sequence[Any] | None = None,
) -> Lists:
    """Rank for a block of histories: what is pinned, then the models, then popularity where it may fill.

    `who` are the ids of the customers, for what is drawn by them; only exploring reads them.
    """
    models, rules = _models(serving.learned, request), request.rules
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed, "rules": rules}
    ranker = ranker_for(serving.learned, request)
    if rules is None or not rules.pins:
        if request.spread is not None:

            def at_width(width: int) -> Lists:
                lists = best_lists(models, block, width, at=request.at, ranker=ranker, **limits)
                return _filled(serving, lists, request, **limits)

            return spread_lists(serving.learned, at_width, block, seen, request, request.width, who)
        lists = best_lists(models, block, request.width, at=request.at, ranker=ranker, **limits)
        return _filled(serving, lists, request, **limits)
    most = [min(pin.most, int(pin_mask(pin, block.n_items).sum())) for pin in rules.pins]
    width = min(request.width + sum(most), block.n_items)
    found = named_lists(models, block, width, at=request.at, **limits)

    def ranked_lists(k: int, among: np.ndarray | None = None, found: list[TopK] = found) -> Lists:
        if ranker is None:
            return Lists(*blend(found, k, block.n_items, factor=rules.factor, among=among))
        limits = {"factor": rules.factor, "among": among}
        return Lists(*ranked_blend(ranker, found, block, k, at=request.at, **limits))

    pinned = []
    for place, pin in enumerate(rules.pins):
        within = request.allowed & pin_mask(pin, block.n_items)
        # Items named one by one have an order of their own; of others, earlier pins take the first at most.
        deep = int(within.sum()) if pin.item_index is not None else min(sum(most[: place + 1]), block.n_items)
        ranked = ranked_lists(max(deep, 1), within)
        # What the shop wants on top is there whether it may fill a list or not.
        ranked = _filled(serving, ranked, request, always=True, **{**limits, "available": within})
        pinned.append(pinned_lists(ranked, pin, block.n_items))
    if request.spread is None:
        lists = _filled(serving, ranked_lists(width), request, **limits)
    else:

        def at_width(width: int) -> Lists:
            found = named_lists(models, block, width, at=request.at, **limits)
            return _filled(serving, ranked_lists(width, found=found), request, **limits)

        lists = spread_lists(serving.learned, at_width, block, seen, request, request.width, who, pinned)
    source = 2 * (len(models) + 1)
    return put_on_top(lists, pinned, request.width, n_items=block.n_items, source=source)


def spread_lists(
    learned: Learned,
    at_width: Callable[[int], Lists],
    block: Histories,
    seen: Rows | None,
    request: Request,
    k: int,
    who: Sequence[Any] | None,
    pinned: Sequence[Lists] = (),
) -> Lists:
    """Arrange what is ranked at a width; a list that a cap leaves short is made of a longer ranking."""
    spread, n_items = request.spread, block.n_items
    assert spread is not None  # it was asked for
    given: dict[str, Any] = {}
    if pinned:
        given["pinned"] = np.concatenate([part.item_index for part in pinned], axis=1)
    if spread.explore:
        assert who is not None  # whoever is tried something on
        seeds = customer_seeds(spread, who, request.at)
        drawn = draw_trials(spread, learned, block, seen, request.allowed, seeds, 2 * k, at=request.at)
        given |= {"trials": drawn, "is_trial": trial_places(spread, seeds, k)}
        given["source"] = 2 * (len(learned.models) + 1) + 1
    most, width = spread.bound(learned, request.allowed, k), min(max(k, HEAD), max(n_items, 1))
    while True:
        wide = at_width(width)
        lists = arrange(spread, learned, wide, k, **given)
        lacking = (lists.counts < most) & (wide.counts == width)
        if width >= n_items or not lacking.any():
            return lists
        width = min(4 * width, n_items)


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
    chances: np.ndarray | None = None,
) -> tuple[Recommendation, ...]:
    """Turn the first list into objects of built-in types; `sources` tells what its codes mean.

    `chances` holds the probability of each place, NaN for none.
    """
    sources = sources or learned.sources
    index, scores, source = lists.item_index[0].tolist(), lists.score[0].tolist(), lists.source[0].tolist()
    if index and index[-1] < 0:
        index = index[: index.index(-1)]
    named = _NO_CHANCES
    if chances is not None:
        named = [None if isnan(chance) else chance for chance in chances.tolist()]
    ids, titles = learned.histories.items.ids(index), learned.titles.take(index)
    return tuple(
        [
            Recommendation(item_id, title or None, score, rank, sources[code], chance, why)
            for rank, item_id, title, score, code, chance, why in zip(
                range(1, len(index) + 1),
                ids,
                titles,
                scores,
                source,
                named,
                reasons or _NO_REASONS,
                strict=False,
            )
        ]
    )


def chances_of(learned: Learned, lists: Lists, block: Histories, request: Request) -> np.ndarray | None:
    """Return the chance of each place of lists, float64, NaN where there is none; None without calibration.

    What rules boost does not become more likely by it: chances are those of scores without the boost.
    """
    calibration, rules, score = learned.calibration, request.rules, lists.score
    if calibration is None:
        return None
    only_new = request.seen.leaves_only_new(learned.histories.item_types)
    if only_new and learned.ranker_of_new is not learned.ranker:
        return None  # scores of another ranker
    if rules is not None and rules.groups:
        assert rules.factor is not None  # there are groups
        score = np.where(lists.item_index >= 0, score / rules.factor[lists.item_index], score)
    return calibration.probabilities(score, block, request.at)


def give_reasons(
    learned: Learned, history: Histories, seen: Rows | None, request: Request, lists: Lists
) -> list[tuple[Reason, ...]]:
    """Say for each item of the first list what speaks for it."""
    models = _models(learned, request)
    limits: dict[str, Any] = {"exclude": seen, "available": request.allowed, "rules": request.rules}
    ranker = ranker_for(learned, request)
    weights = None if ranker is None else ranker.weights
    scales = listed_scales(models, history, lists, at=request.at, weights=weights, **limits)

    def named(index: Sequence[int]) -> list[tuple[Id, str | None]]:
        return _named(learned, index)

    listed = lists.item_index[0, : lists.counts[0]]
    special = lists.source[0, : lists.counts[0]] - 2 * (len(models) + 1)
    reasons = explain_list(
        models, scales, history, listed, at=request.at, showable=learned.for_sale, named=named,
        pinned=special == 0, explored=special == 1,
    )  # fmt: skip
    if ranker is None or ranker.scorer is None:
        return reasons
    return [with_ranking(why, score) for why, score in zip(reasons, lists.score[0].tolist(), strict=False)]


def ranker_for(learned: Learned, request: Request) -> Ranker | None:
    """Return what puts the candidates of a request in order; None for the equal-weight blend."""
    only_new = request.seen.leaves_only_new(learned.histories.item_types)
    return learned.ranker_of_new if only_new else learned.ranker


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
    weights = None if learned.ranker is None else learned.ranker.weights
    score = np.zeros(histories.n_histories, np.float32)
    for start in range(0, len(score), _AUDIENCE_BLOCK):
        block = histories.block(start, min(start + _AUDIENCE_BLOCK, len(score)))
        seen = request.seen.excluded(block)
        scales = model_scales(
            models, block, at=request.at, exclude=seen, available=request.allowed, weights=weights
        )
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
