"""Sparse scoring and rankings in C++: to the last bit what the reference says, whatever it is given."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scoring_cases import random_sparse, same

from engagelib.errors import ArgumentError, ArtifactError
from engagelib.scoring import (
    ItemWeights,
    Ranking,
    Rows,
    _kernels,
    dense_topk,
    ranking_topk,
    reference,
    score_pairs,
    score_topk,
)
from engagelib.scoring.blending import blend
from engagelib.scoring.drawing import Events, draw_met

native = pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)


@pytest.fixture(scope="module", autouse=True)
def kernel():
    """Here both are called by name; what is called through the front door is native."""
    with _kernels.using("native"):
        yield "native"


# Ties, cancellation, overflow of either sign, and numbers whose products vanish.
NASTY = [0.0, -0.0, 1.0, 1.0, -1.0, 2.0, 0.1, -0.3, 3e38, -3e38, 1e30, -1e30, 1e-38, -1e-45, 1e-45]


@st.composite
def stored_rows(draw, n_rows, n_columns, most, index_type):
    """Rows in no order, with repeated columns."""
    entry = st.tuples(st.integers(0, max(n_columns - 1, 0)), st.sampled_from(NASTY))
    row = st.lists(entry, max_size=most if n_columns else 0)
    rows = draw(st.lists(row, min_size=n_rows, max_size=n_rows))
    return Rows(
        np.cumsum([0, *map(len, rows)]).astype(draw(st.sampled_from([np.int32, np.int64]))),
        np.array([column for row in rows for column, _ in row], index_type),
        np.array([value for row in rows for _, value in row], np.float32),
        (n_rows, n_columns),
    )


@st.composite
def cases(draw):
    n_rows, n_from = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    n_to = draw(st.integers(0, 9) | st.integers(50, 300))
    width = st.sampled_from([np.int32, np.int64])
    weights = draw(stored_rows(n_from, n_to, 12, draw(width)))
    mask = st.lists(st.booleans(), min_size=n_to, max_size=n_to).map(lambda chosen: np.array(chosen, bool))
    return (
        draw(stored_rows(n_rows, n_from, 6, draw(width))),
        ItemWeights.from_arrays(*weights),
        draw(st.none() | stored_rows(n_rows, n_to, 5, draw(width))),
        draw(st.none() | mask),
    )


@given(case=cases(), k=st.integers(1, 8) | st.just(400), n_threads=st.integers(1, 3))
def test_lists_are_those_of_the_reference(case, k, n_threads):
    history, weights, exclude, available = case
    with np.errstate(all="ignore"):
        expected = reference.sparse_topk(history, weights, k, exclude, available)
    assert same(native.sparse_topk(history, weights, k, exclude, available, n_threads=n_threads), expected)


@given(case=cases(), data=st.data())
def test_pairs_are_those_of_the_reference(case, data):
    history, weights, _, _ = case
    n_rows, n_to = history.shape[0], weights.shape[1]
    index_type = data.draw(st.sampled_from([np.int8, np.int32, np.int64, np.uint64]))
    lowest, highest = (-1 if np.issubdtype(index_type, np.signedinteger) else 0), min(n_to - 1, 127)
    width = 6 if lowest <= highest else 0
    items = st.lists(st.integers(lowest, highest), min_size=width * n_rows, max_size=width * n_rows)
    wanted = np.array(data.draw(items) if width else [], index_type).reshape(n_rows, width)
    with np.errstate(all="ignore"):
        expected = reference.sparse_pairs(history, weights, wanted)
    found = native.sparse_pairs(history, weights, wanted)
    assert found.tobytes() == expected.tobytes()
    assert found.dtype == expected.dtype


@pytest.fixture(scope="module")
def shop():
    """Rows of few additions, whose items are noted, and of many, where all sums are looked at; many ties."""
    rng = np.random.default_rng(3)
    n_from, n_to, n_rows = 300, 4000, 90
    weights = random_sparse(rng, (n_from, n_to), 0.02)
    weights.data = np.round(weights.data * 8) / 8 - np.float32(0.25)
    weights.data[::3] = np.nextafter(weights.data[::3], np.float32(9))  # the next higher float is no tie
    history = random_sparse(rng, (n_rows, n_from), 0.05)
    history.data[::3] = 1
    history = history.tolil()
    history[:9] = 0
    history[9:20, ::11] = 1  # sums of a single term, among the long rows too
    history[4, :200] = 1
    exclude = random_sparse(rng, (n_rows, n_to), 0.02)
    rows, barred = Rows.from_matrix(history.tocsr()), Rows.from_matrix(exclude)
    return rows, ItemWeights(weights), barred, rng.random(n_to) < 0.5


@pytest.mark.parametrize("n_threads", [1, 2, 3, 1000])
@pytest.mark.parametrize("k", [1, 20, 300, 5000])
def test_long_rows_are_listed_as_in_the_reference(shop, k, n_threads):
    history, weights, exclude, available = shop
    additions = [
        int(np.diff(weights.indptr)[history.indices[start:stop]].sum())
        for start, stop in zip(history.indptr[:-1], history.indptr[1:], strict=True)
    ]
    assert min(additions) == 0
    assert sum(n > 1000 for n in additions) > 10 < sum(0 < n <= 1000 for n in additions)
    for barred, mask in [(None, None), (exclude, None), (None, available), (exclude, available)]:
        expected = reference.sparse_topk(history, weights, k, barred, mask)
        assert same(native.sparse_topk(history, weights, k, barred, mask, n_threads=n_threads), expected)


def test_threads_that_call_at_once_do_not_disturb_each_other(shop):
    history, weights, exclude, available = shop
    small = ItemWeights.from_arrays([0, 1, 1], [6], np.ones(1, np.float32), (2, 7))
    expected = native.sparse_topk(history, weights, 20, exclude, available)
    wrong = []

    def ask(n_threads):
        for _ in range(15):
            found = native.sparse_topk(history, weights, 20, exclude, available, n_threads=n_threads)
            few = score_topk(Rows(np.array([0, 1]), np.array([0]), np.ones(1), (1, 2)), small, 2)
            if not same(found, expected) or few.item_index.tolist() != [[6, -1]]:
                wrong.append(n_threads)

    threads = [threading.Thread(target=ask, args=(1 + i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_answers_as_its_parent(shop):
    history, weights, exclude, available = shop
    expected = native.sparse_topk(history, weights, 20, exclude, available, n_threads=2)
    child = os.fork()
    if child == 0:
        alike = same(native.sparse_topk(history, weights, 20, exclude, available, n_threads=2), expected)
        os._exit(0 if alike else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


ONE_ROW = Rows(np.array([0, 2]), np.array([0, 2]), np.ones(2, np.float32), (1, 3))


def stored(folder, index_type):
    """Weights over mapped files, and writable views of these."""
    arrays = {
        "indptr": np.array([0, 2, 2, 4], index_type),
        "indices": np.array([0, 1, 2, 4], index_type),
        "data": np.ones(4, np.float32),
    }
    for name, values in arrays.items():
        np.save(folder / name, values)
    files = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays]
    return ItemWeights.from_arrays(*files, (3, 5)), {
        name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in arrays
    }


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("column", [5, -1, 2**31 - 1, -(2**31)])
def test_a_column_altered_after_its_row_was_used_is_found(tmp_path, index_type, n_threads, column):
    weights, files = stored(tmp_path, index_type)
    before = score_topk(ONE_ROW, weights, 5, n_threads=n_threads)
    assert before.items(0) == [0, 1, 2, 4]
    files["indices"][3] = column
    calls = [
        lambda: score_topk(ONE_ROW, weights, 5, n_threads=n_threads),
        lambda: score_pairs(ONE_ROW, weights, [[0]]),
    ]
    for call in calls:
        with pytest.raises(ArtifactError) as caught:
            call()
        assert str(caught.value) == (
            f"entry 3 of the stored weights leads to item {column} of 5: expected item indices as they were "
            "saved. Hint: the file was damaged or altered; `engagelib verify` finds where, then save or copy "
            "the model again."
        )
    files["indices"][3] = 4
    # What was added before the fault was found is forgotten.
    assert same(score_topk(ONE_ROW, weights, 5), before)


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize(
    ("indptr", "fault"),
    [
        ([0, 2, 2, 9], "indptr ends at 9, with 4 indices and 4 values."),
        ([0, 2, 5, 4], "indptr does not rise from 0."),
        ([-7, 2, 2, 4], "indptr does not rise from 0."),
        ([0, -2, 2, 4], "indptr does not rise from 0."),
        ([0, 2, 2**31 - 1, 2**31 - 1], "indptr ends at 2,147,483,647, with 4 indices and 4 values."),
    ],
)
def test_row_starts_altered_after_opening_are_refused_as_at_opening(tmp_path, index_type, indptr, fault):
    weights, files = stored(tmp_path, index_type)
    files["indptr"][:] = indptr
    for call in (lambda: score_topk(ONE_ROW, weights, 2), lambda: score_pairs(ONE_ROW, weights, [[0]])):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert str(caught.value) == (
            f"weights is not a valid CSR matrix: {fault} Hint: the file may be damaged, or altered after it "
            "was written."
        )
    files["indptr"][:] = [0, 2, 2, 4]
    assert score_topk(ONE_ROW, weights, 5).items(0) == [0, 1, 2, 4]


@given(data=st.data(), n_items=st.integers(1, 40), k=st.integers(1, 12), n_rows=st.integers(0, 3))
def test_rankings_are_those_of_the_reference(data, n_items, k, n_rows):
    order = np.array(
        data.draw(st.permutations(range(n_items))), data.draw(st.sampled_from([np.int16, np.int64]))
    )
    ranking = Ranking(order[: data.draw(st.integers(0, n_items))], n_items)
    exclude = data.draw(st.none() | stored_rows(n_rows, n_items, 60, np.int32))
    mask = st.lists(st.booleans(), min_size=n_items, max_size=n_items).map(
        lambda chosen: np.array(chosen, bool)
    )
    available = data.draw(st.none() | mask)
    found = native.ranking_topk(ranking, n_rows, k, exclude, available)
    assert np.array_equal(found, reference.ranking_topk(ranking, n_rows, k, exclude, available))
    assert found.dtype == np.int32


def test_exclusions_that_fall_on_the_same_place_of_the_table_are_told_apart():
    n_items = 200_000
    items = np.arange(0, n_items, 2)
    exclude = Rows(np.array([0, len(items)]), items, None, (1, n_items))
    found = ranking_topk(Ranking(np.arange(n_items), n_items), 1, n_items, exclude=exclude)[0]
    assert np.array_equal(found[: n_items // 2], np.arange(1, n_items, 2))
    assert (found[n_items // 2 :] == -1).all()


@pytest.mark.parametrize("byte", [2, 128, 255])
def test_a_mask_may_hold_any_byte(byte):
    """NumPy's bools are bytes, and what is not 0 is True; a view of other numbers holds more than 0 and 1."""
    rng = np.random.default_rng(byte)
    clean = rng.random(4000) < 0.7
    odd = (clean * np.uint8(byte)).view(bool)
    weights = ItemWeights(csr_array(rng.random((1, 4000), np.float32)))
    history = Rows(np.array([0, 1]), np.array([0]), np.ones(1, np.float32), (1, 1))
    assert same(
        score_topk(history, weights, 5, available=odd), score_topk(history, weights, 5, available=clean)
    )
    factors, queries = rng.random((4000, 8)), rng.random((20, 8))
    assert same(
        dense_topk(queries, factors, 5, available=odd), dense_topk(queries, factors, 5, available=clean)
    )
    order = np.arange(4000)
    first, again = (ranking_topk(order, 2, 9, n_items=4000, available=mask) for mask in (odd, clean))
    assert first.tolist() == again.tolist()
    lists = [score_topk(history, weights, 900)]
    for left, right in zip(blend(lists, 9, 4000, among=odd), blend(lists, 9, 4000, among=clean), strict=True):
        assert left.tobytes() == right.tobytes()
    events = Events(np.array([0, 3]), np.array([5, 6, 7], np.int32), np.zeros(3, np.int16), None, None, 4000)
    counts = np.array([byte], np.uint8).view(bool)
    drawn = draw_met(events, counts, without=odd)
    assert drawn.indices.tolist() == [item for item in (5, 6, 7) if not clean[item]]
