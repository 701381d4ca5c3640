"""SessionKNN: an item is suggested because histories like yours held it, near to what you met last."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.models.base import Contributions, Model
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.models.interest import check_interest
from engagelib.models.visits import Visits, rarity_of, visits_of
from engagelib.scoring import ItemWeights, Rows, TopK, score_pairs, score_topk
from engagelib.scoring.neighbours import Placed, near_items, near_parts
from engagelib.segments import offsets_of
from engagelib.times import DAY

# How these defaults were found stands in docs/decisions/0014-sequences.md.
_AUTO_DAYS: Final = 60.0
_AUTO_GAP_DAYS: Final = 1.0 / 48.0  # half an hour

_VISITS_HALVED: Final = 0.5
"""Share of the anonymous visits after which one counts half, where only their numbers tell their age."""

_LIKENESS_RARITY, _SPOKEN_RARITY = 2.0, 0.5
"""Powers of an item's rarity: in the likeness of histories, and in what they speak for."""

_ROUNDING: Final = np.uint32(1 << 10)
"""Half of the last bit that confidences keep: sums that differ by rounding are one, and rank alike."""


class SessionKNN(Model):
    """Histories as neighbours: what the `n_nearest` histories most like yours held.

    Stored are anonymous visits and the histories of customers alike, these in parts. One is like a
    history by the items that both hold: those count by how lately the history met them, and by the square of
    their rarity. It then speaks for what it holds, the more the nearer that stands to the item that both
    hold and that counts most in the history, as a rule the latest. An item of the history itself is scored
    like any other.

    Parameters
    ----------
    n_nearest
        Stored histories that speak, at least 1.
    n_sampled
        The newest stored histories of an item that are looked at, at least 1: the cost of a popular item.
    max_length
        Events of a stored history that are kept, its newest, at least 2.
    max_query
        Items of a history that are looked up, those that count most, at least 1.
    reach
        Moments away from the common item, after the first, over which what stands there comes to count half;
        above 0.
    before
        What an item that stands before the common item counts, at least 0; one after it counts 1.
    itself
        What the common item itself counts, at least 0; those of its moment count as much.
    gap_days
        A history is stored in parts, which end where so many days pass to the next event, above 0. "auto" is
        half an hour where the log has timestamps; None, as elsewhere, stores histories whole.
    half_life_steps
        Steps back in a history after which an event counts half when scoring; None for no such decay.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the log
        has timestamps. Elsewhere it makes anonymous visits count half after the newer half of them, if the
        ids of sessions are integers: these are taken to grow with time. None is no decay.
    event_weights
        Confidence by event type in the likeness of histories; None for the defaults in `engagelib.weights`.
    to_event_weights
        The same in what stored histories speak for; None for the same as `event_weights`.

    Attributes
    ----------
    stored_
        Items of each stored history in their order, older histories first.
    postings_
        The stored histories of each item, older ones first.

    References
    ----------
    M. Ludewig and D. Jannach, "Evaluation of Session-based Recommendation Algorithms", UMUAI 2018.
    D. Garg et al., "Sequence and Time Aware Neighborhood for Session-based Recommendations", SIGIR 2019.
    """

    name: ClassVar[str] = "session_knn"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        n_nearest: int = 200,
        *,
        n_sampled: int = 500,
        max_length: int = 50,
        max_query: int = 10,
        reach: float = 3.0,
        before: float = 0.5,
        itself: float = 1.5,
        gap_days: HalfLife = "auto",
        half_life_steps: float | None = 1.5,
        half_life_days: HalfLife = "auto",
        event_weights: Mapping[str, float] | None = None,
        to_event_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.n_nearest = n_nearest
        self.n_sampled = n_sampled
        self.max_length = max_length
        self.max_query = max_query
        self.reach = reach
        self.before = before
        self.itself = itself
        self.gap_days: HalfLife = gap_days
        self.half_life_steps = half_life_steps
        self.half_life_days: HalfLife = half_life_days
        self.event_weights = event_weights
        self.to_event_weights = to_event_weights

    def fit(self, histories: Histories) -> Self:
        """Store the histories, and of each item those that hold it.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If the log has no order; if `half_life_days` is a number and the log has no timestamps; if no
            event type of the log counts.
        """
        self._check_settings(histories)
        for event_weights in (self.event_weights, self.to_event_weights):
            check_interest(histories, event_weights)
        gap = resolve_half_life(self.gap_days, histories, _AUTO_GAP_DAYS)
        apart = None if gap is None else int(gap * DAY)
        visits = visits_of(histories, self.event_weights, self.to_event_weights, self.max_length, apart)
        n_items, n_stored = histories.n_items, len(visits.row_of)
        rarity = rarity_of(visits.item, n_items, n_stored)[visits.item]
        value = visits.to_weight * rarity**_SPOKEN_RARITY
        indptr = offsets_of(visits.history, n_stored)
        self.stored_ = Placed(indptr, visits.item, visits.place, value.astype(np.float32))
        likeness = visits.weight * rarity**_LIKENESS_RARITY * self._freshness(visits, histories)
        self.postings_ = _postings(visits, likeness, n_items, self.n_sampled)
        self._ready()
        return self

    def score_topk(
        self,
        block: Histories,
        k: int,
        *,
        at: int | None = None,
        exclude: Any = None,
        available: np.ndarray | None = None,
    ) -> TopK:
        """List the k best items for each history; see `Model.score_topk`. Only scores above 0 are listed."""
        self._check_fitted("stored_")
        return score_topk(self._scores(block, at), self._each, k, exclude=exclude, available=available)

    def score_pairs(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Score given items for each history; see `Model.score_pairs`."""
        self._check_fitted("stored_")
        return score_pairs(self._scores(block, at), self._each, item_index)

    def contributions(
        self, block: Histories, item_index: np.ndarray, *, at: int | None = None
    ) -> Contributions:
        """Share the scores out among the items of the history, by their part in the likeness."""
        self._check_fitted("stored_")
        x = self._query(block, at)
        parts = near_parts(x, self.postings_, self.stored_, self._closeness, self.n_nearest, item_index)
        entry, listed = np.nonzero(parts)
        return Contributions(listed, x.indices[entry], parts[entry, listed])

    def similar_topk(self, item_index: int, k: int, *, available: np.ndarray | None = None) -> TopK:
        """List the items that a history of this one item would be shown."""
        self._check_fitted("stored_")
        shape = (1, self._each.shape[0])
        one = Rows(np.array([0, 1]), np.array([item_index], np.int32), np.ones(1, np.float32), shape)
        found = near_items(one, self.postings_, self.stored_, self._closeness, self.n_nearest)
        return score_topk(found, self._each, k, exclude=one, available=available)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the stored histories and the postings, four arrays each."""
        self._check_fitted("stored_")
        held = {"stored": self.stored_, "postings": self.postings_}
        return {f"{name}_{part}": getattr(one, part) for name, one in held.items() for part in Placed._fields}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], params: Mapping[str, Any]) -> Self:
        """Take back a fitted model; altered arrays raise an error, never more."""
        model = cls(**params)
        model.stored_, model.postings_ = (
            Placed(*(arrays[f"{name}_{part}"] for part in Placed._fields)) for name in ("stored", "postings")
        )
        model._ready()
        return model

    def _ready(self) -> None:
        """Make what is the same for all calls: the closeness of places, and weights that change no score."""
        away = np.maximum(np.arange(self.max_length) - 1, 0)
        ahead = np.exp2(-away / self.reach)
        ahead[0] = self.itself
        self._closeness = np.concatenate([self.before * ahead[:0:-1], ahead])
        n_items = len(self.postings_.indptr) - 1
        index = np.arange(n_items + 1)
        each = Rows(index, index[:-1], np.ones(n_items, np.float32), (n_items, n_items))
        self._each = ItemWeights(each)

    def _freshness(self, visits: Visits, histories: Histories) -> np.ndarray:
        """Say of each cell what its age leaves of it, in (0, 1]."""
        half_life = resolve_half_life(self.half_life_days, histories, _AUTO_DAYS)
        if half_life is not None and histories.newest is not None:
            return np.asarray(np.exp2(-np.maximum(histories.newest - visits.time, 0) / (half_life * DAY)))
        fresh = np.ones(len(visits.row_of))
        sessions = histories.tables.get("session")
        if self.half_life_days == "auto" and sessions is not None and sessions.kind == "int":
            anonymous = np.flatnonzero(visits.row_of >= histories.n_customers)
            behind = np.arange(len(anonymous))[::-1]
            fresh[anonymous] = np.exp2(-behind / max(_VISITS_HALVED * len(anonymous), 1.0))
        return np.asarray(fresh[visits.history])

    def _query(self, block: Histories, at: int | None) -> Rows:
        """Draw the items of each history that count most."""
        expected = len(self.postings_.indptr) - 1
        if block.n_items != expected:
            raise errors.models.other_catalogue("SessionKNN", block.n_items, expected)
        x = block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=self.half_life_steps,
            at=at,
        )
        rounded = (x.data.view(np.uint32) + _ROUNDING) & ~(2 * _ROUNDING - np.uint32(1))
        x = x._replace(data=rounded.view(np.float32))
        lengths = np.diff(x.indptr)
        if lengths.max(initial=0) <= self.max_query:
            return x
        row = np.repeat(np.arange(x.shape[0]), lengths)
        order = np.lexsort((-x.data, row))
        rank = np.arange(x.nnz) - x.indptr[row]
        kept = np.sort(order[rank < self.max_query])
        return Rows(offsets_of(row[kept], x.shape[0]), x.indices[kept], x.data[kept], x.shape)

    def _scores(self, block: Histories, at: int | None) -> Rows:
        x = self._query(block, at)
        return near_items(x, self.postings_, self.stored_, self._closeness, self.n_nearest)

    def _check_settings(self, histories: Histories) -> None:
        for name, least in (("n_nearest", 1), ("n_sampled", 1), ("max_length", 2), ("max_query", 1)):
            value = getattr(self, name)
            is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not is_whole or value < least:
                raise errors.bad_argument(name, value, f"an integer of at least {least}")
        if not as_number(self.reach) > 0:
            raise errors.bad_argument("reach", self.reach, "a number above 0")
        for name in ("before", "itself"):
            if not 0 <= as_number(getattr(self, name)) < np.inf:
                raise errors.bad_argument(name, getattr(self, name), "a number of at least 0")
        if self.half_life_steps is not None and not as_number(self.half_life_steps) > 0:
            expected = "a number above 0, or None for no decay"
            raise errors.bad_argument("half_life_steps", self.half_life_steps, expected)
        check_half_life(self.half_life_days)
        check_half_life(self.gap_days, "gap_days")
        if histories.time_kind == "set":
            raise errors.log.needs_order("session_knn")
        for name in ("half_life_days", "gap_days"):
            if isinstance(getattr(self, name), int | float) and histories.time_kind != "timestamp":
                raise errors.log.needs_time(name, histories.time_kind)


def _postings(visits: Visits, likeness: np.ndarray, n_items: int, n_sampled: int) -> Placed:
    """List the newest stored histories of each item, older ones first."""
    order = np.argsort(visits.item, kind="stable")
    item = visits.item[order]
    ends = np.searchsorted(item, item, side="right")
    kept = order[ends - np.arange(len(item)) <= n_sampled]
    return Placed(
        offsets_of(visits.item[kept], n_items),
        visits.history[kept].astype(np.int32),
        visits.place[kept],
        likeness[kept].astype(np.float32),
    )
