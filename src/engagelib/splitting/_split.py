"""Split: two logs that do not leak, and the check that a recommender has not seen the second."""

from dataclasses import dataclass

import numpy as np

from engagelib import errors
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.splitting._leaks import SplitBy, check_order, check_sessions, check_sides, check_time, whose
from engagelib.times import spell


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
        check_sides(self.train, self.test)
        if self.by not in {"time", "position", "session"}:
            raise errors.bad_argument("by", self.by, '"time", "position" or "session"')
        if self.by == "time":
            cut = check_time(self.train, self.test, self.cut)
            object.__setattr__(self, "cut", cut)
            return
        if self.cut is not None:
            raise errors.bad_argument("cut", self.cut, 'None, save with by="time"')
        if self.by == "position":
            if self.train.time_kind == "set":
                raise errors.log.needs_order('a split by "position"')
            times = self.train.columns["time"], self.test.columns["time"]
            check_order(self.train, self.test, times, "position")
        else:
            check_sessions(self.train, self.test)

    def __repr__(self) -> str:
        cut = f", cut at {spell(self.cut)} UTC" if self.cut is not None else ""
        return (
            f"Split(by={self.by!r}, {len(self.train):,} training events, {len(self.test):,} test events{cut})"
        )


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
