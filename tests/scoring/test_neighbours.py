"""Neighbours against the loops that define them, and what both implementations agree on to the last bit."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.errors import ArtifactError
from engagelib.scoring import Rows, reference
from engagelib.scoring.neighbours import Placed, near_items, near_parts

N_ITEMS, LENGTH = 5, 3
VALUES = st.sampled_from([0.25, 0.5, 1.0, 3.0])


@st.composite
def placed(draw, n_rows, n_columns, most=4):
    cells = [draw(st.lists(st.integers(0, n_columns - 1), max_size=most, unique=True)) for _ in range(n_rows)]
    n = sum(map(len, cells))
    return Placed(
        np.append(0, np.cumsum([len(row) for row in cells])).astype(np.int64),
        np.array([column for row in cells for column in row], np.int32),
        np.array(draw(st.lists(st.integers(0, LENGTH - 1), min_size=n, max_size=n)), np.int32),
        np.array(draw(st.lists(VALUES, min_size=n, max_size=n)), np.float32),
    )


@st.composite
def questions(draw):
    """Rows, postings and histories that need not be each other's transpose, closeness, and a number."""
    n_stored = draw(st.integers(1, 6))
    cells = draw(placed(draw(st.integers(0, 4)), N_ITEMS))
    rows = Rows(cells.indptr, cells.column, cells.value, (len(cells.indptr) - 1, N_ITEMS))
    closeness = draw(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.5]), min_size=2 * LENGTH - 1, max_size=2 * LENGTH - 1)
    )
    return (
        rows,
        draw(placed(N_ITEMS, n_stored)),
        # A history has a place for each of its items, so no more of these than places.
        draw(placed(n_stored, N_ITEMS, most=LENGTH)),
        np.array(closeness),
        draw(st.integers(1, 4)),
    )


def cells_of(held, row):
    part = slice(held.indptr[row], held.indptr[row + 1])
    return list(
        zip(held.column[part].tolist(), held.place[part].tolist(), held.value[part].tolist(), strict=True)
    )


def scores_of(rows, row, postings, stored, closeness, n_nearest):
    """The loops: what each item is given, in the order in which they are met."""
    likeness, anchor, strongest = {}, {}, {}
    for at in range(rows.indptr[row], rows.indptr[row + 1]):
        x = float(rows.data[at])
        for history, place, value in cells_of(postings, rows.indices[at]):
            likeness[history] = likeness.get(history, 0.0) + x * value
            if x > strongest.get(history, 0.0):
                strongest[history], anchor[history] = x, place
    nearest = sorted(likeness, key=lambda history: (-likeness[history], -history))[:n_nearest]
    scores = {}
    for history in sorted(nearest):
        for item, place, value in cells_of(stored, history):
            part = likeness[history] * closeness[LENGTH - 1 + place - anchor[history]] * value
            if part > 0:
                scores[item] = scores.get(item, 0.0) + part
    return scores


@given(question=questions())
def test_items_get_what_the_loops_give_them(question):
    found = near_items(*question)
    rows = question[0]
    assert found.shape == rows.shape
    for row in range(rows.shape[0]):
        part = slice(found.indptr[row], found.indptr[row + 1])
        scores = scores_of(rows, row, *question[1:])
        assert found.indices[part].tolist() == list(scores)
        assert found.data[part].tolist() == [np.float32(score) for score in scores.values()]


def random_question(n_rows, n_stored=400, n_items=60, rng=0):
    """Histories of nine items, each an item's place: what postings and stored histories are in earnest."""
    rng = np.random.default_rng(rng)
    item = np.argsort(rng.random((n_stored, n_items)), axis=1)[:, :9].astype(np.int32)
    history = np.repeat(np.arange(n_stored), 9)
    place = np.tile(np.arange(9), n_stored).astype(np.int32)
    value = rng.random(len(history)).astype(np.float32)
    stored = Placed(9 * np.arange(n_stored + 1), item.ravel(), place, value)
    order = np.argsort(stored.column, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(stored.column, minlength=n_items)))
    postings = Placed(starts, history[order].astype(np.int32), place[order], value[order])
    asked = np.sort(np.argsort(rng.random((n_rows, n_items)), axis=1)[:, :4], axis=1).astype(np.int32)
    x = rng.random(asked.size).astype(np.float32)
    rows = Rows(4 * np.arange(n_rows + 1), asked.ravel(), x, (n_rows, n_items))
    return rows, postings, stored, rng.random(17), 50


def test_both_implementations_agree_to_the_last_bit():
    question = random_question(300)
    found, expected = near_items(*question), reference.near_items(*question)
    for ours, theirs in zip(found[:3], expected[:3], strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()


def test_a_row_is_answered_alone_as_among_others():
    question = random_question(300)
    rows = question[0]
    whole = near_items(*question)
    for row in (0, 17, 299):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        alone = Rows(np.array([0, 4]), rows.indices[part], rows.data[part], (1, rows.shape[1]))
        found = near_items(alone, *question[1:])
        among = slice(whole.indptr[row], whole.indptr[row + 1])
        assert found.indices.tobytes() == whole.indices[among].tobytes()
        assert found.data.tobytes() == whole.data[among].tobytes()


def test_rows_are_answered_in_blocks_where_there_are_many(monkeypatch):
    neighbours = pytest.importorskip("engagelib.scoring.native.neighbours")

    question = random_question(40)
    whole = near_items(*question)
    monkeypatch.setattr(neighbours, "_ROOM", 130)
    monkeypatch.setattr(reference.neighbours, "_BLOCK_ROWS", 7)
    for ours, before in zip(near_items(*question)[:3], whole[:3], strict=True):
        assert ours.tobytes() == before.tobytes()


def test_parts_sum_to_the_scores():
    question = random_question(20)
    rows = question[0]
    items = np.array([7, 3, 50, 12])
    for row in range(20):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        alone = Rows(np.array([0, 4]), rows.indices[part], rows.data[part], (1, rows.shape[1]))
        parts = near_parts(alone, *question[1:], items)
        assert parts.shape == (4, 4)
        scores = _dense(near_items(alone, *question[1:]))
        np.testing.assert_allclose(parts.sum(axis=0), scores[items], rtol=1e-6)


def _dense(rows):
    scores = np.zeros(rows.shape[1])
    scores[rows.indices] = rows.data
    return scores


BROKEN = re.escape(
    "the stored neighbours are broken: they lead outside their histories, or these outside the "
    "catalogue. Hint: the file may be damaged, or altered after it was written; save or copy it again."
)


@pytest.mark.parametrize("whose", ["postings", "stored"])
@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("column", -1),
        ("column", 10_000),
        ("indptr", -1),
        ("indptr", 10_000),
        ("place", 1000),
        ("place", -1000),
    ],
)
def test_arrays_that_lead_outside_are_refused_and_nothing_of_them_stays(whose, part, wrong):
    question = random_question(30)
    expected = near_items(*question)
    place = 1 if whose == "postings" else 2
    held = question[place]
    altered = getattr(held, part).copy()
    altered[1 : len(altered) - 1] = wrong
    broken = list(question)
    broken[place] = held._replace(**{part: altered})
    with pytest.raises(ArtifactError, match=f"^{BROKEN}$"):
        near_items(*broken)
    found = near_items(*question)
    assert found.indices.tobytes() == expected.indices.tobytes()
    assert found.data.tobytes() == expected.data.tobytes()
