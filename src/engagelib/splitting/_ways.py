"""Ways to split a log: by time, once or several times over, by position and by session."""

from itertools import pairwise
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.events import EventLog
from engagelib.segments import counting_order
from engagelib.splitting._leaks import EMPTY, visit_starts
from engagelib.splitting._split import Split
from engagelib.times import DAY, Moment, spell, to_microseconds


def split_by_time(
    log: EventLog,
    *,
    at: Moment | None = None,
    test_days: float | None = None,
    test_share: float | None = None,
) -> Split:
    """Learn from what came before a moment, and test on what came after.

    Give exactly one of `at`, `test_days` and `test_share`.

    Parameters
    ----------
    log
        A log with timestamps.
    at
        The cut: events at or after this moment are test events.
    test_days
        Length of the test in days, above 0, ending with the newest event. An event exactly so many days
        older than the newest belongs to training, so that 7 days of dated events are 7 dates.
    test_share
        Share of the events to test on, above 0 and below 1, rounded to whole events and at least one. All
        events of the cut's own moment are test events, so the share may come out larger.

    Raises
    ------
    ArgumentError
        If not exactly one is given, or it is outside its range.
    NotEnoughDataError
        If the log has no timestamps, or one side would be empty.
    """
    chosen = {"at": at, "test_days": test_days, "test_share": test_share}
    given = [name for name, value in chosen.items() if value is not None]
    if len(given) != 1:
        raise errors.evaluation.exactly_one(given, chosen)
    if log.time_kind != "timestamp":
        raise errors.log.needs_time("split_by_time", log.time_kind)
    time = log.columns["time"]
    asked = f"{given[0]}={chosen[given[0]]!r}"
    if at is not None:
        cut = to_microseconds(at)
    elif test_days is not None:
        _check_number("test_days", test_days, np.inf)
        cut = int(time.max(initial=0)) - round(min(test_days * DAY, 2.0**62)) + 1
    else:
        cut = _newest_share(time, _check_number("test_share", test_share, 1.0))
    is_test = time >= cut
    if is_test.all() or not is_test.any():
        side = "training" if is_test.any() else "testing"
        raise errors.evaluation.empty_side(side, asked, _span(time))
    return Split(log.select(~is_test), log.select(is_test), "time", cut)


def split_rolling(log: EventLog, n_folds: int = 4, *, days: float) -> list[Split]:
    """Cut several times, one stretch of days after the other: each fold learns from all that came before.

    One cut judges one week, with its weather and its sales; several say how far a figure depends on that.
    The last fold is `split_by_time(log, test_days=days)`; a fold's test ends where that of the next begins.

    Parameters
    ----------
    log
        A log with timestamps.
    n_folds
        Number of folds, at least 1.
    days
        Length of each test in days, above 0.

    Returns
    -------
    Splits by time, the oldest first; every one is checked for leaks like any other.

    Raises
    ------
    ArgumentError
        If an argument is outside its range.
    NotEnoughDataError
        If the log has no timestamps, or a fold has nothing to learn from or nothing to be tested on.
    """
    if isinstance(n_folds, bool) or not isinstance(n_folds, int | np.integer) or n_folds < 1:
        raise errors.bad_argument("n_folds", n_folds, "an integer of at least 1")
    _check_number("days", days, np.inf)
    if log.time_kind != "timestamp":
        raise errors.log.needs_time("split_rolling", log.time_kind)
    time = log.columns["time"]
    end = int(time.max(initial=0)) + 1
    cuts = [end - round(min(days * DAY * back, 2.0**62)) for back in range(n_folds, -1, -1)]
    folds = []
    for number, (cut, stop) in enumerate(pairwise(cuts), 1):
        known, tested = time < cut, (time >= cut) & (time < stop)
        if not known.any() or not tested.any():
            span = (
                f"its events lie from {spell(time.min())} to {spell(time.max())} UTC" if len(time) else EMPTY
            )
            side = "testing" if known.any() else "training"
            raise errors.evaluation.empty_side(
                side, f"fold {number} of n_folds={n_folds!r}, days={days!r}", span
            )
        folds.append(Split(log.select(known), log.select(tested), "time", cut))
    return folds


def split_by_position(log: EventLog, *, n_last: int = 1) -> Split:
    """Test on each customer's last events, and learn from all that came before them.

    By default this is what the literature calls leave-last-out, or leave-one-out: one event of each customer.

    Parameters
    ----------
    log
        A log with timestamps or positions. The order is that of `Histories`: by time, or position, and
        events of one moment in the order of the log's rows.
    n_last
        Events of each customer to test on, at least 1. Customers with no more events than that stay in
        training whole, since nothing would be known of them; so do anonymous visits.

    Raises
    ------
    ArgumentError
        If `n_last` is not an integer of at least 1.
    NotEnoughDataError
        If the log has no order, or no customer has more than `n_last` events.
    """
    if isinstance(n_last, bool) or not isinstance(n_last, int | np.integer) or n_last < 1:
        raise errors.bad_argument("n_last", n_last, "an integer of at least 1")
    if log.time_kind == "set":
        raise errors.log.needs_order("split_by_position")
    customer = log.columns["customer_id"]
    known = np.flatnonzero(customer >= 0)
    in_order = known[np.argsort(log.columns["time"][known], kind="stable")]
    in_order = in_order[counting_order(customer[in_order], log.n_customers)]
    counts = np.bincount(customer[known], minlength=log.n_customers)
    from_end = np.repeat(np.cumsum(counts), counts) - np.arange(len(known))
    is_test = np.zeros(len(log), bool)
    is_test[in_order] = (from_end <= n_last) & (np.repeat(counts, counts) > n_last)
    if not is_test.any():
        found = f"no customer has more than {counts.max(initial=0):,}" if len(log) else EMPTY
        raise errors.evaluation.empty_side("testing", f"n_last={n_last!r}", found)
    return Split(log.select(~is_test), log.select(is_test), "position")


def split_by_session(log: EventLog, *, test_share: float = 0.1) -> Split:
    """Test on the newest sessions, each of them whole, and learn from the others.

    Parameters
    ----------
    log
        A log with session ids, and with timestamps or positions. A session starts with its first event.
        Positions are compared across customers as they stand, which suits a running number; positions that
        begin anew with each customer put the sessions of the busiest ones into the test.
    test_share
        Share of the sessions to test on, above 0 and below 1, rounded to whole sessions and at least one.
        Sessions that start at the very moment of the oldest of these are test sessions too. An event
        without a session is tested where it is as new as that moment, and counts in no share.

    Raises
    ------
    ArgumentError
        If `test_share` is outside its range.
    NotEnoughDataError
        If the log has no session ids or no order, or one side would be empty.
    """
    _check_number("test_share", test_share, 1.0)
    if "session_id" not in log.columns:
        raise errors.log.needs_column("split_by_session", "session_id")
    if log.time_kind == "set":
        raise errors.log.needs_order("split_by_session")
    starts, of_sessions = visit_starts(log)
    is_test = starts >= _newest_share(of_sessions, test_share)
    if is_test.all() or not is_test.any():
        n_sessions = len(of_sessions)
        found = f"the log has {n_sessions:,} {'session' if n_sessions == 1 else 'sessions'}"
        if n_sessions > 1:
            found += f", {np.count_nonzero(of_sessions == of_sessions.max()):,} of them start last, together"
        side = "training" if is_test.any() else "testing"
        raise errors.evaluation.empty_side(side, f"test_share={test_share!r}", found if len(log) else EMPTY)
    return Split(log.select(~is_test), log.select(is_test), "session")


def _check_number(name: str, value: Any, below: float) -> float:
    """Return a number above 0 and below a limit, or refuse it."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value < below:
        limit = "above 0 and below 1" if below == 1.0 else "above 0"
        raise errors.bad_argument(name, value, f"a number {limit}")
    return float(value)


def _span(time: np.ndarray) -> str:
    """Say from when to when the events of a log lie."""
    return f"its events lie from {spell(time.min())} to {spell(time.max())} UTC" if len(time) else EMPTY


def _newest_share(time: np.ndarray, share: float) -> int:
    """Return the moment from which on at least this share of the times lie."""
    if not len(time):
        return 0
    place = len(time) - max(1, round(share * len(time)))
    return int(np.partition(time, place)[place])
