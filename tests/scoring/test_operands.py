"""Weights and factors: checked once, shared where they can be, safe where a file was altered."""

import mmap
import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_array, csc_matrix, csr_array
from scoring_cases import no_padding_faults, same, sparse

from engagelib.errors import ArgumentError, ArtifactError
from engagelib.scoring import (
    Factors,
    ItemWeights,
    Ranking,
    TopK,
    _operands,
    dense_pairs,
    dense_topk,
    implementation,
    ranking_topk,
    score_pairs,
    score_topk,
)

HINT = " Hint: the file may be damaged, or altered after it was written."


def mapped(folder, name, array):
    """Save and open read-only and memory-mapped, as a saved model is."""
    np.save(folder / name, array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def test_the_implementation_has_a_name(kernel):
    assert implementation() == kernel


def test_sorted_float32_weights_are_shared():
    given = sparse([{0: 1, 2: 0}, {}, {1: 5}], 4)
    weights = ItemWeights(given)
    assert weights.shape == (3, 4)
    assert np.shares_memory(weights.data, given.data)
    assert np.shares_memory(weights.indices, given.indices)
    assert weights.data.tolist() == [1, 0, 5], "an explicit zero stays"
    assert weights.indptr.tolist() == [0, 2, 2, 3]
    assert weights.matrix.format == "csr"
    assert repr(weights) == "ItemWeights(3 x 4, 3 entries)"


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_unsorted_and_duplicate_entries_are_put_in_order_in_a_copy(index_type):
    given = csr_array((2, 5), dtype=np.float32)
    given.indptr = np.array([0, 4, 5], index_type)
    given.indices = np.array([3, 0, 3, 1, 0], index_type)
    given.data = np.array([1, 2, 4, 8, 16], np.float32)
    kept = given.indices.copy(), given.data.copy()
    weights = ItemWeights(given)
    assert weights.indices.tolist() == [0, 1, 3, 0]
    assert weights.data.tolist() == [2, 8, 5, 16]
    assert np.array_equal(given.indices, kept[0])
    assert np.array_equal(given.data, kept[1])


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_indices_are_narrow_where_they_fit(index_type):
    weights = ItemWeights(sparse([{0: 1, 2: 3}, {1: 2}], 3, index_type))
    assert weights.indices.dtype == weights.indptr.dtype == np.int32
    wide = ItemWeights(sparse([{0: 1}], 2**31, index_type))
    assert wide.indices.dtype == wide.indptr.dtype == np.int64


def test_spare_room_after_the_last_row_is_not_read():
    given = csr_array((1, 2), dtype=np.float32)
    given.indptr, given.indices = np.array([0, 1], np.int32), np.array([1, 99], np.int32)
    given.data = np.array([5, np.nan], np.float32)
    weights = ItemWeights(given)
    assert weights.data.tolist() == [5]
    assert score_topk(given, ItemWeights(sparse([{}, {0: 1}], 1)), 1).scores(0) == [5.0]


@pytest.mark.parametrize("dtype", [np.float64, np.int16, bool])
@pytest.mark.parametrize("make", [coo_array, csc_matrix])
def test_any_sparse_numbers_make_weights(make, dtype):
    dense = np.array([[0, 1, 1], [1, 0, 0]], dtype)
    weights = ItemWeights(make(dense))
    assert weights.data.dtype == np.float32
    assert np.array_equal(weights.matrix.toarray(), dense)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (np.eye(2), "weights is of type ndarray: expected a SciPy sparse matrix."),
        (coo_array(np.ones(3)), "weights has the shape (3,): expected two dimensions."),
        (
            sparse([{}, {}, {3: 1, 1: np.inf, 2: np.nan}], 4),
            "weights[2, 1] is inf: expected numbers that are finite in float32.",
        ),
        (
            sparse([{1: -1e300}], 2, dtype=np.float64),
            "weights[0, 1] is -inf: expected numbers that are finite in float32.",
        ),
        (
            sparse([{1: 1j}], 2, dtype=complex),
            "weights is not a valid CSR matrix: its values are complex128, not real numbers.",
        ),
        (sparse([{4: 1}], 2), "weights is not a valid CSR matrix: entry 0 is in column 4 of 2."),
        (sparse([{0: 1, -1: 1}], 2), "weights is not a valid CSR matrix: entry 1 is in column -1 of 2."),
    ],
)
def test_bad_weights_are_refused_in_words(given, text):
    with pytest.raises(ArgumentError) as caught:
        ItemWeights(given)
    assert str(caught.value) == text


def test_arrays_from_a_file_are_wrapped_without_a_copy(tmp_path):
    made = ItemWeights(sparse([{0: 1, 2: 3}, {1: 2}, {0: 4}], 3))
    parts = [mapped(tmp_path, name, getattr(made, name)) for name in ("indptr", "indices", "data")]
    weights = ItemWeights.from_arrays(*parts, made.shape)
    assert np.shares_memory(weights.data, parts[2])
    assert np.shares_memory(weights.indices, parts[1])
    history = sparse([{0: 1}, {1: 1, 2: 1}], 3)
    assert same(score_topk(history, weights, 3), score_topk(history, made, 3))


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_every_operand_may_be_read_only(tmp_path, index_type):
    def frozen(matrix, name):
        for part in ("indptr", "indices", "data"):
            setattr(matrix, part, mapped(tmp_path, f"{name}-{part}", getattr(matrix, part)))
        return matrix

    history = frozen(sparse([{0: 1, 2: 1}, {1: 2}], 3, index_type), "history")
    weights = frozen(sparse([{2: 1, 0: 2}, {3: 1}, {1: 4, 2: 1}], 4, index_type), "weights")
    exclude = frozen(sparse([{0: 0}, {}], 4, index_type), "exclude")
    available = mapped(tmp_path, "available", np.array([True, True, True, True]))
    wanted = mapped(tmp_path, "wanted", np.array([[2, -1], [3, 0]]))
    found = score_topk(history, ItemWeights(weights), 2, exclude=exclude, available=available)
    assert found.item_index.tolist() == [[1, 2], [3, -1]]
    assert score_pairs(history, weights, wanted).tolist() == [[2, 0], [2, 0]]
    array = mapped(tmp_path, "factors", np.array([[1, 0], [2, 0], [0, 1], [0, 3]], np.float32))
    queries = mapped(tmp_path, "queries", np.array([[1, 0], [0, 1]], np.float32))
    factors = Factors(array)
    assert np.shares_memory(factors.array, array)
    found = dense_topk(queries, factors, 2, exclude=exclude, available=available)
    assert found.item_index.tolist() == [[1, 2], [3, 2]]
    assert dense_pairs(queries, factors, wanted).tolist() == [[0, 0], [3, 0]]
    ranking = mapped(tmp_path, "ranking", np.array([0, 3, 1]))
    lists = ranking_topk(ranking, 2, 2, n_items=4, exclude=exclude, available=available)
    assert lists.tolist() == [[3, 1], [0, 3]]


@pytest.mark.parametrize(
    ("indptr", "indices", "data", "fault"),
    [
        ([0, 1], [0], [1.0], "indptr has 2 entries for 2 rows."),
        ([[0, 1, 1]], [0], [1.0], "its arrays are not all one-dimensional."),
        ([0, 2, 1], [0, 1], [1.0, 1.0], "indptr does not rise from 0."),
        ([1, 1, 2], [0, 1], [1.0, 1.0], "indptr does not rise from 0."),
        ([0, 1, 3], [0, 1], [1.0, 1.0, 1.0], "indptr ends at 3, with 2 indices and 3 values."),
        ([0, 1, 3], [0, 1, 2], [1.0], "indptr ends at 3, with 3 indices and 1 values."),
        ([0, 1, 2], [0.0, 1.0], [1.0, 1.0], "its indices are int64 and float64."),
        ([0, 1, 2], [0, 1], ["1", "1"], "its values are <U1, not real numbers."),
        ([0, 1, 2], [[0, 1]], [1.0, 1.0], "its arrays are not all one-dimensional."),
    ],
)
def test_altered_arrays_give_an_error(indptr, indices, data, fault):
    with pytest.raises(ArgumentError) as caught:
        ItemWeights.from_arrays(np.array(indptr), np.array(indices), np.array(data), (2, 3))
    assert str(caught.value) == f"weights is not a valid CSR matrix: {fault}{HINT}"


AS_SAVED = (
    "expected item indices as they were saved. Hint: the file was damaged or altered; `engagelib verify` "
    "finds where, then save or copy the model again."
)


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
@pytest.mark.parametrize("column", [3, -1, 2**31 - 1])
def test_an_altered_column_is_found_when_its_row_is_used(index_type, column):
    indptr, indices = np.array([0, 2, 2, 4], index_type), np.array([0, 1, 2, column], index_type)
    data = np.ones(4, np.float32)
    text = f"entry 3 of the stored weights leads to item {column} of 3: {AS_SAVED}"
    sound, touching = sparse([{0: 1, 1: 1}], 3), sparse([{0: 1}, {1: 1, 2: 1}], 3)
    uses = [
        lambda weights: score_topk(touching, weights, 2),
        lambda weights: score_pairs(touching, weights, [[0], [0]]),
        lambda weights: weights.rows(np.array([1, 2])),
        lambda weights: weights.matrix,
    ]
    for use in uses:
        weights = ItemWeights.from_arrays(indptr, indices, data, (3, 3))
        for _ in range(2):
            assert score_topk(sound, weights, 2).items(0) == [0, 1]
            assert weights.rows(np.array([0, 0, 1])).toarray().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
            with pytest.raises(ArtifactError) as caught:
                use(weights)
            assert str(caught.value) == text


@pytest.mark.parametrize("pieces", [1, 2, 5, 1 << 20])
def test_rows_are_checked_in_pieces_and_once_each(monkeypatch, pieces):
    monkeypatch.setattr(_operands, "_CHECKED_ENTRIES", pieces)
    made = sparse([{0: 1, 1: 1}, {}, {2: 1}, {0: 1, 1: 1, 2: 1}, {1: 1}], 3)
    looked = []
    check = ItemWeights._check_entries

    def watched(self, at):
        looked.extend(at.tolist())
        check(self, at)

    monkeypatch.setattr(ItemWeights, "_check_entries", watched)
    weights = ItemWeights.from_arrays(made.indptr, made.indices, made.data, made.shape)
    weights.check_rows(np.array([], np.int32))
    assert looked == []
    weights.check_rows(np.array([3, 0, 3], np.int32))
    assert looked == [0, 1, 3, 4, 5]
    weights.check_rows(np.array([0, 1, 3], np.int32))
    assert looked == [0, 1, 3, 4, 5], "of these, the empty row alone is new"
    assert np.array_equal(weights.matrix.toarray(), made.toarray())
    assert looked == [0, 1, 3, 4, 5, 2, 6]
    assert weights.matrix is weights.matrix
    assert looked == [0, 1, 3, 4, 5, 2, 6]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's count of pages")
def test_wrapping_stored_weights_reads_no_column():
    # Pages of zeros take memory only once they are touched.
    n_rows, length = 1000, 100_000
    indices, data = np.zeros(n_rows * length, np.int32), np.zeros(n_rows * length, np.float32)
    before = resident_bytes()
    weights = ItemWeights.from_arrays(np.arange(n_rows + 1) * length, indices, data, (n_rows, n_rows))
    assert score_topk(sparse([{0: 1, 7: 1}], n_rows), weights, 1).counts.tolist() == [0]
    assert resident_bytes() - before < 50e6


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def test_factors_stand_by_falling_norm_with_ties_to_the_lower_index():
    factors = Factors([[0, 1], [3, 4], [1, 0], [0, 0], [0, -5]])
    assert factors.shape == (5, 2)
    assert factors.array.dtype == np.float32
    assert factors.norms.tolist() == [1, 5, 1, 0, 5]
    assert factors.permutation.tolist() == [1, 4, 0, 2, 3]
    assert factors.norms_by_norm.tolist() == [5, 5, 1, 1, 0]
    assert factors.place.tolist() == [2, 0, 3, 4, 1]
    assert factors.by_norm.tolist() == [[3, 4], [0, -5], [0, 1], [1, 0], [0, 0]]
    assert repr(factors) == "Factors(5 items x 2)"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([1.0, 2.0], "factors has the shape (2,): expected two dimensions."),
        ([[1.0], [np.nan]], "factors[1, 0] is nan: expected numbers that are finite in float32."),
        ([[1e39]], "factors[0, 0] is inf: expected numbers that are finite in float32."),
        ([[None]], "factors is of type object: expected real numbers."),
    ],
)
def test_bad_factors_are_refused_in_words(given, text):
    with pytest.raises(ArgumentError) as caught:
        Factors(given)
    assert str(caught.value) == text


PARTS = ("array", "by_norm", "norms_by_norm", "permutation", "place")


def stored_factors():
    """Factors with ties and zeros, and their arrays by name."""
    made = Factors([[0, 1, 2], [3, 4, 0], [1, 0, -2], [0, 0, 0], [0, -5, 0], [2, 1, 1]])
    return made, {name: getattr(made, name) for name in PARTS}


def test_stored_factors_are_wrapped_without_a_copy(tmp_path):
    made, arrays = stored_factors()
    parts = {name: mapped(tmp_path, name, values) for name, values in arrays.items()}
    factors = Factors.from_arrays(**parts)
    for name, values in parts.items():
        assert np.shares_memory(getattr(factors, name), values)
    assert factors.shape == (6, 3)
    assert factors.norms.tolist() == made.norms.tolist()
    assert repr(factors) == "Factors(6 items x 3)"
    queries = np.array([[1, 2, 0], [0, 0, 0], [-1, 0, 1]], np.float32)
    exclude = sparse([{4: 1}, {0: 1}, {}], 6)
    available = np.array([True, True, True, True, True, False])
    for limits in ({}, {"exclude": exclude}, {"available": available}):
        assert same(dense_topk(queries, factors, 4, **limits), dense_topk(queries, made, 4, **limits))
    wanted = np.tile(np.arange(6), (3, 1))
    assert dense_pairs(queries, factors, wanted).tolist() == dense_pairs(queries, made, wanted).tolist()
    again = pickle.loads(pickle.dumps(factors))
    assert same(dense_topk(queries, again, 4), dense_topk(queries, made, 4))


@pytest.mark.parametrize(
    ("altered", "text"),
    [
        ({"array": np.ones(6)}, "array has the shape (6,): expected two dimensions."),
        ({"array": np.full((6, 3), "1")}, "array is of type <U1: expected real numbers."),
        ({"by_norm": np.ones((5, 3))}, "by_norm has the shape (5, 3): expected (6, 3), one row an item."),
        ({"norms_by_norm": np.ones((6, 1))}, "norms_by_norm has the shape (6, 1): expected one dimension."),
        ({"norms_by_norm": np.ones(7)}, "norms_by_norm has the shape (7,): expected (6,), one row an item."),
        ({"permutation": np.ones(6)}, "permutation is of type float64: expected integers."),
        ({"permutation": np.arange(5)}, "permutation has the shape (5,): expected (6,), one row an item."),
        ({"place": np.zeros((6, 1), int)}, "place has the shape (6, 1): expected one dimension."),
        ({"place": np.arange(7)}, "place has the shape (7,): expected (6,), one row an item."),
    ],
)
def test_stored_factors_that_do_not_fit_are_refused_in_words(altered, text):
    _, arrays = stored_factors()
    with pytest.raises(ArgumentError) as caught:
        Factors.from_arrays(**{**arrays, **altered})
    assert str(caught.value) == text


@pytest.mark.parametrize("item", [6, -1, 2**31 - 1])
def test_an_altered_permutation_is_found_when_it_is_used(item):
    _, arrays = stored_factors()
    arrays["permutation"] = arrays["permutation"].copy()
    arrays["permutation"][2] = item
    factors = Factors.from_arrays(**arrays)
    text = f"place 2 of the stored ranking is item {item}, beyond 0 to 5: {AS_SAVED}"
    for available in (None, np.ones(6, bool)):
        with pytest.raises(ArtifactError) as caught:
            dense_topk(np.ones((1, 3)), factors, 2, available=available)
        assert str(caught.value) == text


def test_altered_places_lead_nowhere_else():
    made, arrays = stored_factors()
    queries, exclude = np.ones((2, 3), np.float32), sparse([{1: 1}, {5: 1}], 6)
    for place in (np.full(6, 2**31 - 1, np.int32), np.full(6, -7, np.int32)):
        found = dense_topk(queries, Factors.from_arrays(**{**arrays, "place": place}), 3, exclude=exclude)
        no_padding_faults(found, 3)
    assert made.place.max() == 5


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's count of pages")
def test_wrapping_stored_factors_reads_none():
    # Pages of zeros take memory only once they are touched.
    n_items, n_factors = 2_000_000, 16
    array, by_norm = (np.zeros((n_items, n_factors), np.float32) for _ in range(2))
    norms, index = np.zeros(n_items), [np.zeros(n_items, np.int32) for _ in range(2)]
    before = resident_bytes()  # all is allocated: memory that is used again may be there at once
    factors = Factors.from_arrays(array, by_norm, norms, *index)
    assert resident_bytes() - before < 2e6
    assert factors.shape == (n_items, n_factors)


def test_weights_and_factors_survive_a_trip_to_another_process():
    weights = pickle.loads(pickle.dumps(ItemWeights(sparse([{1: 1}], 2))))
    stored = ItemWeights.from_arrays(weights.indptr, weights.indices, weights.data, weights.shape)
    for given in (stored, pickle.loads(pickle.dumps(stored))):
        assert score_topk(sparse([{0: 1}], 1), given, 1).items(0) == [1]
    ranking = pickle.loads(pickle.dumps(Ranking([1, 0], 2)))
    assert ranking_topk(ranking, 1, 2).tolist() == [[1, 0]]
    factors = pickle.loads(pickle.dumps(Factors([[1.0], [2.0]])))
    assert score_topk(sparse([{0: 1}], 1), weights, 1).items(0) == [1]
    assert dense_topk([[1.0]], factors, 1).items(0) == [1]


def test_a_short_list_is_short():
    found = TopK(np.array([[4, 0, -1], [-1, -1, -1]], np.int32), np.array([[2, 1, -np.inf]] * 2, np.float32))
    assert len(found) == 2
    assert found.counts.tolist() == [2, 0]
    assert [found.items(0), found.scores(0)] == [[4, 0], [2.0, 1.0]]
    assert [found.items(1), found.scores(1)] == [[], []]
    assert {type(x) for x in found.items(0)} == {int}
    assert {type(x) for x in found.scores(0)} == {float}
