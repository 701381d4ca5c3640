"""Drawing against the loops that define it, and what both implementations agree on to the last bit."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.scoring import reference
from engagelib.scoring.drawing import Aging, Events, draw_interest, draw_met

N_ITEMS, N_TYPES = 4, 3
WEIGHTS = [0.0, 1.0, 5.0]


@st.composite
def some_events(draw):
    """Rows of a few events on few items; every row is at least as long as the visit."""
    n_visit = draw(st.integers(0, 2))
    lengths = draw(st.lists(st.integers(n_visit, 7), max_size=4))
    n = sum(lengths)

    def column(values, dtype):
        return np.array(draw(st.lists(values, min_size=n, max_size=n)), dtype)

    return Events(
        np.append(0, np.cumsum(lengths)).astype(np.int64),
        column(st.integers(-1, N_ITEMS - 1), np.int32),
        column(st.integers(0, N_TYPES - 1), np.int16),
        column(st.integers(0, 5), np.int64) if draw(st.booleans()) else None,
        column(st.sampled_from([0.0, 0.25, 1.0]), np.float32) if draw(st.booleans()) else None,
        N_ITEMS,
        n_visit,
    )


def agings(**rest):
    half_lives = st.sampled_from([None, 0.5, 2.0])
    fields = {"until": st.sampled_from([None, 2, 4]), "now": st.integers(0, 5), "half_life": half_lives}
    return st.builds(Aging, **{**fields, "half_life_steps": half_lives, **rest})


def weighed(events, row, aging):
    """The loops: (item, weight, in the visit?) of each event of a row that counts."""
    start, end = events.indptr[row], events.indptr[row + 1]
    counting = []
    for event in range(start, end):
        share = 1.0 if events.share is None else float(events.share[event])
        weight = WEIGHTS[events.event_type[event]] * share
        is_late = events.time is not None and aging.until is not None and events.time[event] > aging.until
        if events.item_index[event] >= 0 and weight > 0 and not is_late:
            counting.append((event, weight))
    found = []
    for event, full in counting:
        weight = full
        if events.time is not None and aging.half_life is not None:
            weight = weight * 0.5 ** (max(aging.now - int(events.time[event]), 0) / aging.half_life)
        if events.time is not None and aging.half_life_steps is not None:
            times = [events.time[later] for later, _ in counting if later >= event]
            steps = sum(left != right for left, right in pairwise(times))
            weight *= 0.5 ** (steps / aging.half_life_steps)
        found.append((int(events.item_index[event]), weight, event >= end - events.n_visit))
    return found


def raised(parts):
    """Raise the visit's parts to the sum of the others, where they weigh less."""
    visit = math.fsum(value for _, value, in_visit in parts if in_visit)
    others = math.fsum(value for _, value, in_visit in parts if not in_visit)
    factor = others / visit if 0 < visit < others else 1.0
    return [(item, value * factor if in_visit else value) for item, value, in_visit in parts]


def interest_of(events, row, aging, heaviest):
    """The definition: a dict from item to interest."""
    sums = {}
    parts = weighed(events, row, aging)
    for item, value in [part[:2] for part in parts] if heaviest else raised(parts):
        sums[item] = sums.get(item, 0.0) + value
    if heaviest is None:
        return sums
    end = events.indptr[row + 1]
    visited = set(events.item_index[end - events.n_visit : end].tolist()) if events.n_visit else set()
    return dict(raised([(item, x / (x + heaviest), item in visited) for item, x in sums.items()]))


def row_of(rows, row):
    part = slice(int(rows.indptr[row]), int(rows.indptr[row + 1]))
    return rows.indices[part].tolist(), None if rows.data is None else rows.data[part]


@given(some_events(), agings(), st.sampled_from([None, 5.0]))
def test_interest_is_what_the_loops_say(events, aging, heaviest):
    drawn = draw_interest(events, np.array(WEIGHTS), aging, heaviest)
    assert drawn.shape == (len(events.indptr) - 1, N_ITEMS)
    assert drawn.data.dtype == np.float32
    assert drawn.indices.dtype == np.int32
    for row in range(drawn.shape[0]):
        items, values = row_of(drawn, row)
        expected = interest_of(events, row, aging, heaviest)
        assert items == sorted(expected)
        np.testing.assert_allclose(values, [expected[item] for item in items], rtol=1e-6)


@given(some_events(), st.sampled_from([None, 2]), st.booleans())
def test_met_is_what_the_loops_say(events, until, leaves_out):
    without = np.array([True, False, False, True]) if leaves_out else None
    drawn = draw_met(events, np.array([True, False, True]), until, without)
    assert drawn.data is None
    for row in range(len(events.indptr) - 1):
        there = range(events.indptr[row], events.indptr[row + 1])
        on_time = [e for e in there if events.time is None or until is None or events.time[e] <= until]
        met = {int(events.item_index[e]) for e in on_time if events.event_type[e] != 1} - {-1}
        assert row_of(drawn, row)[0] == sorted(met - ({0, 3} if leaves_out else set()))


@given(some_events(), agings(), st.sampled_from([None, 5.0]))
def test_both_implementations_agree(events, aging, heaviest):
    arguments = (np.array(WEIGHTS), aging, heaviest)
    drawn, expected = draw_interest(events, *arguments), reference.draw_interest(events, *arguments)
    assert drawn.indptr.tolist() == expected.indptr.tolist()
    assert drawn.indices.tolist() == expected.indices.tolist()
    # Powers of two come from two libraries, which may differ in the last of 53 bits.
    np.testing.assert_allclose(drawn.data, expected.data, rtol=2e-7)


@given(some_events(), agings(), st.sampled_from([None, 5.0]))
def test_a_row_alone_is_the_row_among_others(events, aging, heaviest):
    whole = draw_interest(events, np.array(WEIGHTS), aging, heaviest)
    for row in range(len(events.indptr) - 1):
        part = slice(int(events.indptr[row]), int(events.indptr[row + 1]))
        columns = [None if column is None else column[part] for column in events[1:5]]
        single = Events(np.array([0, part.stop - part.start]), *columns, N_ITEMS, events.n_visit)
        alone = draw_interest(single, np.array(WEIGHTS), aging, heaviest)
        items, values = row_of(whole, row)
        assert alone.indices.tolist() == items
        assert alone.data.tobytes() == values.tobytes()


def plain(**changes):
    columns = {
        "indptr": np.array([0, 2, 3]),
        "item_index": np.array([0, 1, 1], np.int32),
        "event_type": np.array([1, 2, 2], np.int16),
        "time": np.array([1, 2, 3]),
        "share": None,
        "n_items": N_ITEMS,
    }
    return Events(**columns | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"item_index": np.array([0, 4, 1], np.int32)},
        {"item_index": np.array([0, -2, 1], np.int32)},
        {"item_index": np.array([0, 2**31 - 1, 1], np.int32)},
        {"event_type": np.array([1, 3, 1], np.int16)},
        {"event_type": np.array([1, -1, 1], np.int16)},
        {"indptr": np.array([0, 2, 4])},
        {"indptr": np.array([0, 2, 2])},
        {"indptr": np.array([1, 2, 3])},
        {"indptr": np.array([0, 5, 3])},
        {"indptr": np.array([0, -1, 3])},
        {"indptr": np.array([0, 2**62, 3])},
    ],
)
def test_arrays_that_lead_outside_each_other_draw_nothing(changes):
    assert draw_interest(plain(**changes), np.array(WEIGHTS), Aging()) is None
    assert draw_met(plain(**changes), np.ones(N_TYPES, bool)) is None
    assert draw_interest(plain(), np.array(WEIGHTS), Aging()) is not None


def test_ages_of_moments_that_are_far_apart_do_not_overflow():
    events = plain(time=np.array([-(2**63), 0, 2**63 - 1]))
    drawn = draw_interest(events, np.array(WEIGHTS), Aging(now=2**62, half_life=1e18))
    assert drawn.data.tolist() == [1, pytest.approx(5 * 0.5 ** (2**62 / 1e18)), 5]
    long_ago = draw_interest(events, np.array(WEIGHTS), Aging(now=100, half_life=10.0), 1.0)
    assert np.isfinite(long_ago.data).all()


def test_what_decays_below_float32_is_no_cell():
    drawn = draw_interest(plain(), np.array(WEIGHTS), Aging(now=1000, half_life=1.0))
    assert drawn.indices.tolist() == []
    assert drawn.indptr.tolist() == [0, 0, 0]


def test_arrays_that_may_not_be_written_to_are_read():
    events = plain()
    for column in events[:4]:
        column.flags.writeable = False
    assert draw_interest(events, np.array(WEIGHTS), Aging()).data.tolist() == [1, 5, 5]
