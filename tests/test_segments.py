"""Sorting, gathering and running minima over many segments at once, against loops that do one at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.segments import counting_order, gather, offsets_of, running

KEYS = st.lists(st.integers(0, 5), max_size=30).map(lambda keys: np.array(keys, np.int64))


@given(keys=KEYS, repeat=st.sampled_from([1, 40]), spare=st.integers(0, 3))
def test_counting_order_is_the_stable_order(keys, repeat, spare):
    keys = np.tile(keys, repeat)  # long input takes SciPy's counting sort
    order = counting_order(keys, 6 + spare)
    assert order.tolist() == sorted(range(len(keys)), key=lambda place: keys[place])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_counting_order_takes_any_integer_type(dtype):
    keys = np.random.default_rng(0).integers(0, 50, 3000).astype(dtype)
    assert counting_order(keys, 50).tolist() == np.argsort(keys, kind="stable").tolist()


@given(keys=KEYS)
def test_offsets_say_where_each_segment_begins(keys):
    offsets = offsets_of(keys, 7)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [int((keys < key).sum()) for key in range(8)]


@given(segments=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=6))
def test_gather_names_the_places_of_segments_one_after_the_other(segments):
    starts, lengths = (np.array([part[i] for part in segments], np.int64) for i in (0, 1))
    expected = [start + step for start, length in segments for step in range(length)]
    assert gather(starts, lengths).tolist() == expected


@given(
    lengths=st.lists(st.integers(1, 9), max_size=6), data=st.data(), what=st.sampled_from(["add", "minimum"])
)
def test_running_combines_each_value_with_the_earlier_ones_of_its_segment(lengths, data, what):
    segment = np.repeat(np.arange(len(lengths)), lengths)
    whole = st.integers(-9, 9)
    values = np.array(data.draw(st.lists(whole, min_size=len(segment), max_size=len(segment))), float)
    before = values.copy()
    combine = {"add": np.add, "minimum": np.minimum}[what]
    expected = [
        part for number in range(len(lengths)) for part in combine.accumulate(values[segment == number])
    ]
    assert running(values, segment, combine).tolist() == expected
    assert values.tolist() == before.tolist()


def test_a_segment_is_a_run_and_may_come_again():
    values, segment = np.array([3.0, 1.0, 2.0, 5.0]), np.array([7, 7, 1, 7])
    assert running(values, segment, np.add).tolist() == [3, 4, 2, 5]
