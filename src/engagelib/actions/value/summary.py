"""PurchaseSummary: when each customer bought first, last and how often, as of a moment: all value needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.drawing import shares_left
from engagelib.histories import Histories
from engagelib.times import DAY, EARLIEST, LATEST, Moment, to_microseconds

if TYPE_CHECKING:
    import pyarrow as pa

_ALIASES: Final = {"age": ("age", "T")}
_SLACK: Final = 1e-9
_PAIRS: Final = 16_384
"""Pairs whose events are held at once."""


@dataclass(frozen=True, eq=False)
class PurchaseSummary:
    """What buy-till-you-die models know of customers, one value a customer in each array.

    Attributes
    ----------
    frequency
        Repeat purchase occasions: all but the first, whole numbers, float64. NaN, as the three below, for
        somebody without a purchase.
    recency
        Time from the first occasion to the last, 0 without a repeat, float64.
    age
        Time from the first occasion to the moment of the summary, at least `recency`, float64.
    mean_value
        Mean money of the repeat occasions, float64; NaN without one, or where no money is known.
    by_days
        How many days one unit of time is: 1 for days, 7 for weeks.
    at
        The moment, microseconds since 1970; None where it is not known.
    """

    frequency: np.ndarray
    recency: np.ndarray
    age: np.ndarray
    mean_value: np.ndarray
    by_days: float = 1.0
    at: int | None = None

    def __len__(self) -> int:
        return len(self.frequency)

    def __repr__(self) -> str:
        unit = {1.0: "days", 7.0: "weeks"}.get(self.by_days, f"units of {self.by_days:g} days")
        return (
            f"PurchaseSummary({len(self):,} customers, {int(self.has_bought.sum()):,} with a purchase, "
            f"{int((self.frequency > 0).sum()):,} with a repeat, in {unit})"
        )

    @classmethod
    def from_columns(
        cls,
        frequency: Any,
        recency: Any,
        age: Any,
        mean_value: Any = None,
        *,
        by_days: float = 1.0,
        at: int | None = None,
    ) -> Self:
        """Check arrays of one length and make a summary of them; without `mean_value` no money is known.

        Raises
        ------
        ArgumentError
            If lengths differ, a frequency is negative or no whole number, a time is negative or infinite, or
            a recency is above its age or above 0 without a repeat; the message names the first such place.
        """
        given = {"frequency": frequency, "recency": recency, "age": age}
        arrays = {name: _floats(name, values) for name, values in given.items()}
        length = len(arrays["frequency"])
        arrays["mean_value"] = (
            np.full(length, np.nan) if mean_value is None else _floats("mean_value", mean_value)
        )
        if len({len(values) for values in arrays.values()}) > 1:
            raise errors.value.lengths_differ((name, len(values)) for name, values in arrays.items())
        _check(arrays)
        if mean_value is not None:
            arrays["mean_value"] = np.where(arrays["frequency"] > 0, arrays["mean_value"], np.nan)
        return cls(**arrays, by_days=checked_positive("by_days", by_days), at=at)

    @classmethod
    def from_frame(cls, frame: Any, *, by_days: float = 1.0) -> Self:
        """Take a summary from any table: columns `frequency`, `recency`, `age` (or `T`) and `mean_value`.

        Without `mean_value` no money is known. Other columns are ignored. Null is NaN.

        Raises
        ------
        SchemaError
            If a column is missing or holds no numbers.
        ArgumentError
            As for `from_columns`.
        """
        from engagelib.frames import Refused, open_table, read_numbers

        table = open_table(frame, "the summary of purchases", ids=())
        names = {
            ours: next((name for name in _ALIASES.get(ours, (ours,)) if name in table.column_names), None)
            for ours in ("frequency", "recency", "age", "mean_value")
        }
        missing = [ours for ours, theirs in names.items() if theirs is None and ours != "mean_value"]
        if missing:
            raise errors.value.missing_columns(missing, table.column_names)
        refused = Refused(np.zeros(len(table), np.int32))
        read = {
            ours: read_numbers(table[theirs], theirs, refused) for ours, theirs in names.items() if theirs
        }
        refused.raise_first("expected finite numbers.")
        return cls.from_columns(
            read["frequency"], read["recency"], read["age"], read.get("mean_value"), by_days=by_days
        )

    @property
    def has_bought(self) -> np.ndarray:
        """Who bought at all, bool."""
        return np.asarray(~np.isnan(self.frequency))

    @property
    def is_one_time(self) -> np.ndarray:
        """Who bought on one occasion alone, bool."""
        return np.asarray(self.frequency == 0)

    def take(self, index: "np.ndarray | slice") -> "PurchaseSummary":
        """Return some customers, by place, mask or slice."""
        names = ("frequency", "recency", "age", "mean_value")
        return replace(self, **{name: getattr(self, name)[index] for name in names})

    def in_units_of(self, by_days: float) -> "PurchaseSummary":
        """Return the same with another unit of time."""
        if by_days == self.by_days:
            return self
        ratio = self.by_days / by_days
        return replace(self, recency=self.recency * ratio, age=self.age * ratio, by_days=by_days)

    def to_frame(self) -> "pa.Table":
        """Return the four columns as an Arrow table; NaN is null."""
        import pyarrow as pa

        names = ("frequency", "recency", "age", "mean_value")
        return pa.table({name: pa.array(getattr(self, name), from_pandas=True) for name in names})


def summarise_purchases(
    histories: Histories, at: Moment | int | None = None, by_days: float = 1.0
) -> PurchaseSummary:
    """Summarise when each customer bought, as of a moment.

    An occasion is an order where the log tells orders, else a day in UTC on which something was bought. What
    was returned until the moment is taken off, and an occasion of which nothing is left is none. Times are
    counted in whole days and then brought to units of `by_days`; an order lies on the day of its first row.

    Parameters
    ----------
    histories
        Histories of a log with times. Anonymous visits are left out.
    at
        The moment: later events are not read. None is the newest event of the log. An integer is microseconds
        since 1970.
    by_days
        Days in a unit of time, above 0: 1 for days, 7 for weeks.

    Returns
    -------
    A value for each of `histories.customers`, in this order.

    Raises
    ------
    NotEnoughDataError
        If the log has no times.
    ArgumentError
        If `at` is no moment, or `by_days` not above 0.
    """
    by_days = checked_positive("by_days", by_days)
    moment = moment_of(histories, at)
    found = _summed_up(histories.block(0, histories.n_customers), moment, by_days)
    return replace(found, at=moment)


def summarise_pairs(
    histories: Histories, row: np.ndarray, moment: np.ndarray, by_days: float = 1.0
) -> PurchaseSummary:
    """Summarise when customers bought, each as of a moment of its own.

    Parameters
    ----------
    histories
        Histories of a log with times.
    row
        Which rows, integers of shape (n,); -1 is somebody who never bought.
    moment
        As of when, microseconds since 1970, int64 of shape (n,): later events are not read.
    by_days
        As for `summarise_purchases`, whose numbers these are.
    """
    parts = [
        _of_some(histories, row[start : start + _PAIRS], moment[start : start + _PAIRS], by_days)
        for start in range(0, len(row), _PAIRS)
    ] or [_of_some(histories, row, moment, by_days)]
    names = ("frequency", "recency", "age", "mean_value")
    arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return PurchaseSummary(**arrays, by_days=by_days)


def _of_some(histories: Histories, row: np.ndarray, moment: np.ndarray, by_days: float) -> PurchaseSummary:
    taken = histories.take(row)
    assert taken.time is not None  # the caller has looked
    own = np.repeat(moment, np.diff(taken.indptr))
    if (late := taken.time > own).any():
        taken, own = taken.keeping(~late), own[~late]
        assert taken.time is not None  # as before
    # All that counts is whole days: moved by whole days, every moment falls on one day, and the day is all.
    last = int(moment.max()) // DAY if len(moment) else 0
    taken = replace(taken, time=taken.time + (last - own // DAY) * DAY, share=None)
    return _summed_up(taken, (last + 1) * DAY - 1, by_days)


def _summed_up(histories: Histories, moment: int, by_days: float) -> PurchaseSummary:
    """Summarise every row of some histories as of one moment."""
    n_rows = histories.n_histories
    row, day, money = occasions(histories, moment)
    n = np.bincount(row, minlength=n_rows)
    ends = np.cumsum(n)
    bought = n > 0
    first = np.full(n_rows, np.nan)
    last = np.full(n_rows, np.nan)
    first[bought] = day[(ends - n)[bought]]
    last[bought] = day[ends[bought] - 1]
    is_repeat = np.ones(len(row), bool)
    is_repeat[(ends - n)[bought]] = False
    counts = is_repeat & ~np.isnan(money)
    n_known = np.bincount(row[counts], minlength=n_rows)
    total = np.bincount(row[counts], money[counts], minlength=n_rows)
    mean_value = np.full(n_rows, np.nan)
    np.divide(total, n_known, out=mean_value, where=n_known > 0)
    return PurchaseSummary(
        frequency=np.where(bought, n - 1.0, np.nan),
        recency=(last - first) / by_days,
        age=(moment // DAY - first) / by_days,
        mean_value=mean_value,
        by_days=by_days,
    )


def occasions(
    histories: Histories, at: int, after: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row, day and kept money of each purchase occasion until a moment, by row and time.

    The day counts from 1970; money is NaN where the log does not tell it. `after` leaves out purchases until
    then, though not what was returned of later ones.
    """
    assert histories.time is not None  # the caller has looked
    kept = histories.of_type("purchase") & (histories.time <= at)
    if after is not None:
        kept &= histories.time > after
    if (share := shares_left(histories, at)) is not None:
        kept &= share > 0
    place = np.flatnonzero(kept)
    row, day = histories.rows()[place], histories.time[place] // DAY
    numbers = histories.numbers
    money = numbers["value"][place].astype(np.float64) if "value" in numbers else np.full(len(place), np.nan)
    if share is not None:
        money *= share[place]
    # Days and orders are numbered apart: rows without an order are told by their day.
    key = day
    if "order" in histories.codes:
        order = histories.codes["order"][place].astype(np.int64)
        key = np.where(order >= 0, order, -1 - day)
    number = np.zeros(len(place), np.int64)
    if len(place):
        low = int(key.min())
        _, first, number = np.unique(
            row * (int(key.max()) - low + 1) + (key - low), return_index=True, return_inverse=True
        )
        by_time = np.argsort(first)  # events come by row and time
        number = np.argsort(by_time)[number]
        row, day = row[first[by_time]], day[first[by_time]]
    known = ~np.isnan(money)
    sums = np.bincount(number[known], money[known], minlength=len(row)).astype(np.float64)
    sums[np.bincount(number[known], minlength=len(row)) == 0] = np.nan
    return row, day, sums


def moment_of(histories: Histories, at: Moment | int | None) -> int:
    """Return a moment in microseconds since 1970, the newest for None; refuse logs without times."""
    if histories.time_kind != "timestamp":
        raise errors.log.needs_time("the value of customers", histories.time_kind)
    if at is None:
        return 0 if histories.newest is None else histories.newest
    if isinstance(at, int | np.integer):
        if not EARLIEST <= at < LATEST:
            raise errors.bad_argument("at", at, "microseconds since 1970, from 1990 to 2200")
        return int(at)
    return to_microseconds(at)


def one_customer(history: Histories, at: int, by_days: float) -> tuple[float, float, float, float] | None:
    """Return frequency, recency, age and mean value of a single history; None without a purchase."""
    days, money = _one_by_one(history, at)
    if not days:
        return None
    known = [value for value in money[1:] if not isnan(value)]
    mean_value = sum(known) / len(known) if known else np.nan
    return len(days) - 1.0, (days[-1] - days[0]) / by_days, (at // DAY - days[0]) / by_days, mean_value


def _one_by_one(history: Histories, at: int) -> tuple[list[int], list[float]]:
    """Return day and money of each occasion of a single history, by as few steps as it takes."""
    time, types = history.time, history.event_types
    if time is None or "purchase" not in types:
        return [], []
    kept = (history.event_type == types.index("purchase")) & (time <= at)
    if (share := shares_left(history, at)) is not None:
        kept &= share > 0
    place = kept.nonzero()[0]
    if not len(place):
        return [], []
    day = time[place] // DAY
    key = day
    if "order" in history.codes:
        order = history.codes["order"][place].astype(np.int64)
        key = np.where(order >= 0, order, -1 - day)
    first = np.append(0, (key[1:] != key[:-1]).nonzero()[0] + 1)
    keys = key[first].tolist()
    if len(set(keys)) < len(keys) or "value" not in history.numbers:  # orders that interleave
        _, days, sums = occasions(history, at)
        return days.tolist(), sums.tolist()
    money = history.numbers["value"][place].astype(np.float64)
    if share is not None:
        money *= share[place]
    sums = np.add.reduceat(money, first)
    if np.isnan(sums).any():  # a row without money among others that have it
        _, days, sums = occasions(history, at)
        return days.tolist(), sums.tolist()
    return day[first].tolist(), sums.tolist()


def checked_positive(name: str, given: Any) -> float:
    """Return a finite number above 0, or refuse it."""
    if isinstance(given, bool) or not isinstance(given, int | float | np.number) or not 0 < given < np.inf:
        raise errors.bad_argument(name, given, "a finite number above 0")
    return float(given)


def summary_of(given: Any, at: Moment | int | None, by_days: float | None) -> PurchaseSummary:
    """Return a summary of whatever `fit` was given: histories, a summary or a frame."""
    if isinstance(given, PurchaseSummary):
        return given if by_days is None else given.in_units_of(by_days)
    if isinstance(given, Histories):
        return summarise_purchases(given, at, by_days or 1.0)
    return PurchaseSummary.from_frame(given, by_days=by_days or 1.0)


def _floats(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise errors.bad_argument(f"{name}.ndim", array.ndim, "1, shape (n_customers,)")
    if array.dtype.kind not in "uif":
        raise errors.bad_argument(f"{name}.dtype", str(array.dtype), "numbers")
    return array.astype(np.float64)


def _check(arrays: Mapping[str, np.ndarray]) -> None:
    frequency, recency, age = (arrays[name] for name in ("frequency", "recency", "age"))
    unknown = np.isnan(frequency) & np.isnan(recency) & np.isnan(age)  # nobody who bought

    def refuse(name: str, good: np.ndarray, expected: str, hint: str = "") -> None:
        for place in np.flatnonzero(~(good | unknown))[:1].tolist():
            raise errors.value.bad_purchases(name, place, float(arrays[name][place]), expected, hint)

    whole = (frequency >= 0) & (frequency == np.floor(frequency)) & np.isfinite(frequency)
    refuse("frequency", whole, "a whole number of at least 0", "the first purchase does not count.")
    refuse("recency", (recency >= 0) & np.isfinite(recency), "a finite time of at least 0")
    refuse("age", np.isfinite(age), "a finite time of at least 0")
    later = recency <= age * (1 + _SLACK) + _SLACK
    refuse("recency", later, "at most the age", "recency is the time from the first purchase to the last.")
    refuse("recency", (frequency > 0) | (recency == 0), "0 for a customer without a repeat purchase")
    infinite = np.isinf(arrays["mean_value"])
    refuse("mean_value", ~infinite, "a finite value, or NaN where it is not known")
