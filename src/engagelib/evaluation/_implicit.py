"""Implicit: models of the library `implicit` in the same table as recommenders, fenced."""

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.attributes import ItemAttributes
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.models.training import implicit_matrix, run_apart
from engagelib.recommender.repeating import learn_repeats
from engagelib.recommender.request import ExcludeSeen, SeenRule, check_count
from engagelib.times import Moment
from engagelib.vocabulary import Id, Vocabulary

_BLOCK: Final = 4_096
"""Customers asked for at once."""

_NO_SCORE: Final = -3e38
"""Scores below this mark what `implicit` puts in the place of items that it has not."""

_HINT: Final = "try other settings of the model."


class Lists(NamedTuple):
    """Lists by item index, best first, int32 of shape (n_customers, k), -1 where a list is short."""

    item_index: np.ndarray


class ImplicitAdapter:
    """A model of the library `implicit`, to be judged by `evaluate` and `compare` beside recommenders.

    The model is a recipe: each fit copies it and learns anew. Some inputs make `implicit` end the process;
    here shapes are checked before it sees anything, customers without a weight get an empty list and not an
    invented one, and what a list may not hold is taken out of it by the same rule as for a `Recommender`.

    Parameters
    ----------
    model
        An object of a class of `implicit` that learns on processors, not fitted: its factor models and its
        item-item models.
    event_weights
        What an event of each type counts in the matrix that it learns from; None for the defaults in
        `engagelib.weights`.

    Attributes
    ----------
    model_
        The fitted copy.
    histories_, customers_, items_, for_sale_
        What it was fitted on.
    """

    def __init__(self, model: Any, *, event_weights: Mapping[str, float] | None = None) -> None:
        self.model = model
        self.event_weights = event_weights

    def __repr__(self) -> str:
        return f"ImplicitAdapter({type(self.model).__name__})"

    def fit(self, log: EventLog) -> Self:
        """Learn from a log; whatever was learned before is dropped.

        Raises
        ------
        ArgumentError
            If `model` is no such object, was fitted before, or has a seed that it can't learn with; if a
            weight is not from 0 to 1e30; if it comes to no finite end.
        NotEnoughDataError
            If no event of the log counts.
        MissingExtraError
            If `implicit` can't be imported.
        """
        _check_recipe(self.model)
        histories = Histories.from_log(log)
        matrix = histories.matrix(event_weights=self.event_weights)
        if not matrix.nnz:
            raise errors.answering.nothing_to_learn(len(log))
        learner = deepcopy(self.model)
        cells = implicit_matrix(matrix)

        def learn(_: Any) -> None:
            with warnings.catch_warnings():
                # It warns of a format into which it has brought the cells itself.
                warnings.filterwarnings("ignore", "Method expects CSR input")
                learner.fit(cells, show_progress=False)

        run_apart(learn, type(self.model).__name__, _HINT)
        self.model_, self.histories_ = learner, histories
        self.for_sale_ = ItemAttributes.from_table(log.item_table, log.items).for_sale
        self._cells, self._repeats = cells, learn_repeats(histories)
        # Rows without a cell were left out.
        filled = np.diff(matrix.indptr) > 0
        self._row = np.append(np.where(filled, np.cumsum(filled) - 1, -1), -1)
        return self

    @property
    def customers_(self) -> Vocabulary:
        """The customers that are known."""
        return self._fitted().customers

    @property
    def items_(self) -> Vocabulary:
        """The items that lists may hold."""
        return self._fitted().items

    def _fitted(self) -> Histories:
        if not hasattr(self, "histories_"):
            raise errors.not_fitted("ImplicitAdapter")
        return self.histories_

    def recommend_many(
        self,
        customer_ids: Sequence[Id],
        *,
        k: int = 10,
        at: Moment | None = None,
        exclude_seen: ExcludeSeen = "purchased",
        repeat: bool | None = None,
    ) -> Lists:
        """List items for each customer; unknown customers get empty lists.

        Items that the model gives no score are not listed. `at` is not read: the model is as of its fit.
        The other parameters are those of `Recommender.recommend_many`.
        """
        histories, k = self._fitted(), check_count(k, "k")
        rule = SeenRule.check(exclude_seen, repeat, self._repeats)
        place = histories.customers.indices(customer_ids)
        row = self._row[place]
        lists = np.full((len(place), k), -1, np.int32)
        asked = np.flatnonzero(row >= 0)
        if len(asked):
            excluded = _excluded(rule, histories, place[asked])
            lists[asked] = self._lists(row[asked], excluded, k)
        return Lists(lists)

    def _lists(self, rows: np.ndarray, excluded: csr_array, k: int) -> np.ndarray:
        """Ask for as many more items as are taken out again: those of like numbers together."""
        lists = np.full((len(rows), k), -1, np.int32)
        n_excluded = np.diff(excluded.indptr)
        order = np.argsort(n_excluded, kind="stable")
        n_unsaleable = int(np.count_nonzero(~self.for_sale_))
        name = type(self.model).__name__

        def answer(_: Any) -> None:
            for start in range(0, len(order), _BLOCK):
                part = order[start : start + _BLOCK]
                n_asked = min(k + int(n_excluded[part].max()) + n_unsaleable, len(self.for_sale_))
                found, score = self.model_.recommend(
                    rows[part], self._cells[rows[part]], N=n_asked, filter_already_liked_items=False
                )
                lists[part] = self._kept(np.asarray(found), np.asarray(score), excluded[part], k)

        run_apart(answer, name, _HINT)
        return lists

    def _kept(self, found: np.ndarray, score: np.ndarray, excluded: csr_array, k: int) -> np.ndarray:
        """Return the first k of what was found that are items at all, may be listed and are no repetition."""
        n_rows, n_items = excluded.shape
        sound = np.isfinite(score) & (score > _NO_SCORE) & (found >= 0) & (found < n_items)
        if hasattr(self.model_, "similarity"):
            sound &= score > 0  # an item-item model pads with items that it scores 0
        found = np.where(sound, found, -1).astype(np.int64)
        sound &= np.append(self.for_sale_, False)[found]
        cell = found + np.arange(n_rows)[:, None] * n_items
        row = np.repeat(np.arange(n_rows), np.diff(excluded.indptr))
        sound &= ~np.isin(cell, row * n_items + excluded.indices)
        # Of an item that comes twice the first place counts.
        order = np.argsort(cell, axis=1, kind="stable")
        ordered = np.take_along_axis(cell, order, axis=1)
        again = np.zeros_like(sound)
        np.put_along_axis(again, order[:, 1:], ordered[:, 1:] == ordered[:, :-1], axis=1)
        sound &= ~again
        first = np.argsort(~sound, axis=1, kind="stable")[:, :k]
        kept = np.where(
            np.take_along_axis(sound, first, axis=1), np.take_along_axis(found, first, axis=1), -1
        )
        return np.pad(kept, ((0, 0), (0, k - kept.shape[1])), constant_values=-1)


def _excluded(rule: SeenRule, histories: Histories, rows: np.ndarray) -> csr_array:
    block = histories.take(rows)
    found = rule.excluded(block)
    return csr_array((len(rows), histories.n_items)) if found is None else found.to_matrix()


def _check_recipe(model: Any) -> None:
    """Refuse what is no model of `implicit`, and what would make it crash or learn on from before."""
    modules = {kind.__module__ for kind in type(model).__mro__}
    if not any(name.startswith(("implicit.cpu.", "implicit.nearest_")) for name in modules):
        raise errors.evaluation.no_model_of_implicit(type(model).__name__)
    for learned in ("item_factors", "similarity"):
        if getattr(model, learned, None) is not None:
            raise errors.evaluation.fitted_recipe(type(model).__name__)
    seed: Any = getattr(model, "random_state", None)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0):
        raise errors.bad_argument("random_state", seed, "an integer of at least 0, or None")
