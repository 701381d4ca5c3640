"""Spelling: one id for each identity, whatever it is written with, alone and in columns."""

import sys
from enum import Enum, IntEnum
from unicodedata import combining, decomposition, normalize

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.frames import Refused
from engagelib.identity import encode_namespaces, spell_pairs, spelled, spelling


class Named(str, Enum):  # noqa: UP042  (prints as another text than it is)
    WEB = "web"


class Numbered(IntEnum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("ann", "ann"),
        ("", ""),
        (7, 7),
        (-(2**70), -(2**70)),
        ("e\u0301", "é"),
        ("\ud800", "\ud800"),  # half a surrogate pair is in no log, and is asked for all the same
        ("web:77", "web:77"),
        (("web", 77), "web:77"),
        (("web", "77"), "web:77"),
        (("web", ""), "web:"),
        (("a", "b:c"), "a:b:c"),
        (("e\u0301", "e\u0301"), "é:é"),
        (("a", "\u0338b"), "a:\u0338b"),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.str_("e\u0301"), "é"),
        (Named.WEB, "web"),
        (Numbered.SEVEN, 7),
        ((Named.WEB, Numbered.SEVEN), "web:7"),
        ((np.str_("web"), np.int32(7)), "web:7"),
    ],
)
def test_an_identity_is_spelled_as_one_id(identity, expected):
    found = spelled(identity)
    assert (type(found), found) == (type(expected), expected)


# A ":" never composes with what stands beside it, so the parts may be normalised before or after joining.
def test_a_pair_is_normal_where_its_parts_are():
    marks = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if not 0xD800 <= code < 0xE000 and (combining(chr(code)) or decomposition(chr(code)))
    ]
    assert len(marks) > 6_000
    for mark in marks:
        assert spelled((mark, mark)) == f"{normalize('NFC', mark)}:{normalize('NFC', mark)}"


NAMES = st.sampled_from([None, "web", "app", "é"])
TEXTS = st.sampled_from([None, "1", "2", "web:1", "app:2", "é"])
NUMBERS = st.sampled_from([None, 1, 2, -5, 2**63 - 1])


def encode(values, kind):
    array = pa.array(values, kind).dictionary_encode()
    return array.indices.fill_null(-1).to_numpy(), array.dictionary


@pytest.mark.parametrize("few", [0, 2**22], ids=["hashed", "in a table"])
@given(
    rows=st.lists(st.tuples(NAMES, TEXTS), max_size=12) | st.lists(st.tuples(NAMES, NUMBERS), max_size=12),
    unused=st.integers(0, 40),
)
def test_a_column_is_spelled_as_each_of_its_rows(few, rows, unused):
    names, ids = ([row[part] for row in rows] for part in (0, 1))
    is_text = any(isinstance(id_, str) for id_ in ids)
    codes, distinct = encode(ids, pa.large_string() if is_text else pa.int64())
    # Ids that no row has, which make a table of all cells larger than the log.
    distinct = pa.concat_arrays([distinct, pa.array(range(100, 100 + unused)).cast(distinct.type)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spelling, "_FEW_CELLS", few)
        codes, spellings = spell_pairs(codes, distinct, *encode(names, pa.large_string()))
    assert codes.dtype == np.int32
    assert spellings.type == pa.large_string()
    assert sorted(set(codes.tolist()) - {-1}) == list(range(len(spellings)))
    assert len(set(spellings.to_pylist())) == len(spellings)
    expected = [
        None if id_ is None else str(id_) if name is None else spelled((name, id_))
        for name, id_ in zip(names, ids, strict=True)
    ]
    assert [None if code < 0 else spellings[code].as_py() for code in codes] == expected


def namespaces(values):
    refused = Refused(np.zeros(len(values), np.uint8))
    codes, names = encode_namespaces(pa.chunked_array([values]), "channel", refused)
    return [None if code < 0 else names[code].as_py() for code in codes], refused


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_namespaces_are_text_in_any_layout(kind):
    values = pa.array(["web", "e\u0301", "", None, "é"]).cast(kind)
    assert namespaces(values)[0] == ["web", "é", None, None, "é"]


def test_no_namespace_at_all_is_the_default_one_throughout():
    assert namespaces(pa.nulls(2))[0] == [None, None]


def test_a_namespace_with_a_colon_is_refused_row_by_row():
    _, refused = namespaces(pa.array(["web", "a:b", None, "a:b", "c"]))
    assert (refused.code > 0).tolist() == [False, True, False, True, False]
    assert refused.reasons == ["channel: a namespace with a ':' in it"]
