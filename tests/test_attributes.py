"""Item attributes: from a table to arrays, what matches a condition, and the way to a file and back."""

import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import pairwise
from unicodedata import normalize

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib import EventLog, Vocabulary, store
from engagelib.attributes import ItemAttributes, check_where
from engagelib.errors import ArgumentError, ArtifactError, SchemaError

# Few values each, so that they meet: spellings of one text, missing ones, and numbers that floats confuse.
COLUMNS = {
    "title": (pa.string(), ["Lamp", "lamp", "é", "e\u0301", "", "L", "\U0001f4a1", None]),
    "category": (pa.string(), ["a", "b", "A", "é", "e\u0301", "", "1", None]),
    "price": (pa.float64(), [0.0, -0.0, 0.1, 1.0, 2.0**53, 2.0**53 + 4, float("nan"), float("inf"), None]),
    "size": (pa.int64(), [-1, 0, 1, 2, 2**53 - 1, 2**53, None]),
    "brand": (pa.int64(), [-(2**63), 2**53, 2**53 + 1, 2**63 - 1, 0, 1, None]),
    "organic": (pa.bool_(), [True, False, None]),
    "for_sale": (pa.bool_(), [True, False, None]),
    "made": (pa.date32(), [date(2024, 1, 1), date(2024, 1, 2), date(1, 1, 1), date(9999, 12, 31), None]),
    "added": (
        pa.timestamp("us", "Europe/Berlin"),
        [
            datetime(2024, 1, 1, tzinfo=UTC),
            datetime(2024, 1, 1, 12, 30, 0, 1, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            None,
        ],
    ),
}
MOMENTS = [
    "2024-01-01",
    "2024-01-02",
    "2024-01-01T13:30:00.000001+01:00",
    "0001-01-01",
    "9999-12-31T23:59:59.999999",
]
NUMBERS = [-1, 0, 1, 0.1, 1.5, 2**53 - 1, 2**53, 2**53 + 1, 2**53 + 3, 2.0**53, -(2**63), 2**63, 10**300]
TEXTS = ["a", "é", "e\u0301", "Lamp", "L", "1", "\U0001f4a1", "\ud800"]
ASKED = {"title": TEXTS, "category": TEXTS, "price": NUMBERS, "size": NUMBERS, "brand": NUMBERS}
ASKED |= {"organic": [True, False], "for_sale": [True, False], "made": MOMENTS, "added": MOMENTS}
RANGED = ("price", "size", "brand", "made", "added")


def case_of(columns, ids):
    """The attributes of items called 0, 1, ..., and what each has; two have no row, and one row no item."""
    n_items = len(ids) + 2
    arrays = {
        name: pa.array([*values, COLUMNS[name][1][0]], COLUMNS[name][0]) for name, values in columns.items()
    }
    table = pa.table({"item_id": pa.array([*ids, n_items], pa.int64())} | arrays)
    row = {id_: place for place, id_ in enumerate(ids)}
    known = [
        {
            name: known_value(name, values[row[id_]] if id_ in row else None)
            for name, values in columns.items()
        }
        for id_ in range(n_items)
    ]
    return ItemAttributes.from_table(table, Vocabulary.from_values(range(n_items))), known


@st.composite
def cases(draw):
    """Items in any order, with any columns."""
    n_rows = draw(st.integers(0, 8))
    chosen = draw(st.lists(st.sampled_from(list(COLUMNS)), unique=True))
    columns = {
        name: draw(st.lists(st.sampled_from(COLUMNS[name][1]), min_size=n_rows, max_size=n_rows))
        for name in chosen
    }
    return case_of(columns, draw(st.permutations(range(n_rows + 2)))[:n_rows])


def every_value():
    """Items that have between them every value of every column."""
    n_rows = max(len(values) for _, values in COLUMNS.values())
    ids = [(7 * place + 1) % (n_rows + 2) for place in range(n_rows)]
    return case_of({name: (values * n_rows)[:n_rows] for name, (_, values) in COLUMNS.items()}, ids)


@st.composite
def conditions(draw, names):
    where = {}
    for name in draw(st.lists(st.sampled_from(sorted(names)), unique=True, max_size=3)):
        values = st.sampled_from(ASKED[name])
        kinds = [values, st.none(), st.lists(values | st.none(), max_size=3)]
        if name in RANGED:
            kinds.append(st.fixed_dictionaries({}, optional={"min": values, "max": values}).filter(sound))
        where[name] = draw(st.one_of(kinds))
    return where


def sound(bounds):
    low, high = (moment(bounds.get(end)) for end in ("min", "max"))
    return bool(bounds) and (low is None or high is None or low <= high)


def moment(value):
    """Times as datetimes in UTC, so that Python compares them; any other value as it is."""
    if isinstance(value, str) and value[:1].isdigit() and len(value) >= 10:
        value = datetime.fromisoformat(value)
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def known_value(name, value):
    """What an item has of an attribute, None for every way to have nothing."""
    if name == "for_sale" and value is None:
        return True
    if value == "" or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return normalize("NFC", value) if isinstance(value, str) else moment(value)


def holds(value, condition):
    """The definition of one condition; Python compares integers and floats exactly."""
    if isinstance(condition, dict):
        low, high = moment(condition.get("min")), moment(condition.get("max"))
        return value is not None and (low is None or value >= low) and (high is None or value <= high)
    if isinstance(condition, list):
        return any(holds(value, one) for one in condition)
    if value is None or condition is None:
        return value is condition
    return value == (normalize("NFC", moment(condition)) if isinstance(value, str) else moment(condition))


def every_condition(name):
    values = ASKED[name]
    yield from [None, [], [None], [*values[:3], None], *values, *([value] for value in values)]
    yield from ([one, other] for one, other in pairwise(values))
    if name in RANGED:
        ranges = [{"min": low, "max": high} for low in values for high in values]
        ranges += [{end: value} for end in ("min", "max") for value in values]
        yield from filter(sound, ranges)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_condition_is_its_definition_value_by_value(name):
    attributes, known = every_value()
    for condition in every_condition(name):
        found = attributes.matches({name: condition})
        assert found.dtype == bool
        assert found.tolist() == [holds(item[name], condition) for item in known], condition


@given(data=st.data(), case=cases())
def test_all_conditions_hold_at_once(data, case):
    attributes, known = case
    where = data.draw(conditions([name for name in attributes.names if attributes.kind(name) != "unknown"]))
    known = [{"for_sale": True, **item} for item in known]
    expected = [all(holds(item[name], condition) for name, condition in where.items()) for item in known]
    assert attributes.matches(where).tolist() == expected
    assert attributes.matches(json.loads(json.dumps(check_where(where)))).tolist() == expected


def test_conditions_are_met_together_in_any_order():
    attributes = catalogue({"category": ["a", "a", "b", "b"], "price": [1.0, 2.0, 1.0, 2.0]})
    where = {"category": "b", "price": {"min": 2}, "for_sale": True}
    for names in (list(where), list(where)[::-1]):
        assert attributes.matches({name: where[name] for name in names}).tolist() == [
            False,
            False,
            False,
            True,
        ]


def check_values(attributes, known):
    assert attributes.n_items == len(known)
    for name in attributes.names:
        values = attributes.values(name, range(len(known)))
        expected = [item.get(name, True if name == "for_sale" else None) for item in known]
        if name in ("made", "added"):
            assert [value and moment(value) for value in values] == expected
            assert {len(value) for value in values if value} <= ({10} if name == "made" else {25, 32})
        else:
            assert values == expected
            assert [type(value) for value in values] == [type(value) for value in expected]
        for index, value in enumerate(values):
            assert attributes.value(name, index) == value
            assert attributes.matches({name: value})[index]


def test_values_are_built_in_and_can_be_asked_for():
    check_values(*every_value())


@given(case=cases())
def test_values_are_those_of_the_table(case):
    check_values(*case)


@settings(max_examples=15)  # each one is written to the disk
@given(case=cases())
def test_attributes_travel_through_files(case, tmp_path_factory):
    attributes, known = case
    folder = tmp_path_factory.mktemp("attributes") / "shop.engage"
    store.publish(folder, "attributes", attributes.to_arrays(), attributes.facts())
    saved = store.open_artifact(folder)
    back = ItemAttributes.from_arrays(saved.arrays, saved.meta)
    assert repr(back) == repr(attributes)
    assert back.skipped == attributes.skipped
    assert [back.kind(name) for name in back.names] == [attributes.kind(name) for name in attributes.names]
    check_values(back, known)


def catalogue(columns, **kinds):
    """Attributes of as many items as the columns are long."""
    arrays = {
        name: values if isinstance(values, pa.Array) else pa.array(values, kinds.get(name))
        for name, values in columns.items()
    }
    n_items = len(next(iter(arrays.values())))
    return ItemAttributes.from_table(
        pa.table({"item_id": range(n_items)} | arrays), Vocabulary.from_values(range(n_items))
    )


def test_names_may_be_any_text_and_nothing_is_copied():
    attributes = catalogue(
        {"Größe / Size": ["S", None], "codes.0": [1.5, None], "tags": [["a"], []], "e\u0301": [1, 2]}
    )
    arrays = {name: values.copy() for name, values in attributes.to_arrays().items()}
    facts = json.loads(json.dumps(attributes.facts(), allow_nan=False))
    assert facts == attributes.facts()
    back = ItemAttributes.from_arrays(arrays, facts)
    assert back.names == ("Größe / Size", "codes.0", "e\u0301", "for_sale")
    assert back.skipped == ("tags",)
    assert back.values("Größe / Size", [1, 0]) == [None, "S"]
    assert back.values("codes.0", [0, 1]) == [1.5, None]
    stored = [*arrays.values()]
    kept = [*back.to_arrays().values()]
    assert len(kept) == len(stored)
    assert all(any(np.shares_memory(mine, theirs) for theirs in stored) for mine in kept if mine.size)


def test_every_kind_of_column_is_known_for_what_it_is():
    day, later = datetime(2024, 1, 2, 3, 4, 5, 678901), timezone(timedelta(hours=2))
    columns = {
        "text": pa.array(["a", "b"], pa.string_view()),
        "categories": pa.array(["a", "b"]).dictionary_encode(),
        "coded": pa.array([7, 8]).dictionary_encode(),
        "small": pa.array([7, 255], pa.uint8()),
        "large": pa.array([7, 2**63 - 1], pa.uint64()),
        "low": [7, -(2**53) - 1],
        "single": pa.array([0.1, 1e30], pa.float32()),
        "half": pa.array(np.array([0.5, 2.0], np.float16)),
        "exact": pa.array([Decimal("19.99"), Decimal("-0.07")]),
        "yes": [True, False],
        "day": [date(2024, 1, 2), None],
        "day64": pa.array([date(2024, 1, 2), None], pa.date64()),
        "naive": [day, None],
        "zoned": [day.replace(tzinfo=later), None],
        "nanos": pa.array([pd.Timestamp(day).value + 1, None], pa.timestamp("ns")),
        "nothing": pa.nulls(2),
    }
    attributes = catalogue(columns)
    assert {name: (attributes.kind(name), *attributes.values(name, [0, 1])) for name in columns} == {
        "text": ("text", "a", "b"),
        "categories": ("text", "a", "b"),
        "coded": ("integer", 7, 8),
        "small": ("integer", 7, 255),
        "large": ("integer", 7, 2**63 - 1),
        "low": ("integer", 7, -(2**53) - 1),
        "single": ("number", 0.1, 1e30),
        "half": ("number", 0.5, 2.0),
        "exact": ("number", 19.99, -0.07),
        "yes": ("boolean", True, False),
        "day": ("date", "2024-01-02", None),
        "day64": ("date", "2024-01-02", None),
        "naive": ("time", "2024-01-02T03:04:05.678901+00:00", None),
        "zoned": ("time", "2024-01-02T01:04:05.678901+00:00", None),
        "nanos": ("time", "2024-01-02T03:04:05.678901+00:00", None),
        "nothing": ("unknown", None, None),
    }  # fmt: skip
    assert repr(attributes).startswith("ItemAttributes(2 items: categories, coded, day, ")
    assert all(codes.dtype == np.int32 for codes, _ in attributes.texts.values())
    assert all(values.dtype == np.float64 for values in attributes.numbers.values())
    assert attributes.matches({"exact": 19.99, "single": 0.1}).tolist() == [True, False]


def test_what_cannot_be_asked_about_is_named():
    columns = {
        "list": [[1], None],
        "struct": [{"a": 1}, None],
        "bytes": [b"a", None],
        "span": pa.array([1, 2], pa.duration("s")),
        "clock": pa.array([1, 2], pa.time32("s")),
        "huge": pa.array([1, 2**64 - 1], pa.uint64()),
        "kept": [1, 2],
    }
    attributes = catalogue(columns)
    assert attributes.skipped == ("list", "struct", "bytes", "span", "clock", "huge")
    assert attributes.names == ("for_sale", "kept")


def test_moments_beyond_the_calendar_are_missing():
    attributes = catalogue({"day": pa.array([-800_000, 0, 3_000_000], pa.date32())})
    assert attributes.values("day", [0, 1, 2]) == [None, "1970-01-01", None]


def test_attributes_of_a_log():
    items = {"item_id": ["pen", "cap"], "title": ["Pen", None], "price": [1, None], "for_sale": [None, False]}
    log = EventLog.from_frame({"customer_id": [1, 1], "item_id": ["ink", "pen"]}, items=items)
    attributes = ItemAttributes.from_table(log.item_table, log.items)
    assert list(log.items) == ["cap", "ink", "pen"]
    assert list(attributes.titles) == list(log.item_texts("title")) == ["", "", "Pen"]
    assert attributes.for_sale.tolist() == log.item_for_sale().tolist() == [False, True, True]
    assert attributes.values("price", [0, 1, 2]) == [None, None, 1.0]
    assert attributes.matches({"title": "Pen", "for_sale": True}).tolist() == [False, False, True]
    bare = EventLog.from_frame({"customer_id": [1], "item_id": ["ink"]})
    attributes = ItemAttributes.from_table(bare.item_table, bare.items)
    assert attributes.names == ("for_sale",)
    assert attributes.matches({"for_sale": True}).tolist() == [True]


def test_an_attribute_without_values_can_be_asked_anything():
    attributes = catalogue({"size": pa.nulls(2), "note": ["", None]})
    for name in ("size", "note"):
        for condition in ("a", 1, True, [1, "a"], [], {"min": 1}, {"max": "2024-01-01"}):
            assert attributes.matches({name: condition}).tolist() == [False, False]
        assert attributes.matches({name: None}).tolist() == [True, True]
        assert attributes.matches({name: ["a", None]}).tolist() == [True, True]


def test_no_items_and_no_conditions():
    attributes = catalogue({"price": pa.array([], pa.float64()), "category": pa.array([], pa.string())})
    for where in ({}, {"price": {"min": 1}}, {"category": ["a", None]}, {"for_sale": True}):
        assert attributes.matches(where).shape == (0,)
    assert attributes.values("price", []) == []
    assert catalogue({"price": [1.0, 2.0]}).matches({}).tolist() == [True, True]


class Size(IntEnum):
    LARGE = 3


class Colour(str, Enum):  # noqa: UP042 - its `str` is not its value
    RED = "red"


def test_conditions_become_built_in_types():
    given = {
        "a": np.str_("x"),
        "b": np.int64(3),
        "l": Size.LARGE,
        "c": (np.float32(0.5), Colour.RED, np.bool_(True), None),
        "d": {"min": date(2024, 1, 1), "max": np.datetime64("2024-02-01T00:00:00.000000000")},
        "e": np.array([1, 2]),
        "f": pd.Timestamp("2024-01-01", tz="UTC"),
    }
    plain = check_where(given)
    assert plain == {
        "a": "x",
        "b": 3,
        "l": 3,
        "c": [0.5, "red", True, None],
        "d": {"min": "2024-01-01", "max": "2024-02-01T00:00:00.000000000"},
        "e": [1, 2],
        "f": "2024-01-01T00:00:00+00:00",
    }
    assert json.loads(json.dumps(plain)) == plain
    assert type(plain["a"]) is type(plain["c"][1]) is str
    assert type(plain["b"]) is type(plain["l"]) is int
    made = catalogue({"d": [datetime(2024, 1, 15), datetime(2024, 2, 1, 1)]})
    assert made.matches({"d": given["d"]}).tolist() == [True, False]


def refused(text, error=ArgumentError):
    return pytest.raises(error, match=f"^{re.escape(text)}$")


BIG = 2**60
SHOP = {
    "title": ["Lamp", "Sofa"],
    "category": ["lamps", None],
    "price": [1.5, None],
    "size": [1, None],
    "organic": [True, None],
    "made": [date(2024, 1, 1), None],
    "added": [datetime(2024, 1, 1), None],
    "brand": [BIG, None],
    "tags": [["a"], None],
}
KNOWN = "expected one of added, brand, category, for_sale, made, organic, price, size and 1 more."
WORDS = "expected a text, a list of texts or None, as this attribute holds texts."
RANGE = 'a range such as {"min": 10, "max": 50}'
FLOATS = f"expected a number, a list of numbers, {RANGE} or None, as this attribute holds numbers."
INTEGERS = f"expected a number, a list of numbers, {RANGE} or None, as this attribute holds integers."
FLAGS = "expected True, False or None, as this attribute holds nothing else."
TIMES = (
    'expected a moment in ISO 8601, a list of them, a range such as {"min": "2024-05-01"} or None, '
    "as this attribute holds times."
)
DATES = TIMES.replace("holds times", "holds dates")
PLAIN = "expected texts, finite numbers, True, False, moments or None, alone, in a list or as a range."
MAPPING = 'expected a mapping from names of attributes to conditions, such as {"category": "lamps"}.'
LAST_FIT = "Hint: attributes are the columns of the item table that was there at the last fit."
LETTERS = "Hint: names are compared letter by letter; was 'category' meant?"
SKIPPED = "Hint: that column is in the item table, and holds neither texts, numbers, booleans nor times."
ID = "Hint: an id is no attribute; name items with items=[...]."
EMPTY = "Hint: an empty text counts as missing; ask for None."
ONE = "Hint: write 1 for True and 0 for False."
TRUE = "Hint: write True for 1 and False for 0."
NAN = "Hint: None asks for missing values, NaN included."
TWO = "Hint: 1 and '1' are two values."
BOUNDS = "expected numbers or moments as bounds. Hint: leave out a bound where there is none."
ENDS = 'expected a range with "min", "max" or both.'
ORDER = 'expected "min" to be at most "max".'
NO_RANGE = "Hint: only numbers and times have ranges."


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("lamps", f"where='lamps': {MAPPING}"),
        ({1: "a"}, f"where={{1: 'a'}}: {MAPPING}"),
        ({"colour": "red"}, f"no attribute 'colour': {KNOWN} {LAST_FIT}"),
        ({"Category ": "red"}, f"no attribute 'Category ': {KNOWN} {LETTERS}"),
        ({"tags": "a"}, f"no attribute 'tags': {KNOWN} {SKIPPED}"),
        ({"item_id": 1}, f"no attribute 'item_id': {KNOWN} {ID}"),
        ({"category": 1}, f"where['category']=1: {WORDS} {TWO}"),
        ({"category": ["a", True]}, f"where['category']=['a', True]: {WORDS} {TWO}"),
        ({"category": ""}, f"where['category']='': {WORDS} {EMPTY}"),
        ({"title": ["", "a"]}, f"where['title']=['', 'a']: {WORDS} {EMPTY}"),
        ({"title": {"min": "a"}}, f"where['title']={{'min': 'a'}}: {WORDS} {NO_RANGE}"),
        ({"price": "1"}, f"where['price']='1': {FLOATS} {TWO}"),
        ({"price": {"min": "1"}}, f"where['price']={{'min': '1'}}: {FLOATS} {TWO}"),
        ({"size": True}, f"where['size']=True: {INTEGERS} {ONE}"),
        ({"brand": "x"}, f"where['brand']='x': {INTEGERS} {TWO}"),
        ({"organic": 1}, f"where['organic']=1: {FLAGS} {TRUE}"),
        ({"organic": 2}, f"where['organic']=2: {FLAGS}"),
        ({"for_sale": "yes"}, f"where['for_sale']='yes': {FLAGS}"),
        ({"for_sale": {"min": 0}}, f"where['for_sale']={{'min': 0}}: {FLAGS} {NO_RANGE}"),
        ({"added": "yesterday"}, f"where['added']='yesterday': {TIMES}"),
        ({"added": {"min": 2024}}, f"where['added']={{'min': 2024}}: {TIMES}"),
        ({"made": ["2024-02-30"]}, f"where['made']=['2024-02-30']: {DATES}"),
        ({"price": float("nan")}, f"where['price']=nan: {PLAIN} {NAN}"),
        ({"price": {"max": float("inf")}}, f"where['price']={{'max': inf}}: {PLAIN} {NAN}"),
        ({"price": 10**400}, f"where['price']={10**400}: {PLAIN} {NAN}"),
        ({"price": Decimal("1.5")}, f"where['price']=Decimal('1.5'): {PLAIN} {NAN}"),
        ({"category": {"a"}}, f"where['category']={{'a'}}: {PLAIN} {NAN}"),
        ({"category": b"a"}, f"where['category']=b'a': {PLAIN} {NAN}"),
        ({"category": [["a"]]}, f"where['category']=[['a']]: {PLAIN} {NAN}"),
        ({"size": np.array(1)}, f"where['size']=array(1): {PLAIN} {NAN}"),
        ({"price": {}}, f"where['price']={{}}: {ENDS}"),
        ({"price": {"min": 1, "most": 2}}, f"where['price']={{'min': 1, 'most': 2}}: {ENDS}"),
        ({"price": {"min": None}}, f"where['price']={{'min': None}}: {BOUNDS}"),
        ({"price": {"min": True}}, f"where['price']={{'min': True}}: {BOUNDS}"),
        ({"price": {"min": 2, "max": 1}}, f"where['price']={{'min': 2, 'max': 1}}: {ORDER}"),
        (
            {"brand": {"min": BIG + 1, "max": BIG}},
            f"where['brand']={{'min': {BIG + 1}, 'max': {BIG}}}: {ORDER}",
        ),
        (
            {"made": {"min": "2024-01-02", "max": "20240101"}},
            f"where['made']={{'min': '2024-01-02', 'max': '20240101'}}: {ORDER}",
        ),
    ],
    ids=str,
)
def test_conditions_that_cannot_be_meant(where, text):
    with refused(text):
        catalogue(SHOP).matches(where)


def test_attributes_of_a_log_without_an_item_table():
    table = pa.table({"item_id": pa.array([], pa.large_string())})
    attributes = ItemAttributes.from_table(table, Vocabulary.from_values(["a"]))
    text = (
        "no attribute 'category': expected one of for_sale. "
        "Hint: the log was read without an item table; pass one as items=."
    )
    for ask in (
        attributes.kind,
        lambda name: attributes.value(name, 0),
        lambda name: attributes.matches({name: 1}),
    ):
        with refused(text):
            ask("category")


@pytest.mark.parametrize("indices", [[-1], [2], [0.0], [True], ["a"]], ids=str)
def test_indices_lie_within_the_items(indices):
    with refused(f"indices={indices!r}: expected item indices from 0 to 1."):
        catalogue(SHOP).values("price", indices)


def test_text_that_is_not_utf8_is_refused():
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
    )
    for name in ("title", "note"):
        with pytest.raises(SchemaError, match=f"^column '{name}' could not be read: Invalid UTF8 ") as caught:
            catalogue({name: broken})
        assert caught.value.column == name


BROKEN = "Hint: the file may be damaged, or altered after it was written; save or copy it again."


@pytest.mark.parametrize(
    ("array", "name"),
    [("texts.0.codes", "category"), ("numbers.0", "price"), ("titles.offsets", "titles")],
)
def test_arrays_of_another_length_are_refused(array, name):
    attributes = catalogue({"title": ["a", "b"], "category": ["a", "b"], "price": [1.5, 2.5]})
    arrays = attributes.to_arrays()
    arrays[array] = arrays[array][:-1]
    found = f"{name!r} holds 1 values, expected one for each of 2 items."
    text = f"the stored item attributes are broken: {found} {BROKEN}"
    with refused(text, ArtifactError):
        ItemAttributes.from_arrays(arrays, attributes.facts())


@pytest.mark.parametrize("code", [-2, 2, 2**31 - 1])
def test_codes_that_point_nowhere_are_refused(code):
    attributes = catalogue({"category": ["a", "b"]})
    arrays = attributes.to_arrays()
    arrays["texts.0.codes"] = np.array([0, code], np.int32)
    broken = ItemAttributes.from_arrays(arrays, attributes.facts())
    found = f"'category' holds the code {code}, expected codes from -1 to 1."
    text = f"the stored item attributes are broken: {found} {BROKEN}"
    with refused(text, ArtifactError):
        broken.values("category", [1])
    with refused(text, ArtifactError):
        broken.matches({"category": ["a", "b"]})


def test_asking_imports_no_arrow(tmp_path):
    attributes = catalogue(
        {"title": ["Lamp"], "category": ["lamps"], "price": [1.5], "made": [date(2024, 1, 1)]}
    )
    store.publish(tmp_path / "shop.engage", "attributes", attributes.to_arrays(), attributes.facts())
    code = """
import sys
from engagelib import store
from engagelib.attributes import ItemAttributes
saved = store.open_artifact(sys.argv[1])
attributes = ItemAttributes.from_arrays(saved.arrays, saved.meta)
where = {name: attributes.value(name, 0) for name in attributes.names}
assert attributes.matches(where).tolist() == [True], where
assert "pyarrow" not in sys.modules
"""
    run = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "shop.engage")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
