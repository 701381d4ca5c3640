"""Item attributes: read, refused and joined, and brought into the order of the items."""

import pandas as pd
import pyarrow as pa
import pytest
from event_cases import LONG, THREE

from engagelib import EventLog
from engagelib.errors import ArgumentError, SchemaError
from engagelib.events.items import join_items, read_items


def test_attributes_come_in_the_order_of_the_items():
    items = {"item_id": ["pen", "cap"], "title": ["Pen", "Cap"], "for_sale": [None, False], "price": [1, 2]}
    log = EventLog.from_frame(THREE, items=items)
    assert list(log.items) == ["cap", "ink", "pen"]
    assert log.n_items == 3
    assert list(log.item_texts("title")) == ["Cap", "", "Pen"]
    assert list(log.item_texts("colour")) == ["", "", ""]
    assert log.item_for_sale().tolist() == [False, True, True]
    assert log.item_table["price"].to_pylist() == [1.0, 2.0]


def test_a_log_without_attributes_sells_everything():
    log = EventLog.from_frame(THREE)
    assert log.item_for_sale().tolist() == [True, True]
    assert list(log.item_texts("title")) == ["", ""]


# Numbers of another width than the log's, categories and spellings are the same ids.
@pytest.mark.parametrize(
    ("log_ids", "item_ids"),
    [
        ([1, 2], pa.array([2, 3], pa.uint8())),
        (["é", "b"], ["e\u0301", "c"]),
        (["b", "a"], pd.Categorical(["a", "c"])),
        (["b", "a"], pa.array(["a", "c"], pa.string_view())),
    ],
    ids=["width", "spelling", "categories", "views"],
)
def test_ids_of_items_and_log_meet(log_ids, item_ids):
    items = {"item_id": item_ids, "title": pd.Categorical(["first", "second"])}
    log = EventLog.from_frame({"customer_id": [1, 1], "item_id": log_ids}, items=items)
    titles = dict(zip(log.items, log.item_texts("title"), strict=True))
    assert log.n_items == 3
    assert sorted(titles.values()) == ["", "first", "second"]


@pytest.mark.parametrize("values", [[True, False], [1, 0], pa.array([True, False]).dictionary_encode()])
def test_for_sale_is_true_or_false_or_one_or_zero(values):
    log = EventLog.from_frame(THREE, items={"item_id": ["ink", "pen"], "for_sale": values})
    assert log.item_for_sale().tolist() == [True, False]


def test_titles_of_a_csv_stay_as_they_are_written(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,category,price,for_sale\n1,007,1.50,3,true\n2,NA,,,\n", "utf-8")
    log = EventLog.from_frame({"customer_id": [1, 1], "item_id": [1, 2]}, items=path)
    assert list(log.item_texts("title")) == ["007", "NA"]
    assert list(log.item_texts("category")) == ["1.50", ""]
    assert log.item_for_sale().tolist() == [True, True]


def test_other_columns_stay_as_they_are():
    items = pa.table({"item_id": [1], "tags": [["a", "b"]], "made": [pd.Timestamp("2024-01-01")]})
    assert read_items(items).select(["tags", "made"]).equals(items.select(["tags", "made"]))


def test_items_alone_make_no_events():
    log = EventLog.from_frame(THREE, items=pa.table({"item_id": pa.array([], pa.string())}))
    assert list(log.items) == ["ink", "pen"]


REFUSED = {
    "no ids": (
        {"title": ["a"]},
        "column 'item_id' is missing. Found: title. Hint: rename the column.",
    ),
    "ids in the index": (
        pd.DataFrame({"item_id": ["pen"], "title": ["Pen"]}).set_index("item_id"),
        "column 'item_id' is missing. Found: title. "
        "Hint: it is the frame's index, which is not read; pass frame.reset_index().",
    ),
    "null ids": (
        {"item_id": ["pen", None, ""]},
        "column 'item_id': null in the item table (2 rows, first at 1, 2). "
        "Hint: give each item an id of its own.",
    ),
    "repeated ids": (
        {"item_id": ["pen", "ink", "pen", "cap", "cap", "pen"]},
        "items: 2 item ids stand more than once, the first is 'pen': expected one row for each item. "
        "Hint: keep the newest row of each item.",
    ),
    "two spellings": (
        {"item_id": ["é", "e\u0301"]},
        "items: 1 item id stands more than once, the first is 'é': expected one row for each item. "
        "Hint: keep the newest row of each item.",
    ),
    "long ids": (
        {"item_id": [LONG]},
        "column 'item_id': an id of more than 1,024 bytes (1 row, first at 0). "
        "Hint: give each item an id of its own.",
    ),
    "other ids": (
        {"item_id": [1, 2]},
        "items: column 'item_id' holds integers, the log holds strings. Expected one type. "
        "Hint: 1 and '1' are two ids; bring both tables to one type.",
    ),
    "a name twice": (
        pa.table([["a"], ["b"], ["c"]], names=["item_id", "note", "note"]),
        "column 'note' stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them.",
    ),
    "prices in words": (
        {"item_id": ["a"], "price": ["1 GBP"]},
        "column 'price' is of type string: expected numbers.",
    ),
    "sale in words": (
        {"item_id": ["a"], "for_sale": ["yes"]},
        "column 'for_sale' is of type string: expected true and false, or 1 and 0.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("items", "message"), REFUSED.values(), ids=REFUSED)
def test_items_are_refused_in_these_words(items, message):
    with pytest.raises(SchemaError) as caught:
        EventLog.from_frame(THREE, items=items)
    assert str(caught.value) == message


def test_titles_that_are_no_text_name_their_column():
    with pytest.raises(SchemaError, match=r"^column 'title' could not be read: "):
        read_items({"item_id": ["a"], "title": [["a", "b"]]})


def test_what_is_no_table_of_items():
    with pytest.raises(ArgumentError) as caught:
        EventLog.from_frame(THREE, items=5)
    assert str(caught.value) == (
        "items is of type int: expected a path, a frame with the Arrow stream protocol, "
        "a mapping of columns or a list of records."
    )


# Joining


def test_the_newer_row_of_an_item_stays():
    old = read_items({"item_id": [1, 2], "title": ["one", "two"], "price": [1, 2]})
    new = read_items({"item_id": [2, 3], "title": ["TWO", None], "colour": ["red", "blue"]})
    joined = join_items(old, new).to_pydict()
    assert joined["item_id"] == [1, 2, 3]
    assert joined["title"] == ["one", "TWO", None]
    assert joined["price"] == [1.0, None, None]
    assert joined["colour"] == [None, "red", "blue"]


def test_item_tables_of_two_id_types_are_not_joined():
    with pytest.raises(SchemaError) as caught:
        join_items(read_items({"item_id": [1]}), read_items({"item_id": ["1"]}))
    assert str(caught.value) == (
        "items: column 'item_id' holds strings, the log holds integers. Expected one type. "
        "Hint: 1 and '1' are two ids; bring both tables to one type."
    )


def test_attributes_that_do_not_join_are_refused():
    with pytest.raises(SchemaError, match="could not be read"):
        join_items(read_items({"item_id": [1], "size": [5]}), read_items({"item_id": [2], "size": ["L"]}))
