"""Splitting: a log becomes what to learn from and what to be tested on, and nothing leaks between them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from engagelib import errors
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.segments import counting_order
from engagelib.times import DAY, EARLIEST, LATEST, Moment, spell, to_microseconds
from engagelib.vocabulary import Vocabulary

SplitBy = Literal["time", "position", "session"]


@dataclass(frozen=True, eq=False)
class Split:
    """A log to learn from and a log to be tested on; that nothing leaks is checked as it is made.

    The functions of this module make one; two logs that were split elsewhere become one by
    `Split(train, test, by=...)`. What counts as a leak depends on `by`:

    - "time": a training event at or after `cut`, or a test event before it.
    - "position": a customer with a training event later than the first test event. Events of one moment may
      stand on both sides, because the order of the log's rows decides between them, and two logs no longer
      show it. Anonymous visits are not compared.
    - "session": a session with events in both logs; and a customer with a training visit that starts after
      the start of a test visit, because a history holds all visits and would tell what came of the tested
      one. Visits of different customers may overlap in time, and a training visit may run on while a test
      visit has begun. An event without a session is a visit of its own.

    Splits by position and by session let models learn, from other customers, from a time in which the tests
    lie: figures are higher than those of a split by time, and than those that a shop will see.

    Parameters
    ----------
    train, test
        The two logs, of one shop: the same types of ids, and order told in the same way.
    by
        How they were split.
    cut
        Microseconds since 1970, UTC, for "time" alone: test events lie at or after it. None is the oldest
        test event.

    Raises
    ------
    LeakError
        If something leaks; the message counts it and names the first case.
    NotEnoughDataError
        If one of the logs is empty or lacks what `by` needs: times, an order, session ids.
    SchemaError
        If ids differ in type, or order is told in another way.
    ArgumentError
        If an argument is none of those above.
    """

    train: EventLog
    test: EventLog
    by: SplitBy
    cut: int | None = None

    def __post_init__(self) -> None:
        _check_sides(self.train, self.test)
        if self.by not in {"time", "position", "session"}:
            raise errors.bad_argument("by", self.by, '"time", "position" or "session"')
        if self.by == "time":
            cut = _check_time(self.train, self.test, self.cut)
            object.__setattr__(self, "cut", cut)
            return
        if self.cut is not None:
            raise errors.bad_argument("cut", self.cut, 'None, save with by="time"')
        if self.by == "position":
            if self.train.time_kind == "set":
                raise errors.log.needs_order('a split by "position"')
            times = self.train.columns["time"], self.test.columns["time"]
            _check_order(self.train, self.test, times, "position")
        else:
            _check_sessions(self.train, self.test)

    def __repr__(self) -> str:
        cut = f", cut at {spell(self.cut)} UTC" if self.cut is not None else ""
        return (
            f"Split(by={self.by!r}, {len(self.train):,} training events, {len(self.test):,} test events{cut})"
        )


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
        span = f"its events lie from {spell(time.min())} to {spell(time.max())} UTC" if len(time) else _EMPTY
        raise errors.evaluation.empty_side("training" if is_test.any() else "testing", asked, span)
    return Split(log.select(~is_test), log.select(is_test), "time", cut)


def split_by_position(log: EventLog, *, n_last: int = 1) -> Split:
    """Test on each customer's last events, and learn from all that came before them.

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
        found = f"no customer has more than {counts.max(initial=0):,}" if len(log) else _EMPTY
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
    starts, of_sessions = _visit_starts(log)
    is_test = starts >= _newest_share(of_sessions, test_share)
    if is_test.all() or not is_test.any():
        n_sessions = len(of_sessions)
        found = f"the log has {n_sessions:,} {'session' if n_sessions == 1 else 'sessions'}"
        if n_sessions > 1:
            found += f", {np.count_nonzero(of_sessions == of_sessions.max()):,} of them start last, together"
        side = "training" if is_test.any() else "testing"
        raise errors.evaluation.empty_side(side, f"test_share={test_share!r}", found if len(log) else _EMPTY)
    return Split(log.select(~is_test), log.select(is_test), "session")


def check_not_fitted_on(histories: Histories, split: Split | EventLog) -> None:
    """Refuse what was learned from events that it is to be tested on.

    Parameters
    ----------
    histories
        What a model or recommender was fitted on.
    split
        The split, or a test log alone. By time, and for a test log alone with timestamps, nothing may be as
        late as the cut, or the oldest test event. Otherwise no customer of the test may be known any further
        than from the training log; of a test log alone with positions, up to its oldest test event. A log
        that tells no order shows only sessions that are on both sides.

    Raises
    ------
    LeakError
        If there is such an event; the message counts and names whose.
    SchemaError
        If order is told in another way.
    """
    test, train = (split.test, split.train) if isinstance(split, Split) else (split, None)
    if histories.time_kind != test.time_kind:
        raise errors.evaluation.sides_differ(test.time_kind, histories.time_kind, "the log fitted on")
    time, rows = histories.time, histories.rows()
    customer = np.where(rows < histories.n_customers, rows, -1)
    by_time = split.by == "time" if isinstance(split, Split) else test.time_kind == "timestamp"
    if by_time and time is not None:
        cut = split.cut if isinstance(split, Split) else None
        cut = int(test.columns["time"].min()) if cut is None else cut
        late = time >= cut
        if late.any():
            found = whose(customer[late], histories.customers)
            raise errors.evaluation.fitted_too_late(int(late.sum()), found, f"{spell(cut)} UTC")
        return
    if isinstance(split, Split) and split.by == "session" and "session" in histories.tables:
        shared = histories.tables["session"].indices(test.vocabularies["session_id"]) >= 0
        if shared.any():
            first = test.vocabularies["session_id"][int(np.argmax(shared))]
            raise errors.evaluation.fitted_on_test(int(shared.sum()), "session", first)
    if time is None:
        return
    # Customers by their place in the test log; the last place is for all others.
    place = np.append(test.customers.indices(histories.customers), np.int32(-1))[customer]
    known, n_known = _newest_events(place, time, test.n_customers)
    if train is None:
        first_test = np.full(test.n_customers + 1, np.iinfo(np.int64).max)
        np.minimum.at(first_test, test.columns["customer_id"], test.columns["time"])
        late = known >= first_test[:-1]
    else:
        place = np.append(test.customers.indices(train.customers), np.int32(-1))[train.columns["customer_id"]]
        trained, n_trained = _newest_events(place, train.columns["time"], test.n_customers)
        late = (known > trained) | ((known == trained) & (n_known > n_trained))
    if late.any():
        raise errors.evaluation.fitted_on_test(
            int(late.sum()), "customer", test.customers[int(np.argmax(late))]
        )


def _newest_events(customer: np.ndarray, time: np.ndarray, n_customers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return when each customer was last active, and the number of events at that moment; -1 is nobody."""
    newest = np.full(n_customers + 1, np.iinfo(np.int64).min)
    np.maximum.at(newest, customer, time)
    at_newest = customer[(time == newest[customer]) & (customer >= 0)]
    return newest[:-1], np.bincount(at_newest, minlength=n_customers)


_EMPTY = "the log is empty"


def _check_number(name: str, value: Any, below: float) -> float:
    """Return a number above 0 and below a limit, or refuse it."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not 0 < value < below:
        limit = "above 0 and below 1" if below == 1.0 else "above 0"
        raise errors.bad_argument(name, value, f"a number {limit}")
    return float(value)


def _newest_share(time: np.ndarray, share: float) -> int:
    """Return the moment from which on at least this share of the times lie."""
    if not len(time):
        return 0
    place = len(time) - max(1, round(share * len(time)))
    return int(np.partition(time, place)[place])


def _visit_starts(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Return when the visit of each event starts, and when each session does."""
    session, time = log.columns["session_id"], log.columns["time"]
    within = session >= 0
    of_sessions = np.full(len(log.vocabularies["session_id"]), np.iinfo(np.int64).max)
    np.minimum.at(of_sessions, session[within], time[within])
    starts = time.copy()
    starts[within] = of_sessions[session[within]]
    return starts, of_sessions


def _check_sides(train: Any, test: Any) -> None:
    for name, log in (("train", train), ("test", test)):
        if not isinstance(log, EventLog):
            raise errors.bad_argument(name, type(log).__name__, "an EventLog")
    for side, log in (("training", train), ("testing", test)):
        if not len(log):
            raise errors.evaluation.empty_side(side, "the split", _EMPTY)
    if train.time_kind != test.time_kind:
        raise errors.evaluation.sides_differ(test.time_kind, train.time_kind)
    for name in ("customer_id", "item_id", "session_id"):
        if name not in train.columns or name not in test.columns:
            continue
        ours, theirs = train.vocabularies[name], test.vocabularies[name]
        # Ids of another type would never meet, and whatever leaks would go unseen.
        if len(ours) and len(theirs) and ours.kind != theirs.kind:
            raise errors.log.other_id_type(name, theirs.kind, ours.kind, "the test log")


def _check_time(train: EventLog, test: EventLog, given: Any) -> int:
    """Refuse events on the wrong side of the cut; return the cut."""
    if train.time_kind != "timestamp":
        raise errors.log.needs_time('a split by "time"', train.time_kind)
    cut = test.columns["time"].min() if given is None else given
    whole = isinstance(cut, int | np.integer) and not isinstance(cut, bool)
    if not whole or not EARLIEST <= cut < LATEST:
        expected = "microseconds since 1970 as an integer, in the years 1990 to 2200, or None"
        raise errors.bad_argument("cut", cut, expected)
    for side, log, wrong in (
        ("training", train, train.columns["time"] >= cut),
        ("test", test, test.columns["time"] < cut),
    ):
        if wrong.any():
            raise errors.evaluation.leaked_over_cut(
                side,
                int(wrong.sum()),
                whose(log.columns["customer_id"][wrong], log.customers),
                f"{spell(cut)} UTC",
            )
    return int(cut)


def _check_order(train: EventLog, test: EventLog, times: tuple[np.ndarray, np.ndarray], by: SplitBy) -> None:
    """Refuse customers with a training time above one of their test times."""
    train_time, test_time = times
    first_test = np.full(test.n_customers + 1, np.iinfo(np.int64).max)
    np.minimum.at(first_test, test.columns["customer_id"], test_time)
    first_test[-1] = np.iinfo(np.int64).max  # anonymous visits
    place = np.append(test.customers.indices(train.customers), np.int32(-1))
    late = train_time > first_test[place[train.columns["customer_id"]]]
    if late.any():
        customers = train.columns["customer_id"][late]
        first = train.customers[int(customers[0])]
        raise errors.evaluation.leaked_within_customers(len(np.unique(customers)), first, by)


def _check_sessions(train: EventLog, test: EventLog) -> None:
    for log in (train, test):
        if "session_id" not in log.columns:
            raise errors.log.needs_column('a split by "session"', "session_id")
    shared = test.vocabularies["session_id"].indices(train.vocabularies["session_id"]) >= 0
    if shared.any():
        first = train.vocabularies["session_id"][int(np.argmax(shared))]
        raise errors.evaluation.leaked_sessions(int(shared.sum()), first)
    if train.time_kind != "set":
        _check_order(train, test, (_visit_starts(train)[0], _visit_starts(test)[0]), "session")


def whose(codes: np.ndarray, customers: Vocabulary) -> str:
    """Say whose events these are, for an error: how many customers, and the first; -1 is anonymous."""
    known = codes[codes >= 0]
    if not len(known):
        return "of anonymous visits"
    n_customers, first = len(np.unique(known)), customers[int(known[0])]
    return f"of {n_customers:,} {'customer' if n_customers == 1 else 'customers'}, first: {first!r}"
