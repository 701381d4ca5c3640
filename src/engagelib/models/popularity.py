"""Popularity: what everyone meets most of late, the same list for all; by location where asked."""

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from engagelib.histories import Histories
from engagelib.models.base import Model
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.models.interest import check_interest
from engagelib.scoring import Ranking, Rows, TopK, ranking_topk
from engagelib.scoring._checks import framed_rows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_AUTO_DAYS: Final = 30.0


class Popularity(Model):
    """Items by the confidence of all events on them, recent events counting most.

    Parameters
    ----------
    half_life_days
        Age after which an event counts half. "auto" is 30 days where the log has timestamps, and no decay
        elsewhere; None is no decay.
    event_weights
        Confidence by event type; None for the defaults in `engagelib.weights`.
    by_location
        Learn a ranking for each location of the log too, for `ranking(location)` and `for_location`.

    Attributes
    ----------
    scores_
        float32, shape (n_items,): the sum of confidences, at least 0.
    ranking_
        Item indices by falling score, ties to the lower index; int32, shape (n_items,).
    """

    name: ClassVar[str] = "popularity"
    reason_kind: ClassVar[str] = "popular"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        *,
        half_life_days: HalfLife = "auto",
        event_weights: Mapping[str, float] | None = None,
        by_location: bool = False,
    ) -> None:
        self.half_life_days: HalfLife = half_life_days
        self.event_weights = event_weights
        self.by_location = by_location

    def fit(self, histories: Histories) -> Self:
        """Sum the confidence of events item by item.

        Raises
        ------
        ArgumentError
            If the half-life is not above 0.
        NotEnoughDataError
            If the log has no timestamps for a half-life in days, or no locations for `by_location`; if no
            event type of the log counts.
        """
        check_half_life(self.half_life_days)
        check_interest(histories, self.event_weights)
        half_life = resolve_half_life(self.half_life_days, histories, _AUTO_DAYS)
        met = histories.matrix(event_weights=self.event_weights, half_life_days=half_life)
        self.scores_ = np.bincount(met.indices, met.data, minlength=histories.n_items).astype(np.float32)
        self.ranking_ = _rank(self.scores_)
        self._local_sums: Rows | None = None
        if self.by_location:
            here = histories.matrix(event_weights=self.event_weights, half_life_days=half_life, by="location")
            self._local_sums = Rows.from_matrix(here)
        return self

    @property
    def local_scores_(self) -> "csr_array | None":
        """The same sums by location, sparse of shape (n_locations, n_items); None without `by_location`."""
        return None if self._local_sums is None else self._local_sums.to_matrix()

    def ranking(self, location: int | None = None) -> np.ndarray:
        """Return all items, most popular first, int32 of shape (n_items,).

        Parameters
        ----------
        location
            Code of a location: its own sums rank first, and items that it never met follow in the order of
            the whole shop. None is the whole shop.
        """
        self._check_fitted("scores_")
        if location is None or self._local_sums is None:
            return self.ranking_
        items, scores = self._local(location)
        is_local = np.zeros(len(self.scores_), bool)
        is_local[items] = True
        here = self.ranking_[is_local[self.ranking_]]
        local = scores[np.searchsorted(items, here)]
        return self._before_others(here[np.argsort(-local, kind="stable")], is_local)

    def for_location(self, location: int | None) -> "Popularity":
        """Return a view whose scores are the sums of one location, 0 for items that it never met.

        None, or a model that was learned without `by_location`, is the whole shop.
        """
        self._check_fitted("scores_")
        if location is None or self._local_sums is None:
            return self
        items, scores = self._local(location)
        view = copy(self)
        view.scores_ = np.zeros(len(self.scores_), np.float32)
        view.scores_[items] = scores
        view.ranking_ = self._before_others(items[_rank(scores)], view.scores_ > 0)
        view._local_sums = None
        return view

    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: "Rows | csr_array | None" = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the most popular items that each row does not exclude; items never met are not listed."""
        self._check_fitted("scores_")
        known = Ranking.from_array(self.ranking_[: np.count_nonzero(self.scores_)], len(self.scores_))
        item_index = ranking_topk(known, block.n_histories, k, exclude=exclude, available=available)
        return TopK(item_index, self._scores_of(item_index, np.float32(-np.inf)))

    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Return the popularity of given items; it does not depend on the history."""
        self._check_fitted("scores_")
        return self._scores_of(item_index, np.float32(0.0))

    def _local(self, location: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the items that a location met, by index, and their scores."""
        assert self._local_sums is not None  # the callers have looked
        start, stop = self._local_sums.indptr[location : location + 2]
        return self._local_sums.indices[start:stop], self._local_sums.data[start:stop]

    def _before_others(self, items: np.ndarray, is_local: np.ndarray) -> np.ndarray:
        """Put a location's few items, in order, before the others of the shop: nothing else is sorted."""
        return np.append(items, self.ranking_[~is_local[self.ranking_]]).astype(np.int32)

    def _scores_of(self, item_index: np.ndarray, padding: np.float32) -> np.ndarray:
        scores = np.full(item_index.shape, padding)
        is_item = item_index >= 0
        scores[is_item] = self.scores_[item_index[is_item]]
        return scores

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return scores and ranking, and the sums by location as a CSR matrix."""
        self._check_fitted("scores_")
        arrays = {"scores": self.scores_, "ranking": self.ranking_}
        if (local := self._local_sums) is not None:
            arrays |= {"local_indptr": local.indptr, "local_indices": local.indices, "local_data": local.data}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model."""
        model = cls(**params)
        model.scores_, model.ranking_ = arrays["scores"], arrays["ranking"]
        model._local_sums = None
        if "local_data" in arrays:
            indptr, indices = arrays["local_indptr"], arrays["local_indices"]
            shape = (len(indptr) - 1, len(model.scores_))
            model._local_sums = framed_rows(Rows(indptr, indices, arrays["local_data"], shape), "local", "")
        return model


def _rank(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, kind="stable").astype(np.int32)
