"""Leaks: what a training log, or what was fitted on it, may not hold of what it is tested on."""

from typing import Any, Literal

import numpy as np

from engagelib import errors
from engagelib.events import EventLog
from engagelib.times import EARLIEST, LATEST, spell
from engagelib.vocabulary import Vocabulary

SplitBy = Literal["time", "position", "session"]

EMPTY = "the log is empty"


def check_sides(train: Any, test: Any) -> None:
    """Refuse sides that are no logs, hold nothing, or tell order or ids in different ways."""
    for name, log in (("train", train), ("test", test)):
        if not isinstance(log, EventLog):
            raise errors.bad_argument(name, type(log).__name__, "an EventLog")
    for side, log in (("training", train), ("testing", test)):
        if not len(log):
            raise errors.evaluation.empty_side(side, "the split", EMPTY)
    if train.time_kind != test.time_kind:
        raise errors.evaluation.sides_differ(test.time_kind, train.time_kind)
    for name in ("customer_id", "item_id", "session_id"):
        if name not in train.columns or name not in test.columns:
            continue
        ours, theirs = train.vocabularies[name], test.vocabularies[name]
        # Ids of another type would never meet, and whatever leaks would go unseen.
        if len(ours) and len(theirs) and ours.kind != theirs.kind:
            raise errors.log.other_id_type(name, theirs.kind, ours.kind, "the test log")


def check_time(train: EventLog, test: EventLog, given: Any) -> int:
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


def check_order(train: EventLog, test: EventLog, times: tuple[np.ndarray, np.ndarray], by: SplitBy) -> None:
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


def check_sessions(train: EventLog, test: EventLog) -> None:
    """Refuse sides without sessions, or with a session that stands on both."""
    for log in (train, test):
        if "session_id" not in log.columns:
            raise errors.log.needs_column('a split by "session"', "session_id")
    shared = test.vocabularies["session_id"].indices(train.vocabularies["session_id"]) >= 0
    if shared.any():
        first = train.vocabularies["session_id"][int(np.argmax(shared))]
        raise errors.evaluation.leaked_sessions(int(shared.sum()), first)
    if train.time_kind != "set":
        check_order(train, test, (visit_starts(train)[0], visit_starts(test)[0]), "session")


def visit_starts(log: EventLog) -> tuple[np.ndarray, np.ndarray]:
    """Return when the visit of each event starts, and when each session does."""
    session, time = log.columns["session_id"], log.columns["time"]
    within = session >= 0
    of_sessions = np.full(len(log.vocabularies["session_id"]), np.iinfo(np.int64).max)
    np.minimum.at(of_sessions, session[within], time[within])
    starts = time.copy()
    starts[within] = of_sessions[session[within]]
    return starts, of_sessions


def whose(codes: np.ndarray, customers: Vocabulary) -> str:
    """Say whose events these are, for an error: how many customers, and the first; -1 is anonymous."""
    known = codes[codes >= 0]
    if not len(known):
        return "of anonymous visits"
    n_customers, first = len(np.unique(known)), customers[int(known[0])]
    return f"of {n_customers:,} {'customer' if n_customers == 1 else 'customers'}, first: {first!r}"
