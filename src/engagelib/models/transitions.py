"""Transitions: an item is suggested because it tends to come soon after what you met last."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number, heaviest_of, weights_of
from engagelib.drawing import check_unaltered, shares_left
from engagelib.histories import Histories
from engagelib.models.base import LinearModel
from engagelib.models.decay import HalfLife, check_half_life, resolve_half_life
from engagelib.models.interest import check_interest
from engagelib.scoring import ItemWeights, Rows, score_topk
from engagelib.segments import gather
from engagelib.times import DAY

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# How these defaults were found stands in docs/decisions/0014-sequences.md.
_AUTO_DAYS: Final = 60.0
_AUTO_GAP_DAYS: Final = 1.0

_MOST_AT_ONCE: Final = 20
"""Events of one moment that are paired with others: a basket of thousands would be paired with thousands."""

_MOST_LATER: Final = 20
"""Later events after which no further moment is looked at: what comes after many others says little."""

_PAIRS_AT_ONCE: Final = 1 << 22
_ROWS_SORTED: Final = 1024

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


class Transitions(LinearModel):
    """Directed weights from an item to those that came after it, in whatever history, soon counting most.

    Each event of a history is paired with the events of the next `max_gap` moments. A pair counts the weight
    of both events, half as much with every `gap_half_life` moments between them, and less the more days went
    by. What is summed up from one item to another, and a share of what is summed up the other way, is divided
    by powers of how much goes out from the one and comes in at the other.

    Parameters
    ----------
    n_neighbours
        Items kept for each item, at least 1.
    max_gap
        Moments ahead that an event is paired with, at least 1; no further than the moment with the 20th later
        event. Events of one moment have no order, and are not paired.
    gap_half_life
        Moments after which a pair counts half, above 0; None for no such decay.
    gap_half_life_days
        The same in days between the two events. "auto" is 1 day where the log has timestamps, and no decay
        elsewhere.
    from_power, to_power
        Powers in [0, 1] of the weight that goes out from an item and comes in at one: 0 favours popular
        items, 1 rare ones.
    backward
        What a pair counts from the later item to the earlier one, in [0, 1].
    repeats
        Whether an item is paired with itself, so that what was met before may be listed again, as clicks
        often lead back. Otherwise moments in a row that hold one and the same item alone are one.
    half_life_steps
        Steps back in a history after which an event counts half when scoring; None for no such decay.
    half_life_days
        Age after which an event counts half, when learning and when scoring. "auto" is 60 days where the
        log has timestamps, and no decay elsewhere; None is no decay.
    event_weights
        Confidence by event type of what a history holds, and of the earlier event of a pair; None for the
        defaults in `engagelib.weights`.
    to_event_weights
        The same of the later event of a pair; None for the same as `event_weights`. With
        `{"purchase": 1.0}` only what leads to purchases is learned, and what purchases lead back to.

    Attributes
    ----------
    item_weights_
        Weights `[from, to]`, 1 as the largest; the diagonal is empty without `repeats`.
    """

    name: ClassVar[str] = "transitions"
    counted: ClassVar[bool] = True

    def __init__(
        self,
        n_neighbours: int = 100,
        *,
        max_gap: int = 5,
        gap_half_life: float | None = 2.0,
        gap_half_life_days: HalfLife = "auto",
        from_power: float = 0.5,
        to_power: float = 0.0,
        backward: float = 0.3,
        repeats: bool = False,
        half_life_steps: float | None = 2.0,
        half_life_days: HalfLife = "auto",
        event_weights: Mapping[str, float] | None = None,
        to_event_weights: Mapping[str, float] | None = None,
    ) -> None:
        self.n_neighbours = n_neighbours
        self.max_gap = max_gap
        self.gap_half_life = gap_half_life
        self.gap_half_life_days: HalfLife = gap_half_life_days
        self.from_power = from_power
        self.to_power = to_power
        self.backward = backward
        self.repeats = repeats
        self.half_life_steps = half_life_steps
        self.half_life_days: HalfLife = half_life_days
        self.event_weights = event_weights
        self.to_event_weights = to_event_weights

    def fit(self, histories: Histories) -> Self:
        """Count what came after what, in time that grows with the events times `max_gap`.

        Raises
        ------
        ArgumentError
            If a setting is outside its range.
        NotEnoughDataError
            If the log has no order; if a half-life in days is a number and the log has no timestamps; if no
            event type of the log counts.
        """
        self._check_settings(histories)
        for event_weights in (self.event_weights, self.to_event_weights):
            check_interest(histories, event_weights)
        counts = self._count(histories)
        if self.backward:
            counts = (counts + self.backward * counts.T).tocsr()
        outgoing = np.asarray(counts.sum(axis=1)).ravel()
        incoming = np.asarray(counts.sum(axis=0)).ravel()
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
        likeness = counts.data / (
            outgoing[row] ** self.from_power * incoming[counts.indices] ** self.to_power
        )
        likeness = (likeness / max(likeness.max(initial=0.0), np.finfo(float).tiny)).astype(np.float32)
        weights = Rows(counts.indptr, counts.indices, likeness, counts.shape)
        self.item_weights_ = ItemWeights(_pruned(weights, self.n_neighbours))
        return self

    def inputs(self, block: Histories, *, at: int | None = None) -> Rows:
        """Draw the confidences of each history, its newest events counting most."""
        return block.interest(
            event_weights=self.event_weights,
            half_life_days=resolve_half_life(self.half_life_days, block, _AUTO_DAYS),
            half_life_steps=self.half_life_steps,
            at=at,
        )

    def _count(self, histories: Histories) -> "csr_array":
        """Sum the weights of all pairs, float64, shape (n_items, n_items), without zeros."""
        from scipy.sparse import csr_array

        n_items = histories.n_items
        counts = csr_array((n_items, n_items), dtype=np.float64)
        events = _events_that_count(self, histories)
        days = resolve_half_life(self.gap_half_life_days, histories, _AUTO_GAP_DAYS)
        for gap in range(1, self.max_gap + 1):
            decay = 1.0 if self.gap_half_life is None else 0.5 ** ((gap - 1) / self.gap_half_life)
            for earlier, later in _pairs(events, gap):
                weight = events.weight[earlier] * events.to_weight[later] * decay
                if days is not None:
                    apart = (events.time[later] - events.time[earlier]) / DAY
                    weight *= np.exp2(-apart / days)
                kept = weight > 0
                if not self.repeats:
                    kept &= events.item[earlier] != events.item[later]
                cells = (events.item[earlier[kept]], events.item[later[kept]])
                counts += csr_array((weight[kept], cells), shape=counts.shape)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        return counts

    def _check_settings(self, histories: Histories) -> None:
        for name in ("n_neighbours", "max_gap"):
            value = getattr(self, name)
            is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not is_whole or value < 1:
                raise errors.bad_argument(name, value, "an integer of at least 1")
        for name in ("from_power", "to_power", "backward"):
            if not 0 <= as_number(getattr(self, name)) <= 1:
                raise errors.bad_argument(name, getattr(self, name), "a number in [0, 1]")
        for name in ("gap_half_life", "half_life_steps"):
            value = getattr(self, name)
            if value is not None and not as_number(value) > 0:
                raise errors.bad_argument(name, value, "a number above 0, or None for no decay")
        check_half_life(self.half_life_days)
        check_half_life(self.gap_half_life_days, "gap_half_life_days")
        if histories.time_kind == "set":
            raise errors.log.needs_order("transitions")
        for name in ("half_life_days", "gap_half_life_days"):
            if isinstance(getattr(self, name), int | float) and histories.time_kind != "timestamp":
                raise errors.log.needs_time(name, histories.time_kind)


class _Events(NamedTuple):
    """The events that are paired, oldest first in each history, and the moments that they make up.

    `moment` numbers the moments through all histories; those of one lie at `starts[m]:starts[m + 1]` of the
    other arrays, and are of the history `row_of[m]`.
    """

    item: np.ndarray
    time: np.ndarray
    weight: np.ndarray
    to_weight: np.ndarray
    moment: np.ndarray
    starts: np.ndarray
    row_of: np.ndarray


def _events_that_count(model: Transitions, histories: Histories) -> _Events:
    """Weigh the events, and put those together that stand at one place of a history."""
    check_unaltered(histories)
    time = histories.time
    assert time is not None
    to_weights = model.event_weights if model.to_event_weights is None else model.to_event_weights
    shares = shares_left(histories, None)
    left = np.ones(histories.n_events) if shares is None else shares.astype(np.float64)
    half_life = resolve_half_life(model.half_life_days, histories, _AUTO_DAYS)
    if half_life is not None and histories.newest is not None:
        left *= np.exp2(-np.maximum(histories.newest - time, 0) / (half_life * DAY))
    # A pair ages once.
    weight, to_weight = (
        weights_of(histories.event_types, given)[histories.event_type] / heaviest_of(given) * part
        for given, part in ((model.event_weights, left), (to_weights, left > 0))
    )
    kept = np.flatnonzero((histories.item_index >= 0) & (np.maximum(weight, to_weight) > 0) & (left > 0))
    row, item = histories.rows()[kept], histories.item_index[kept]
    moment = _moments(row, time[kept])
    fewer = _fewer_at_once(moment, item)
    kept, row, item, moment = kept[fewer], row[fewer], item[fewer], moment[fewer]
    if not model.repeats:
        moment = _joined(row, item, moment)
    n_moments = int(moment[-1]) + 1 if len(moment) else 0
    starts = np.searchsorted(moment, np.arange(n_moments + 1))
    return _Events(item, time[kept], weight[kept], to_weight[kept], moment, starts, row[starts[:-1]])


def _moments(row: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Number the distinct moments through all histories."""
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (time[1:] != time[:-1])
    return np.cumsum(new) - 1


def _fewer_at_once(moment: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Say which events stay where a moment has too many: a choice that does not know their order."""
    sizes = np.bincount(moment)
    if not len(sizes) or sizes.max() <= _MOST_AT_ONCE:
        return np.arange(len(moment))
    mixed = (item.astype(np.uint64) + np.uint64(1)) * _MIX
    order = np.lexsort((mixed, moment))
    first = np.cumsum(sizes) - sizes
    place = np.arange(len(moment)) - first[moment[order]]
    return np.sort(order[place < _MOST_AT_ONCE])


def _joined(row: np.ndarray, item: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Make one moment of those in a row that hold one and the same item, and number them anew."""
    sizes = np.bincount(moment)
    alone = sizes[moment] == 1 if len(sizes) else np.zeros(0, bool)
    new = np.ones(len(row), bool)
    again = (item[1:] == item[:-1]) & alone[1:] & alone[:-1] & (row[1:] == row[:-1])
    new[1:] = (moment[1:] != moment[:-1]) & ~again
    return np.cumsum(new) - 1


def _pairs(events: _Events, gap: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the pairs of events `gap` moments apart, in parts."""
    target = events.moment + gap
    within = target < len(events.row_of)
    within[within] = events.row_of[target[within]] == events.row_of[events.moment[within]]
    within[within] = events.starts[target[within]] - events.starts[events.moment[within] + 1] < _MOST_LATER
    earlier = np.flatnonzero(within)
    starts = events.starts[target[earlier]]
    lengths = events.starts[target[earlier] + 1] - starts
    ends = np.cumsum(lengths)
    first = 0
    while first < len(earlier):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")), first + 1)
        part = slice(first, last)
        yield np.repeat(earlier[part], lengths[part]), gather(starts[part], lengths[part])
        first = last


def _pruned(weights: Rows, n_neighbours: int) -> Rows:
    """Keep the highest weights of each row, ties to the lower index, in the order of their index."""
    n_items = weights.shape[0]
    most = min(n_neighbours, int(np.diff(weights.indptr).max(initial=1)))
    index = np.arange(n_items + 1)
    each = Rows(index, index[:-1], np.ones(n_items, np.float32), (n_items, n_items))
    found = score_topk(each, ItemWeights(weights), max(most, 1))
    starts = np.concatenate([[0], np.cumsum(found.counts)])
    columns, values = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.float32)
    for first in range(0, n_items, _ROWS_SORTED):
        items = found.item_index[first : first + _ROWS_SORTED]
        scores = found.score[first : first + _ROWS_SORTED]
        order = np.argsort(items, axis=1)  # what pads a row comes first
        items, scores = np.take_along_axis(items, order, 1), np.take_along_axis(scores, order, 1)
        part = slice(starts[first], starts[first + len(items)])
        columns[part], values[part] = items[items >= 0], scores[items >= 0]
    return Rows(starts, columns, values, weights.shape)
