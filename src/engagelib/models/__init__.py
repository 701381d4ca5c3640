"""Models: each learns from `Histories` and scores items for them; `make_model` knows their names."""

from collections.abc import Iterator, Mapping
from typing import Any

from engagelib import errors
from engagelib.models.als import ALS
from engagelib.models.base import LinearModel, Model
from engagelib.models.bpr import BPR
from engagelib.models.content import Content
from engagelib.models.customer_knn import CustomerKNN
from engagelib.models.ease import EASE
from engagelib.models.factors import FactorModel
from engagelib.models.item_knn import ItemKNN
from engagelib.models.item_walk import ItemWalk
from engagelib.models.popularity import Popularity
from engagelib.models.repeat import Repeat
from engagelib.models.session_knn import SessionKNN
from engagelib.models.transitions import Transitions

__all__ = [
    "ALS",
    "BPR",
    "Content",
    "CustomerKNN",
    "EASE",
    "FactorModel",
    "ItemKNN",
    "ItemWalk",
    "LinearModel",
    "Model",
    "Popularity",
    "Repeat",
    "SessionKNN",
    "Transitions",
    "make_model",
    "model_names",
    "restore_model",
]

_MODELS: Mapping[str, type[Model]] = {
    model.name: model
    for model in (
        ALS,
        BPR,
        Content,
        CustomerKNN,
        EASE,
        ItemKNN,
        ItemWalk,
        Popularity,
        Repeat,
        SessionKNN,
        Transitions,
    )
}


def model_names() -> tuple[str, ...]:
    """Return the names that `make_model` takes, each the name of the module that the model stands in."""
    return tuple(sorted(_MODELS))


def make_model(model: "str | Model") -> Model:
    """Return a model by its name with default settings, or the model itself.

    Raises
    ------
    ArgumentError
        If it is neither a `Model` nor one of `model_names()`.
    """
    if isinstance(model, Model):
        return model
    if not isinstance(model, str) or model not in _MODELS:
        raise errors.bad_argument("models", model, f"a Model, or one of {', '.join(model_names())}")
    return _MODELS[model]()


def restore_model(name: str, params: Mapping[str, Any], arrays: Mapping[str, Any]) -> Model:
    """Take back a fitted model from what `Model.params` and `Model.to_arrays` gave.

    A model from outside the library is found by its name once its class is defined: import it first.

    Raises
    ------
    ArtifactError
        If no model has this name.
    """
    outside = {model.name: model for model in _subclasses(Model) if "name" in vars(model)}
    known = {**outside, **_MODELS}
    if name not in known:
        raise errors.answering.unknown_model(name, sorted(known))
    return known[name].from_arrays(arrays, params)


def _subclasses(model: Any) -> Iterator[type[Model]]:
    for subclass in model.__subclasses__():
        yield from (subclass, *_subclasses(subclass))
