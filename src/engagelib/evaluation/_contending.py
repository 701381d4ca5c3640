"""Contending: what can be judged beside a recommender, and the names under which several stand in a table."""

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from engagelib import errors
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.models import Model, model_names
from engagelib.recommender import Recommender
from engagelib.splitting import Split, check_not_fitted_on
from engagelib.vocabulary import Id, Vocabulary


class Contender(Protocol):
    """What `evaluate` and `compare` judge: a `Recommender`, or anything that behaves like one here.

    Before `fit` it has no `histories_`. Lists come in `item_index` of what `recommend_many` returns: places
    in `items_`, integers of shape (n_customers, at most k), -1 after the last item; unknown customers get a
    list too, if only an empty one.
    """

    def fit(self, log: EventLog) -> Any:
        """Learn from a log; whatever was learned before is dropped."""

    @property
    def histories_(self) -> Histories:
        """What was learned from; it is checked for leaks."""

    @property
    def customers_(self) -> Vocabulary:
        """The customers that are known."""

    @property
    def items_(self) -> Vocabulary:
        """The items that lists may hold."""

    @property
    def for_sale_(self) -> np.ndarray:
        """Whether each item may be listed at all, bool of shape (n_items,)."""

    def recommend_many(self, *arguments: Any, **options: Any) -> Any:
        """List items for each customer of a list of ids, the first argument.

        The options are `k`, the length of a list, `at`, the moment to answer for (a datetime, or None for
        after all that is known), and `exclude_seen` and `repeat`, as in `Recommender.recommend_many`.
        """


Contending = Contender | Model | str
"""What stands for a contender: a model, or the name of one, stands for a `Recommender` of its own."""


class AskedWith:
    """A contender that is asked with further arguments, so that these can be compared.

    Parameters
    ----------
    contender
        A `Recommender` or whatever else can be judged. Where it stands in the table itself too, it is fitted
        once.
    arguments
        What `recommend_many` is called with beside `k`, `at`, `exclude_seen` and `repeat`, such as
        `rules=[...]`.
    """

    def __init__(self, contender: Contending, **arguments: Any) -> None:
        self.contender: Contender = as_contender(contender, "contender")
        self.arguments = checked_ask(arguments)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"AskedWith({name_of(self.contender)}, {arguments})"

    def fit(self, log: EventLog) -> "AskedWith":
        """Learn from a log."""
        self.contender.fit(log)
        return self

    @property
    def histories_(self) -> Histories:
        """What was learned from."""
        return self.contender.histories_

    @property
    def customers_(self) -> Vocabulary:
        """The customers that are known."""
        return self.contender.customers_

    @property
    def items_(self) -> Vocabulary:
        """The items that lists may hold."""
        return self.contender.items_

    @property
    def for_sale_(self) -> np.ndarray:
        """Whether each item may be listed at all."""
        return self.contender.for_sale_

    def recommend_many(self, customer_ids: Sequence[Id], **arguments: Any) -> Any:
        """List items for each customer."""
        return self.contender.recommend_many(customer_ids, **{**self.arguments, **arguments})


def as_contender(given: Any, name: str) -> Any:
    """Return what can be judged, or refuse what can't."""
    if isinstance(given, Model):
        return Recommender(given)
    if isinstance(given, str) and given in ("auto", *model_names()):
        return Recommender(given)
    # Attributes that are there only after fitting can't be asked for yet.
    if all(callable(getattr(type(given), method, None)) for method in ("fit", "recommend_many")):
        return given
    shown = given if isinstance(given, str) else type(given).__name__
    known = ", ".join(model_names())
    raise errors.bad_argument(name, shown, f'a Recommender, a Model, "auto", or one of {known}')


def as_contenders(given: Any, least: int) -> dict[str, Any]:
    """Return several contenders under their names."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        names = [name_of(one) for one in given]
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise errors.evaluation.same_name(repeated)
        given = dict(zip(names, given, strict=True))
    if not isinstance(given, Mapping) or len(given) < least:
        shown = list(given) if isinstance(given, Mapping) else type(given).__name__
        raise errors.evaluation.too_few(shown, least)
    return {name: as_contender(one, f"recommenders[{name!r}]") for name, one in given.items()}


def name_of(given: Any) -> str:
    """Name a contender by what it is made of."""
    if isinstance(given, str):
        return given
    if not isinstance(given, Recommender):
        return repr(given) if isinstance(given, Model | AskedWith) else type(given).__name__
    models = given.models
    if isinstance(models, str | Model):
        return str(models)
    return " + ".join(map(str, models))


_RESERVED = ("customer_ids", "k", "at", "exclude_seen", "repeat")


def checked_ask(ask: Any) -> dict[str, Any]:
    """Return further arguments for `recommend_many`; those that lists are judged by are refused."""
    if ask is None:
        return {}
    if not isinstance(ask, Mapping):
        raise errors.bad_argument("ask", ask, 'a mapping of arguments, as in {"rules": [...]}, or None')
    for name in ask:
        if not isinstance(name, str) or name in _RESERVED:
            expected = f"arguments of recommend_many other than {', '.join(_RESERVED)}"
            raise errors.bad_argument("ask", name, expected)
    return dict(ask)


def prepare(contender: Any, split: Split | EventLog) -> float | None:
    """Fit what is not fitted, and refuse what knows that which it is to be tested on.

    Returns
    -------
    The seconds that fitting took, None where it was fitted before.
    """
    seconds = None
    if not hasattr(contender, "histories_"):
        if not isinstance(split, Split):
            raise errors.evaluation.no_split_to_fit_on()
        seconds = _seconds(lambda: contender.fit(split.train))
    histories, test = contender.histories_, split.test if isinstance(split, Split) else split
    for column, ours, theirs in (
        ("customer_id", histories.customers, test.customers),
        ("item_id", histories.items, test.items),
    ):
        if len(ours) and len(theirs) and ours.kind != theirs.kind:
            raise errors.log.other_id_type(column, theirs.kind, ours.kind, "the test log")
    check_not_fitted_on(histories, split)
    return seconds


def _seconds(job: Callable[[], Any]) -> float:
    start = perf_counter()
    job()
    return perf_counter() - start
