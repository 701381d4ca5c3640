"""Splits hold every row once, leak nothing, and say so where a hand-made one does."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import errors
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.splitting import (
    Split,
    check_not_fitted_on,
    split_by_position,
    split_by_session,
    split_by_time,
    split_rolling,
)
from engagelib.times import DAY

START = datetime(2024, 1, 1, tzinfo=UTC)
ZERO = int(START.timestamp()) * 1_000_000


def log_of(rows, *, by="timestamp", **keywords):
    """Make a log of rows (customer, item, day or position[, session])."""
    columns = {"customer_id": [row[0] for row in rows], "item_id": [row[1] for row in rows]}
    if by == "timestamp":
        columns["timestamp"] = [START + timedelta(days=row[2]) for row in rows]
    elif by == "position":
        columns["position"] = [row[2] for row in rows]
    if rows and len(rows[0]) > 3:
        columns["session_id"] = [row[3] for row in rows]
    return EventLog.from_frame(columns, **keywords)


def items_of(log):
    return [str(item) for item in log.items.ids(log.columns["item_id"].tolist())]


def empty(log):
    return log.select(np.zeros(len(log), bool))


DAYS = log_of([("a", "p", 0), ("b", "q", 1), ("a", "r", 2), ("b", "s", 2), ("a", "t", 3)])
STEPS = log_of([("a", "p", 1), ("a", "q", 2), ("b", "p", 1), ("b", "r", 5)], by="position")
VISITS = log_of(
    [
        ("a", "p", 0, "s1"),
        ("a", "q", 4, "s1"),
        ("b", "r", 1, "s2"),
        (None, "p", 2, "s3"),
        ("a", "s", 3, "s4"),
        ("b", "t", 3, None),
        ("b", "u", 1, None),
    ]
)
SET = log_of([("a", "p", None), ("b", "q", None)], by="set")


# Golden cases


def test_by_time_cuts_at_a_moment():
    split = split_by_time(DAYS, at="2024-01-03")
    assert (items_of(split.train), items_of(split.test)) == (["p", "q"], ["r", "s", "t"])
    assert (split.by, split.cut) == ("time", ZERO + 2 * DAY)


def test_by_time_takes_as_many_dates_as_days():
    # The test of two days holds 3 and 4 January: 2 January lies exactly two days before the newest event.
    split = split_by_time(DAYS, test_days=2)
    assert items_of(split.train) == ["p", "q"]
    assert split.cut == ZERO + DAY + 1


@pytest.mark.parametrize(("share", "n_test"), [(0.01, 1), (0.2, 1), (0.4, 3), (0.6, 3), (0.8, 4)])
def test_by_time_takes_a_share_and_all_of_its_oldest_moment(share, n_test):
    assert len(split_by_time(DAYS, test_share=share).test) == n_test


def test_by_position_takes_the_last_events_of_each_customer():
    log = log_of(
        [("a", "p", 3), ("a", "q", 1), ("a", "r", 2), ("b", "s", 7), ("c", "t", 1), ("c", "u", 2)],
        by="position",
    )
    split = split_by_position(log)
    assert (items_of(split.train), items_of(split.test)) == (["q", "r", "s", "t"], ["p", "u"])
    split = split_by_position(log, n_last=2)
    assert (items_of(split.train), items_of(split.test)) == (["q", "s", "t", "u"], ["p", "r"])
    assert (split.by, split.cut) == ("position", None)


def test_by_position_takes_the_later_row_of_one_moment():
    log = log_of([("a", "p", 5), ("a", "q", 5), ("a", "r", 1)])
    assert items_of(split_by_position(log).test) == ["q"]
    assert items_of(split_by_position(log, n_last=2).test) == ["p", "q"]


def test_by_position_leaves_anonymous_visits_in_training():
    log = log_of([("a", "p", 0, "s1"), ("a", "q", 1, "s1"), (None, "r", 8, "s2"), (None, "s", 9, "s2")])
    assert items_of(split_by_position(log).test) == ["q"]


@pytest.mark.parametrize(
    ("share", "tested"), [(0.25, ["s", "t"]), (0.5, ["p", "s", "t"]), (0.74, ["r", "p", "s", "t", "u"])]
)
def test_by_session_takes_the_newest_sessions_whole(share, tested):
    split = split_by_session(VISITS, test_share=share)
    assert items_of(split.test) == tested
    assert (split.by, split.cut) == ("session", None)


def test_by_session_takes_positions_as_they_stand():
    log = log_of([("a", "p", 1, 10), ("a", "q", 2, 10), ("b", "r", 3, 11), ("a", "s", 4, 12)], by="position")
    assert items_of(split_by_session(log, test_share=0.6).test) == ["r", "s"]


def test_training_keeps_the_catalogue_of_the_item_table():
    log = log_of([("a", "p", 0), ("a", "q", 1)], items={"item_id": ["p", "x"], "price": [1.0, 2.0]})
    split = split_by_position(log)
    assert list(split.train.items) == ["p", "x"]
    assert list(split.test.items) == ["p", "q", "x"]


def test_a_split_says_what_it_holds():
    assert repr(split_by_time(DAYS, at="2024-01-03")) == (
        "Split(by='time', 2 training events, 3 test events, cut at 2024-01-03 00:00 UTC)"
    )
    assert repr(split_by_position(DAYS)) == "Split(by='position', 3 training events, 2 test events)"


# Laws

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("pqr"), st.integers(0, 6)), min_size=2, max_size=30
)
SPLITTERS = {
    "time": lambda log: split_by_time(log, test_share=0.3),
    "position": split_by_position,
    "session": lambda log: split_by_session(log, test_share=0.3),
}


def drawn_log(rows, *, distinct=False):
    """Give each row a session of its customer and three days; with `distinct`, a moment of its own."""
    rows = [
        (
            who,
            what,
            day + (place / 1000 if distinct else 0),
            f"{who}{day // 3}" if (place + day) % 5 else None,
        )
        for place, (who, what, day) in enumerate(rows)
    ]
    return log_of(rows)


def attempt(by, log):
    try:
        return SPLITTERS[by](log)
    except errors.NotEnoughDataError:
        return None


def rows_of(*logs):
    return sorted(str(row) for log in logs for row in log.to_table().to_pylist())


@pytest.mark.parametrize("by", SPLITTERS)
@settings(deadline=None)
@given(rows=ROWS)
def test_every_row_is_on_one_side(by, rows):
    log = drawn_log(rows)
    split = attempt(by, log)
    if split is not None:
        assert rows_of(split.train, split.test) == rows_of(log)
        assert len(split.train) > 0
        assert len(split.test) > 0


@pytest.mark.parametrize("by", SPLITTERS)
@settings(deadline=None)
@given(rows=ROWS)
def test_both_sides_together_draw_the_matrix_of_the_log(by, rows):
    log = drawn_log(rows)
    split = attempt(by, log)
    if split is not None:
        joined = Histories.from_log(split.train.append(split.test))
        whole = Histories.from_log(log)
        # Whole weights: their sums don't depend on the order in which a moment's events come.
        assert (joined.customers, joined.items) == (whole.customers, whole.items)
        assert (joined.matrix() != whole.matrix()).nnz == 0


@pytest.mark.parametrize("by", SPLITTERS)
@settings(deadline=None)
@given(rows=ROWS, seed=st.integers(0, 99))
def test_the_order_of_rows_does_not_matter(by, rows, seed):
    log = drawn_log(rows, distinct=True)
    shuffled = np.random.default_rng(seed).permutation(len(log))
    split, again = attempt(by, log), attempt(by, EventLog.from_frame(log.to_table().take(pa.array(shuffled))))
    assert (split is None) == (again is None)
    if split is not None and again is not None:
        assert rows_of(split.train) == rows_of(again.train)
        assert rows_of(split.test) == rows_of(again.test)


@settings(deadline=None)
@given(rows=ROWS, n_last=st.integers(1, 3))
def test_by_position_takes_what_histories_end_in(rows, n_last):
    log = log_of(rows)
    histories = Histories.from_log(log)
    expected = []
    for row in range(histories.n_customers):
        events = histories.item_index[histories.indptr[row] : histories.indptr[row + 1]]
        expected.append(events[-n_last:].tolist() if len(events) > n_last else [])
    if not any(expected):
        return
    test = split_by_position(log, n_last=n_last).test
    theirs = Histories.from_log(test)
    got = {
        who: test.items.ids(theirs.item_index[theirs.indptr[row] : theirs.indptr[row + 1]].tolist())
        for row, who in enumerate(theirs.customers)
    }
    for who, items in zip(histories.customers, expected, strict=True):
        assert got.get(who, []) == histories.items.ids(items)


# Leaks in hand-made splits


def test_two_logs_that_do_not_leak_make_a_split():
    split = split_by_time(DAYS, at="2024-01-03")
    assert Split(split.train, split.test, by="time").cut == ZERO + 2 * DAY
    earlier = Split(split.train, split.test, by="time", cut=ZERO + DAY + 1)
    assert earlier.cut == ZERO + DAY + 1
    Split(split.train, split.test, by="position")
    by_session = split_by_session(VISITS, test_share=0.25)
    Split(by_session.train, by_session.test, by="session")
    # Anonymous visits have no future of their own, so that any of them may be tested.
    visits = log_of([(None, "p", 0, "s1"), (None, "q", 5, "s2"), (None, "r", 9, "s3")])
    Split(visits.select(np.array([0, 2])), visits.select(np.array([1])), by="session")


def part(log, *places):
    return log.select(np.array(places))


SWAPPED = "Hint: the two logs overlap or were swapped; make both from one log with split_by_"
FUTURE = f"expected the test part of each customer to come last. {SWAPPED}"
TORN = (
    "expected whole sessions. Hint: the two logs overlap, or were split by event; make both from one log "
    "with split_by_session()."
)
LEAKS = {
    "time: training after the cut": (
        lambda: Split(DAYS, part(DAYS, 2, 3), by="time"),
        "3 training events lie at or after the cut, 2024-01-03 00:00 UTC (of 2 customers, first: 'a'): "
        f"expected all before it. {SWAPPED}time().",
    ),
    "time: one moment on both sides": (
        lambda: Split(part(DAYS, 0, 3), part(DAYS, 2, 4), by="time"),
        "1 training event lies at or after the cut, 2024-01-03 00:00 UTC (of 1 customer, first: 'b'): "
        f"expected all before it. {SWAPPED}time().",
    ),
    "time: test before the cut": (
        lambda: Split(part(DAYS, 0), part(DAYS, 1, 4), by="time", cut=ZERO + 2 * DAY),
        "1 test event lies before the cut, 2024-01-03 00:00 UTC (of 1 customer, first: 'b'): "
        f"expected all at or after it. {SWAPPED}time().",
    ),
    "time: anonymous": (
        lambda: Split(part(VISITS, 3), part(VISITS, 2), by="time"),
        "1 training event lies at or after the cut, 2024-01-02 00:00 UTC (of anonymous visits): "
        f"expected all before it. {SWAPPED}time().",
    ),
    "position: one customer": (
        lambda: Split(part(STEPS, 1, 2), part(STEPS, 0, 3), by="position"),
        f"1 customer has training events after the first test event (first: 'a'): {FUTURE}position().",
    ),
    "position: the same log twice": (
        lambda: Split(STEPS, STEPS, by="position"),
        f"2 customers have training events after the first test event (first: 'a'): {FUTURE}position().",
    ),
    "session: torn": (
        lambda: Split(part(VISITS, 0, 2), part(VISITS, 1, 3), by="session"),
        f"1 session has events in both logs (first: 's1'): {TORN}",
    ),
    "session: the same log twice": (
        lambda: Split(VISITS, VISITS, by="session"),
        f"4 sessions have events in both logs (first: 's1'): {TORN}",
    ),
    "session: a customer's future": (
        lambda: Split(part(VISITS, 2, 4), part(VISITS, 0, 1), by="session"),
        "1 customer has training visits that start after the first test visit (first: 'a'): "
        f"{FUTURE}session().",
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_an_error(name):
    make, text = LEAKS[name]
    with pytest.raises(errors.LeakError, match=f"^{re.escape(text)}$"):
        make()


def test_events_of_one_moment_may_lie_on_both_sides_by_position():
    log = log_of([("a", "p", 5), ("a", "q", 5)])
    assert items_of(split_by_position(log).test) == ["q"]


# What else is refused

SCARCE = errors.NotEnoughDataError
NOT_A_CUT = "expected microseconds since 1970 as an integer, in the years 1990 to 2200, or None."
REFUSED = {
    "nothing chosen": (
        lambda: split_by_time(DAYS),
        errors.ArgumentError,
        "given: none of them. Expected exactly one of at, test_days, test_share.",
    ),
    "two chosen": (
        lambda: split_by_time(DAYS, at="2024-01-02", test_days=3),
        errors.ArgumentError,
        "given: at, test_days. Expected exactly one of at, test_days, test_share.",
    ),
    "no days": (
        lambda: split_by_time(DAYS, test_days=0),
        errors.ArgumentError,
        "test_days=0: expected a number above 0.",
    ),
    "endless days": (
        lambda: split_by_time(DAYS, test_days=float("inf")),
        errors.ArgumentError,
        "test_days=inf: expected a number above 0.",
    ),
    "days as text": (
        lambda: split_by_time(DAYS, test_days="7"),
        errors.ArgumentError,
        "test_days='7': expected a number above 0.",
    ),
    "the whole log": (
        lambda: split_by_time(DAYS, test_share=1.0),
        errors.ArgumentError,
        "test_share=1.0: expected a number above 0 and below 1.",
    ),
    "share as a flag": (
        lambda: split_by_session(VISITS, test_share=True),
        errors.ArgumentError,
        "test_share=True: expected a number above 0 and below 1.",
    ),
    "no last event": (
        lambda: split_by_position(DAYS, n_last=0),
        errors.ArgumentError,
        "n_last=0: expected an integer of at least 1.",
    ),
    "last event as a flag": (
        lambda: split_by_position(DAYS, n_last=True),
        errors.ArgumentError,
        "n_last=True: expected an integer of at least 1.",
    ),
    "time without times": (
        lambda: split_by_time(STEPS, test_share=0.5),
        SCARCE,
        "split_by_time needs a timestamp for each event; this log tells order by 'position'. "
        "Hint: read the log with a 'timestamp' column.",
    ),
    "position without an order": (
        lambda: split_by_position(SET),
        SCARCE,
        "split_by_position needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column.",
    ),
    "session without sessions": (
        lambda: split_by_session(DAYS),
        SCARCE,
        "split_by_session needs the column 'session_id', which this log does not have.",
    ),
    "session without an order": (
        lambda: split_by_session(log_of([("a", "p", None, "s1"), ("a", "q", None, "s2")], by="set")),
        SCARCE,
        "split_by_session needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column.",
    ),
    "cut before the log": (
        lambda: split_by_time(DAYS, at="2023-12-01"),
        SCARCE,
        "at='2023-12-01' leaves no event for training: "
        "its events lie from 2024-01-01 00:00 to 2024-01-04 00:00 UTC. Expected events on both sides.",
    ),
    "cut after the log": (
        lambda: split_by_time(DAYS, at="2024-12-01"),
        SCARCE,
        "at='2024-12-01' leaves no event for testing: "
        "its events lie from 2024-01-01 00:00 to 2024-01-04 00:00 UTC. Expected events on both sides.",
    ),
    "more days than the log": (
        lambda: split_by_time(DAYS, test_days=1e300),
        SCARCE,
        "test_days=1e+300 leaves no event for training: "
        "its events lie from 2024-01-01 00:00 to 2024-01-04 00:00 UTC. Expected events on both sides.",
    ),
    "an empty log by time": (
        lambda: split_by_time(empty(DAYS), test_share=0.5),
        SCARCE,
        "test_share=0.5 leaves no event for testing: the log is empty. Expected events on both sides.",
    ),
    "short histories": (
        lambda: split_by_position(STEPS, n_last=2),
        SCARCE,
        "n_last=2 leaves no event for testing: no customer has more than 2. Expected events on both sides.",
    ),
    "an empty log by position": (
        lambda: split_by_position(empty(STEPS)),
        SCARCE,
        "n_last=1 leaves no event for testing: the log is empty. Expected events on both sides.",
    ),
    "one session": (
        lambda: split_by_session(part(VISITS, 0, 1)),
        SCARCE,
        "test_share=0.1 leaves no event for training: the log has 1 session. Expected events on both sides.",
    ),
    "sessions of one moment": (
        lambda: split_by_session(log_of([("a", "p", 0, "s1"), ("b", "q", 0, "s2")])),
        SCARCE,
        "test_share=0.1 leaves no event for training: the log has 2 sessions, 2 of them start last, together."
        " Expected events on both sides.",
    ),
    "an empty log by session": (
        lambda: split_by_session(empty(VISITS)),
        SCARCE,
        "test_share=0.1 leaves no event for testing: the log is empty. Expected events on both sides.",
    ),
    "empty training": (
        lambda: Split(empty(DAYS), DAYS, by="time"),
        SCARCE,
        "the split leaves no event for training: the log is empty. Expected events on both sides.",
    ),
    "empty test": (
        lambda: Split(DAYS, empty(DAYS), by="position"),
        SCARCE,
        "the split leaves no event for testing: the log is empty. Expected events on both sides.",
    ),
    "no log": (
        lambda: Split(DAYS, DAYS.to_table(), by="time"),
        errors.ArgumentError,
        "test='Table': expected an EventLog.",
    ),
    "other way": (
        lambda: Split(DAYS, DAYS, by="random"),
        errors.ArgumentError,
        'by=\'random\': expected "time", "position" or "session".',
    ),
    "cut by position": (
        lambda: Split(STEPS, STEPS, by="position", cut=3),
        errors.ArgumentError,
        'cut=3: expected None, save with by="time".',
    ),
    "cut in seconds": (
        lambda: Split(DAYS, DAYS, by="time", cut=1_704_067_200),
        errors.ArgumentError,
        f"cut=1704067200: {NOT_A_CUT}",
    ),
    "cut as text": (
        lambda: Split(DAYS, DAYS, by="time", cut="2024-01-02"),
        errors.ArgumentError,
        f"cut='2024-01-02': {NOT_A_CUT}",
    ),
    "hand-made by time without times": (
        lambda: Split(STEPS, STEPS, by="time"),
        SCARCE,
        "a split by \"time\" needs a timestamp for each event; this log tells order by 'position'. "
        "Hint: read the log with a 'timestamp' column.",
    ),
    "hand-made by position without an order": (
        lambda: Split(SET, SET, by="position"),
        SCARCE,
        'a split by "position" needs events in order; this log has neither times nor positions. '
        "Hint: read the log with a 'timestamp' or a 'position' column.",
    ),
    "hand-made by session without sessions": (
        lambda: Split(VISITS, DAYS, by="session"),
        SCARCE,
        "a split by \"session\" needs the column 'session_id', which this log does not have.",
    ),
    "orders told apart": (
        lambda: Split(DAYS, STEPS, by="position"),
        errors.SchemaError,
        "the test log tells order by 'position', the training log by 'timestamp': expected the same. "
        "Hint: make both from one log.",
    ),
    "ids of two types": (
        lambda: Split(DAYS, log_of([(1, "p", 4)]), by="time"),
        errors.SchemaError,
        "the test log: column 'customer_id' holds integers, the log holds strings. "
        "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type.",
    ),
    "sessions of two types": (
        lambda: Split(VISITS, log_of([("a", "p", 4, 1)]), by="session"),
        errors.SchemaError,
        "the test log: column 'session_id' holds integers, the log holds strings. "
        "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_is_wrong(name):
    call, kind, text = REFUSED[name]
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()


# Rolling


def test_rolling_folds_follow_each_other_and_the_last_is_the_split_by_time():
    log = log_of([("a", item, day) for day, item in enumerate("pqrstuvw")])
    folds = split_rolling(log, 3, days=2)
    assert [items_of(fold.train) for fold in folds] == [["p", "q"], list("pqrs"), list("pqrstu")]
    assert [items_of(fold.test) for fold in folds] == [["r", "s"], ["t", "u"], ["v", "w"]]
    last = split_by_time(log, test_days=2)
    assert (folds[-1].cut, rows_of(folds[-1].test)) == (last.cut, rows_of(last.test))
    assert len(split_rolling(log, 1, days=7)) == 1


def test_rolling_puts_the_edge_into_the_older_fold_and_what_follows_into_the_newer():
    instant = timedelta(microseconds=1) / timedelta(days=1)
    log = log_of([("a", "p", 0), ("a", "q", 1), ("a", "r", 2), ("a", "s", 2 + instant), ("a", "t", 3)])
    folds = split_rolling(log, 2, days=1)
    assert [items_of(fold.train) for fold in folds] == [["p", "q"], ["p", "q", "r"]]
    assert [items_of(fold.test) for fold in folds] == [["r"], ["s", "t"]]


@settings(deadline=None)
@given(rows=ROWS, n_folds=st.integers(1, 4), days=st.sampled_from([0.5, 1, 1.7, 3]))
def test_rolling_takes_what_lies_between_its_cuts(rows, n_folds, days):
    log = log_of(rows)
    newest = max(day for *_, day in rows)
    expected = []
    for fold in range(n_folds):
        # A day that lies exactly at the edge belongs to the older side.
        low, high = newest - days * (n_folds - fold), newest - days * (n_folds - fold - 1)
        trained = [row for row in rows if row[2] <= low + 1e-9]
        tested = [row for row in rows if low + 1e-9 < row[2] <= high + 1e-9]
        expected.append((len(trained), len(tested)))
    if not all(all(sizes) for sizes in expected):
        with pytest.raises(errors.NotEnoughDataError):
            split_rolling(log, n_folds, days=days)
        return
    folds = split_rolling(log, n_folds, days=days)
    assert [(len(fold.train), len(fold.test)) for fold in folds] == expected


def test_a_rolling_fold_with_a_leak_is_an_error():
    folds = split_rolling(DAYS, 2, days=1)
    with pytest.raises(errors.LeakError, match=r"^2 training events lie at or after the cut, "):
        Split(folds[1].train, folds[0].test, by="time", cut=folds[0].cut)
    with pytest.raises(errors.LeakError, match=r"^the recommender was fitted on 2 events at or after"):
        check_not_fitted_on(Histories.from_log(folds[1].train), folds[0])
    check_not_fitted_on(Histories.from_log(folds[0].train), folds[1])


ROLLING_REFUSED = {
    "no fold": (
        lambda: split_rolling(DAYS, 0, days=1),
        errors.ArgumentError,
        "n_folds=0: expected an integer of at least 1.",
    ),
    "a flag": (
        lambda: split_rolling(DAYS, True, days=1),
        errors.ArgumentError,
        "n_folds=True: expected an integer of at least 1.",
    ),
    "no days": (
        lambda: split_rolling(DAYS, 2, days=-1),
        errors.ArgumentError,
        "days=-1: expected a number above 0.",
    ),
    "no times": (
        lambda: split_rolling(STEPS, 2, days=1),
        errors.NotEnoughDataError,
        "split_rolling needs a timestamp for each event; this log tells order by 'position'. "
        "Hint: read the log with a 'timestamp' column.",
    ),
    "nothing to learn from": (
        lambda: split_rolling(DAYS, 4, days=1),
        errors.NotEnoughDataError,
        "fold 1 of n_folds=4, days=1 leaves no event for training: its events lie from 2024-01-01 00:00 to "
        "2024-01-04 00:00 UTC. Expected events on both sides.",
    ),
    "nothing to test on": (
        lambda: split_rolling(log_of([("a", "p", 0), ("a", "q", 9)]), 2, days=1),
        errors.NotEnoughDataError,
        "fold 1 of n_folds=2, days=1 leaves no event for testing: its events lie from 2024-01-01 00:00 to "
        "2024-01-10 00:00 UTC. Expected events on both sides.",
    ),
    "an empty log": (
        lambda: split_rolling(empty(DAYS), 1, days=1),
        errors.NotEnoughDataError,
        "fold 1 of n_folds=1, days=1 leaves no event for training: the log is empty. "
        "Expected events on both sides.",
    ),
}


@pytest.mark.parametrize("name", ROLLING_REFUSED)
def test_rolling_refusals_say_what_is_wrong(name):
    call, kind, text = ROLLING_REFUSED[name]
    with pytest.raises(kind, match=f"^{re.escape(text)}$"):
        call()
