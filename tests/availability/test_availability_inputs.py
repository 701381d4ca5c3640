"""Inputs: tables of any kind, what is refused of them, and what is said of them afterwards."""

import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from availability_cases import (
    ASKED,
    ITEMS,
    MODEL,
    NOON,
    UPDATES,
    availability_of,
    refused,
    shown,
    tables,
    tell,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.availability import Availability
from engagelib.datasets import make_shop
from engagelib.errors import ArgumentError, SchemaError
from engagelib.vocabulary import Vocabulary

WHEN = datetime.fromtimestamp(NOON, UTC).replace(tzinfo=None)
COLUMNS = {
    "item_id": ["a", "b", "c", "d"],
    "channel": ["web", None, "app", None],
    "location": [None, "north", None, None],
    "starts": [WHEN, None, None, None],
    "ends": [None, WHEN + timedelta(seconds=10), None, None],
    "quantity": [3, None, 1, 0],
}


def arrow(columns):
    return pa.table(columns)


def records(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def sliced(columns):
    table = pa.table(columns)
    return pa.concat_tables([table.slice(0, 3), table.slice(3)])


def dictionaries(columns):
    table = pa.table(columns)
    for place, name in enumerate(("item_id", "channel", "location")):
        table = table.set_column(place, name, table[name].dictionary_encode())
    return table


FRAMES = [dict, records, arrow, sliced, dictionaries, pd.DataFrame, pl.DataFrame]
FRAMES += [
    lambda columns: pd.DataFrame(columns).convert_dtypes(),
    lambda columns: pa.table(columns).to_batches()[0],
]


def looks_as_told(availability):
    assert availability.n_rows == 4
    assert availability.has_windows
    assert availability.channels == ("app", "web")
    assert availability.locations == ("north",)
    bound = availability.bind(MODEL)
    assert shown(bound, "web", "north", 5) == {"a", "b"}
    assert shown(bound, "web", "north", 10) == {"a"}
    assert shown(bound, "app", "north", -1) == {"b", "c"}
    assert shown(bound, "app", "south", -1) == {"c"}
    assert shown(bound, None, "north", 5) == {"b"}
    return True


@pytest.mark.parametrize("frame", FRAMES)
def test_a_table_comes_in_any_frame(frame):
    availability = Availability.from_frame(frame(COLUMNS))
    assert looks_as_told(availability)
    assert availability.digest() == Availability.from_frame(COLUMNS).digest()


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.parquet"])
@pytest.mark.parametrize("spell", [str, lambda path: path], ids=["str", "path"])
def test_a_table_comes_from_a_file(tmp_path, name, spell):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pq.write_table(pa.table(COLUMNS), path)
    else:
        pd.DataFrame(COLUMNS).to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    availability = Availability.from_frame(spell(path))
    assert looks_as_told(availability)
    assert availability.digest() == Availability.from_frame(COLUMNS).digest()


EAST = timezone(timedelta(hours=5))
MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
SPELLINGS = {
    "naive": ([MOMENT.replace(tzinfo=None)], None),
    "aware": ([MOMENT.astimezone(EAST)], None),
    "text": (["2024-05-01 12:00:00"], None),
    "text with a zone": (["2024-05-01T17:00:00+05:00"], None),
    "NumPy": (np.array(["2024-05-01T12"], "M8[h]").astype("M8[s]"), None),
    "pandas in another zone": (pd.Series([MOMENT]).dt.tz_convert("Asia/Tokyo"), None),
    "seconds": ([int(MOMENT.timestamp())], None),
    "milliseconds": ([int(MOMENT.timestamp()) * 1000], "ms"),
    "fractions": ([MOMENT.timestamp()], "s"),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_times_mean_utc_unless_they_name_a_zone(name):
    times, unit = SPELLINGS[name]
    bound = Availability.from_frame({"item_id": ["a"], "starts": times}, unit=unit).bind(MODEL)
    at = int(MOMENT.timestamp()) * 1_000_000
    assert bound.mask(None, None, at)[0]
    assert not bound.mask(None, None, at - 1)[0]


def test_a_date_is_its_midnight():
    table = {"item_id": ["a"], "starts": [date(2024, 5, 1)], "ends": [date(2024, 5, 2)]}
    bound = Availability.from_frame(table).bind(MODEL)
    day = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp()) * 1_000_000
    moments = (day - 1, day, day + 86_399_999_999, day + 86_400_000_000)
    assert [bool(bound.mask(None, None, at)[0]) for at in moments] == [False, True, True, False]


def test_columns_may_have_other_names():
    table = {"sku": ["a", "b"], "shop": ["north", "south"], "item_id": [1, 2], "colour": ["red", "red"]}
    availability = Availability.from_frame(table, columns={"item_id": "sku", "location": "shop"})
    assert availability.locations == ("north", "south")
    assert shown(availability.bind(MODEL), None, "north") == {"a"}
    assert availability.summary().to_records()[-1] == {
        "what": "columns not read",
        "count": 2,
        "remark": "item_id, colour",
    }


def test_the_index_of_a_pandas_frame_is_no_column():
    frame = pd.DataFrame({"item_id": ["a", "b"]}, index=[7, 9])
    for table in (frame, pa.Table.from_pandas(frame)):
        assert Availability.from_frame(table).summary().to_records()[-1]["what"] == "updates"


def test_integer_ids_become_text_on_request():
    table = {"item_id": [1, 2], "channel": [7, None], "location": [8, None]}
    numbers = Availability.from_frame(table)
    texts = Availability.from_frame(table, text_ids=True)
    assert (numbers.channels, numbers.locations) == ((7,), (8,))
    assert (texts.channels, texts.locations) == (("7",), ("8",))
    assert shown(numbers.bind(Vocabulary.from_values([1, 2])), 7, 8) == {1, 2}
    assert shown(texts.bind(Vocabulary.from_values(["1", "2"])), "7", "8") == {"1", "2"}
    assert numbers.digest() != texts.digest()


def test_only_names_that_a_row_has_count_as_named():
    frame = pd.DataFrame({"item_id": ["a", "b", "z"], "channel": ["web", "web", "kiosk"]}).astype("category")
    frame["channel"] = frame["channel"].cat.add_categories("phone")
    availability = Availability.from_frame(frame[frame["item_id"] != "z"])
    assert availability.channels == ("web",)
    bound = availability.bind(MODEL)
    assert shown(bound) == {"a", "b"}
    assert bound.n_unknown_items == 0


def test_an_empty_text_is_no_name():
    table = {"item_id": ["a", "b"], "channel": ["", "web"], "location": ["", ""]}
    availability = Availability.from_frame(table)
    assert availability.channels == ("web",)
    assert availability.locations == ()
    assert shown(availability.bind(MODEL), "app") == {"a"}


def test_a_row_out_of_stock_names_its_channel_all_the_same():
    table = {"item_id": ["a", "b"], "channel": ["web", "app"], "quantity": [1, 0]}
    availability = Availability.from_frame(table)
    assert availability.channels == ("app", "web")
    assert shown(availability.bind(MODEL)) == set()


@pytest.mark.parametrize(
    "quantity", [[0.5, 0.0, -0.0, np.nan], ["0.5", "0", "0.0", None], pa.array([1, 0, 0, None])]
)
def test_a_quantity_counts_where_it_is_zero(quantity):
    bound = Availability.from_frame({"item_id": ITEMS, "quantity": quantity}).bind(MODEL)
    assert shown(bound) == {"a", "d"}


@pytest.mark.parametrize(
    "empty",
    [
        {"item_id": []},
        {"item_id": [], "channel": [], "location": [], "starts": [], "ends": [], "quantity": []},
        pa.table({"item_id": pa.array([], pa.int64()), "channel": pa.array([], pa.string())}),
        pl.DataFrame({"item_id": []}, schema={"item_id": pl.String}),
        pd.DataFrame({"item_id": pd.Series([], dtype=str)}),
    ],
    ids=["one column", "all columns", "arrow", "polars", "pandas"],
)
def test_an_empty_table_makes_nothing_available(empty):
    availability = Availability.from_frame(empty)
    assert availability.n_rows == 0
    assert not availability.has_windows
    bound = availability.bind(MODEL)
    assert shown(bound) == shown(bound, "web", "north") == set()
    assert bound.n_unknown_items == 0
    assert bound.unknown("web", "north") == {}


def test_an_empty_file_needs_its_header(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("item_id,channel\n")
    assert shown(Availability.from_frame(path).bind(MODEL)) == set()


# Refusals.

FIX = "Hint: correct these rows, or leave them out."
REFUSED = {
    "null item": (
        {"item_id": ["a", None, ""]},
        f"column 'item_id': null (2 rows, first at 1, 2). {FIX}",
        ("item_id", 1),
    ),
    "all null": ({"item_id": [None]}, f"column 'item_id': null (1 row, first at 0). {FIX}", ("item_id", 0)),
    "long item": (
        {"item_id": ["a", "l" * 1025]},
        f"column 'item_id': an id of more than 1,024 bytes (1 row, first at 1). {FIX}",
        ("item_id", 1),
    ),
    "window backwards": (
        {"item_id": ["a", "b", "c"], "starts": [NOON] * 3, "ends": [NOON + 1, NOON, NOON - 1]},
        f"column 'ends': not after starts (2 rows, first at 1, 2). {FIX}",
        ("ends", 1),
    ),
    "negative": (
        {"item_id": ["a", "b"], "quantity": [0, -1]},
        f"column 'quantity': negative (1 row, first at 1). {FIX}",
        ("quantity", 1),
    ),
    "infinite": (
        {"item_id": ["a", "b"], "quantity": [np.inf, -np.inf]},
        f"column 'quantity': infinite (2 rows, first at 0, 1). {FIX}",
        ("quantity", 0),
    ),
    "no number": (
        {"item_id": ["a", "b"], "quantity": ["1", "few"]},
        f"column 'quantity': no number (1 row, first at 1). {FIX}",
        ("quantity", 1),
    ),
    "no time": (
        {"item_id": ["a", "b"], "ends": ["2024-01-01", "soon"]},
        f"column 'ends': no time in ISO 8601 (1 row, first at 1). {FIX}",
        ("ends", 1),
    ),
    "missing": (
        {"sku": ["a"], "channel": ["web"]},
        "column 'item_id' is missing. Found: sku, channel. "
        'Hint: pass columns={"item_id": "your name for it"}.',
        ("item_id", None),
    ),
    "no column": (
        [],
        'column \'item_id\' is missing. Found: none. Hint: pass columns={"item_id": "your name for it"}.',
        ("item_id", None),
    ),
    "in the index": (
        pd.DataFrame({"channel": ["web"]}, index=pd.Index(["a"], name="item_id")),
        "column 'item_id' is missing. Found: channel. "
        "Hint: it is the frame's index, which is not read; pass frame.reset_index().",
        ("item_id", None),
    ),
    "float ids": (
        {"item_id": [1.0, None]},
        "column 'item_id' is of type float: expected ids as integers or strings. Hint: a null among integers "
        "often turns them into floats, which are exact only up to 2**53; read the column as a nullable "
        'integer, such as pandas\' "Int64".',
        ("item_id", None),
    ),
    "booleans": (
        {"item_id": ["a"], "channel": [True]},
        "column 'channel' is of type bool: expected ids as integers or strings. "
        "Hint: True and False are no ids; was another column meant?",
        ("channel", None),
    ),
    "mixed": (
        {"item_id": ["a", "b"], "location": ["1", 1]},
        "column 'location' holds values of type int, str: expected either integers or strings throughout. "
        "Hint: 1 and '1' are two ids; bring the column to one type before reading it.",
        ("location", None),
    ),
    "quantity of words": (
        {"item_id": ["a"], "quantity": ["many"]},
        "column 'quantity' is of type string: expected numbers.",
        ("quantity", None),
    ),
    "quantity of booleans": (
        {"item_id": ["a"], "quantity": [True]},
        "column 'quantity' is of type bool: expected numbers.",
        ("quantity", None),
    ),
    "times of booleans": (
        {"item_id": ["a"], "starts": [True]},
        "column 'starts' is of type bool: expected times, dates, text in ISO 8601 or numbers with unit=.",
        ("starts", None),
    ),
    "twice": (
        pa.table([["a"], ["web"], ["app"]], names=["item_id", "channel", "channel"]),
        "column 'channel' stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them.",
        ("channel", None),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_table_is_refused(name):
    table, text, (column, row) = REFUSED[name]
    with refused(SchemaError, text) as caught:
        Availability.from_frame(table)
    assert (caught.value.column, caught.value.row) == (column, row)


def test_times_in_another_unit_are_refused():
    with pytest.raises(
        SchemaError, match='these look like milliseconds read as seconds; pass unit="ms"'
    ) as caught:
        Availability.from_frame({"item_id": ["a"], "ends": [NOON * 1000]})
    assert (caught.value.column, caught.value.row) == ("ends", 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"unit": "h"}, 'unit=\'h\': expected one of "s", "ms", "us", "ns".'),
        (
            {"columns": "sku"},
            'columns=\'sku\': expected a mapping of names to names, such as {"item_id": "sku"}.',
        ),
        (
            {"columns": {"item_id": None}},
            'columns={\'item_id\': None}: expected a mapping of names to names, such as {"item_id": "sku"}.',
        ),
        (
            {"columns": {"sku": "item_id"}},
            "columns='sku': expected one of item_id, channel, location, starts, ends, quantity as a key.",
        ),
    ],
)
def test_bad_options_are_refused(options, text):
    with refused(ArgumentError, text):
        Availability.from_frame({"item_id": ["a"]}, **options)


def test_a_renamed_column_must_be_there():
    with refused(SchemaError, "column 'sku', which columns= names as 'item_id', is missing. Found: item_id."):
        Availability.from_frame({"item_id": ["a"]}, columns={"item_id": "sku"})


def test_what_is_no_table_is_refused():
    text = (
        "the availability is of type int: expected a path, a frame with the Arrow stream protocol, a mapping "
        "of columns or a list of records."
    )
    with refused(ArgumentError, text):
        Availability.from_frame(7)


# Summary and digest.


def test_a_summary_says_what_was_read_and_told():
    table = {
        "item_id": ["a", "b", "a"],
        "channel": ["web", None, "app"],
        "location": [f"store {number}" for number in range(3)],
        "starts": [WHEN, None, None],
        "quantity": [1, 0, None],
        "weight": [1, 2, 3],
    }
    availability = Availability.from_frame(table)
    bound = availability.bind(MODEL)
    availability.update(["a", "b", "x"], True)
    availability.update(["a"], False, channel="kiosk")
    assert str(availability.summary()) == "\n".join(
        [
            "Availability",
            "what              count  remark",
            "----------------  -----  ----------------------------------------",
            "rows                  3  1 of them out of stock",
            "items                 2",
            "channels              2  app, web",
            "locations             3  store 0, store 1, store 2",
            "windows               1  2023-11-14 22:13 to 2023-11-14 22:13 UTC",
            "updates               2  of 3 items",
            "columns not read      1  weight",
        ]
    )
    assert repr(availability) == (
        "Availability(3 rows of 2 items, 2 channels, 3 locations, windows of time, 2 updates)"
    )
    assert repr(bound) == f"BoundAvailability(4 items of a model, {availability!r})"


def test_a_summary_names_the_first_of_many():
    table = {"item_id": ["a"] * 12, "location": list(range(12))}
    rows = Availability.from_frame(table).summary().to_records()
    assert rows[3] == {"what": "locations", "count": 12, "remark": "0, 1, 2, 3, 4, 5, 6, 7, ..."}
    assert rows[4] == {"what": "windows", "count": 0, "remark": "calls need no moment"}
    assert len(rows) == 6


@given(rows=tables(windows=True), updates=UPDATES, data=st.data())
@settings(max_examples=60)
def test_a_digest_does_not_depend_on_how_it_came_about(rows, updates, data):
    availability = availability_of(rows)
    other = availability_of(data.draw(st.permutations(rows + rows[:2])))
    assert availability.digest() == other.digest()
    availability.bind(MODEL)
    for update in updates:
        tell(availability, update)
        for item in data.draw(st.permutations(list(update["flags"]))):
            tell(other, {**update, "flags": {item: update["flags"][item]}})
    assert availability.digest() == other.digest()


def test_updates_that_come_to_the_same_have_the_same_digest():
    def digest(*updates):
        availability = Availability.from_frame({"item_id": ["a"], "channel": ["web"]})
        for flag, channel, location in updates:
            availability.update(["a"], flag, channel=channel, location=location)
        return availability.digest()

    web, north, both = (True, "web", None), (True, None, "north"), (False, "web", "north")
    # A later update that reaches as far makes an earlier one void.
    for earlier in (web, north, both, (False, None, None), (False, "kiosk", "moon")):
        assert digest(earlier, (True, None, None)) == digest((True, None, None))
    for earlier in ((False, "web", None), both):
        assert digest(earlier, web) == digest(web)
    assert digest(both, north) == digest(north)
    # The order matters where two contradict each other in a place that both reach, and nowhere else.
    for pair in [(web, north), (web, (False, "app", None)), (north, (False, None, "south"))]:
        assert digest(*pair) == digest(*reversed(pair))
    for pair in [(web, (False, None, "north")), (web, both), (north, (False, "web", None))]:
        assert digest(*pair) != digest(*reversed(pair))
    assert len({digest(*some) for some in [(), (web,), (north,), (both,), ((False, "web", None),)]}) == 5


PIECES = [
    (flag, channel, location)
    for flag in (True, False)
    for channel in (None, "web", "app")
    for location in (None, "north")
]


@given(sequences=st.lists(st.lists(st.sampled_from(PIECES), max_size=3), min_size=2, max_size=30))
@settings(max_examples=25)
def test_equal_digests_mean_equal_masks(sequences):
    table = {"item_id": ["a", "b"], "channel": ["web", "app"], "location": ["north", "south"]}
    masks = {}
    for sequence in sequences:
        availability = Availability.from_frame(table)
        for flag, channel, location in sequence:
            availability.update(["a"], flag, channel=channel, location=location)
        bound = availability.bind(MODEL)
        seen = [tuple(sorted(shown(bound, *call))) for call in product(ASKED["channel"], ASKED["location"])]
        assert masks.setdefault(availability.digest(), seen) == seen


DIFFERENT = [
    {"item_id": ["a", "b"]},
    {"item_id": ["a"]},
    {"item_id": ["a", "b"], "channel": ["web", None]},
    {"item_id": ["a", "b"], "channel": [None, "web"]},
    {"item_id": ["a", "b"], "channel": ["app", None]},
    {"item_id": ["a", "c"]},
    {"item_id": ["a", "b"], "location": ["web", None]},
    {"item_id": ["a", "b"], "starts": [NOON, None]},
    {"item_id": ["a", "b"], "ends": [NOON, None]},
    {"item_id": ["a", "b"], "starts": [NOON + 1, None]},
    {"item_id": ["a", "b"], "quantity": [0, 1]},
    {"item_id": [1, 2]},
    {"item_id": ["1", "2"]},
    {"item_id": []},
]


def test_tables_that_differ_have_different_digests():
    digests = [Availability.from_frame(table).digest() for table in DIFFERENT]
    assert len(set(digests)) == len(DIFFERENT)
    assert {len(digest) for digest in digests} == {64}
    for item, channel in product(["a", "x", "y"], [None, "kiosk", "booth"]):
        told = Availability.from_frame({"item_id": ["a", "b"]})
        told.update([item], True, channel=channel)
        digests.append(told.digest())
    assert len(set(digests)) == len(DIFFERENT) + 9


def test_a_digest_is_the_same_in_another_process():
    table = {"item_id": ["a", "caf\u00e9", "c"], "channel": ["web", None, "app"], "ends": [None, NOON, None]}
    availability = Availability.from_frame(table)
    availability.update(["a", "x"], [True, False], channel="kiosk", location="north")
    program = (
        "from engagelib.availability import Availability\n"
        f"availability = Availability.from_frame({table!r})\n"
        "availability.update(['a', 'x'], [True, False], channel='kiosk', location='north')\n"
        "print(availability.digest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "17"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == availability.digest()


# The made-up shop.


def test_the_table_of_a_made_up_shop():
    shop = make_shop(200, 150, 3000, rng=3)
    availability = Availability.from_frame(shop.availability)
    bound = availability.bind(shop.log.items)
    assert availability.has_windows
    assert set(availability.channels) == {row["channel"] for row in shop.availability.to_pylist()} - {None}
    assert bound.n_unknown_items == 0
    rows = shop.availability.to_pylist()
    for row in rows:
        row["starts"], row["ends"] = (
            None if row[side] is None else int(row[side].timestamp()) - NOON for side in ("starts", "ends")
        )
    moments = sorted({row[side] for row in rows for side in ("starts", "ends")} - {None})
    for at in (moments[0], moments[len(moments) // 2], moments[-1]):
        for channel, location in [("store", None), ("web", availability.locations[0]), (None, None)]:
            assert shown(bound, channel, location, at) == by_hand(rows, availability, channel, location, at)


def by_hand(rows, availability, channel, location, at):
    """The items that a row holds for in each place of a call."""
    channels = [channel] if channel else availability.channels
    locations = [location] if location else availability.locations
    return set.intersection(
        *(
            {
                row["item_id"]
                for row in rows
                if row["channel"] in (None, here)
                and row["location"] in (None, there)
                and (row["starts"] is None or row["starts"] <= at)
                and (row["ends"] is None or at < row["ends"])
                and row["quantity"] != 0
            }
            for here, there in product(channels, locations)
        )
    )


def test_an_end_that_means_forever_says_how_to_say_so():
    frame = {"item_id": ["a", "b"], "ends": [datetime(2024, 5, 1), datetime(9999, 12, 31)]}
    message = (
        "column 'ends' spans the year 9999 (1 row). Times after the year 2200 are refused. "
        "Hint: correct these rows, or leave them out."
    )
    with pytest.raises(SchemaError, match=f"^{re.escape(message)}$"):
        Availability.from_frame(frame)
