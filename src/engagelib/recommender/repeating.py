"""Repeating: what is bought again, learned from the log: groceries return to a list, sofas do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

import numpy as np

from engagelib import errors
from engagelib.cells import as_number
from engagelib.histories import Histories
from engagelib.returning import match_returns
from engagelib.segments import counting_order, steps_back
from engagelib.times import DAY

# How these were found stands in docs/decisions/0008-repeat-purchase.md.
_THRESHOLD: Final = 0.15
_LEAST_REPEATS: Final = 10  # fewer say nothing of a shop: their number is uncertain by a third and more
_LONGEST_DAYS: Final = 365  # in many years even a sofa is bought again
_REACHED: Final = 0.9  # the horizon is what a tenth of first purchases lie back, so that its end is seen too
_STRENGTHS: Final = (0.5, 1000.0)  # buyers that the shop's share counts for, at least and at most


@dataclass(frozen=True, eq=False)
class Repeats:
    """How often each item is bought again by those who bought it, and which items may be listed again.

    Attributes
    ----------
    share
        Chance that somebody who bought the item buys it again on a later occasion within `horizon`, shrunk
        towards the shop's where few bought it; float32 in [0, 1], shape (n_items,).
    returns
        Whether the item may be listed to somebody who bought it, bool, shape (n_items,).
    shop_share
        The same chance over all items; 0 where nothing could be learned.
    threshold
        The least share with which an item returns.
    strength
        How many buyers the shop's share counts for in the share of an item.
    horizon
        Days, or later occasions of the customer where the log has positions, within which a purchase counts
        as a repeat.
    choice
        In words, what was learned, or why nothing returns.
    """

    share: np.ndarray
    returns: np.ndarray
    shop_share: float
    threshold: float
    strength: float
    horizon: int
    choice: str

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for the store; `facts` holds the rest."""
        return {"share": self.share, "returns": self.returns}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        names = ("shop_share", "threshold", "strength", "horizon", "choice")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave, mapped or in memory, without a copy."""
        return cls(arrays["share"], arrays["returns"], **facts)


def learn_repeats(histories: Histories, *, threshold: float = _THRESHOLD) -> Repeats:
    """Learn from a log which items are bought again.

    A customer and an item that they bought are one trial; it is a success where they bought the item again
    on a later occasion. Purchases on one day (in UTC), at one position or in one order are one occasion.
    Anonymous visits never come back, so they don't count, and neither do purchases that were returned in
    full.

    Who bought yesterday had no time to come back. So a trial counts only for the share of repeats that come
    within its age: that share is the shop's own, by the product-limit estimate (Kaplan and Meier, 1958). A
    position log counts age in later occasions of the customer. Successes and trials of each item are then
    shrunk towards the shop's by a beta prior, whose strength comes from how far the items differ (Kleinman,
    1973).

    Parameters
    ----------
    histories
        The histories of the log. In a log with one event type on items that type counts as a purchase.
    threshold
        Least share with which an item returns, in [0, 1].

    Returns
    -------
    What was learned. Nothing returns where the log does not say in what order events came, or has fewer
    than ten repeats.

    Raises
    ------
    ArgumentError
        If the threshold is outside its range.
    """
    if not 0 <= as_number(threshold) <= 1:
        raise errors.bad_argument("threshold", threshold, "a number in [0, 1]")
    threshold, n_items = float(threshold), histories.n_items
    if histories.time_kind == "set":
        return _nothing(n_items, threshold, "the log does not say in what order events came")
    trials = _trials(histories)
    had_time = trials.age > 0
    if not had_time.any():
        return _nothing(n_items, threshold, "no customer was seen after a first purchase")
    horizon = int(np.quantile(trials.age[had_time], _REACHED, method="lower"))
    is_timed = histories.time_kind == "timestamp"
    horizon = min(horizon, _LONGEST_DAYS) if is_timed else horizon
    unit = "day" if is_timed else "occasion"
    within = f"within {horizon:,} {unit}{'' if horizon == 1 else 's'}"
    again, counted = _successes(trials, horizon)
    if (n_repeats := int(np.count_nonzero(again))) < _LEAST_REPEATS:
        found = f"{n_repeats:,} {'purchase was' if n_repeats == 1 else 'purchases were'} repeated {within}"
        return _nothing(n_items, threshold, f"{found}, at least {_LEAST_REPEATS} are needed")
    repeats = np.bincount(trials.item_index, again, minlength=n_items)
    # Trials that count in part may sum to less than the successes among them.
    buyers = np.maximum(np.bincount(trials.item_index, counted, minlength=n_items), repeats)
    shop_share = float(repeats.sum() / buyers.sum())
    strength = _strength(repeats, buyers, shop_share)
    share = ((repeats + strength * shop_share) / (buyers + strength)).astype(np.float32)
    returns = share >= np.float32(threshold)
    bought = np.unique(trials.item_index)
    choice = (
        f"{shop_share:.1%} of buyers buy an item again {within}: {np.count_nonzero(returns[bought]):,} of "
        f"{len(bought):,} items bought return, those of at least {threshold:.1%}"
    )
    return Repeats(share, returns, shop_share, threshold, strength, horizon, choice)


def bought_events(histories: Histories) -> np.ndarray:
    """Return the places of the events in which an item was bought and kept, at least in part; int64, rising.

    In a log with one event type on items that type counts as a purchase.
    """
    types = histories.item_types if len(histories.item_types) == 1 else ("purchase",)
    place = np.flatnonzero(histories.of_type(*types) & (histories.item_index >= 0))
    back = np.flatnonzero(histories.of_type("return") & (histories.item_index >= 0))
    if not len(place) or not len(back):
        return place
    moves = np.sort(np.append(place, back))
    returned = histories.of_type("return")[moves]
    quantity = (
        histories.numbers["quantity"][moves] if "quantity" in histories.numbers else np.ones(len(moves))
    )
    moment = np.zeros(len(moves), np.int64) if histories.time is None else histories.time[moves]
    kept, _ = match_returns(
        histories.rows()[moves], histories.item_index[moves], returned, quantity, moment=moment
    )
    return np.asarray(moves[~returned & (kept > 0)])


class _Trials(NamedTuple):
    """One entry a customer and item that they bought.

    `item_index`; `age`, the days or later occasions seen since the first purchase; `gap`, those from the
    first purchase to the next on a later occasion, 0 where there was none.
    """

    item_index: np.ndarray
    age: np.ndarray
    gap: np.ndarray


def _trials(histories: Histories) -> _Trials:
    assert histories.time is not None  # the caller has looked
    place = bought_events(histories)
    place = place[place < histories.indptr[histories.n_customers]]
    row, item, time = histories.rows()[place], histories.item_index[place], histories.time[place]
    if histories.time_kind == "timestamp":
        age = (histories.newest or 0) // DAY - time // DAY
    else:
        age = steps_back(row, time)
    by_trial = counting_order(item, histories.n_items)
    by_trial = by_trial[counting_order(row[by_trial], max(histories.n_customers, 1))]
    row, item, time, age = row[by_trial], item[by_trial], time[by_trial], age[by_trial]
    begins = np.ones(len(row), bool)
    begins[1:] = (row[1:] != row[:-1]) | (item[1:] != item[:-1])
    first, trial = np.flatnonzero(begins), np.cumsum(begins) - 1
    gap = age[first][trial] - age
    later = gap > 0
    if "order" in histories.codes and len(first):
        order = histories.codes["order"][place][by_trial]
        # Of several orders in the first moment the least code stands for all, whatever the order of rows.
        is_first = time == time[first][trial]
        first_order = np.minimum.reduceat(np.where(is_first, order, np.iinfo(np.int32).max), first)
        later &= (order < 0) | (order != first_order[trial])
    repeat = np.flatnonzero(later)
    repeat = repeat[np.diff(trial[repeat], prepend=-1) > 0]
    next_gap = np.zeros(len(first), np.int64)
    next_gap[trial[repeat]] = gap[repeat]
    return _Trials(item[first], age[first], next_gap)


def _successes(trials: _Trials, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Say which trials were repeated within the horizon, and how much of a trial each was, in [0, 1].

    The share of repeats by age is estimated over all items: at each age, of those still waiting and still
    seen, how many came back.
    """
    again = (trials.gap > 0) & (trials.gap <= horizon)
    age = np.minimum(trials.age, horizon)
    seen_until = np.where(again, trials.gap, age)
    came_back = np.bincount(seen_until[again], minlength=horizon + 1)
    waiting = np.bincount(seen_until, minlength=horizon + 1)[::-1].cumsum()[::-1]
    hazard = np.divide(came_back, waiting, out=np.zeros(horizon + 1), where=waiting > 0)
    repeated = 1.0 - np.cumprod(1.0 - hazard)
    return again, (repeated / max(repeated[-1], np.finfo(float).tiny))[age]


def _strength(repeats: np.ndarray, buyers: np.ndarray, shop_share: float) -> float:
    """Return the strength of the beta prior by moments: the more items differ, the less they share."""
    low, high = _STRENGTHS
    known = buyers > 0
    repeats, buyers = repeats[known], buyers[known]
    total, spare = buyers.sum(), np.count_nonzero(known) - 1
    room = total - (buyers**2).sum() / total - spare
    chance = shop_share * (1.0 - shop_share)
    if room <= 0 or chance <= 0:  # one item, or one buyer of each: nothing tells items apart
        return high
    spread = (buyers * (repeats / buyers - shop_share) ** 2).sum()
    likeness = (spread / chance - spare) / room
    return float(np.clip(1.0 / likeness - 1.0, low, high)) if likeness > 0 else high


def _nothing(n_items: int, threshold: float, why: str) -> Repeats:
    share, returns = np.zeros(n_items, np.float32), np.zeros(n_items, bool)
    return Repeats(share, returns, 0.0, threshold, _STRENGTHS[1], 0, f"nothing returns: {why}")
