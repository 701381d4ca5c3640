"""Repurchase: what a history says of when its customer buys an item again, as features for a second stage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np

from engagelib.drawing import seen_types
from engagelib.histories import Histories
from engagelib.segments import offsets_of
from engagelib.times import DAY

FEATURES: Final = (
    "times_bought",
    "share_of_occasions",
    "share_since_first",
    "recent_share",
    "occasions_since_last",
    "occasions_since_first",
    "due_by_occasions",
    "days_since_last",
    "days_since_first",
    "due_by_days",
    "bought_in_last_1",
    "bought_in_last_3",
    "bought_in_last_5",
    "times_met",
    "met_since_bought",
    "n_occasions",
    "n_items_bought",
    "mean_basket",
    "repeat_ratio",
    "days_quiet",
    "buyers",
    "item_repeat_share",
    "item_interval_occasions",
    "item_interval_days",
)
"""What `Repurchase.features` gives, in its order."""

_STRENGTH: Final = 10.0
"""Buyers, or gaps, that the shop's mean counts for in that of an item."""

_RECENT: Final = 5.0
"""Half-life of `recent_share` in occasions."""


@dataclass(frozen=True, eq=False)
class Repurchase:
    """How often, and after how long, each item is bought again: what features compare a customer to.

    Attributes
    ----------
    buyers
        Histories that bought each item, float32, shape (n_items,).
    repeat_share
        Share of them that bought it on more than one occasion, shrunk towards the shop's, float32.
    interval_occasions, interval_days
        Mean gap between two purchases of an item by one customer, in occasions and in days, shrunk towards
        the shop's, float32; days are 0 where the log has no timestamps.
    """

    buyers: np.ndarray
    repeat_share: np.ndarray
    interval_occasions: np.ndarray
    interval_days: np.ndarray

    @classmethod
    def from_histories(cls, histories: Histories) -> Self:
        """Count purchases of all histories; see the attributes for what is learned."""
        cells, n_items = _cells(histories, None), histories.n_items
        item = cells.key % max(n_items, 1)
        buyers = np.bincount(item, minlength=n_items)
        again = np.bincount(item[cells.times > 1], minlength=n_items)
        gaps = np.bincount(item, cells.times - 1, minlength=n_items)
        steps = np.bincount(item, cells.last - cells.first, minlength=n_items)
        days = np.bincount(item, cells.last_day - cells.first_day, minlength=n_items)
        return cls(
            buyers.astype(np.float32),
            _shrunk(again, buyers),
            _shrunk(steps, gaps),
            _shrunk(days, gaps),
        )

    def features(self, block: Histories, item_index: np.ndarray, *, at: int | None = None) -> np.ndarray:
        """Describe given items for each history.

        An occasion is a day (in UTC) on which something was bought, or a position; a set is one occasion.
        Purchases that were returned in full do not count. In a log with one event type on items that type
        counts as a purchase. Days and occasions are counted back from the history's newest occasion; only
        `days_quiet` looks from there to `at`.

        Parameters
        ----------
        block
            Histories over the items that this was learned from.
        item_index
            Items for each history, shape (n_histories, m), -1 for padding.
        at
            As for `Model.score_topk`.

        Returns
        -------
        float32, shape (n_histories, m, len(FEATURES)), in the order of `FEATURES`; 0 for padding. Where an
        item was never bought, features of the last and the first purchase are -1, and `due_*` too.
        """
        cells = _cells(block, at)
        wanted = np.asarray(item_index, np.int64)
        row = np.arange(block.n_histories)[:, None]
        key = row * np.int64(block.n_items) + wanted
        place = np.minimum(np.searchsorted(cells.key, key), max(len(cells.key) - 1, 0))
        is_item = wanted >= 0
        known = np.zeros(wanted.shape, bool)
        if len(cells.key):
            known = (cells.key[place] == key) & is_item
        item = np.maximum(wanted, 0)
        out = np.zeros((*wanted.shape, len(FEATURES)), np.float32)

        def of_cell(values: np.ndarray, missing: float) -> np.ndarray:
            if not len(values):
                return np.full(wanted.shape, missing)
            return np.where(known, values[place].astype(np.float64), missing)

        n_occasions = cells.n_occasions[:, None].astype(np.float64)
        times = of_cell(cells.times, 0.0)
        since_last = np.where(known, n_occasions - 1 - of_cell(cells.last, 0.0), -1.0)
        since_first = np.where(known, n_occasions - 1 - of_cell(cells.first, 0.0), -1.0)
        newest_day = cells.newest_day[:, None].astype(np.float64)
        days_last = np.where(known, newest_day - of_cell(cells.last_day, 0.0), -1.0)
        days_first = np.where(known, newest_day - of_cell(cells.first_day, 0.0), -1.0)
        columns = {
            "times_bought": times,
            "share_of_occasions": times / np.maximum(n_occasions, 1.0),
            "share_since_first": times / np.maximum(since_first + 1.0, 1.0),
            "recent_share": of_cell(cells.recent, 0.0),
            "occasions_since_last": since_last,
            "occasions_since_first": since_first,
            "due_by_occasions": self._due(
                since_last, times, since_first - since_last, self.interval_occasions[item], known
            ),
            "days_since_last": days_last,
            "days_since_first": days_first,
            "due_by_days": self._due(
                days_last, times, days_first - days_last, self.interval_days[item], known
            ),
            **{f"bought_in_last_{n}": known & (since_last < n) for n in (1, 3, 5)},
            **_met(block, wanted, at, of_cell(cells.last_time, 0.0), known),
            "n_occasions": n_occasions,
            "n_items_bought": cells.n_items[:, None],
            "mean_basket": (cells.n_bought / np.maximum(cells.n_occasions, 1))[:, None],
            "repeat_ratio": (1.0 - cells.n_items / np.maximum(cells.n_bought, 1))[:, None]
            * (cells.n_bought > 0)[:, None],
            "days_quiet": _days_quiet(block, cells, at)[:, None],
            "buyers": self.buyers[item],
            "item_repeat_share": self.repeat_share[item],
            "item_interval_occasions": self.interval_occasions[item],
            "item_interval_days": self.interval_days[item],
        }
        for number, name in enumerate(FEATURES):
            out[..., number] = columns[name]
        out[~is_item] = 0.0
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned, by name, for the store."""
        return dict(vars(self))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave, mapped or in memory, without a copy."""
        names = ("buyers", "repeat_share", "interval_occasions", "interval_days")
        return cls(**{name: arrays[name] for name in names})

    @staticmethod
    def _due(
        since: np.ndarray, times: np.ndarray, span: np.ndarray, usual: np.ndarray, known: np.ndarray
    ) -> np.ndarray:
        """Divide the time since the last purchase by the customer's mean gap, the item's counting as one."""
        interval = (span + usual) / np.maximum(times, 1.0)
        return np.where(known, since / np.maximum(interval, 1e-6), -1.0)


class _Cells(NamedTuple):
    """One entry a history and item that it bought, by key, and facts of each history.

    `key` is row times n_items plus item, rising; `times` the occasions with the item; `first` and `last` the
    numbers of the first and last of them in their history; `first_day`, `last_day` their days, `last_time`
    the moment of the last; `recent` the item's share of the history's purchases, those of five occasions ago
    counting half. `n_occasions`, `n_items`, `n_bought` (items summed over occasions), `newest_day` and
    `newest_time` by history.
    """

    key: np.ndarray
    times: np.ndarray
    first: np.ndarray
    last: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray
    last_time: np.ndarray
    recent: np.ndarray
    n_occasions: np.ndarray
    n_items: np.ndarray
    n_bought: np.ndarray
    newest_day: np.ndarray
    newest_time: np.ndarray


def _cells(block: Histories, at: int | None) -> _Cells:
    if at is not None:
        block = block.until(at)
    n_rows, n_items = block.n_histories, block.n_items
    if block.share is None and "return" in block.event_types:
        block = block.with_shares()
    counts = seen_types(block.event_types, block.item_types, "purchased")[block.event_type]
    counts &= ~block.of_type("return") | (len(block.item_types) == 1)
    counts &= block.item_index >= 0
    if block.share is not None:
        counts &= block.share > 0
    place = np.flatnonzero(counts)
    row, item = block.rows()[place], block.item_index[place].astype(np.int64)
    time = np.zeros(len(place), np.int64) if block.time is None else block.time[place].astype(np.int64)
    is_timed = block.time_kind == "timestamp"
    moment = time // DAY if is_timed else time
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (moment[1:] != moment[:-1])
    n_occasions = np.bincount(row[new], minlength=n_rows)
    starts = np.append(0, np.cumsum(n_occasions))
    occasion = np.cumsum(new) - 1 - starts[row]
    ends = offsets_of(row, n_rows)
    newest_time = np.zeros(n_rows, np.int64)
    filled = ends[1:] > ends[:-1]
    newest_time[filled] = time[ends[1:][filled] - 1]
    key = row * np.int64(n_items) + item
    order = np.argsort(key, kind="stable")
    key, occasion, time, row = key[order], occasion[order], time[order], row[order]
    # One item counts once an occasion; the last of its events there stands for it.
    once = np.ones(len(key), bool)
    once[:-1] = (key[1:] != key[:-1]) | (occasion[1:] != occasion[:-1])
    key, occasion, time, row = key[once], occasion[once], time[once], row[once]
    begins = np.ones(len(key), bool)
    begins[1:] = key[1:] != key[:-1]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(key)) - 1 if len(first) else first
    cell = np.cumsum(begins) - 1
    weight = np.exp2((occasion - (n_occasions[row] - 1)) / _RECENT)
    total = np.bincount(row, weight, minlength=n_rows)
    recent = np.bincount(cell, weight, minlength=len(first))
    day = time // DAY if is_timed else np.zeros(len(time), np.int64)
    return _Cells(
        key=key[first],
        times=np.bincount(cell, minlength=len(first)),
        first=occasion[first],
        last=occasion[last],
        first_day=day[first],
        last_day=day[last],
        last_time=time[last],
        recent=recent / total[row[first]],
        n_occasions=n_occasions,
        n_items=np.bincount(row[first], minlength=n_rows),
        n_bought=np.bincount(row, minlength=n_rows),
        newest_day=newest_time // DAY if is_timed else np.zeros(n_rows, np.int64),
        newest_time=newest_time,
    )


def _met(
    block: Histories, wanted: np.ndarray, at: int | None, last_time: np.ndarray, known: np.ndarray
) -> dict[str, Any]:
    """Count events of all other types but returns on each item, and those since its last purchase."""
    none = np.zeros(wanted.shape)
    found = {"times_met": none, "met_since_bought": none}
    others = [name for name in block.item_types if name not in ("purchase", "return")]
    if len(block.item_types) == 1 or not others:
        return found
    is_met = block.of_type(*others) & (block.item_index >= 0)
    if at is not None and block.time is not None:
        is_met &= block.time <= at
    place = np.flatnonzero(is_met)
    time = np.zeros(len(place), np.int64) if block.time is None else block.time[place]
    key = block.rows()[place] * np.int64(block.n_items) + block.item_index[place]
    order = np.lexsort((time, key))
    key, time = key[order], time[order]
    asked = np.arange(block.n_histories)[:, None] * np.int64(block.n_items) + wanted
    begin, end = np.searchsorted(key, asked, side="left"), np.searchsorted(key, asked, side="right")
    found["times_met"] = end - begin
    if block.time is None:
        found["met_since_bought"] = np.where(known, 0, end - begin)
        return found
    # Within a key times rise: those up to the last purchase are counted by one search in the pairs.
    unique, inverse = np.unique(time, return_inverse=True)
    joined = key * np.int64(len(unique) + 1) + inverse
    upto = np.searchsorted(unique, last_time.astype(np.int64), side="right")
    before = np.searchsorted(joined, asked * np.int64(len(unique) + 1) + upto, side="left")
    found["met_since_bought"] = np.where(known, end - before, end - begin)
    return found


def _days_quiet(block: Histories, cells: _Cells, at: int | None) -> np.ndarray:
    if block.time_kind != "timestamp":
        return np.zeros(block.n_histories)
    now = at if at is not None else block.newest or 0
    return np.where(cells.n_occasions > 0, (now - cells.newest_time) / DAY, -1.0)


def _shrunk(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    shop = sums.sum() / max(counts.sum(), 1)
    return np.asarray((sums + _STRENGTH * shop) / (counts + _STRENGTH), np.float32)
