"""Diversifying: what a list gives up of its score to hold unlike items, and to try those hardly shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.models import Content, FactorModel, LinearModel, Model
from engagelib.ranking import HEAD
from engagelib.recommender.learned import Learned
from engagelib.recommender.listing import Lists
from engagelib.scoring import Rows, score_pairs
from engagelib.segments import gather

_MOST_EXPLORED: Final = 0.5

_FAR: Final = -4.0
"""Below every value of an item of the head: what stands behind it comes in its own order."""


@dataclass(frozen=True)
class Spread:
    """How a list is arranged beside its scores, from the arguments of a call.

    Attributes
    ----------
    diversity, max_per_category, explore, rng
        As in `Recommender.recommend`.
    """

    diversity: float
    max_per_category: int | None
    explore: float
    rng: int

    @classmethod
    def check(
        cls, learned: Learned, diversity: Any, max_per_category: Any, explore: Any, rng: Any
    ) -> "Self | None":
        """Check the arguments of a call; None where they change nothing.

        Raises
        ------
        ArgumentError
            If one of them is outside its range.
        NotEnoughDataError
            If categories are asked for and there are none; if nothing says which items are alike.
        """
        if not 0 <= as_number(diversity) <= 1:
            raise errors.bad_argument("diversity", diversity, "a number in [0, 1]")
        if not (max_per_category is None or (_is_whole(max_per_category) and max_per_category >= 1)):
            expected = "an integer of at least 1, or None"
            raise errors.bad_argument("max_per_category", max_per_category, expected)
        if not 0 <= as_number(explore) <= _MOST_EXPLORED:
            raise errors.bad_argument("explore", explore, f"a number in [0, {_MOST_EXPLORED}]")
        if not (_is_whole(rng) and 0 <= rng < 2**63):
            raise errors.bad_argument("rng", rng, "a seed: an integer from 0 to 2**63 - 1")
        if max_per_category is not None and learned.categories is None:
            raise errors.answering.no_categories(learned.attributes.names)
        if diversity > 0 and learned.categories is None and like_model(learned.models) is None:
            raise errors.answering.no_likeness_to_diversify(model.name for model in learned.models)
        if not diversity and max_per_category is None and not explore:
            return None
        most = None if max_per_category is None else int(max_per_category)
        return cls(float(diversity), most, float(explore), int(rng))

    def bound(self, learned: Learned, allowed: np.ndarray, k: int) -> int:
        """Return how many items a list can hold at most under the cap."""
        if self.max_per_category is None:
            return k
        codes = learned.categories
        assert codes is not None  # it was checked
        count = np.bincount(codes[allowed] + 1, minlength=1)
        return min(k, int(count[0] + np.minimum(count[1:], self.max_per_category).sum()))


def like_model(models: Sequence[Model]) -> Model | None:
    """Return the model that says which items are alike: content, or else the first that knows."""

    def rank(model: Model) -> int:
        square = isinstance(model, LinearModel) and len(set(model.item_weights_.shape)) == 1
        return 0 if square and isinstance(model, Content) else 1 if square else 2

    known = [model for model in models if rank(model) < 2 or isinstance(model, FactorModel)]
    return min(known, key=rank, default=None)


def arrange(
    spread: Spread,
    learned: Learned,
    lists: Lists,
    k: int,
    *,
    pinned: np.ndarray | None = None,
    trials: np.ndarray | None = None,
    is_trial: np.ndarray | None = None,
    source: int = -1,
) -> Lists:
    """Choose the items of each list one place after the other.

    A place goes to the item of the best value that is not listed yet and whose category is not full. Among
    the first `HEAD` the value is `(1 - diversity) * score - diversity * likeness`, with the score divided by
    the best of the list, and the likeness that to the most alike of those listed already (Carbonell and
    Goldstein, 1998); equal ones, and what stands behind the head or has no score, keep their order.

    Parameters
    ----------
    lists
        Ranked and filled lists, `HEAD` wide or wider where there are so many items.
    pinned
        Items that stand on top already, shape (n_rows, n): they are not chosen, and count for nothing.
    trials, is_trial
        Items to try in their order, int32 of shape (n_rows, m), -1 where there are fewer; and which places
        are for them, bool of shape (n_rows, k). None for no trials.
    source
        The code of an item that is tried.

    Returns
    -------
    Lists of k places, with the scores and sources that they had; 0 and `source` for an item that is tried.
    """
    items, n_rows = lists.item_index, len(lists.item_index)
    relevance, is_scored = _relevance(lists)
    codes = learned.categories
    of_item = None if codes is None else np.append(codes, -1)  # the last place is that of padding
    like = _Likeness(learned, items[:, :HEAD]) if spread.diversity else None
    order = np.arange(items.shape[1], dtype=np.float64)
    # What is not of the scored head has values by its place alone.
    behind = np.broadcast_to(_FAR - order, items.shape)
    is_open = items >= 0
    trial_open = None if trials is None else trials >= 0
    for on_top in () if pinned is None else pinned.T:
        is_open &= items != on_top[:, None]
        if trial_open is not None:
            trial_open &= trials != on_top[:, None]
    most_alike = np.zeros((n_rows, min(HEAD, items.shape[1])))
    result, row = Lists.empty(n_rows, k), np.arange(n_rows)
    for place in range(k):
        value = np.where(is_scored, (1.0 - spread.diversity) * relevance, behind)
        if like is not None:
            head = value[:, :HEAD]
            head -= np.where(is_scored[:, :HEAD], spread.diversity * most_alike, 0.0)
        value[~is_open] = -np.inf
        column = value.argmax(axis=1)
        found = is_open[row, column]
        chosen = np.where(found, items[row, column], -1)
        score = np.where(found, lists.score[row, column], -np.inf)
        code = np.where(found, lists.source[row, column], -1)
        if trials is not None and is_trial is not None and trial_open is not None:
            column = trial_open.argmax(axis=1)
            tried = is_trial[:, place] & trial_open[row, column]
            chosen = np.where(tried, trials[row, column], chosen)
            score, code = np.where(tried, 0.0, score), np.where(tried, source, code)
            trial_open &= trials != chosen[:, None]
        result.item_index[:, place], result.score[:, place], result.source[:, place] = chosen, score, code
        is_open &= items != chosen[:, None]
        if spread.max_per_category is not None:
            assert of_item is not None  # it was checked
            category = of_item[chosen]
            n_held = np.count_nonzero(of_item[result.item_index[:, : place + 1]] == category[:, None], axis=1)
            full = np.where((category >= 0) & (n_held >= spread.max_per_category), category, -2)[:, None]
            is_open &= of_item[items] != full
            if trials is not None and trial_open is not None:
                trial_open &= of_item[trials] != full
        if like is not None:
            np.maximum(most_alike, like.to(chosen), out=most_alike)
        if not (is_open.any() or (trial_open is not None and trial_open.any())):
            break
    return result


def _relevance(lists: Lists) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as shares of the best of each list, and which items of the head have one above 0."""
    score = lists.score.astype(np.float64)
    is_scored = score > 0
    is_scored[:, HEAD:] = False
    best = np.where(is_scored, score, 0.0).max(axis=1, initial=0.0)[:, None]
    return np.divide(score, best, out=np.zeros(score.shape), where=is_scored), is_scored


class _Likeness:
    """How alike an item of each row is to the head of its list, in [0, 1].

    With categories 1 for the same one, else 0. Else by the weights of a model, as a share of what the item
    has for its nearest neighbour; or, of factors, by their cosine where it is above 0.
    """

    def __init__(self, learned: Learned, head: np.ndarray) -> None:
        self.head, self.codes = head, learned.categories
        model = None if self.codes is not None else like_model(learned.models)
        self.weights = model.item_weights_ if isinstance(model, LinearModel) else None
        self.vectors = None
        if isinstance(model, FactorModel):
            self.vectors = model._directions()

    def to(self, chosen: np.ndarray) -> np.ndarray:
        """Return the likeness of one item a row, -1 for none, to each of the head; shape of the head."""
        if self.codes is not None:
            of_item = np.append(self.codes, -1)
            own = of_item[chosen][:, None]
            return np.asarray((of_item[self.head] == own) & (own >= 0), np.float64)
        known = np.flatnonzero(chosen >= 0)
        found = np.zeros(self.head.shape)
        if self.vectors is not None:
            own, others = _unit(self.vectors[chosen[known]]), _unit(self.vectors[self.head[known]])
            found[known] = np.einsum("rj,rij->ri", own, others)
        elif self.weights is not None and len(known):
            indptr = np.arange(len(known) + 1)
            ones = np.ones(len(known), np.float32)
            shape = (len(known), self.weights.shape[0])
            one = Rows(indptr, chosen[known].astype(np.int32), ones, shape)
            found[known] = score_pairs(one, self.weights, self.head[known])
            found[known] /= np.maximum(self._largest(chosen[known]), np.finfo(np.float32).tiny)[:, None]
        found[self.head < 0] = 0.0
        return np.asarray(np.clip(found, 0.0, 1.0))

    def _largest(self, index: np.ndarray) -> np.ndarray:
        """Return the largest weight of each of some rows, 0 where there is none."""
        assert self.weights is not None
        indptr = np.asarray(self.weights.indptr)
        start, stop = indptr[index], indptr[index + 1]
        largest = np.zeros(len(index))
        some = np.flatnonzero(stop > start)
        if len(some):
            lengths = stop[some] - start[some]
            values = np.asarray(self.weights.data)[gather(start[some], lengths)]
            largest[some] = np.maximum.reduceat(values, np.append(0, np.cumsum(lengths))[:-1])
        return largest


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, float64; of zeros where one has no length."""
    wide = vectors.astype(np.float64)
    length = np.sqrt(np.einsum("...j,...j->...", wide, wide))[..., None]
    return np.asarray(np.divide(wide, length, out=np.zeros(wide.shape), where=length > 0))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
