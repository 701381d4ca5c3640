"""Many strings as two arrays: they come back byte for byte, and hash alike alone and together."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engagelib.strings import StringColumn, decoded, hash_bytes, is_text

TEXTS = st.lists(
    st.text(max_size=9) | st.sampled_from(["", "\0", "\0\0", "a\0", "abcd", "abcde", "é" * 6]), max_size=9
)


def from_strings(texts):
    return StringColumn.from_strings(texts)


def from_arrow(texts):
    return StringColumn.from_arrow(pa.array(texts, pa.large_string()))


def from_chunks(texts):
    chunks = [pa.array([text], pa.string()) for text in texts]
    return StringColumn.from_arrow(pa.chunked_array(chunks, pa.string()))


def from_slice(texts):
    return StringColumn.from_arrow(pa.array(["before", *texts, "after"], pa.string()).slice(1, len(texts)))


MAKERS = pytest.mark.parametrize("make", [from_strings, from_arrow, from_chunks, from_slice])


@MAKERS
@given(texts=TEXTS)
def test_strings_come_back(make, texts):
    column = make(texts)
    assert list(column) == texts
    assert column.to_arrow().to_pylist() == texts
    assert column.lengths().tolist() == [len(text.encode()) for text in texts]
    assert column.take(range(len(texts))) == texts
    assert list(StringColumn.from_arrays(column.to_arrays())) == texts


def test_nulls_become_empty():
    assert list(StringColumn.from_arrow(pa.array(["a", None, "b"]))) == ["a", "", "b"]


def test_a_lone_surrogate_is_not_stored():
    with pytest.raises(UnicodeEncodeError):
        StringColumn.from_strings(["a", "\ud800"])


# Definition: the bytes behind a 1, as one number, modulo the prime.
@given(texts=TEXTS)
def test_many_strings_hash_as_each_alone(texts):
    alone = [hash_bytes(text.encode()) for text in texts]
    assert StringColumn.from_strings(texts).hashes().tolist() == alone
    assert alone == [int((b"\x01" + text.encode()).hex(), 16) % 1_911_520_727 for text in texts]


def test_hashes_are_the_same_in_every_process_and_version():
    assert hash_bytes(b"") == 1
    assert hash_bytes(b"customer-1") == StringColumn.from_strings(["customer-1"]).hashes()[0] == 967_629_206


@pytest.mark.parametrize("size", [4095, 4096, 4097, 10**6])
def test_long_strings_hash_alike_too(size):
    texts = ["b", "a" * size, "", "a" * (size - 1) + "b"]
    column = StringColumn.from_strings(texts)
    assert column.hashes().tolist() == [hash_bytes(text.encode()) for text in texts]
    here, there = np.array([1, 1, 3, 0]), np.array([1, 3, 3, 0])
    assert column.equal(here, column, there).tolist() == [True, False, True, True]


@given(texts=TEXTS, others=TEXTS, data=st.data())
def test_strings_are_equal_byte_for_byte(texts, others, data):
    if not texts or not others:
        return
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, len(texts) - 1), st.integers(0, len(others) - 1)), max_size=9)
    )
    here, there = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    got = StringColumn.from_strings(texts).equal(here, StringColumn.from_strings(others), there)
    assert got.tolist() == [texts[left] == others[right] for left, right in pairs]


# Arrow reads without looking where its offsets point to.
@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=5), min_size=1, max_size=5), data=st.data())
def test_altered_arrays_do_not_reach_arrow(texts, data):
    arrays = {name: values.copy() for name, values in StringColumn.from_strings(texts).to_arrays().items()}
    place = data.draw(st.integers(0, len(texts)))
    arrays["offsets"][place] = data.draw(st.sampled_from([-(2**62), -1, 2**20, 2**62]))
    with pytest.raises(pa.ArrowInvalid):
        StringColumn.from_arrays(arrays).to_arrow()


@pytest.mark.parametrize("name", ["plain", "view", "categories", "categories of views", "large", "chunks"])
def test_decoded_text_is_plain_text(name):
    plain = pa.array(["a", None, "b", "a"])
    views = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 0]), pa.array(["a", "b"], pa.string_view()))
    array = {
        "plain": plain,
        "view": plain.cast(pa.string_view()),
        "categories": plain.dictionary_encode(),
        "categories of views": views,
        "large": plain.cast(pa.large_string()),
        "chunks": pa.chunked_array([views, views]).slice(0, 4),
    }[name]
    assert decoded(array).to_pylist() == plain.to_pylist()
    assert decoded(array).type in (pa.string(), pa.large_string())


def test_what_is_text():
    assert all(is_text(kind) for kind in (pa.string(), pa.large_string(), pa.string_view()))
    assert not any(
        is_text(kind) for kind in (pa.binary(), pa.int64(), pa.null(), pa.dictionary(pa.int8(), pa.string()))
    )
