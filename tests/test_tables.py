"""Tables for people: columns line up, and nothing in a cell can break out of its place."""

import re
from html import unescape

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engagelib.tables import Table, html_table, text_table


def test_columns_line_up_numbers_to_the_right():
    table = Table(
        ("name", "count", "share"), (("pens", 1_200, 0.5), ("ink", 7, None), ("", None, 12.25)), "Stock"
    )
    assert str(table).split("\n") == [
        "Stock",
        "name  count    share",
        "----  -----  -------",
        "pens  1,200   0.5000",
        "ink       7",
        "            12.2500".replace("            ", "             "),
    ]


def test_numpy_numbers_look_like_their_own_kind():
    rows = [(np.int32(1_200), np.float32(0.5), True), (np.int64(3), np.float64(2), False)]
    assert text_table(("a", "b", "c"), rows).split("\n")[2:] == [
        "1,200  0.5000  True",
        "    3  2.0000  False",
    ]


def test_a_table_without_rows_has_its_headings():
    assert str(Table(("what", "count"), ())) == "what  count\n----  -----"
    assert html_table(("what",), ()) == (
        '<table><thead><tr><th style="text-align:left">what</th></tr></thead><tbody></tbody></table>'
    )


def test_a_table_without_headings_has_its_rows():
    assert text_table(("", ""), (("a", 1), ("bcd", 22))) == "a     1\nbcd  22"
    assert text_table((), ()) == ""


def test_a_cell_of_several_lines_stays_on_its_own():
    assert text_table(("title",), (("two\nlines\r\nor more",), ("one",))).split("\n")[2:] == [
        "two lines or more",
        "one",
    ]


# A title out of a catalogue stands in a notebook: it must not be taken for HTML.
def test_html_is_escaped_in_every_place():
    evil = '<script>alert("x")</script>'
    html = Table((evil,), ((evil,), ("a & b",)), title=evil)._repr_html_()
    assert "<script>" not in html
    assert html.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") == 3
    assert "a &amp; b" in html


def test_records_are_mappings_of_what_was_given():
    assert Table(("a", "b"), ((1, None), ("x", 2.5))).to_records() == [
        {"a": 1, "b": None},
        {"a": "x", "b": 2.5},
    ]


@given(
    rows=st.lists(
        st.tuples(st.text(max_size=5), st.integers() | st.none(), st.floats() | st.none()), max_size=5
    )
)
def test_text_and_html_say_the_same(rows):
    headings = ("first", "second", "third")
    lines = text_table(headings, rows).split("\n")
    assert len(lines) == 2 + len(rows)
    cells = re.findall(r"<td [^>]*>(.*?)</td>", html_table(headings, rows), re.DOTALL)
    for place, line in enumerate(lines[2:]):
        assert "".join(line.split()) == "".join(
            "".join(map(unescape, cells[3 * place : 3 * place + 3])).split()
        )


def test_long_texts_are_folded_and_read_from_the_left_even_among_numbers():
    long = " ".join(["words"] * 30)
    lines = text_table(("what", "value"), (("text", long), ("count", 7))).split("\n")
    assert len(lines) == 5
    assert [line.split() for line in lines[2:4]] == [["text", *["words"] * 16], ["words"] * 14]
    assert lines[2].index("words") == lines[3].index("words")
    assert lines[4] == "count" + "7".rjust(len(lines[1]) - len("count"))


def test_numbers_are_never_folded():
    _, rule, number = text_table(("n",), ((10**120,),)).split("\n")
    assert number == f"{10**120:,}"
    assert len(rule) == len(number) > 100
