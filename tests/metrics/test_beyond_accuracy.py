"""Novelty, diversity and evenness against their definitions, hand-worked cases, laws and refusals."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import coo_array, csr_array, csr_matrix

from engagelib import errors
from engagelib.metrics import (
    RANKING_METRICS,
    average_precision,
    beyond,
    gini,
    hit_rate,
    intra_list_diversity,
    ndcg,
    novelty,
    precision,
    ranking_values,
    recall,
    reciprocal_rank,
)

NAN = math.nan


def padded(lists, width):
    rows = [items + [-1] * (width - len(items)) for items in lists]
    return np.array(rows, np.int32).reshape(len(lists), width)


@st.composite
def cases(draw):
    """Short lists over few items, with counts, small vectors and categories of each item."""
    n_items = draw(st.integers(1, 6))
    width = draw(st.integers(0, n_items))
    lists = [
        draw(st.permutations(range(n_items)))[: draw(st.integers(0, width))]
        for _ in range(draw(st.integers(0, 5)))
    ]
    n_customers = draw(st.integers(1, 9))
    counts = draw(st.lists(st.integers(0, n_customers), min_size=n_items, max_size=n_items))
    entries = st.lists(st.integers(-1, 3), min_size=3, max_size=3)
    vectors = draw(st.lists(entries, min_size=n_items, max_size=n_items))
    categories = draw(st.lists(st.integers(-1, 2), min_size=n_items, max_size=n_items))
    k = draw(st.one_of(st.none(), st.integers(1, 8)))
    return padded(lists, width), lists, n_customers, counts, vectors, categories, k


# Definitions


@given(case=cases())
def test_novelty_is_its_definition(case):
    array, lists, n_customers, counts, *_, k = case
    got = novelty(array, counts, n_customers, k)
    assert got.dtype == np.float64
    for value, items in zip(got, lists, strict=True):
        bits = [-math.log2(max(counts[item], 1) / n_customers) for item in items[:k]]
        assert_allclose(value, np.mean(bits) if bits else NAN, atol=1e-12)


def distance(one, other):
    lengths = math.hypot(*one) * math.hypot(*other)
    return 1.0 - (sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0)


def mean_over_pairs(items, differ):
    pairs = [differ(a, b) for place, a in enumerate(items) for b in items[:place]]
    return np.mean(pairs) if pairs else NAN


@settings(deadline=None)
@given(case=cases(), block=st.sampled_from([1, 5, 1 << 22]))
def test_diversity_is_its_definition(case, block):
    array, lists, _, _, vectors, categories, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beyond, "_BLOCK_ENTRIES", block)
        by_vector = intra_list_diversity(array, csr_array(np.array(vectors, float)), k=k)
        by_category = intra_list_diversity(array, category=categories, k=k)

    def differ(one, other):
        same = categories[one] == categories[other] and categories[one] >= 0
        return 0.0 if same else 1.0

    for row, items in enumerate(lists):
        expected = mean_over_pairs(items[:k], lambda a, b: distance(vectors[a], vectors[b]))
        assert_allclose(by_vector[row], expected, atol=1e-12)
        assert_allclose(by_category[row], mean_over_pairs(items[:k], differ), atol=1e-12)


@given(case=cases())
def test_gini_is_its_definition(case):
    array, lists, _, counts, *_, k = case
    n_items = len(counts)
    shown = [sum(item in items[:k] for items in lists) for item in range(n_items)]
    got = gini(array, n_items, k)
    assert type(got) is float
    if not sum(shown):
        assert math.isnan(got)
        return
    # Half the relative mean difference of two items.
    differences = sum(abs(a - b) for a in shown for b in shown)
    assert got == pytest.approx(differences / (2 * n_items * sum(shown)), abs=1e-12)


# Worked by hand


def test_hand_worked_novelty():
    lists = [[0, 1], [2, -1], [3, 0], [-1, -1]]
    assert_array_equal(novelty(lists, [8, 4, 1, 0], 8), [0.5, 3.0, 1.5, NAN])
    assert_array_equal(novelty(lists, [8, 4, 1, 0], 8, k=1), [0.0, 3.0, 3.0, NAN])


def test_hand_worked_diversity():
    lists = [[0, 1, 2], [0, 3, -1], [4, 5, -1], [0, -1, -1], [2, 3, -1]]
    category = [7, 7, 9, 9, -1, -1]
    assert_allclose(intra_list_diversity(lists, category=category), [2 / 3, 1, 1, NAN, 0])
    vectors = csr_array(np.array([[1, 0], [2, 0], [1, 1], [0, 3], [0, 0], [-4, 0]]))
    half = 1 - math.sqrt(0.5)
    assert_allclose(intra_list_diversity(lists, vectors), [2 * half / 3, 1, 1, NAN, half], atol=1e-15)
    assert_allclose(intra_list_diversity([[0, 5]], vectors), [2.0])
    assert_array_equal(intra_list_diversity(lists, category=category, k=2), [0, 1, 1, NAN, 0])


def test_hand_worked_gini():
    assert gini([[0, 1], [2, 3]], 4) == 0.0
    assert gini([[2], [2], [2]], 4) == 1 - 1 / 4
    assert gini([[0, 1], [0, -1]], 2) == pytest.approx(1 / 6)
    assert gini([[0, 1], [0, -1]], 2, k=1) == 0.5
    assert math.isnan(gini([[-1, -1]], 3))
    assert math.isnan(gini(np.empty((0, 3), int), 0))


# Laws and inputs


@pytest.mark.parametrize("kind", [csr_array, csr_matrix, coo_array])
def test_any_sparse_format_and_scale_of_vectors(kind):
    dense = np.array([[1.0, 2.0], [0.0, 3.0], [5.0, 1.0]])
    expected = intra_list_diversity([[0, 1, 2]], csr_array(dense))
    for scale in (1e-200, 1.0, 1e200):
        assert_allclose(intra_list_diversity([[0, 1, 2]], kind(dense * scale)), expected)


def test_vectors_are_left_as_they_are():
    vectors = csr_array((np.array([1.0, 2.0, 0.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    before = vectors.data.copy(), vectors.indices.copy()
    intra_list_diversity([[0]], vectors)
    assert_array_equal(vectors.data, before[0])
    assert_array_equal(vectors.indices, before[1])


def test_lists_of_the_same_thing_have_no_diversity_at_all():
    vectors = csr_array(np.tile(np.random.default_rng(0).random(7), (40, 1)))
    assert_allclose(intra_list_diversity([list(range(40))], vectors), [0.0], atol=1e-14)


@given(case=cases(), seed=st.integers(0, 9))
def test_order_of_items_in_a_list_does_not_matter(case, seed):
    array, lists, n_customers, counts, vectors, _, _ = case
    order = np.random.default_rng(seed)
    other = padded([order.permutation(items).tolist() for items in lists], array.shape[1])
    assert_allclose(novelty(other, counts, n_customers), novelty(array, counts, n_customers))
    matrix = csr_array(np.array(vectors, float))
    assert_allclose(intra_list_diversity(other, matrix), intra_list_diversity(array, matrix), atol=1e-12)


@settings(deadline=None)
@given(case=cases(), seed=st.integers(0, 9), ks=st.lists(st.integers(1, 8), min_size=1, max_size=2))
def test_values_at_once_are_those_of_each_metric(case, seed, ks):
    array, lists, _, counts, *_ = case
    wanted = csr_array(np.random.default_rng(seed).integers(0, 2, (len(lists), len(counts))))
    got = ranking_values(array, wanted, ks)
    each = [recall, precision, hit_rate, ndcg, reciprocal_rank, average_precision]
    assert set(got) == {f"{name}@{k}" for name in RANKING_METRICS[:-1] for k in ks}
    for name, metric in zip(RANKING_METRICS[:-1], each, strict=True):
        for k in ks:
            assert_array_equal(got[f"{name}@{k}"], metric(array, wanted, k))


# What is refused

EYE = csr_array(np.eye(3))
REFUSED = {
    "lists": (lambda: novelty([1, 2], [1, 1, 1], 2), "item_index.ndim=1: expected 2, shape (n_rows, width)."),
    "item twice": (lambda: gini([[1, 1]], 3), "row 0 of item_index holds item 1 more than once: "),
    "item of another catalogue": (
        lambda: intra_list_diversity([[0, 3]], EYE),
        "item_index[0, 1]=3: expected an item below n_items=3, counted from 0, or -1 after the last one.",
    ),
    "no position": (lambda: gini([[0]], 3, 0), "k=0: expected an integer of at least 1."),
    "counts in a table": (lambda: novelty([[0]], [[1]], 2), "n_met.ndim=2: expected 1, shape (n_items,)."),
    "more than all": (
        lambda: novelty([[0]], [1, 3], 2),
        "n_met[1]=3: expected a number of customers from 0 to n_customers=2.",
    ),
    "NaN": (
        lambda: novelty([[0]], [NAN], 2),
        "n_met[0]=nan: expected a number of customers from 0 to n_customers=2.",
    ),
    "nobody": (lambda: novelty([[0]], [0], 0), "n_customers=0: expected an integer of at least 1."),
    "neither": (
        lambda: intra_list_diversity([[0]]),
        "given: none of them. Expected exactly one of vectors, category.",
    ),
    "both": (
        lambda: intra_list_diversity([[0]], EYE, category=[0, 1, 2]),
        "given: vectors, category. Expected exactly one of vectors, category.",
    ),
    "dense": (
        lambda: intra_list_diversity([[0]], np.eye(3)),
        "vectors is ndarray of 2 dimensions: expected a SciPy sparse matrix of shape (n_rows, n_items). "
        "Hint: wrap a dense array in scipy.sparse.csr_array.",
    ),
    "infinite": (
        lambda: intra_list_diversity([[0]], EYE * np.inf),
        "vectors='NaN or infinity': expected finite numbers.",
    ),
    "categories as text": (
        lambda: intra_list_diversity([[0]], category=["a"]),
        "category='<U1 of 1 dimensions': expected integers of shape (n_items,), negative for unknown.",
    ),
    "coverage by row": (
        lambda: ranking_values([[0]], csr_array(np.eye(1)), names=("coverage",)),
        "names='coverage': expected metrics out of recall, precision, hit_rate, ndcg, mrr, map.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_refusals_say_what_is_wrong(name):
    call, text = REFUSED[name]
    with pytest.raises(errors.ArgumentError, match=f"^{re.escape(text)}"):
        call()
