"""What comes back: records, frames and tables, and why a list is short."""

import json
import sys

import pandas as pd
import pyarrow as pa
import pytest

from engagelib import Recommender
from engagelib.testing import log_of

VISITS = {"ann": ["lamp", "rug"], "bob": ["lamp", "rug"], "<i>": ["lamp"]}
ITEMS = {"item_id": ["lamp", "rug", "<pen>", "mug"], "title": ["Lamp & shade", "<b>Rug</b>", None, ""]}


@pytest.fixture(scope="module")
def shop():
    return Recommender("item_knn").fit(log_of(VISITS, items=ITEMS))


@pytest.fixture
def found(shop):
    return shop.recommend("<i>", k=4, explain=True)


def test_records_are_of_built_in_types(found):
    records = found.to_records()
    assert json.loads(json.dumps(records))[0]["title"] == "<b>Rug</b>"
    first = records[0]
    assert {name: type(value) for name, value in first.items()} == {
        "item_id": str, "title": str, "score": float, "rank": int, "source": str, "probability": type(None),
        "reasons": tuple,
    }  # fmt: skip
    assert first["reasons"] == (
        {
            "kind": "similar_item",
            "item_id": "lamp",
            "title": "Lamp & shade",
            "contribution": first["reasons"][0]["contribution"],
        },
    )
    assert type(first["reasons"][0]["contribution"]) is float
    integers = Recommender("item_knn").fit(log_of({1: [10, 20], 2: [10, 20], 3: [10]})).recommend(3)
    assert type(integers.to_records()[0]["item_id"]) is int


def test_a_list_is_a_sequence(found):
    assert len(found) == 3
    assert [entry.item_id for entry in found] == found.item_ids == ["rug", "<pen>", "mug"]
    assert found[0].title == "<b>Rug</b>"
    assert [entry.title for entry in found[1:]] == [None, None]
    assert found[-1].rank == 3
    assert found[0] in found
    assert repr(found) == "Recommendations(['rug', '<pen>', 'mug'])"
    with pytest.raises(IndexError):
        found[3]
    with pytest.raises(AttributeError):
        found.customer_id = "bob"


COLUMNS = ["item_id", "title", "score", "rank", "source", "probability"]
EXPLAINED = [*COLUMNS, "reasons"]


def test_a_frame_is_of_pandas_where_it_is_installed(shop, found):
    frame = found.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == EXPLAINED
    assert frame["reasons"].tolist() == [record["reasons"] for record in found.to_records()]
    assert frame["item_id"].tolist() == found.item_ids
    empty = shop.recommend("<i>", candidates=[]).to_frame()
    assert (list(empty), len(empty)) == (COLUMNS, 0)
    assert list(shop.audience("rug").to_frame()) == ["customer_id", "score", "rank"]


def test_a_frame_is_of_pyarrow_elsewhere(shop, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    table = found.to_frame()
    assert isinstance(table, pa.Table)
    assert table.column_names == EXPLAINED
    assert table["title"].to_pylist() == ["<b>Rug</b>", None, None]
    empty = shop.recommend("<i>", candidates=[]).to_frame()
    assert (empty.column_names, empty.num_rows) == (COLUMNS, 0)


def test_a_notebook_shows_text_as_text(found, shop):
    html = found._repr_html_()
    assert "For customer &lt;i&gt;" in html
    assert "&lt;b&gt;Rug&lt;/b&gt;" in html
    assert "Lamp &amp; shade" in html, "the reason"
    assert "&lt;pen&gt;" in html
    assert "<b>" not in html
    assert "<p>3 of 4 items asked for" in html
    audience = shop.audience("rug")._repr_html_()
    assert "&lt;i&gt;" in audience
    assert "<i>" not in audience


def test_a_terminal_shows_a_table(shop, found):
    assert str(found).splitlines() == [
        "For customer <i>",
        "rank  item_id  title        score  source    because of",
        "----  -------  ----------  ------  --------  ------------",
        "   1  rug      <b>Rug</b>  " + f"{found[0].score:.4f}" + "  item_knn  Lamp & shade",
        "   2  <pen>                0.0000  popular   popular",
        "   3  mug                  0.0000  popular   popular",
        "3 of 4 items asked for: the catalogue has 4, 4 of these are for sale and not left out by the call, "
        "1 of those were seen by the customer before.",
    ]
    assert str(shop.recommend(None)).startswith("For an anonymous visitor\n")
    assert str(shop.recommend("zoe")).startswith("For customer zoe (unknown)\n")
    assert str(shop.audience("rug")).startswith("For item rug\n")
    assert repr(shop.audience("rug")) == "Audience(['<i>'])"


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"k": 3}, None),
        (
            {"k": 4},
            "3 of 4 items asked for: the catalogue has 4, 4 of these are for sale and not left out by "
            "the call, 1 of those were seen by the customer before.",
        ),
        (
            {"exclude": ["rug"], "exclude_seen": "none"},
            "3 of 10 items asked for: the catalogue has 4, 3 of these are for sale and not left out by "
            "the call.",
        ),
        (
            {"candidates": ["rug", "lamp", "none such"]},
            "1 of 10 items asked for: the catalogue has 4, 2 of them are candidates (1 more unknown), "
            "2 of these are for sale and not left out by the call, 1 of those were seen by the customer "
            "before.",
        ),
        (
            {"k": 3, "fill": False},
            "1 of 3 items asked for: the history speaks for 1; fill=True completes the list by popularity.",
        ),
    ],
)
def test_a_short_list_says_why(shop, call, text):
    assert shop.recommend("<i>", **call).shortfall == text
