"""Refusals: each has its exact wording, and no row is lost, altered or refused for another row's fault."""

import uuid
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_cases import LONG, MODES, NOON, ODD_ROWS, THREE, as_table, odd_cases, settle, table
from hypothesis import given
from hypothesis import strategies as st

from engagelib import EventLog
from engagelib.errors import ArgumentError, SchemaError

ASIDE = ' Hint: on_bad="quarantine" sets such rows aside in log.rejected.'
NULLABLE = (
    " Hint: a null among integers often turns them into floats, which are exact only up to 2**53; read the "
    'column as a nullable integer, such as pandas\' "Int64".'
)
ONE_TYPE = " Hint: 1 and '1' are two ids; bring the column to one type before reading it."
ONE_LENGTH = " Hint: bring the values of each column to one type, and all columns to one length."
FLOATS = "column 'customer_id' is of type float: expected ids as integers or strings." + NULLABLE
MIXED = "column 'customer_id' holds values of type int, str: expected either integers or strings throughout."
ODD_YEARS = 'Times {} are refused. Hint: these look like {} read as {}; pass unit="{}".'


def objects(*values):
    return pd.DataFrame(THREE | {"customer_id": pd.Series(values, dtype=object)})


def broken_text():
    buffers = [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    return pa.table({"customer_id": [1], "item_id": pa.Array.from_buffers(pa.string(), 1, buffers)})


REFUSED_FRAMES = {
    "no customers": (
        {"Visitor ID": [1], "item_id": [1], "a": [1]},
        "column 'customer_id' is missing. Found: Visitor ID, item_id, a. "
        'Hint: pass columns={"customer_id": "Visitor ID"}.',
    ),
    "no items": (
        {"customer_id": [1], "StockCode": [1]},
        "column 'item_id' is missing. Found: customer_id, StockCode. "
        'Hint: pass columns={"item_id": "StockCode"}.',
    ),
    "no likely name": (
        {f"c{place}": [1] for place in range(10)},
        "column 'customer_id' is missing. Found: c0, c1, c2, c3, c4, c5, c6, c7 and 2 more. "
        'Hint: pass columns={"customer_id": "your name for it"}.',
    ),
    "customers in the index": (
        pd.DataFrame(THREE).set_index("customer_id"),
        "column 'customer_id' is missing. Found: item_id. "
        "Hint: it is the frame's index, which is not read; pass frame.reset_index().",
    ),
    "consecutive customers in the index": (
        pd.DataFrame({"item_id": [1, 2]}, index=pd.RangeIndex(2, name="customer_id")),
        "column 'customer_id' is missing. Found: item_id. "
        "Hint: it is the frame's index, which is not read; pass frame.reset_index().",
    ),
    "a name twice": (
        pa.table([[1], [2], [3]], names=["customer_id", "item_id", "item_id"]),
        "column 'item_id' stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them.",
    ),
    "no rows": (
        pa.table({"customer_id": [], "item_id": []}),
        "the log has no rows: expected at least one event. "
        "Hint: check the path, query or filter that it came from.",
    ),
    "null customers": (
        table(customer_id=["ann", None, None], session_id=[1, 1, None]),
        "column 'customer_id': null, without a session_id or order_id (1 row, first at 2)." + ASIDE,
    ),
    "only null customers": (
        table(customer_id=[None] * 3),
        "column 'customer_id': null, without a session_id or order_id (3 rows, first at 0, 1, 2)." + ASIDE,
    ),
    "empty customers": (
        table(customer_id=["ann", "", "bob"]),
        "column 'customer_id': null, without a session_id or order_id (1 row, first at 1)." + ASIDE,
    ),
    "null items": (
        {"customer_id": [1] * 1200, "item_id": pa.nulls(1200, pa.int64())},
        "column 'item_id': null, for an event type that needs an item "
        "(1,200 rows, first at 0, 1, 2, 3, 4 and 1 more)." + ASIDE,
    ),
    "null types": (
        table(event_type=["view", None, ""]),
        "column 'event_type': null (2 rows, first at 1, 2)." + ASIDE,
    ),
    "float ids": (table(customer_id=[1.0, 2.0, 3.0]), FLOATS),
    "an integer column with a null": (pd.DataFrame(table(customer_id=[1, None, 3])), FLOATS),
    "integers and floats": (table(customer_id=[2**53 + 1, 2.0, 3]), FLOATS),
    "objects that are floats": (objects(1, 2.5, None), FLOATS),
    "boolean ids": (
        table(customer_id=[True, False, None]),
        "column 'customer_id' is of type bool: expected ids as integers or strings. "
        "Hint: True and False are no ids; was another column meant?",
    ),
    "ids of bytes": (
        table(customer_id=[b"a", b"b", b"c"]),
        "column 'customer_id' is of type binary: expected ids as integers or strings.",
    ),
    "ids of dates": (
        table(item_id=[date(2024, 1, 1)] * 3),
        "column 'item_id' is of type date32[day]: expected ids as integers or strings.",
    ),
    "ids of lists": (
        pl.DataFrame(table(session_id=[[1], [2], [3]])),
        "column 'session_id' is of type large_list<item: int64>: expected ids as integers or strings.",
    ),
    "ids of UUIDs": (
        pa.table(table(order_id=pa.array([uuid.UUID(int=1).bytes] * 3, pa.binary(16)))),
        "column 'order_id' is of type fixed_size_binary[16]: expected ids as integers or strings.",
    ),
    "mixed ids": (table(customer_id=[1, "1", None]), MIXED + ONE_TYPE),
    "mixed ids in records": (
        [{"customer_id": 1, "item_id": 1}, {"customer_id": "1", "item_id": 1}],
        MIXED + ONE_TYPE,
    ),
    "mixed ids in objects": (objects(1, "1", None), MIXED + ONE_TYPE),
    "mixed ids with a boolean": (
        table(customer_id=[1, True, 2]),
        MIXED.replace("int, str", "bool, int") + ONE_TYPE,
    ),
    "mixed ids with NaN": (
        table(customer_id=["a", float("nan"), "b"]),
        MIXED.replace("int, str", "float, str") + ONE_TYPE,
    ),
    "unsigned ids": (
        table(item_id=np.array([2**63, 1, 2], np.uint64)),
        "column 'item_id' holds integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
        "Hint: read such ids as strings.",
    ),
    "huge ids": (
        table(item_id=[2**70, 1, 2]),
        "column 'item_id' holds integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
        "Hint: read such ids as strings.",
    ),
    "a lone surrogate": (
        table(item_id=["a", "\ud800", "b"]),
        "column 'item_id' holds text with a lone surrogate: expected text that UTF-8 can hold. "
        "Hint: it may come from a file decoded as something that it is not.",
    ),
    "long ids": (
        table(channel=["web", LONG, None]),
        "column 'channel': an id of more than 1,024 bytes (1 row, first at 1)." + ASIDE,
    ),
    "numbered types": (
        table(event_type=[1, 2, 3]),
        "column 'event_type' is of type int64: expected names of event types. "
        "Hint: name the types, as in view, cart, purchase.",
    ),
    "categories of numbered types": (
        pa.table(table(event_type=pa.array([1, 2, 3]).dictionary_encode())),
        "column 'event_type' is of type dictionary<values=int64, indices=int32, ordered=0>: "
        "expected names of event types. Hint: name the types, as in view, cart, purchase.",
    ),
    "too many types": (
        {"customer_id": [1] * 1001, "item_id": [1] * 1001, "event_type": [f"t{i}" for i in range(1001)]},
        "column 'event_type' is of type text with 1,001 distinct values: expected at most 1,000 event types.",
    ),
    "infinity": (
        table(value=[1.0, float("-inf"), float("nan")]),
        "column 'value': infinite (1 row, first at 1)." + ASIDE,
    ),
    "text for numbers": (
        table(quantity=["one", "two", "3"]),
        "column 'quantity' is of type string: expected numbers.",
    ),
    "booleans for numbers": (table(rating=[True] * 3), "column 'rating' is of type bool: expected numbers."),
    "null times": (
        table(timestamp=[None, NOON, NOON]),
        "column 'timestamp': null (1 row, first at 0)." + ASIDE,
    ),
    "only null times": (
        table(timestamp=[None] * 3),
        "column 'timestamp': null (3 rows, first at 0, 1, 2)." + ASIDE,
    ),
    "NaT": (
        pd.DataFrame(table(timestamp=[pd.NaT, pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-01")])),
        "column 'timestamp': null (1 row, first at 0)." + ASIDE,
    ),
    "times that are no numbers": (
        table(timestamp=[float("inf"), float("nan"), 1.7e9]),
        "column 'timestamp': not a number (2 rows, first at 0, 1)." + ASIDE,
    ),
    "text that is no time": (
        table(timestamp=["2024-02-30", "2024-02-29", "noon"]),
        "column 'timestamp': no time in ISO 8601 (2 rows, first at 0, 2)." + ASIDE,
    ),
    "booleans for times": (
        table(timestamp=[True] * 3),
        "column 'timestamp' is of type bool: expected times, dates, text in ISO 8601 or numbers with unit=.",
    ),
    "durations for times": (
        table(timestamp=[timedelta(1)] * 3),
        "column 'timestamp' is of type duration[us]: "
        "expected times, dates, text in ISO 8601 or numbers with unit=.",
    ),
    # Arrow would cut the hours off the second, and read the third as microseconds.
    "dates among times": (
        table(timestamp=[date(2024, 1, 1), datetime(2024, 1, 1, 5), None]),
        "column 'timestamp' could not be read: it holds values of type date, datetime." + ONE_LENGTH,
    ),
    "dates among times in objects": (
        pd.DataFrame(table(timestamp=np.array([date(2024, 1, 1), datetime(2024, 1, 1, 5), None]))),
        "column 'timestamp' could not be read: it holds values of type date, datetime." + ONE_LENGTH,
    ),
    "integers among times": (
        table(timestamp=[datetime(2024, 1, 1), 5, None]),
        "column 'timestamp' could not be read: it holds values of type datetime, int." + ONE_LENGTH,
    ),
    "milliseconds": (
        table(timestamp=[NOON * 1000, NOON * 1000 + 10**9, NOON]),
        "column 'timestamp' spans the years 55840 to 55872 (2 rows). "
        + ODD_YEARS.format("after the year 2200", "milliseconds", "seconds", "ms"),
    ),
    "milliseconds and a zero": (
        table(timestamp=[NOON * 1000, NOON * 1000, 0]),
        "column 'timestamp' spans the years 1970 to 55840 (3 rows). "
        + ODD_YEARS.format("after the year 2200", "milliseconds", "seconds", "ms"),
    ),
    "microseconds": (
        table(timestamp=[NOON * 10**6] * 3),
        "column 'timestamp' spans the year 53872825 (3 rows). "
        + ODD_YEARS.format("after the year 2200", "microseconds", "seconds", "us"),
    ),
    "nanoseconds": (
        table(timestamp=[float(NOON * 10**9)] * 3),
        "column 'timestamp' spans the year 53870857431 (3 rows). "
        + ODD_YEARS.format("after the year 2200", "nanoseconds", "seconds", "ns"),
    ),
    "milliseconds made into times before": (
        pd.DataFrame(table(timestamp=pd.to_datetime([NOON * 1000] * 3, unit="ns"))),
        "column 'timestamp' spans the year 1970 (3 rows). Times before the year 1990 are refused. "
        "Hint: these look like milliseconds read as nanoseconds; "
        'pass the numbers themselves with unit="ms".',
    ),
    "times of no unit": (
        table(timestamp=[5, 5, NOON]),
        "column 'timestamp' spans the year 1970 (2 rows). Times before the year 1990 are refused. "
        "Hint: check the column; " + ASIDE[7:],
    ),
    "unsigned times": (
        table(timestamp=np.array([2**64 - 1, NOON, NOON], np.uint64)),
        "column 'timestamp' spans the year 584554051223 (1 row). Times after the year 2200 are refused. "
        "Hint: check the column; " + ASIDE[7:],
    ),
    "null positions": (
        table(position=[1, None, 2]),
        "column 'position': null (1 row, first at 1)." + ASIDE,
    ),
    "unsigned positions": (
        table(position=np.array([2**63, 1, 2], np.uint64)),
        "column 'position': beyond 64 bits with a sign (1 row, first at 0)." + ASIDE,
    ),
    "float positions": (
        table(position=[1.5, 2, 3]),
        "column 'position' is of type double: expected integers that order a customer's events.",
    ),
    "times as positions": (
        table(position=[datetime(2024, 1, 1)] * 3),
        "column 'position' is of type timestamp[us]: expected integers that order a customer's events. "
        'Hint: times go into a column named "timestamp".',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("frame", "message"), REFUSED_FRAMES.values(), ids=REFUSED_FRAMES)
def test_a_frame_is_refused_in_these_words(frame, message):
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(frame)
    assert str(caught.value) == message


def test_a_refusal_names_column_and_row():
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(table(value=[1.0, 2.0, float("inf")]))
    assert (caught.value.column, caught.value.row) == ("value", 2)


# What Arrow itself refuses is worded around its own text, which changes from version to version.
@pytest.mark.parametrize(
    ("frame", "where"),
    [
        (broken_text(), "column 'item_id'"),
        (table(customer_id=5), "column 'customer_id'"),
        (table(item_id=[1]), "the table"),
        (table(quantity=np.ones((3, 2))), "column 'quantity'"),
        (table(quantity=np.ones(3, complex)), "column 'quantity'"),
        (table(quantity=[1, "2", 3]), "column 'quantity'"),
        (objects("a", b"b", object()), "column 'customer_id'"),
        (
            pd.DataFrame(THREE).assign(**{"my notes": pd.Series([1, "a", 2], dtype=object)}),
            "column 'my notes'",
        ),
        (pd.DataFrame([[1, 2, 3]], columns=["customer_id", "item_id", "item_id"]), "the table"),
        ({1: [1], "customer_id": [1], "item_id": [1]}, "the table"),
    ],
    ids=[
        "not UTF-8",
        "a scalar",
        "lengths",
        "2D",
        "complex",
        "mixed",
        "objects",
        "spaced name",
        "twice",
        "key",
    ],
)
def test_what_arrow_refuses_names_the_column(frame, where):
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(frame)
    assert str(caught.value).startswith((f"{where} could not be read: ", f"{where} holds values of type "))


OTHER_UNITS = [
    ("ms", NOON, ("year 1970", "before the year 1990", "seconds", "milliseconds", "s")),
    ("ns", NOON * 1000, ("year 1970", "before the year 1990", "milliseconds", "nanoseconds", "ms")),
    ("us", NOON * 10**9, ("year 55840", "after the year 2200", "nanoseconds", "microseconds", "ns")),
]


@pytest.mark.parametrize(("unit", "time", "words"), OTHER_UNITS, ids=["s", "ms", "ns"])
def test_times_in_another_unit_name_the_likely_one(unit, time, words):
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame({"customer_id": [1], "item_id": [1], "timestamp": [time]}, unit=unit)
    year, *rest = words
    assert str(caught.value) == f"column 'timestamp' spans the {year} (1 row). " + ODD_YEARS.format(*rest)


NAMES = "expected a mapping of names to names, such as "
REFUSED_ARGUMENTS = [
    ({"unit": "min"}, "unit='min': expected one of \"s\", \"ms\", \"us\", \"ns\"."),
    ({"unit": []}, 'unit=[]: expected one of "s", "ms", "us", "ns".'),
    ({"on_bad": "drop"}, "on_bad='drop': expected \"raise\" or \"quarantine\"."),
    ({"duplicates": True}, 'duplicates=True: expected "keep" or "reject".'),
    ({"max_events_per_customer": 0}, "max_events_per_customer=0: expected an integer of at least 1."),
    ({"max_events_per_customer": True}, "max_events_per_customer=True: expected an integer of at least 1."),
    ({"columns": ["user"]}, f"columns=['user']: {NAMES}{{\"customer_id\": \"user\"}}."),
    ({"columns": {"time": "item_id"}}, "columns='time': expected one of customer_id, item_id, channel, "
     "location, order_id, session_id, event_type, timestamp, position, quantity, value, rating as a key."),
    ({"event_types": {"a": None}}, f"event_types={{'a': None}}: {NAMES}{{\"addtocart\": \"cart\"}}."),
    ({"event_types": {"a": ""}}, f"event_types={{'a': ''}}: {NAMES}{{\"addtocart\": \"cart\"}}."),
    ({"itemless": "login"}, "itemless='login': expected a collection of event types."),
    ({"at": 5}, "at=5: expected a datetime, a date, a numpy.datetime64 or a text in ISO 8601, "
     "from 1990 to 2200."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("keywords", "message"), REFUSED_ARGUMENTS, ids=[str(k) for k, _ in REFUSED_ARGUMENTS]
)
def test_an_argument_is_refused_in_these_words(keywords, message):
    with pytest.raises(ArgumentError) as caught:
        EventLog.from_frame(THREE, **keywords)
    assert str(caught.value) == message


def test_columns_naming_a_column_that_is_not_there():
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(THREE, columns={"customer_id": "user"})
    assert str(caught.value) == (
        "column 'user', which columns= names as 'customer_id', is missing. Found: customer_id, item_id."
    )


def test_times_after_at():
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(
            table(timestamp=["2024-01-01", "2024-01-03", "2024-01-02"]), at="2024-01-02T00:00:00Z"
        )
    assert str(caught.value) == (
        "column 'timestamp': after 2024-01-02 00:00, the `at` that was given (1 row, first at 1)." + ASIDE
    )


@pytest.mark.parametrize(
    ("source", "given"), [(5, "int"), (None, "NoneType"), ([(1, 2)], "list"), (iter([]), "list_iterator")]
)
def test_what_is_no_table_is_refused(source, given):
    with pytest.raises(ArgumentError) as caught:
        EventLog.from_frame(source)
    assert str(caught.value) == (
        f"the log is of type {given}: expected a path, a frame with the Arrow stream protocol, a mapping of "
        "columns or a list of records."
    )


def test_one_text_is_no_column():
    with pytest.raises(ArgumentError) as caught:
        EventLog.from_frame(table(customer_id="ann"))
    assert str(caught.value) == "column 'customer_id' is of type str: expected a sequence of values."


def test_no_records():
    with pytest.raises(SchemaError) as caught:
        EventLog.from_records([])
    assert str(caught.value) == REFUSED_FRAMES["no rows"][1]


# Files


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log", "folder/log.tsv.gz"])
def test_a_missing_file_is_the_systems_own_error(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        EventLog.read(tmp_path / name)


UNREADABLE = {
    "latin.csv": "customer_id,item_id\n1,é\n".encode("latin-1"),
    "heading.csv": "customer_id,item_id,é\n1,2,3\n".encode("latin-1"),
    "ragged.csv": b"customer_id,item_id\n1,2\n3\n",
    "empty.csv": b"",
    "plain.csv.gz": b"customer_id,item_id\n1,2\n",
    "text.parquet": b"customer_id,item_id\n1,2\n",
}


@pytest.mark.parametrize(("name", "content"), UNREADABLE.items(), ids=UNREADABLE)
def test_a_file_that_is_not_what_its_name_says(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SchemaError) as caught:
        EventLog.read(path)
    assert str(caught.value) == (
        f"{path} could not be read: {str(caught.value.__cause__).rstrip('.')}. "
        "Hint: expected Parquet, or CSV in UTF-8 with one header line, as the file's name says."
    )


def test_a_damaged_parquet_file(tmp_path):
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"customer_id": np.arange(1000), "item_id": np.arange(1000)}), path)
    content = bytearray(path.read_bytes())
    content[40:400] = b"\xff" * 360
    path.write_bytes(content)
    with pytest.raises(SchemaError, match="could not be read"):
        EventLog.read(path)


def test_a_folder_whose_files_disagree(tmp_path):
    pq.write_table(pa.table({"customer_id": [1], "item_id": [1]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"customer_id": ["a"], "item_id": [1]}), tmp_path / "2.parquet")
    with pytest.raises(SchemaError, match="could not be read"):
        EventLog.read(tmp_path)


def test_an_empty_folder_and_a_header_alone_have_no_rows(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "log.csv").write_text("customer_id,item_id\n", "utf-8")
    for path in (tmp_path / "folder", tmp_path / "log.csv"):
        with pytest.raises(SchemaError) as caught:
            EventLog.read(path)
        assert str(caught.value) == REFUSED_FRAMES["no rows"][1]


def test_a_file_of_an_unknown_kind(tmp_path):
    path = tmp_path / "log.xlsx"
    path.touch()
    with pytest.raises(ArgumentError) as caught:
        EventLog.read(path)
    assert str(caught.value) == (
        f"path={str(path)!r}: expected a .parquet, .csv or .tsv file, or a folder of Parquet files."
    )


# What pandas writes for a column of integers with a null.
def test_float_ids_in_a_csv(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,item_id\n17850.0,1\n,1\n13047.0,2\n", "utf-8")
    with pytest.raises(SchemaError) as caught:
        EventLog.read(path)
    assert str(caught.value) == FLOATS


# Definition: a reading of the rules in plain Python, over rows in which everything goes wrong at once.
@odd_cases
@given(rows=ODD_ROWS, modes=MODES)
def test_rows_are_kept_or_set_aside_as_the_rules_say(rows, modes):
    log = EventLog.from_frame(as_table(rows), on_bad="quarantine", **modes)
    kept = settle(rows, **modes)
    read = log.to_table().set_column(
        log.to_table().column_names.index("timestamp"), "timestamp", pa.array(log.columns["time"] // 10**6)
    )
    assert read.to_pylist() == [{name: row[name] for name in read.column_names} for _, row in kept]
    numbers = [number for number, _ in kept]
    aside = log.rejected.to_pylist()
    assert len(rows) == len(log) + len(aside)
    assert [row["row"] for row in aside] == [number for number in range(len(rows)) if number not in numbers]
    for row in aside:
        original = rows[row.pop("row")]
        assert row.pop("reason")
        assert repr(row) == repr({name: original[name] for name in row})  # NaN is not equal to itself


@odd_cases
@given(rows=ODD_ROWS, modes=MODES)
def test_raise_refuses_what_quarantine_sets_aside_for_a_bad_value(rows, modes):
    aside = EventLog.from_frame(as_table(rows), on_bad="quarantine", **modes)
    bad = [
        reason
        for reason in aside.rejected["reason"].to_pylist()
        if "more than" not in reason or "bytes" in reason
    ]
    bad = [reason for reason in bad if not reason.startswith("row: ")]
    if not bad:
        assert EventLog.from_frame(as_table(rows), **modes).to_table().equals(aside.to_table())
        return
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(as_table(rows), **modes)
    rows_of_reason = aside.rejected.filter(
        pa.array([caught.value.row == row for row in aside.rejected["row"].to_pylist()])
    )
    assert rows_of_reason["reason"][0].as_py().startswith(f"{caught.value.column}: ")


# Law: the order of rows does not matter for what is refused, nor for the ids that remain.
@odd_cases
@given(rows=ODD_ROWS, modes=MODES, data=st.data())
def test_the_order_of_rows_does_not_matter(rows, modes, data):
    order = data.draw(st.permutations(range(len(rows))))
    first = EventLog.from_frame(as_table(rows), on_bad="quarantine", **modes)
    other = EventLog.from_frame(as_table([rows[place] for place in order]), on_bad="quarantine", **modes)
    assert first.vocabularies == other.vocabularies
    assert len(first) == len(other)
    assert first.n_duplicates == other.n_duplicates
    if modes["duplicates"] == "keep":
        came_from = sorted(order[row] for row in other.rejected["row"].to_pylist())
        assert came_from == first.rejected["row"].to_pylist()
