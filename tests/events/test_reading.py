"""Reading: every source gives the same log, ids keep type and value, and times of all kinds agree."""

import gzip
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from event_cases import LONGEST, NOON, THREE, table

from engagelib import EventLog
from engagelib.errors import SchemaError

FULL = {
    "customer_id": [1, 2, None, 1],
    "item_id": ["pen", "ink", "pen", None],
    "session_id": ["s1", None, "s2", "s1"],
    "event_type": ["view", "cart", "view", "login"],
    "timestamp": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)],
    "quantity": [1.0, None, 2.0, None],
}
# The order of columns is the library's own.
EXPECTED = pa.table(
    {
        "customer_id": pa.array(FULL["customer_id"], pa.int64()),
        "item_id": pa.array(FULL["item_id"], pa.large_string()),
        "session_id": pa.array(FULL["session_id"], pa.large_string()),
        "event_type": pa.array(FULL["event_type"], pa.large_string()),
        "quantity": pa.array(FULL["quantity"], pa.float64()),
        "timestamp": pa.array(FULL["timestamp"], pa.timestamp("us", "UTC")),
    }
)


def pandas_frame():
    return pd.DataFrame(FULL | {"customer_id": pd.array(FULL["customer_id"], dtype="Int64")})


SOURCES = {
    "mapping of lists": lambda: FULL,
    "mapping of arrays": lambda: {
        "customer_id": pa.array(FULL["customer_id"]),
        "item_id": np.array(FULL["item_id"], object),
        "session_id": pl.Series(FULL["session_id"]),
        "event_type": np.array(FULL["event_type"]),
        "timestamp": pd.Series(FULL["timestamp"]),
        "quantity": np.array([1.0, np.nan, 2.0, np.nan]),
    },
    "arrow table": lambda: pa.table(FULL),
    "arrow record batch": lambda: pa.RecordBatch.from_pydict(FULL),
    "arrow reader": lambda: pa.table(FULL).to_reader(),
    "arrow views": lambda: pa.table(FULL).set_column(
        1, "item_id", pa.array(FULL["item_id"], pa.string_view())
    ),
    "two chunks": lambda: pa.concat_tables([pa.table(FULL).slice(0, 2), pa.table(FULL).slice(2)]),
    "two dictionaries": lambda: pa.concat_tables(
        [pa.Table.from_batches([batch]) for batch in _dictionaries().to_batches(max_chunksize=2)]
    ),
    "pandas": pandas_frame,
    "pandas objects": lambda: pandas_frame().astype(dict.fromkeys(("customer_id", "item_id"), object)),
    "pandas categories": lambda: pandas_frame().astype(
        dict.fromkeys(("customer_id", "item_id", "event_type", "session_id"), "category")
    ),
    "pandas index": lambda: pandas_frame().set_index(pd.Index([9, 7, 7, 5])),
    "pandas named index": lambda: pandas_frame().set_index(pd.Index([9, 7, 7, 5], name="position")),
    "polars": lambda: pl.DataFrame(FULL),
    "polars categories": lambda: pl.DataFrame(FULL).with_columns(
        pl.col("item_id").cast(pl.Categorical), pl.col("event_type").cast(pl.Enum(["login", "cart", "view"]))
    ),
    "duckdb": lambda: duckdb.from_arrow(pa.table(FULL)),
    "records": lambda: [dict(zip(FULL, row, strict=True)) for row in zip(*FULL.values(), strict=True)],
}


def _dictionaries():
    plain = pa.table(FULL)
    return plain.set_column(1, "item_id", plain["item_id"].dictionary_encode())


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_source_gives_the_same_log(source):
    log = EventLog.from_frame(source())
    assert log.to_table().equals(EXPECTED)
    assert (len(log), log.n_customers, log.n_items, log.time_kind) == (4, 2, 2, "timestamp")
    assert log.rejected.num_rows == 0


def test_records_may_lack_keys():
    log = EventLog.from_records(
        [{"customer_id": 1, "item_id": 2}, {"item_id": 3, "customer_id": 1, "quantity": 2}]
    )
    assert log.to_table()["quantity"].to_pylist() == [None, 2.0]


# Files


def _as_csv(separator=","):
    lines = [["customer_id", "item_id", "session_id", "event_type", "timestamp", "quantity"]]
    lines += [
        ["" if value is None else str(value) for value in row] for row in zip(*FULL.values(), strict=True)
    ]
    return "\n".join(separator.join(line) for line in lines) + "\n"


def _write(folder, name):
    path = folder / name
    if ".parquet" in name:
        pq.write_table(pa.table(FULL), path)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(_as_csv("\t" if ".tsv" in name else ",").encode()))
    else:
        path.write_text(_as_csv("\t" if ".tsv" in name else ","), "utf-8")
    return path


@pytest.mark.parametrize(
    "name", ["e.parquet", "e.csv", "e.2024.CSV", "e.txt", "e.csv.gz", "e.tsv", "e.tsv.gz"]
)
@pytest.mark.parametrize("kind", [str, lambda path: path], ids=["text", "path"])
def test_every_file_gives_the_same_log(tmp_path, name, kind):
    assert EventLog.read(kind(_write(tmp_path, name))).to_table().equals(EXPECTED)


def test_a_folder_of_parquet_files_is_one_log_in_the_order_of_names(tmp_path):
    whole = pa.table(FULL)
    pq.write_table(whole.slice(0, 1), tmp_path / "part-1.parquet")
    (tmp_path / "more").mkdir()
    pq.write_table(whole.slice(1), tmp_path / "part-2.parquet")
    (tmp_path / "_SUCCESS").touch()
    assert EventLog.read(tmp_path).to_table().equals(EXPECTED)


# A column that only later files have must not be lost, nor one that is all null in the first file.
def test_columns_of_a_folder_are_joined_by_name(tmp_path):
    pq.write_table(
        pa.table({"customer_id": [None], "item_id": [1], "session_id": [4]}), tmp_path / "1.parquet"
    )
    pq.write_table(pa.table({"item_id": [2], "customer_id": [7], "quantity": [3]}), tmp_path / "2.parquet")
    read = EventLog.read(tmp_path).to_table().to_pydict()
    assert (read["customer_id"], read["item_id"]) == ([None, 7], [1, 2])
    assert (read["session_id"], read["quantity"]) == ([4, None], [None, 3.0])


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        (["1", "20", "-3"], [1, 20, -3]),
        (["7", "007"], ["7", "007"]),
        (["-0", "0"], ["-0", "0"]),
        (["12", "NA"], ["12", "NA"]),
        (["null", "NULL", "nan"], ["null", "NULL", "nan"]),
        (["9007199254740993", "1"], [2**53 + 1, 1]),
        (["999999999999999999", "5"], [999_999_999_999_999_999, 5]),
        (["1234567890123456789", "5"], ["1234567890123456789", "5"]),
        (["+1", "2"], ["+1", "2"]),
        (["true", "false"], ["true", "false"]),
        (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
        (['"a,b"', '"c\nd"'], ["a,b", "c\nd"]),
    ],
)
def test_ids_of_a_csv_are_integers_only_where_nothing_changes_by_it(tmp_path, written, ids):
    path = tmp_path / "log.csv"
    path.write_bytes(
        b"\xef\xbb\xbfcustomer_id,item_id\n" + "".join(f"{id_},{id_}\n" for id_ in written).encode()
    )
    read = EventLog.read(path).to_table()
    assert read["customer_id"].to_pylist() == ids
    assert read["item_id"].to_pylist() == ids


def test_empty_fields_of_a_csv_are_missing_ids(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text('customer_id,item_id,order_id\n5,1,\n"",1,9\n', "utf-8")
    read = EventLog.read(path).to_table()
    assert read["customer_id"].to_pylist() == [5, None]
    assert read["order_id"].to_pylist() == [None, 9]


# Excel writes empty headings; they are not read and must not stand in the way.
def test_repeated_names_matter_only_where_they_are_read(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,item_id,,\n5,1,,\n", "utf-8")
    assert len(EventLog.read(path)) == 1


# Ids


def test_one_and_its_text_are_two_ids():
    numbers, texts = (EventLog.from_frame({"customer_id": ids, "item_id": ids}) for ids in ([1], ["1"]))
    assert 1 in numbers.customers
    assert "1" not in numbers.customers
    assert "1" in texts.customers
    assert 1 not in texts.customers


@pytest.mark.parametrize(
    "source", [dict, pa.table, pd.DataFrame, pl.DataFrame], ids=lambda made: made.__name__
)
def test_ids_keep_their_value(source):
    texts = ["z\0", "z", "Z", " z", LONGEST, "é", "e\u0301", "NA"]
    numbers = [2**53, 2**53 + 1, -(2**63), 2**63 - 1, 0, 1, 1, 2]
    read = EventLog.from_frame(source({"customer_id": texts, "item_id": numbers})).to_table()
    assert read["customer_id"].to_pylist() == [*texts[:5], "é", "é", "NA"]
    assert read["item_id"].to_pylist() == numbers


def test_two_spellings_of_an_id_are_one():
    log = EventLog.from_frame({"customer_id": ["é", "e\u0301"], "item_id": ["e\u0301", "x"]})
    assert list(log.customers) == ["é"]
    assert log.customers.find("e\u0301") == log.customers.find("é") == 0
    assert log.items.indices(["é", "e\u0301", "x"]).tolist() == [1, 1, 0]


def test_dictionaries_with_nulls_and_repeats_are_plain_ids():
    odd = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3]), pa.array(["a", None, "a", ""]))
    log = EventLog.from_frame(pa.table({"customer_id": odd, "item_id": [1] * 4, "session_id": [1] * 4}))
    assert log.to_table()["customer_id"].to_pylist() == ["a", None, "a", None]


@pytest.mark.parametrize("ids", [[1, np.int64(2), np.int32(3)], ["1", np.str_("2"), "3"]], ids=["int", "str"])
def test_subtypes_of_one_kind_are_not_mixed(ids):
    assert EventLog.from_frame(table(customer_id=ids)).to_table()["customer_id"].to_pylist() == ids


def test_a_very_long_id_costs_its_own_row_and_little_time():
    log = EventLog.from_frame(table(customer_id=["a", "x" * 10**7, "b"]), on_bad="quarantine")
    assert list(log.customers) == ["a", "b"]
    assert log.rejected["row"].to_pylist() == [1]


# Names


def test_columns_names_other_columns_as_ours():
    frame = {"user": [1], "sku": [2], "when": ["2024-01-01"], "quantity": [5.0], "note": ["x"]}
    names = {"customer_id": "user", "item_id": "sku", "timestamp": "when", "value": "quantity"}
    log = EventLog.from_frame(frame, columns=names)
    # A column that is named for one purpose is not read for another.
    assert log.to_table().column_names == ["customer_id", "item_id", "event_type", "value", "timestamp"]
    assert log.ignored == ("note",)


def test_event_types_are_renamed_and_may_fall_together():
    log = EventLog.from_frame(
        table(event_type=["addtocart", "cart", "caf\u0065\u0301"]),
        event_types={"addtocart": "cart", "café": "view"},
    )
    assert log.to_table()["event_type"].to_pylist() == ["cart", "cart", "view"]


def test_event_type_is_purchase_where_there_is_none():
    assert EventLog.from_frame(THREE).to_table()["event_type"].to_pylist() == ["purchase"] * 3


def test_itemless_says_which_events_may_lack_an_item():
    frame = table(item_id=[None, "pen", "ink"], event_type=["quiz", "view", "login"])
    log = EventLog.from_frame(frame, itemless={"quiz"})
    assert log.to_table()["item_id"].to_pylist() == [None, "pen", "ink"]
    with pytest.raises(SchemaError, match="'item_id': null"):
        EventLog.from_frame(frame)


def test_anonymous_visits_are_no_customers():
    log = EventLog.from_frame(
        {
            "customer_id": [None, None, 1],
            "item_id": [1, 1, 1],
            "session_id": [5, None, 5],
            "order_id": [7, 7, None],
        }
    )
    assert log.n_customers == 1
    history, n_histories = log.history_index()
    assert n_histories == 3
    assert history.tolist() == [1, 2, 0]  # a session, an order, a customer


# Times: one moment, written in every way that is understood.

MOMENT = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
SECONDS = MOMENT.timestamp()
WRITTEN = {
    "zoned text": ["2024-02-29T12:30:15.25Z"],
    "offset text": ["2024-02-29 14:30:15.25+02:00"],
    "short offsets": ["2024-02-29T07:30:15.25-05", "2024-02-29T18:00:15.250+0530"],
    "long fraction": ["2024-02-29T12:30:15.250000999"],
    "UTC by name": ["2024-02-29 12:30:15.25 UTC", "2024-02-29 12:30:15.25UTC"],
    "naive text": ["2024-02-29 12:30:15.25", " 2024-02-29T12:30:15.250 "],
    "mixed text": ["2024-02-29 12:30:15.25", "2024-02-29T13:30:15.25+01:00"],
    "text views": pa.array(["2024-02-29T12:30:15.25Z"], pa.string_view()),
    "categories": pa.array(["2024-02-29T12:30:15.25Z"]).dictionary_encode(),
    "datetimes": [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=-3)))],
    "mixed datetimes": [MOMENT.replace(tzinfo=None), MOMENT.astimezone(timezone(timedelta(hours=9)))],
    "naive datetimes": [MOMENT.replace(tzinfo=None)],
    "zoned column": pa.array([MOMENT], pa.timestamp("ms", "Europe/Berlin")),
    "nanoseconds": pa.array([round(SECONDS * 10**3) * 10**6 + 999], pa.timestamp("ns")),
    "numpy": np.array([MOMENT.replace(tzinfo=None)], "datetime64[us]"),
    "float seconds": [SECONDS],
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_one_moment_however_it_is_written(written):
    n = len(written)
    log = EventLog.from_frame({"customer_id": [1] * n, "item_id": [1] * n, "timestamp": written})
    assert log.to_table()["timestamp"].to_pylist() == [MOMENT] * n


@pytest.mark.parametrize("kind", [np.int64, np.uint64, np.float64])
@pytest.mark.parametrize(("unit", "scale"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_numbers_are_read_in_their_unit(unit, scale, kind):
    times = np.array([NOON * scale], kind)
    log = EventLog.from_frame({"customer_id": [1], "item_id": [1], "timestamp": times}, unit=unit)
    assert log.columns["time"].tolist() == [NOON * 10**6]


@pytest.mark.parametrize(
    "written",
    [
        ["2024-02-29"],
        [date(2024, 2, 29)],
        pa.array([date(2024, 2, 29)], pa.date64()),
        np.array(["2024-02-29"], "M8[D]"),
    ],
    ids=["text", "date32", "date64", "numpy"],
)
def test_dates_begin_at_midnight_utc(written):
    log = EventLog.from_frame({"customer_id": [1], "item_id": [1], "timestamp": written})
    assert log.to_table()["timestamp"].to_pylist() == [datetime(2024, 2, 29, tzinfo=UTC)]


NO_TIMES = [
    "2024-02-30", "2023-02-29", "1900-02-29", "2024-04-31", "2024-13-01", "2024-00-10", "2024-01-00",
    "2024-01-01T24:00", "2024-01-01T10:60", "2024-01-01T10:00:60", "2024-01-01T10:00+24:00",
    "2024-01-01T10:00+05:60", "2024-01-01T10", "2024-01-01Z", "01/02/2024", "20240101", "yesterday",
    "1700000000", "",
]  # fmt: skip


def test_text_that_is_no_time_costs_its_own_row_only():
    n = len(NO_TIMES)
    frame = {
        "customer_id": range(n + 2),
        "item_id": [1] * (n + 2),
        "timestamp": ["2000-02-29", *NO_TIMES, "2024-12-31T23:59:59.9+23:59"],
    }
    log = EventLog.from_frame(frame, on_bad="quarantine")
    assert log.rejected["timestamp"].to_pylist() == NO_TIMES
    assert set(log.rejected["reason"].to_pylist()) == {"timestamp: no time in ISO 8601"}
    assert list(log.customers) == [0, n + 1]


# A calendar's every day, and the days that it does not have.
def test_text_dates_follow_the_calendar():
    days = [
        f"{year}-{month:02}-{day:02}"
        for year in (2000, 2023, 2024, 2100)
        for month in range(1, 13)
        for day in range(1, 32)
    ]

    def exists(day):
        try:
            return date.fromisoformat(day)
        except ValueError:
            return None

    log = EventLog.from_frame(
        {"customer_id": days, "item_id": days, "timestamp": days},
        on_bad="quarantine",
        items={"item_id": days},
    )
    read = log.to_table().to_pydict()
    assert read["item_id"] == [day for day in days if exists(day)]
    assert [moment.date() for moment in read["timestamp"]] == [exists(day) for day in days if exists(day)]


def test_first_and_last_moments_that_are_believed():
    edge = ["1990-01-01", "2200-12-31T23:59:59.999999"]
    log = EventLog.from_frame({"customer_id": [1, 1], "item_id": [1, 1], "timestamp": edge})
    assert len(log) == 2


def test_position_orders_only_where_there_is_no_timestamp():
    by_position = EventLog.from_frame(table(position=pa.array([3, 1, 2], pa.uint8())))
    assert by_position.time_kind == "position"
    assert by_position.columns["time"].tolist() == [3, 1, 2]
    by_time = EventLog.from_frame(table(position=[3, 1, 2], timestamp=[NOON] * 3))
    assert by_time.time_kind == "timestamp"
    assert by_time.ignored == ("position",)
    assert EventLog.from_frame(THREE).time_kind == "set"


def test_at_bounds_the_log_inclusively():
    frame = table(timestamp=[NOON, NOON + 1, NOON + 2])
    log = EventLog.from_frame(frame, at=np.datetime64(NOON + 1, "s"), on_bad="quarantine")
    assert log.rejected["row"].to_pylist() == [2]


# Numbers


@pytest.mark.parametrize(
    "values",
    [
        [1, None, 3],
        [1.0, float("nan"), 3.0],
        [Decimal("1.0"), None, Decimal("3.0")],
        pa.array([1, None, 3], pa.float16()),
        pd.Series(pd.Categorical([1, None, 3])),
        pd.array([1, None, 3], dtype="Int8"),
    ],
    ids=["int", "float", "decimal", "half", "categories", "nullable"],
)
@pytest.mark.parametrize("column", ["quantity", "value", "rating"])
def test_numbers_of_every_kind_become_floats_and_missing_stays_missing(values, column):
    read = EventLog.from_frame(table(**{column: values})).to_table()[column].to_pylist()
    assert read == [1.0, None, 3.0]


def test_a_cell_that_is_no_number_costs_its_own_row(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,item_id,value\na,b,9.99\na,c,€5\na,d,\na,e, -1e3 \n", encoding="utf-8")
    log = EventLog.read(path, on_bad="quarantine")
    assert log.rejected.select(["item_id", "value", "row", "reason"]).to_pylist() == [
        {"item_id": "c", "value": "€5", "row": 1, "reason": "value: no number"}
    ]
    np.testing.assert_array_equal(log.columns["value"], [9.99, np.nan, -1000.0])
    with pytest.raises(SchemaError, match=r"^column 'value': no number \(1 row, first at 1\)\. Hint: "):
        EventLog.read(path)


def test_ids_are_text_where_asked_for(tmp_path):
    path, items = tmp_path / "log.csv", tmp_path / "items.csv"
    path.write_text("customer_id,item_id,order_id\n1001,7,1\n1002,8,2\n,8,3\n")
    items.write_text("item_id,title\n7,Lamp\n9,Rug\n")
    plain = EventLog.read(path, items=items)
    assert (list(plain.customers), list(plain.items)) == ([1001, 1002], [7, 8, 9])
    log = EventLog.read(path, items=items, text_ids=True)
    assert (list(log.customers), list(log.items)) == (["1001", "1002"], ["7", "8", "9"])
    assert list(log.item_texts("title")) == ["Lamp", "", "Rug"]
    assert list(EventLog.from_frame({"customer_id": [1], "item_id": ["x"]}, text_ids=True).customers) == ["1"]
