"""EventLog: joining, forgetting, selecting, relabelling returns and reporting."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from event_cases import LONG, MODES, NOON, ODD_ROWS, THREE, as_table, holds_bytes, odd_cases, table
from hypothesis import assume, given
from hypothesis import strategies as st

from engagelib import EventLog
from engagelib.errors import ArgumentError, SchemaError, UnknownCustomerError


def assert_same_log(got, expected):
    assert got.to_table().equals(expected.to_table())
    assert got.vocabularies == expected.vocabularies
    assert len(got.rejected) == len(expected.rejected)


# to_table


@odd_cases
@given(rows=ODD_ROWS, modes=MODES)
def test_a_log_reads_back_from_its_own_table(rows, modes):
    log = EventLog.from_frame(as_table(rows), on_bad="quarantine", **modes)
    assume(len(log))
    again = EventLog.from_frame(log.to_table())
    assert again.to_table().equals(log.to_table())
    assert again.vocabularies == log.vocabularies


def test_times_come_back_to_the_microsecond():
    moment = datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    log = EventLog.from_frame(table(timestamp=[moment] * 3))
    assert log.to_table()["timestamp"].to_pylist() == [moment] * 3


# append


# Law: split anywhere and joined again, a log is what it was; also where only the whole shows a bot or a
# repeated row, and where a part took for a bot a customer who goes on in the other one.
@odd_cases
@given(rows=ODD_ROWS, modes=MODES, data=st.data())
def test_a_log_that_is_split_and_joined_is_the_whole(rows, modes, data):
    assume(len(rows) > 1)
    cut = data.draw(st.integers(1, len(rows) - 1))
    whole = EventLog.from_frame(as_table(rows), on_bad="quarantine", **modes)
    first = EventLog.from_frame(as_table(rows[:cut]), on_bad="quarantine", **modes)
    second = EventLog.from_frame(as_table(rows[cut:]), on_bad="quarantine", **modes)
    assert_same_log(first.append(second), whole)
    assert_same_log(first.append(as_table(rows[cut:]), on_bad="quarantine"), whole)


def test_a_bot_of_one_part_is_a_bot_of_the_whole():
    limits = {"max_events_per_customer": 2}
    day = {"customer_id": ["bot"] * 3 + ["ann"], "item_id": ["pen"] * 4}
    night = {"customer_id": ["bot", "ann"], "item_id": ["ink"] * 2}
    for parts in ((day, night), (night, day)):
        log, other = (EventLog.from_frame(part, **limits) for part in parts)
        joined = log.append(other)
        assert list(joined.customers) == ["ann"]
        assert joined.rejected["customer_id"].to_pylist().count("bot") == 4
        assert set(joined.rejected["reason"].to_pylist()) == {
            "customer_id: a customer with more than 2 events"
        }


def test_an_anonymous_bot_of_one_part_is_a_bot_of_the_whole():
    limits = {"max_events_per_customer": 2}
    visits = {"customer_id": [None] * 3, "item_id": [1, 2, 3], "session_id": ["s"] * 3, "order_id": [7, 8, 9]}
    others = {"customer_id": [None, None, 4], "item_id": [1, 1, 1], "session_id": ["s", None, "s"]}
    others |= {"order_id": [7, 7, 7]}
    log = EventLog.from_frame(visits, **limits).append(others)
    # The session was the bot: an order of the same number, and a customer in that session, are others.
    assert log.to_table()["customer_id"].to_pylist() == [None, 4]
    assert len(log.rejected) == 4


def test_the_limits_of_the_first_log_hold_for_what_is_read_later():
    log = EventLog.from_frame(THREE, max_events_per_customer=30_000, duplicates="reject")
    many = {"customer_id": ["zoe"] * 25_000, "item_id": np.arange(25_000).astype(str)}
    assert len(log.append(many)) == 25_003
    assert len(log.append(THREE)) == 3
    assert log.append(THREE).n_duplicates == 3


def test_rows_set_aside_keep_their_values_when_logs_are_joined():
    first = EventLog.from_frame(table(timestamp=[5, NOON, NOON]), on_bad="quarantine")
    second = EventLog.from_frame(table(timestamp=["2024-01-01", "noon", "2024-01-01"]), on_bad="quarantine")
    joined = first.append(second)
    assert joined.rejected["timestamp"].to_pylist() == ["5", "noon"]
    assert joined.rejected["row"].to_pylist() == [0, 1]


def test_a_column_of_one_part_is_missing_in_the_other():
    first = EventLog.from_frame(table(quantity=[1, 2, 3]))
    second = EventLog.from_frame(table(channel=["web", None, "app"], quantity=[4, 5, 6]))
    third = EventLog.from_frame(table(value=[1, 2, 3]))
    joined = first.append(second).append(third).to_table().to_pydict()
    assert joined["channel"] == [None] * 3 + ["web", None, "app"] + [None] * 3
    assert joined["quantity"] == [1, 2, 3, 4, 5, 6, None, None, None]
    assert joined["value"] == [None] * 6 + [1, 2, 3]


def test_logs_without_customers_join_those_of_any_type():
    anonymous = EventLog.from_frame({"customer_id": [None], "item_id": [1], "session_id": [1]})
    numbered = EventLog.from_frame({"customer_id": [5], "item_id": [1], "session_id": [2]})
    for joined in (anonymous.append(numbered), numbered.append(anonymous)):
        assert list(joined.customers) == [5]
        assert len(joined) == 2


def test_items_of_the_appended_log_replace_those_of_the_same_id():
    first = EventLog.from_frame(THREE, items={"item_id": ["pen", "ink"], "title": ["Pen", "Ink"]})
    joined = first.append(THREE, items={"item_id": ["pen", "cap"], "title": ["Fine pen", "Cap"]})
    assert list(joined.items) == ["cap", "ink", "pen"]
    assert list(joined.item_texts("title")) == ["Cap", "Ink", "Fine pen"]


OTHER_TYPE = "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type."


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            table(customer_id=[1, 2, 3]),
            f"the log to append: column 'customer_id' holds integers, the log holds strings. {OTHER_TYPE}",
        ),
        (
            table(item_id=[1, 2, 3]),
            f"the log to append: column 'item_id' holds integers, the log holds strings. {OTHER_TYPE}",
        ),
        (
            table(timestamp=[NOON] * 3),
            "the log to append tells order by 'timestamp', this log by 'set': expected the same. "
            "Hint: give both a 'timestamp', or both a 'position'.",
        ),
    ],
    ids=["customers", "items", "time"],
)
def test_logs_that_do_not_fit_are_refused(other, message):
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(THREE).append(other)
    assert str(caught.value) == message


def test_keywords_are_for_what_is_yet_to_be_read():
    log = EventLog.from_frame(THREE)
    with pytest.raises(ArgumentError) as caught:
        log.append(log, on_bad="quarantine")
    assert (
        str(caught.value)
        == "append=['on_bad']: expected no options beside an EventLog, which is read already."
    )


# forget


def everything_in(log):
    yield log.to_table()
    yield log.rejected
    yield log.item_table
    yield from log.columns.values()
    for vocabulary in log.vocabularies.values():
        yield from vocabulary.to_arrays().values()


def traces(log, needle):
    return [part for part in everything_in(log) if holds_bytes(part, needle)]


def test_nothing_of_a_forgotten_customer_remains():
    who = "ann-of-green-gables"
    frame = pa.table(
        {
            "customer_id": pa.array([who, "bob", who, "bob", "cy", None]).dictionary_encode(),
            "item_id": ["pen", "pen", None, None, "ink", "ink"],
            "session_id": ["ann-1", "s2", "ann-1", "s2", "s3", "s4"],
        }
    )
    log = EventLog.from_frame(frame, on_bad="quarantine")
    assert traces(log, who.encode())
    assert len(log.rejected) == 2
    after = log.forget(who)
    assert not traces(after, b"ann-")
    assert list(after.customers) == ["bob", "cy"]
    assert after.rejected["customer_id"].to_pylist() == ["bob"]
    assert_same_log(
        after,
        EventLog.from_frame(frame.filter(pa.array([False, True] * 2 + [True] * 2)), on_bad="quarantine"),
    )
    assert traces(log, who.encode())  # a log is never changed


def test_nothing_of_a_forgotten_number_remains():
    who = 0x1122_3344_5566_7788
    log = EventLog.from_frame(
        {"customer_id": [who, 5, who], "item_id": [1, 2, None]}, on_bad="quarantine", duplicates="reject"
    )
    assert traces(log, who.to_bytes(8, "little"))
    after = log.append({"customer_id": [who, 6], "item_id": [None, 3]}, on_bad="quarantine").forget(who)
    assert not traces(after, who.to_bytes(8, "little"))
    assert (list(after.customers), list(after.items), len(after.rejected)) == ([5, 6], [2, 3], 0)


def test_a_customer_who_was_only_set_aside_is_forgotten_too():
    log = EventLog.from_frame(
        table(customer_id=["ann", "e\u0301ve", LONG], item_id=["pen", None, "ink"]), on_bad="quarantine"
    )
    assert log.forget("éve").rejected["customer_id"].to_pylist() == [LONG]
    assert log.forget(LONG).rejected["customer_id"].to_pylist() == ["e\u0301ve"]


def test_forgetting_compares_ids_by_type():
    log = EventLog.from_frame({"customer_id": [1, 2, 1], "item_id": [1, 2, None]}, on_bad="quarantine")
    with pytest.raises(UnknownCustomerError) as caught:
        log.forget("1")
    assert str(caught.value) == "customer '1' is unknown: ids here are integers, and this one is of type str."
    assert (len(log.forget(1)), len(log.forget(1).rejected)) == (1, 0)
    with pytest.raises(UnknownCustomerError) as caught:
        log.forget(3)
    assert str(caught.value) == "customer 3 is unknown to this model or log."


# select


@odd_cases
@given(rows=ODD_ROWS, data=st.data())
def test_selected_rows_are_those_of_the_table_and_so_are_their_ids(rows, data):
    log = EventLog.from_frame(as_table(rows), on_bad="quarantine")
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(log), max_size=len(log))), bool)
    by_mask, by_place = log.select(keep), log.select(np.flatnonzero(keep))
    assert by_mask.to_table().equals(log.to_table().filter(pa.array(keep)))
    assert by_place.to_table().equals(by_mask.to_table())
    for name, vocabulary in by_mask.vocabularies.items():
        used = {id_ for id_ in by_mask.to_table()[name].to_pylist() if id_ is not None}
        assert list(vocabulary) == sorted(used)
    assert len(by_mask.rejected) == 0
    assert by_mask.rejected.schema.equals(log.rejected.schema)


def test_a_selection_holds_nothing_of_the_rows_set_aside():
    log = EventLog.from_frame(
        table(customer_id=["ann", "bob", "zoe-9"], item_id=["pen", "ink", None]), on_bad="quarantine"
    )
    assert traces(log, b"zoe-9")
    assert not traces(log.select(np.array([True, False])), b"zoe-9")


def test_a_selection_keeps_the_item_table():
    log = EventLog.from_frame(THREE, items={"item_id": ["cap", "pen"], "title": ["Cap", "Pen"]})
    chosen = log.select(np.array([False, False, True]))
    assert list(chosen.items) == ["cap", "ink", "pen"]
    assert list(chosen.item_texts("title")) == ["Cap", "", "Pen"]


# Bots and duplicates


def test_spellings_of_one_customer_count_as_one():
    log = EventLog.from_frame(
        {"customer_id": ["é", "e\u0301", "x"], "item_id": [1, 2, 3]}, max_events_per_customer=1
    )
    assert list(log.customers) == ["x"]
    assert log.rejected["row"].to_pylist() == [0, 1]


def test_bots_are_set_aside_even_where_bad_rows_raise():
    log = EventLog.from_frame(THREE, max_events_per_customer=1)
    assert log.rejected["row"].to_pylist() == [0, 2]
    assert set(log.rejected["reason"].to_pylist()) == {"customer_id: a customer with more than 1 events"}


def test_duplicates_are_equal_in_every_column_that_is_read():
    frame = {
        "customer_id": ["é", "e\u0301", "é", "é", "é"],
        "item_id": [1, 1, 1, 1, 2],
        "value": [0.0, -0.0, float("nan"), None, 0.0],
        "note": ["a", "b", "c", "d", "e"],
    }
    kept = EventLog.from_frame(frame)
    assert (len(kept), kept.n_duplicates) == (5, 2)
    rejected = EventLog.from_frame(frame, duplicates="reject")
    assert (len(rejected), rejected.n_duplicates) == (3, 2)
    assert rejected.rejected["row"].to_pylist() == [1, 3]
    assert set(rejected.rejected["reason"].to_pylist()) == {"row: repeats an earlier row in every column"}


# A missing number is a missing number, whatever bits it came with.
def test_missing_numbers_are_equal():
    frame = {"customer_id": [1, 1, 1], "item_id": [1, 1, 1], "value": np.array([np.nan, -np.nan, 1.0])}
    assert EventLog.from_frame(frame).n_duplicates == 1


# Repeated events are no sign of a bot where they do not count.
def test_duplicates_that_are_set_aside_make_no_bot():
    frame = {"customer_id": [1, 1, 1], "item_id": [1, 1, 2]}
    assert len(EventLog.from_frame(frame, duplicates="reject", max_events_per_customer=2)) == 2
    assert len(EventLog.from_frame(frame, max_events_per_customer=2)) == 0


# Returns, by hand


@pytest.mark.parametrize(
    ("quantity", "value", "event_type", "expected"),
    [
        (-1.0, None, "purchase", "return"),
        (-1.0, 5.0, "purchase", "return"),
        (None, -5.0, "purchase", "return"),
        (1.0, -5.0, "purchase", "purchase"),  # a discount
        (0.0, -5.0, "purchase", "purchase"),
        (None, None, "purchase", "purchase"),
        (-0.0, None, "purchase", "purchase"),
        (-1.0, None, "view", "view"),
        (1.0, None, "return", "return"),
    ],
)
def test_which_purchases_are_returns(quantity, value, event_type, expected):
    log = EventLog.from_frame(
        {
            "customer_id": [1],
            "item_id": [1],
            "quantity": [quantity],
            "value": [value],
            "event_type": [event_type],
        }
    )
    read = log.to_table().to_pydict()
    assert (read["event_type"], read["quantity"], read["value"]) == ([expected], [quantity], [value])
    assert list(log.vocabularies["event_type"]) == [expected]
    assert log.n_relabelled == (event_type != expected)


def counts(log):
    return {row["what"]: row["count"] for row in log.report().to_records()}


@pytest.mark.parametrize(
    ("moves", "matched", "unmatched"),
    [
        ([("ann", "pen", 1), ("ann", "pen", -1)], 1, 0),
        ([("ann", "pen", 2), ("ann", "pen", -1), ("ann", "pen", -1)], 2, 0),
        ([("ann", "pen", 2), ("ann", "pen", -1), ("ann", "pen", -2)], 1, 1),  # covered in part only
        ([("ann", "pen", 1), ("bob", "pen", -1), ("ann", "ink", -1)], 0, 2),  # of someone, something else
    ],
)
def test_the_report_counts_returns_that_found_a_purchase(moves, matched, unmatched):
    customers, items, quantity = zip(*moves, strict=True)
    frame = {"customer_id": customers, "item_id": items, "quantity": quantity}
    found = counts(EventLog.from_frame(frame))
    assert (found["returns matched"], found["returns unmatched"]) == (matched, unmatched)
    # Time decides what is earlier, not the order of rows.
    backwards = pa.table(frame | {"timestamp": list(range(NOON, NOON + len(moves)))}).take(
        pa.array(range(len(moves) - 1, -1, -1))
    )
    found = counts(EventLog.from_frame(backwards))
    assert (found["returns matched"], found["returns unmatched"]) == (matched, unmatched)


@pytest.mark.parametrize("quantity", [[-1, 1], [1, -1, -1, 1]])
def test_within_one_moment_purchases_come_before_returns(quantity):
    """Whatever the order of rows; a moment apart, a return finds only what was bought before it."""
    frame = {"customer_id": ["ann"] * len(quantity), "item_id": ["pen"] * len(quantity), "quantity": quantity}
    n_returns = sum(moved < 0 for moved in quantity)
    for times in ({}, {"timestamp": [NOON] * len(quantity)}):
        found = counts(EventLog.from_frame(frame | times))
        assert (found["returns matched"], found["returns unmatched"]) == (n_returns, 0)
    found = counts(EventLog.from_frame(frame | {"timestamp": [NOON + n for n in range(len(quantity))]}))
    assert (found["returns matched"], found["returns unmatched"]) == (n_returns - 1, 1)


# The report


def test_the_report_says_it_all():
    frame = {
        "customer_id": ["ann", "ann", "bob", None, None, "bot", "bot", "bot", "bot", "ann"],
        "item_id": ["pen", "pen", "ink", "ink", None, "pen", "pen", "pen", "pen", "pen"],
        "session_id": ["s1", "s1", None, "s2", "s3", "s4", "s4", "s4", "s4", "s5"],
        "quantity": [1, 1, 2, 1, 1, 1, 1, 1, 1, -1],
        "timestamp": [NOON, NOON, NOON + 60, NOON, NOON, NOON, NOON, NOON, NOON, NOON + 120],
        "note": ["x"] * 10,
    }
    items = {"item_id": ["pen", "cap"], "title": ["Pen", "Cap"]}
    log = EventLog.from_frame(frame, items=items, on_bad="quarantine", max_events_per_customer=3)
    assert str(log.report()) == REPORT
    assert log.report()._repr_html_().startswith("<table><caption>Event log</caption>")
    assert repr(log) == "EventLog(5 events of 2 customers and 3 items, time_kind='timestamp', 5 rejected)"


REPORT = """\
Event log
what                 count  remark
-------------------  -----  ---------------------------------------------------
rows read               10
rows kept                5
rows set aside           5  see log.rejected
                         4  customer_id: a customer with more than 3 events
                         1  item_id: null, for an event type that needs an item
customers                2  ids are text
anonymous visits         1  they feed the models and are no customers
items                    3  ids are text; 2 with events
time                        2023-11-14 22:13 to 2023-11-14 22:15 UTC
exact duplicates         1  kept: real logs repeat real events
event type purchase      4  weight 5
event type return        1  each undoes the newest earlier purchase
returns matched          1  1 were purchases with a negative quantity or value
returns unmatched        0
missing                     customer_id in 20.0% of rows
missing                     session_id in 20.0% of rows
columns not read         1  note"""


def test_the_report_asks_after_a_newest_event_that_stands_alone():
    plain = {"customer_id": [1, 1], "item_id": [1, 2], "timestamp": ["2024-01-01", "2024-03-31"]}
    late = {"customer_id": [1], "item_id": [1], "timestamp": ["2199-01-01"]}
    log = EventLog.from_frame(plain)
    assert ("time", None, "2024-01-01 00:00 to 2024-03-31 00:00 UTC") in log.report().rows
    assert (
        "time",
        None,
        "2024-01-01 00:00 to 2199-01-01 00:00 UTC; the newest comes 63,828 days after the one before, is it "
        "mistyped?",
    ) in log.append(late).report().rows


def test_the_report_says_how_to_name_an_event_type_that_counts_nothing():
    log = EventLog.from_frame({"customer_id": [1], "item_id": [1], "event_type": ["buy"]})
    remark = 'weight 0; if it is one of ours by another name: event_types={"buy": "purchase"}'
    assert ("event type buy", 1, remark) in log.report().rows


def test_the_report_of_a_log_of_which_nothing_is_left():
    found = EventLog.from_frame(table(item_id=[None] * 3, timestamp=[NOON] * 3), on_bad="quarantine").report()
    assert counts_of(found)["rows kept"] == 0
    assert ("time", None, "no events") in found.rows


def counts_of(report):
    return {row["what"]: row["count"] for row in report.to_records()}


# A frozen dataclass would compare arrays, and fail.
def test_logs_are_compared_by_identity():
    log = EventLog.from_frame(THREE)
    assert log == log
    assert log != EventLog.from_frame(THREE)
    assert log in {log}
