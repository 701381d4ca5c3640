"""Choosing: which models a log gets when the caller leaves it to the log, and fitting those asked for."""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Final, NamedTuple

import numpy as np

from engagelib import errors
from engagelib.attributes import ItemAttributes, has_content
from engagelib.histories import Histories
from engagelib.models import (
    ALS,
    EASE,
    Content,
    CustomerKNN,
    ItemKNN,
    ItemWalk,
    Model,
    Popularity,
    Repeat,
    SessionKNN,
    Transitions,
    make_model,
    model_names,
)
from engagelib.models.interest import check_interest
from engagelib.ranking.goals import goal_of, groups_of
from engagelib.recommender.repeating import learn_repeats
from engagelib.weights import EVENT_WEIGHTS

# How the two limits were found stands in docs/decisions/0007-ease-and-factors.md.
_MOST_FOR_EASE: Final = 6_000
"""Items, or histories where these are fewer, that are solved for: time grows with the third power."""

_LAST_ALONE: Final = 0.2
"""Half-life in steps of a model that reads the last item alone, next to nothing else."""

_LEAST_FOR_FACTORS: Final = 200
"""Items, and histories with several of them: of fewer, 64 factors would learn each by heart."""


class Choice(NamedTuple):
    """Models that are still to be fitted.

    Attributes
    ----------
    core
        Those that make good lists in an equal-weight blend.
    more
        Those that add to these once a second stage weighs them.
    reason, reason_for_all
        In words, why the core, and why all of them.
    """

    core: list[Model]
    more: list[Model]
    reason: str
    reason_for_all: str


def choose_models(
    models: "str | Model | Sequence[str | Model]",
    histories: Histories,
    attributes: ItemAttributes,
    *,
    by_location: bool = False,
) -> Choice:
    """Return models that are still to be fitted, and in words why these.

    What the caller passed is copied, so that one model can serve as the recipe for several recommenders.
    With `by_location`, every `Popularity` learns its rankings by location too.

    Raises
    ------
    ArgumentError
        If `models` is not "auto", a name, a `Model` or a list of names and models.
    NotEnoughDataError
        If no event type of the log counts.
    """
    if isinstance(models, str) and models == "auto":
        return _choose(histories, attributes, by_location)
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
    return Choice(recipes, [], "as asked for", "as asked for")


def fit_models(recipes: Sequence[Model], histories: Histories, attributes: ItemAttributes) -> list[Model]:
    """Fit a copy of each model; those that read attributes are given them.

    Raises
    ------
    NotEnoughDataError
        If the log lacks what a model needs.
    TooLargeError
        If a model would need more memory than it may.
    """
    return [copy(model).fit_with(histories, attributes) for model in recipes]


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


def _choose(histories: Histories, attributes: ItemAttributes, by_location: bool) -> Choice:
    """Let the log decide: the models that it supports, and those of them that need no second stage."""
    n_met, n_several = _support(histories)
    if not n_several:
        reason = "auto: no two items were met by one customer, so popularity alone"
        return Choice([Popularity(by_location=by_location)], [], reason, reason)
    in_order = histories.time_kind != "set"
    decay = "recent events count most" if histories.time_kind == "timestamp" else "no timestamps: no decay"
    core: list[Model] = []
    reasons = []
    n_solved = min(n_met, n_several)
    if n_solved <= _MOST_FOR_EASE:
        core.append(EASE())
        reasons.append(f"ease, as {n_solved:,} unknowns are solved for in seconds")
    else:
        core.append(ItemKNN() if in_order else ItemWalk())
        reasons.append(
            f"{core[0].name}, as ease would solve for {n_solved:,} unknowns, above {_MOST_FOR_EASE:,}"
        )
    if n_met < _LEAST_FOR_FACTORS or n_several < _LEAST_FOR_FACTORS:
        few = min(n_met, n_several)
        reasons.append(f"no als, as {few:,} items or histories are too few for factors")
    elif _are_visits(histories):
        reasons.append("no als, as visits are too short for factors")
    else:
        core.append(ALS())
        reasons.append(f"als, as {n_several:,} histories hold several of {n_met:,} items")
    more, why = _more(histories, attributes, by_location)
    alone, all_of_them = (f"auto: {'; '.join(parts)} ({decay})" for parts in (reasons, [*reasons, *why]))
    return Choice(core, more, alone, all_of_them)


def _more(
    histories: Histories, attributes: ItemAttributes, by_location: bool
) -> tuple[list[Model], list[str]]:
    """Return what adds to the core once a second stage weighs it."""
    more: list[Model] = []
    reasons = []
    visits = _are_visits(histories)
    if histories.time_kind != "set":
        more += [Transitions(repeats=visits), SessionKNN()]
        reasons.append("transitions and session_knn, as events have an order")
        more.append(Transitions(repeats=visits, half_life_steps=_LAST_ALONE))
    if not visits:
        more.append(CustomerKNN())
        reasons.append("customer_knn, as customers have a history")
    goal, *others = (names[0] for names in groups_of(histories, goal_of(histories, None)))
    if others:
        more += [
            ItemWalk(event_weights={name: 1.0}, target_event_weights={goal: 1.0}) for name in (goal, *others)
        ]
        reasons.append(f"item_walk from each event type to {goal}")
    if others or learn_repeats(histories).returns.any():
        more += [Repeat(), Popularity(by_location=by_location)]
        reasons.append("repeat and popularity, as items are met again")
    if has_content(attributes):
        more.append(Content())
        reasons.append("content, as items have attributes")
    return more, reasons


def _are_visits(histories: Histories) -> bool:
    """Say whether most histories are visits of nobody known."""
    return histories.n_histories > 2 * histories.n_customers


def _support(histories: Histories) -> tuple[int, int]:
    """Return how many items were met with a weight above 0, and how many histories met more than one."""
    check_interest(histories, None)
    met = histories.matrix()
    return len(np.unique(met.indices)), int(np.count_nonzero(np.diff(met.indptr) > 1))
