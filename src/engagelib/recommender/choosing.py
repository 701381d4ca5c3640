"""Choosing: which models a log gets when the caller leaves it to the log, and fitting those asked for."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final

import numpy as np

from engagelib import errors
from engagelib.histories import Histories
from engagelib.models import ALS, EASE, ItemKNN, Model, Popularity, make_model, model_names
from engagelib.models.interest import check_interest
from engagelib.weights import EVENT_WEIGHTS

# How the two limits were found stands in docs/decisions/0007-ease-and-factors.md.
_MOST_FOR_EASE: Final = 12_000
"""Items, or histories where these are fewer, that are solved for: time grows with the third power."""

_LEAST_FOR_FACTORS: Final = 200
"""Items, and histories with several of them: of fewer, 64 factors would learn each by heart."""


def choose_models(
    models: "str | Model | Sequence[str | Model]", histories: Histories, *, by_location: bool = False
) -> tuple[list[Model], str]:
    """Return the fitted models, and in words why these.

    What the caller passed is copied before it is fitted, so that one model can serve as the recipe for
    several recommenders. With `by_location`, every `Popularity` learns its rankings by location too.

    Raises
    ------
    ArgumentError
        If `models` is not "auto", a name, a `Model` or a list of names and models.
    NotEnoughDataError
        If no event type of the log counts, or the log lacks what a model needs.
    """
    if isinstance(models, str) and models == "auto":
        return _choose(histories, by_location)
    names = model_names()
    if isinstance(models, str) and models not in names:
        raise errors.bad_argument("models", models, f'"auto", a Model, or one of {", ".join(names)}')
    listed = [models] if isinstance(models, str | Model) else models
    if not isinstance(listed, Sequence) or not listed:
        raise errors.bad_argument("models", models, '"auto", a name, a Model or a list of these')
    recipes = [copy(make_model(model)) for model in listed]
    for model in recipes:
        if by_location and isinstance(model, Popularity):
            model.by_location = True
    return [model.fit(histories) for model in recipes], "as asked for"


def choose_filler(models: Sequence[Model], histories: Histories, *, by_location: bool) -> Popularity:
    """Return the fitted popularity that completes short lists.

    It counts what the models count: the first weights given to one of them, or else the defaults. Where
    these know no event type of the log, as may be where a model has ways of its own, all types count alike.
    """
    given = (getattr(model, "event_weights", None) for model in models)
    weights = next((weights for weights in given if isinstance(weights, Mapping)), None)
    if weights is None and not set(EVENT_WEIGHTS) & set(histories.item_types):
        weights = {name: 1.0 for name in histories.item_types if name != "return"}
    return Popularity(event_weights=weights, by_location=by_location).fit(histories)


def _choose(histories: Histories, by_location: bool) -> tuple[list[Model], str]:
    """Let the log decide: a blend with equal weights of the models that it supports."""
    n_met, n_several = _support(histories)
    if not n_several:
        reason = "auto: no two items were met by one customer, so popularity alone"
        return [Popularity(by_location=by_location).fit(histories)], reason
    decay = "recent events count most" if histories.time_kind == "timestamp" else "no timestamps: no decay"
    recipes: list[Model] = []
    reasons = []
    n_solved = min(n_met, n_several)
    if n_solved <= _MOST_FOR_EASE:
        recipes.append(EASE())
        reasons.append(f"ease, as {n_solved:,} unknowns are solved for in seconds")
    else:
        recipes.append(ItemKNN())
        reasons.append(f"item_knn, as ease would solve for {n_solved:,} unknowns, above {_MOST_FOR_EASE:,}")
    if n_met >= _LEAST_FOR_FACTORS and n_several >= _LEAST_FOR_FACTORS:
        recipes.append(ALS())
        reasons.append(f"als, as {n_several:,} histories hold several of {n_met:,} items")
    else:
        few = min(n_met, n_several)
        reasons.append(f"no als, as {few:,} items or histories are too few for factors")
    blend = "an equal-weight blend of " if len(recipes) > 1 else ""
    return [model.fit(histories) for model in recipes], f"auto: {blend}{'; '.join(reasons)} ({decay})"


def _support(histories: Histories) -> tuple[int, int]:
    """Return how many items were met with a weight above 0, and how many histories met more than one."""
    check_interest(histories, None)
    met = histories.matrix()
    return len(np.unique(met.indices)), int(np.count_nonzero(np.diff(met.indptr) > 1))
