"""Wording of what a recommender or a model refuses to learn or to answer."""

from collections.abc import Iterable

from engagelib.errors._classes import (
    ArgumentError,
    ArtifactError,
    NotEnoughDataError,
    UnknownCustomerError,
    UnknownItemError,
)
from engagelib.errors._common import listed, shown


def nothing_to_learn(n_events: int) -> NotEnoughDataError:
    """Word a log in which no event names an item."""
    return NotEnoughDataError(
        f"none of the log's {n_events:,} events names an item: expected at least one. "
        "Hint: look at log.report() and log.rejected."
    )


def no_weighted_events(event_types: Iterable[str], known: Iterable[str]) -> NotEnoughDataError:
    """Word a log in which no event says anything about interest, as its types are unknown."""
    return NotEnoughDataError(
        f"no event type of the log counts as interest (found: {listed(event_types)}): expected one of "
        f"{listed(known)}. Hint: name yours when the log is read, as in "
        'event_types={"listen": "view"}.'
    )


def no_likeness(models: Iterable[str]) -> NotEnoughDataError:
    """Word a question for similar items to models that know of none."""
    return NotEnoughDataError(
        f"no model knows which items are alike (models: {listed(models)}). "
        "Hint: fit with item_knn among the models."
    )


def no_content() -> NotEnoughDataError:
    """Word the want of anything that says what items are like."""
    return NotEnoughDataError(
        "no attribute says what items are like: expected one, such as a category, a brand, a title or a "
        "price. Hint: pass items= when the log is read; a model by itself learns by "
        "fit_with(histories, attributes)."
    )


def no_categories(names: Iterable[str]) -> NotEnoughDataError:
    """Word a cap for categories where there are none."""
    return NotEnoughDataError(
        f"max_per_category needs an attribute 'category' of items (found: {listed(names)}). "
        "Hint: pass items= with such a column when the log is read."
    )


def no_likeness_to_diversify(models: Iterable[str]) -> NotEnoughDataError:
    """Word diversity where nothing says which items are alike."""
    return NotEnoughDataError(
        "diversity needs to know which items are alike: there is no attribute 'category', and no model "
        f"knows (models: {listed(models)}). Hint: pass items= with such a column when the log is read, or "
        "fit with item_knn among the models."
    )


def unknown_kind(path: str, kind: str, known: Iterable[str]) -> ArtifactError:
    """Word an artifact that holds something this version does not know."""
    return ArtifactError(f"{path} holds a {kind!r}: expected one of {listed(known)}.")


def unknown_model(name: str, known: Iterable[str]) -> ArtifactError:
    """Word a saved model whose kind this version does not know."""
    return ArtifactError(
        f"the file holds a model named {name!r}: expected one of {listed(known, limit=20)}. "
        "Hint: import the module of a model of your own before loading; any other comes from a newer version "
        "of engagelib."
    )


def unknown_customer(customer_id: object, kind: str) -> UnknownCustomerError:
    """Word a customer id that is not there; `kind` is the type of those that are."""
    return UnknownCustomerError(f"customer {shown(customer_id)} is unknown{_other_type(customer_id, kind)}.")


def unknown_item(item_id: object, kind: str) -> UnknownItemError:
    """Word an item id that is not there; `kind` is the type of those that are."""
    return UnknownItemError(f"item {shown(item_id)} is unknown{_other_type(item_id, kind)}.")


def customers_and_sessions() -> ArgumentError:
    """Word a call that asks for customers and for anonymous visits at once."""
    return ArgumentError(
        "customer_ids and sessions are both given: expected one of them, as sessions are of nobody known. "
        "Hint: recommend takes a customer and a session."
    )


def _other_type(given: object, kind: str) -> str:
    if isinstance(given, str) == (kind == "str") and not isinstance(given, bool | float):
        return " to this model or log"
    spelled = {"int": "integers", "str": "strings"}[kind]
    return f": ids here are {spelled}, and this one is of type {type(given).__name__}"
