"""Choosing: which models a log gets when the caller leaves it to the log, and fitting those asked for."""

from collections.abc import Sequence
from copy import copy

from engagelib import errors
from engagelib.histories import Histories
from engagelib.models import ItemKNN, Model, Popularity, make_model, model_names
from engagelib.weights import EVENT_WEIGHTS


def choose_models(
    models: "str | Model | Sequence[str | Model]", histories: Histories
) -> tuple[list[Model], str]:
    """Return the fitted models, and in words why these.

    What the caller passed is copied before it is fitted, so that one model can serve as the recipe for
    several recommenders.

    Raises
    ------
    ArgumentError
        If `models` is not "auto", a name, a `Model` or a list of names and models.
    NotEnoughDataError
        If "auto" meets a log in which no event type counts, or the log lacks what a model needs.
    """
    if isinstance(models, str) and models == "auto":
        return _choose(histories)
    names = model_names()
    if isinstance(models, str) and models not in names:
        raise errors.bad_argument("models", models, f'"auto", a Model, or one of {", ".join(names)}')
    listed = [models] if isinstance(models, str | Model) else models
    if not isinstance(listed, Sequence) or not listed:
        raise errors.bad_argument("models", models, '"auto", a name, a Model or a list of these')
    return [copy(make_model(model)).fit(histories) for model in listed], "as asked for"


def _choose(histories: Histories) -> tuple[list[Model], str]:
    if not any(EVENT_WEIGHTS.get(name) for name in histories.event_types):
        raise errors.answering.no_weighted_events(histories.event_types, EVENT_WEIGHTS)
    neighbours = ItemKNN().fit(histories)
    if not neighbours.item_weights_.matrix.nnz:
        reason = "auto: no two items were met by one customer, so popularity alone"
        return [Popularity().fit(histories)], reason
    decay = "recent events count most" if histories.time_kind == "timestamp" else "no timestamps: no decay"
    return [neighbours], f"auto: histories share items, so item_knn ({decay})"
