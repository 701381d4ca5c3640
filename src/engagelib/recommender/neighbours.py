"""Neighbours: items that are like an item, stand in for one that is sold out, or go with a basket."""

from typing import Final

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.ranking import HEAD
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists, best_lists, similar_lists, source_names
from engagelib.recommender.pairing import POPULAR_OF_CATEGORY, complete_topk, substitutes_topk
from engagelib.recommender.request import Request
from engagelib.recommender.ruling import put_on_top
from engagelib.scoring import TopK

TOGETHER: Final = "together"
"""The `source` of items that were bought in one basket with those asked about."""


def neighbour_sources(learned: Learned) -> tuple[str, ...]:
    """Return what the sources of these lists mean: the models' names, "popular", then "together"."""
    return (*source_names(learned.models), TOGETHER)


def alike(learned: Learned, item: int, k: int, available: np.ndarray) -> Lists:
    """List the k items most like one item; refuse where no model knows which items are alike."""
    lists = similar_lists(learned.models, item, k, n_items=learned.histories.n_items, available=available)
    if lists is None:
        raise errors.answering.no_likeness([model.name for model in learned.models])
    return lists


def standing_in(learned: Learned, item: int, request: Request) -> Lists:
    """List the items that can best stand in for one; see `substitutes_topk`."""
    n_items, n_models = learned.histories.n_items, len(learned.models)
    likely = similar_lists(learned.models, item, HEAD, n_items=n_items, available=request.allowed)
    category = _category(learned.attributes)
    if likely is None:
        if category is None or category[item] < 0:
            raise errors.answering.no_likeness([model.name for model in learned.models])
        likely = Lists.empty(1, 1)
    found = substitutes_topk(
        item, TopK(likely.item_index, likely.score), learned.together, request.width,
        ranking=learned.popularity.ranking(request.location), category=category,
        price=learned.attributes.numbers.get("price"), available=request.allowed,
    )  # fmt: skip
    # Which model found an item alike stands in the lists that were handed over.
    by = np.full(n_items + 1, -1, np.int8)
    by[likely.item_index[0]] = likely.source[0]
    source = np.where(found.source == POPULAR_OF_CATEGORY, np.int8(n_models), by[found.item_index])
    return Lists(found.item_index, found.score, np.where(found.item_index >= 0, source, np.int8(-1)))


def going_with(learned: Learned, request: Request) -> Lists:
    """List what goes with the basket of a request.

    First what was bought in one basket with its items, then what the models say of somebody who has just
    these in their basket; that only fills the list, with score 0.
    """
    n_items, n_models = learned.histories.n_items, len(learned.models)
    found = complete_topk(learned.together, request.basket, request.width, available=request.allowed)
    together = Lists(found.item_index, found.score, np.where(found.item_index >= 0, 0, -1).astype(np.int8))
    nobody = learned.histories.take(np.array([-1]))
    somebody = nobody.followed_by(request.basket, learned.counted_as("cart"), request.at)
    # An answer to a basket, not to nobody: a model that reads no history has nothing to say here.
    models = [model for model in learned.models if model.reason_kind != "popular"]
    if len(request.basket) and models and (together.counts < request.width).any():
        others = best_lists(models, somebody, request.width, at=request.at, available=request.allowed)
        place = np.array([learned.models.index(model) for model in models] + [-1], np.int8)
        score = np.where(others.item_index >= 0, np.float32(0), np.float32(-np.inf))
        rest = Lists(others.item_index, score, place[others.source])
    else:
        rest = Lists.empty(1, 1)
    return put_on_top(rest, [together], request.width, n_items=n_items, source=n_models + 1)


def _category(attributes: ItemAttributes) -> np.ndarray | None:
    return attributes.texts["category"][0] if "category" in attributes.texts else None
