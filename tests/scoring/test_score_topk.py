"""Sparse scoring: the product with the weights, without what may not be listed."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array, csc_array, csr_array, csr_matrix
from scoring_cases import listed, no_padding_faults, products, random_sparse, rows_of, same, sizes, sparse

from engagelib.errors import ArgumentError
from engagelib.scoring import (
    ItemWeights,
    Rows,
    _kernels,
    dense_topk,
    ranking_topk,
    score_pairs,
    score_topk,
    threads,
)


@st.composite
def cases(draw):
    n_rows, n_from = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    n_to = draw(st.integers(1, 5) | st.integers(12, 30))
    return (
        draw(rows_of(n_rows, n_from)),
        draw(rows_of(n_from, n_to)),
        n_to,
        draw(st.none() | rows_of(n_rows, n_to)),
        draw(st.none() | st.lists(st.booleans(), min_size=n_to, max_size=n_to)),
        draw(st.integers(1, 7)),
    )


# Small integers make sums exact and ties common, which is where top-k code breaks.
@given(case=cases(), block=st.sampled_from([1, 2, 256]))
def test_lists_what_the_definition_says(case, block):
    history, weights, n_to, exclude, available, k = case
    with sizes(_BLOCK_ROWS=block):
        found = score_topk(
            sparse(history, len(weights)),
            ItemWeights(sparse(weights, n_to)),
            k,
            exclude=None if exclude is None else sparse(exclude, n_to),
            available=available,
        )
    no_padding_faults(found, k)
    assert len(found) == len(history)
    for row, done in enumerate(history):
        scores = {item: score for item, score in products(done, weights).items() if score > 0}
        items, values = listed(scores, k, exclude[row] if exclude else (), available)
        assert found.items(row) == items
        assert found.scores(row) == values


@given(case=cases(), block=st.sampled_from([1, 256]), data=st.data())
def test_pairs_are_the_sums_that_the_definition_says(case, block, data):
    history, weights, n_to, _, _, _ = case
    index = st.lists(st.integers(-1, n_to - 1), min_size=3, max_size=3)
    wanted = data.draw(st.lists(index, min_size=len(history), max_size=len(history)))
    wanted = np.array(wanted, np.int64).reshape(len(history), 3)
    with sizes(_BLOCK_ROWS=block):
        found = score_pairs(sparse(history, len(weights)), sparse(weights, n_to), wanted)
    assert found.dtype == np.float32
    for row, done in enumerate(history):
        scores = products(done, weights)
        assert found[row].tolist() == [scores.get(item, 0) for item in wanted[row].tolist()]


@pytest.fixture(scope="module")
def shop():
    """Enough items for the group bound to matter, with rows from empty to long and many exclusions."""
    rng = np.random.default_rng(5)
    weights = random_sparse(rng, (400, 900), 0.1)
    history = random_sparse(rng, (70, 400), 0.05)
    history.data[::7] *= -1
    keep = np.ones(history.nnz, np.float32)
    keep[history.indptr[3] : history.indptr[4]] = 0  # one row with explicit zeros alone
    history.data *= keep
    exclude = random_sparse(rng, (70, 900), 0.03).tolil()
    exclude[5] = 1  # everything excluded
    exclude[6, :850] = 1
    return history, weights, exclude.tocsr(), rng.random(900) < 0.7


@pytest.mark.parametrize("k", [1, 10, 60, 2000])
def test_a_group_bound_loses_nothing(shop, k):
    history, weights, exclude, available = shop
    scores = (csr_array(history) @ csr_array(weights)).toarray()
    for barred, mask in [(None, None), (exclude, None), (None, available), (exclude, available)]:
        found = score_topk(history, weights, k, exclude=barred, available=mask)
        no_padding_faults(found, k)
        eligible = scores > 0
        if barred is not None:
            eligible &= barred.toarray() == 0
        if mask is not None:
            eligible &= mask
        for row in range(len(found)):
            best = np.lexsort((np.arange(900), -scores[row]))
            best = best[eligible[row, best]][:k]
            assert found.items(row) == best.tolist()
            assert found.scores(row) == scores[row, best].tolist()


@pytest.mark.parametrize("block", [1, 3, 64])
def test_the_answer_does_not_depend_on_the_block(shop, block):
    history, weights, exclude, available = shop
    whole = score_topk(history, weights, 10, exclude=exclude, available=available)
    with sizes(_BLOCK_ROWS=block):
        assert same(whole, score_topk(history, weights, 10, exclude=exclude, available=available))
    with sizes(_BLOCK_CELLS=900 * block):
        assert same(whole, score_topk(history, weights, 10, exclude=exclude, available=available))


def test_a_batch_equals_its_single_answers(shop):
    history, weights, exclude, available = shop
    weights = ItemWeights(weights)
    batch = score_topk(history, weights, 10, exclude=exclude, available=available)
    for row in range(len(batch)):
        single = score_topk(history[[row]], weights, 10, exclude=exclude[[row]], available=available)
        assert single.item_index.tobytes() == batch.item_index[row].tobytes()
        assert single.score.tobytes() == batch.score[row].tobytes()


def test_pairs_equal_lists_to_the_last_bit(shop):
    history, weights, exclude, _ = shop
    found = score_topk(history, weights, 30, exclude=exclude)
    for block in (1, 256):
        with sizes(_BLOCK_ROWS=block):
            pairs = score_pairs(history, weights, found.item_index)
        real = found.item_index >= 0
        assert pairs[real].tobytes() == found.score[real].tobytes()
        assert (pairs[~real] == 0).all()


def test_a_shorter_list_is_a_prefix_of_a_longer_one(shop):
    history, weights, exclude, _ = shop
    longer = score_topk(history, weights, 40, exclude=exclude)
    shorter = score_topk(history, weights, 7, exclude=exclude)
    assert np.array_equal(shorter.item_index, longer.item_index[:, :7])
    assert np.array_equal(shorter.score, longer.score[:, :7])


@pytest.mark.parametrize("make", [csr_array, csr_matrix])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("weight_index_type", [np.int32, np.int64])
def test_classes_and_index_types_answer_alike(make, index_type, weight_index_type):
    history = [{0: 1, 2: 2}, {}, {1: 3}]
    weights = [{1: 1, 3: 2}, {0: 1, 2: 1}, {3: 1, 0: 2}]
    exclude = [{3: 0}, {0: 1}, {}]
    expected = score_topk(sparse(history, 3), sparse(weights, 4), 3, exclude=sparse(exclude, 4))
    found = score_topk(
        sparse(history, 3, index_type, make),
        ItemWeights(sparse(weights, 4, weight_index_type, make)),
        3,
        exclude=sparse(exclude, 4, index_type, make),
    )
    assert same(found, expected)
    assert expected.items(0) == [0, 1]


@pytest.mark.parametrize("make", [coo_array, csc_array])
def test_other_formats_and_types_are_read(make):
    history = make(np.array([[1, 0, 2], [0, 1, 0]]))
    weights = make(np.array([[0.0, 1, 0], [1, 0, 0], [0, 1, 3]]))
    found = score_topk(history, weights, np.int64(2), exclude=make(np.array([[0, 0, 1], [0, 0, 0]], bool)))
    assert [found.items(0), found.scores(0)] == [[1], [3.0]]
    assert [found.items(1), found.scores(1)] == [[0], [1.0]]


def test_nothing_given_is_changed():
    history = sparse([{2: 1, 0: 1}], 3)
    weights = sparse([{1: 1, 0: 2}, {}, {0: 0}], 2)
    exclude = sparse([{1: 0}], 2)
    before = [part.copy() for m in (history, weights, exclude) for part in (m.indptr, m.indices, m.data)]
    score_topk(history, weights, 2, exclude=exclude)
    after = [part for m in (history, weights, exclude) for part in (m.indptr, m.indices, m.data)]
    assert all(np.array_equal(old, new) for old, new in zip(before, after, strict=True))


def test_duplicate_entries_of_a_history_add_up():
    history = csr_array((np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))
    found = score_topk(history, sparse([{0: 2}], 1), 1)
    assert found.scores(0) == [6.0]


def test_opposite_overflows_are_no_evidence_and_spoil_no_other_score():
    history = sparse([{0: 3e38, 1: 3e38}], 2)
    weights = sparse([{0: 1e30, 1: 1e-38}, {0: -1e30}], 2)
    assert score_topk(history, weights, 2).items(0) == [1]
    assert score_pairs(history, weights, [[0]]).tolist() == [[0.0]]


def test_no_rows_and_no_items():
    assert score_topk(csr_array((0, 3)), csr_array((3, 4)), 2).item_index.shape == (0, 2)
    empty = score_topk(csr_array((2, 3)), csr_array((3, 0)), 2)
    assert empty.counts.tolist() == [0, 0]
    assert score_pairs(csr_array((0, 3)), csr_array((3, 4)), np.empty((0, 2), int)).shape == (0, 2)


@given(case=cases(), index_type=st.sampled_from([np.int16, np.int32, np.int64]))
def test_bare_rows_answer_as_matrices_do(case, index_type):
    history, weights, n_to, exclude, _, k = case
    weights = ItemWeights(sparse(weights, n_to))
    matrix = sparse(history, weights.shape[0], index_type)
    rows, barred = Rows.from_matrix(matrix), None
    if exclude is not None:
        exclude = sparse(exclude, n_to, index_type)
        barred = Rows.from_matrix(exclude)._replace(data=None)
    found = score_topk(rows, weights, k, exclude=barred)
    assert same(found, score_topk(matrix, weights, k, exclude=exclude))
    pairs = [score_pairs(given, weights, found.item_index).tobytes() for given in (rows, matrix)]
    assert pairs[0] == pairs[1]
    dense = np.ones((len(history), 2), np.float32), np.arange(2 * n_to, dtype=np.float32).reshape(n_to, 2)
    assert same(dense_topk(*dense, k, exclude=barred), dense_topk(*dense, k, exclude=exclude))
    lists = [
        ranking_topk(np.arange(n_to), len(history), k, n_items=n_to, exclude=x) for x in (barred, exclude)
    ]
    assert np.array_equal(lists[0], lists[1])


def test_rows_share_the_arrays_of_a_matrix_and_wrap_them_again():
    matrix = sparse([{2: 1, 0: 4}, {}], 3)
    rows = Rows.from_matrix(matrix)
    assert rows.shape == (2, 3)
    assert all(getattr(rows, part) is getattr(matrix, part) for part in ("indptr", "indices", "data"))
    assert rows.to_matrix().toarray().tolist() == [[4, 0, 1], [0, 0, 0]]
    assert rows._replace(data=None).to_matrix().toarray().tolist() == [[1, 0, 1], [0, 0, 0]]
    assert Rows.from_matrix(coo_array(np.eye(2))).indices.tolist() == [0, 1]
    with pytest.raises(ArgumentError, match=r"^matrix is of type list: expected a SciPy sparse matrix\.$"):
        Rows.from_matrix([[1]])


@pytest.mark.parametrize("n_threads", [2, 3, np.int64(500)])
def test_threads_share_the_work_and_change_nothing(shop, n_threads):
    history, weights, exclude, available = shop
    for barred, mask in [(None, None), (exclude, available)]:
        alone = score_topk(history, weights, 10, exclude=barred, available=mask)
        shared = score_topk(history, weights, 10, exclude=barred, available=mask, n_threads=n_threads)
        assert same(alone, shared)


def test_strided_operands_are_read():
    twice = {"indptr": [0, 0, 2, 2], "indices": [0, 9, 1, 9], "data": [1.0, np.nan, 2.0, np.nan]}
    indptr, indices, data = (np.array(values)[::2] for values in twice.values())
    rows = Rows(np.array([0, 2]), indices, data.astype(np.float32), (1, 2))
    assert indptr.tolist() == [0, 2]
    weights = ItemWeights.from_arrays(np.array([0, 9, 1, 9, 2])[::2], indices, data, (2, 2))
    available = np.array([True, False, True, False])[::2]
    assert score_topk(rows, weights, 2, available=available).scores(0) == [4.0, 1.0]


def refusal(call):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole text is compared
        call()
    return type(caught.value).__name__, str(caught.value)


HISTORY, WEIGHTS = sparse([{0: 1}, {}], 3), sparse([{1: 1}, {}, {}], 4)


def bare(indptr, indices, data=None, shape=(2, 3)):
    """Score rows made of lists that do not fit together."""
    data = np.ones(len(indices), np.float32) if data is None else data
    return score_topk(Rows(np.array(indptr), np.array(indices, np.int32), data, shape), WEIGHTS, 1)


def test_threads_can_be_said_around_calls(kernel):
    seen = []
    chosen = _kernels.active

    class Noting:
        NAME = kernel
        are_sound = chosen.are_sound

        @staticmethod
        def sparse_topk(*operands, n_threads):
            seen.append(n_threads)
            return chosen.sparse_topk(*operands, n_threads=n_threads)

    with patch.object(_kernels, "active", Noting):
        score_topk(HISTORY, WEIGHTS, 1)
        with threads(3):
            score_topk(HISTORY, WEIGHTS, 1)
            score_topk(HISTORY, WEIGHTS, 1, n_threads=2)
            with threads(5):
                score_topk(HISTORY, WEIGHTS, 1)
            score_topk(HISTORY, WEIGHTS, 1)
        score_topk(HISTORY, WEIGHTS, 1)
    assert seen == [1, 3, 2, 5, 3, 1]
    with (
        pytest.raises(ArgumentError, match=r"^n_threads=0: expected an integer of at least 1\.$"),
        threads(0),
    ):
        pass


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: score_topk(HISTORY, WEIGHTS, 0), "k=0: expected an integer of at least 1."),
        (lambda: score_topk(HISTORY, WEIGHTS, k=True), "k=True: expected an integer of at least 1."),
        (lambda: score_topk(HISTORY, WEIGHTS, 2.0), "k=2.0: expected an integer of at least 1."),
        (
            lambda: score_topk(HISTORY, WEIGHTS, 1, n_threads=0),
            "n_threads=0: expected an integer of at least 1.",
        ),
        (
            lambda: score_topk(Rows.from_matrix(HISTORY)._replace(data=None), WEIGHTS, 1),
            "history is not a valid CSR matrix: it has no values.",
        ),
        (
            lambda: bare([0, 1, 2], [2, 1], np.array([1, np.inf], np.float32)),
            "history[1, 1] is inf: expected numbers that are finite in float32.",
        ),
        (
            lambda: bare([0, 1, 2], [2, -1]),
            "history is not a valid CSR matrix: entry 1 is in column -1 of 3.",
        ),
        (
            lambda: bare([0, 1, 2], [3, 1]),
            "history is not a valid CSR matrix: entry 0 is in column 3 of 3.",
        ),
        (
            lambda: bare([0, 2, 1], [0, 1]),
            "history is not a valid CSR matrix: indptr does not rise from 0.",
        ),
        (
            lambda: bare([0, 2, 1, 2], [0, 1], shape=(3, 3)),
            "history is not a valid CSR matrix: indptr does not rise from 0.",
        ),
        (
            lambda: bare([1, 1, 2], [0, 1]),
            "history is not a valid CSR matrix: indptr does not rise from 0.",
        ),
        (
            lambda: bare([0, 1], [0]),
            "history is not a valid CSR matrix: indptr has 2 entries for 2 rows.",
        ),
        (
            lambda: bare([], [], shape=(-1, 3)),
            "history is not a valid CSR matrix: indptr has 0 entries for -1 rows.",
        ),
        (
            lambda: bare([0, 1, 3], [0, 1]),
            "history is not a valid CSR matrix: indptr ends at 3, with 2 indices and 2 values.",
        ),
        (
            lambda: bare([0, 1, 2], [0, 1], np.ones(1, np.float32)),
            "history is not a valid CSR matrix: indptr ends at 2, with 2 indices and 1 values.",
        ),
        (
            lambda: bare([0, 1, 2], [0, 1], np.array(["1", "1"])),
            "history is not a valid CSR matrix: its values are <U1, not real numbers.",
        ),
        (
            lambda: bare([[0, 1, 2]], [0, 1]),
            "history is not a valid CSR matrix: its arrays are not all one-dimensional.",
        ),
        (lambda: bare([0], [], shape=(0,)), "history has the shape (0,): expected two dimensions."),
        (
            lambda: score_topk(
                HISTORY, WEIGHTS, 1, exclude=Rows(np.array([0, 1, 1]), np.array([4]), None, (2, 4))
            ),
            "exclude is not a valid CSR matrix: entry 0 is in column 4 of 4.",
        ),
        (
            lambda: score_topk(HISTORY, WEIGHTS, 1, exclude=np.ones((2, 4))),
            "exclude is of type ndarray: expected a SciPy sparse matrix or Rows.",
        ),
        (
            lambda: score_topk(np.ones((2, 3)), WEIGHTS, 1),
            "history is of type ndarray: expected a SciPy sparse matrix or Rows.",
        ),
        (
            lambda: score_topk(coo_array(np.ones(3)), WEIGHTS, 1),
            "history has the shape (3,): expected two dimensions.",
        ),
        (
            lambda: score_topk(sparse([{0: 1}], 2), WEIGHTS, 1),
            "history has the shape (1, 2) and weights has the shape (3, 4): "
            "expected as many columns in history as rows in weights.",
        ),
        (
            lambda: score_topk(sparse([{}, {2: 1, 1: np.nan}], 3), WEIGHTS, 1),
            "history[1, 1] is nan: expected numbers that are finite in float32.",
        ),
        (
            lambda: score_topk(sparse([{2: 1e300}], 3, dtype=np.float64), WEIGHTS, 1),
            "history[0, 2] is inf: expected numbers that are finite in float32.",
        ),
        (
            lambda: score_topk(sparse([{7: 1}], 3), WEIGHTS, 1),
            "history is not a valid CSR matrix: entry 0 is in column 7 of 3.",
        ),
        (
            lambda: score_topk(HISTORY, WEIGHTS, 1, exclude=sparse([{}], 4)),
            "exclude has the shape (1, 4): expected (2, 4), one row a list, one column an item.",
        ),
        (
            lambda: score_topk(HISTORY, WEIGHTS, 1, available=[True]),
            "available has the type bool and the shape (1,): expected one bool an item, (4,).",
        ),
        (
            lambda: score_topk(HISTORY, WEIGHTS, 1, available=np.ones(4)),
            "available has the type float64 and the shape (4,): expected one bool an item, (4,).",
        ),
        (
            lambda: score_pairs(HISTORY, WEIGHTS, [[0, 4], [0, 0]]),
            "item_index[0, 1] is 4: expected item indices from -1 to 3.",
        ),
        (
            lambda: score_pairs(HISTORY, WEIGHTS, [[0], [-2]]),
            "item_index[1, 0] is -2: expected item indices from -1 to 3.",
        ),
        (
            lambda: score_pairs(HISTORY, WEIGHTS, [[0.0], [0.0]]),
            "item_index is of type float64: expected integers.",
        ),
        (
            lambda: score_pairs(HISTORY, WEIGHTS, [[0]]),
            "item_index has the shape (1, 1): expected the shape (2, any).",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, text):
    assert refusal(call) == ("ArgumentError", text)
