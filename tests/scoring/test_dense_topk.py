"""Dense scoring: the pruned search finds what a full sort of the exact scores finds."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scoring_cases import listed, no_padding_faults, random_sparse, rows_of, same, sizes, sparse

from engagelib.errors import ArgumentError
from engagelib.scoring import Factors, dense_pairs, dense_topk
from engagelib.scoring.reference import dense as reference_dense

TINY_SIZES = st.fixed_dictionaries(
    {
        "_BLOCK_ROWS": st.sampled_from([1, 2, 256]),
        "_TILE_ITEMS": st.sampled_from([1, 2, 3, 1024]),
        "_FEW_ROWS": st.sampled_from([0, 8]),
        "_POOL_LIMIT": st.sampled_from([1, 4, 1 << 22]),
        "_RESCORE_CELLS": st.sampled_from([1, 1 << 20]),
    }
)


@st.composite
def cases(draw):
    n_rows, n_factors = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    n_items = draw(st.integers(0, 4) | st.integers(11, 30))
    vector = st.lists(st.integers(-2, 2), min_size=n_factors, max_size=n_factors)
    return (
        np.array(draw(st.lists(vector, min_size=n_rows, max_size=n_rows))).reshape(n_rows, n_factors),
        np.array(draw(st.lists(vector, min_size=n_items, max_size=n_items))).reshape(n_items, n_factors),
        draw(st.none() | rows_of(n_rows, n_items)),
        # Both sides of the tenth below which the eligible rows are gathered.
        draw(
            st.none()
            | st.lists(st.booleans(), min_size=n_items, max_size=n_items)
            | st.sets(st.integers(0, max(n_items - 1, 0)), max_size=2).map(
                lambda chosen: [item in chosen for item in range(n_items)]
            )
        ),
        draw(st.integers(1, 7) | st.just(50)),
    )


@given(case=cases(), constants=TINY_SIZES)
def test_lists_what_the_definition_says(case, constants):
    queries, factors, exclude, available, k = case
    n_items = len(factors)
    with sizes(**constants):
        found = dense_topk(
            queries,
            Factors(factors),
            k,
            exclude=None if exclude is None else sparse(exclude, n_items),
            available=None if available is None else np.array(available, bool),
        )
    no_padding_faults(found, k)
    for row, query in enumerate(queries.tolist()):
        scores = {
            item: sum(x * y for x, y in zip(query, factor, strict=True))
            for item, factor in enumerate(factors.tolist())
        }
        items, values = listed(scores, k, exclude[row] if exclude else (), available)
        assert found.items(row) == items
        assert found.scores(row) == values


def fixed_order_score(query, factor):
    """One score by the definition: float64 products, halved by adding the second half to the first."""
    terms = [float(x) * float(y) for x, y in zip(query, factor, strict=True)]
    while len(terms) & (len(terms) - 1) or not terms:
        terms.append(0.0)
    while len(terms) > 1:
        half = len(terms) // 2
        terms = [left + right for left, right in zip(terms[:half], terms[half:], strict=True)]
    return np.float32(terms[0])


@pytest.fixture(scope="module")
def shop():
    """Factors with falling norms, repeated and nearly repeated items, and some of zeros."""
    rng = np.random.default_rng(8)
    factors = rng.standard_normal((700, 12)).astype(np.float32) * rng.random((700, 1)).astype(np.float32) ** 3
    factors[100:140] = factors[60:100]
    factors[140:180] = np.nextafter(factors[60:100], np.float32(9))
    factors[650:] = 0
    queries = rng.standard_normal((40, 12)).astype(np.float32)
    queries[3] = 0
    queries[4] *= 1e-20
    exclude = random_sparse(rng, (40, 700), 0.05).tolil()
    exclude[6] = 1
    exclude[7, 5:] = 1
    return queries, factors, exclude.tocsr(), rng.random(700) < 0.6


@pytest.fixture(scope="module")
def shop_scores(shop):
    queries, factors, _, _ = shop
    return np.array([[fixed_order_score(query, factor) for factor in factors] for query in queries])


@pytest.mark.parametrize("k", [1, 20, 699, 2000])
@pytest.mark.parametrize("tile", [16, 1024])
def test_real_numbers_rank_by_the_fixed_order_sum(shop, shop_scores, k, tile):
    queries, factors, exclude, available = shop
    few = np.zeros(700, bool)
    few[[5, 60, 100, 400, 690]] = True
    for barred, mask in [(None, None), (exclude, None), (exclude, available), (exclude, few)]:
        with sizes(_TILE_ITEMS=tile):
            found = dense_topk(queries, factors, k, exclude=barred, available=mask)
        no_padding_faults(found, k)
        for row, scores in enumerate(shop_scores):
            eligible = np.ones(700, bool) if mask is None else mask.copy()
            if barred is not None:
                eligible[barred[[row]].indices] = False
            best = np.lexsort((np.arange(700), -scores))
            best = best[eligible[best]][:k]
            assert found.items(row) == best.tolist()
            assert found.scores(row) == scores[best].tolist()


@pytest.mark.parametrize("tile", [16, 1024])
@pytest.mark.parametrize("n_rows", [1, 30])
def test_rounding_in_the_search_loses_nothing(tile, n_rows):
    # Large terms cancel; what is left is far smaller than the rounding of a float32 product.
    rng = np.random.default_rng(4)
    large = rng.standard_normal((300, 6)) * 1000
    factors = np.hstack([large, large, rng.standard_normal((300, 1)) * 1e-4]).astype(np.float32)
    signs = rng.standard_normal((n_rows, 6)).astype(np.float32)
    queries = np.hstack([signs, -signs, np.ones((n_rows, 1), np.float32)])
    with sizes(_TILE_ITEMS=tile):
        found = dense_topk(queries, factors, 5)
    for row, query in enumerate(queries):
        scores = np.array([fixed_order_score(query, factor) for factor in factors])
        assert found.items(row) == np.lexsort((np.arange(300), -scores))[:5].tolist()


def test_scores_are_close_to_exact_sums(shop, shop_scores):
    queries, factors, _, _ = shop
    exact = queries.astype(np.longdouble) @ factors.astype(np.longdouble).T
    np.testing.assert_allclose(shop_scores, exact.astype(float), rtol=1e-6, atol=1e-12)


@given(constants=TINY_SIZES)
def test_the_answer_does_not_depend_on_blocks_and_tiles(shop, constants):
    queries, factors, exclude, available = shop
    factors = Factors(factors)
    whole = dense_topk(queries[:9], factors, 10, exclude=exclude[:9], available=available)
    if constants["_TILE_ITEMS"] < 3:
        constants["_TILE_ITEMS"] = 50  # single items were tried on small catalogues
    with sizes(**constants):
        assert same(whole, dense_topk(queries[:9], factors, 10, exclude=exclude[:9], available=available))


def test_a_batch_equals_its_single_answers(shop):
    queries, factors, exclude, available = shop
    factors = Factors(factors)
    batch = dense_topk(queries, factors, 15, exclude=exclude, available=available)
    for row in range(len(batch)):
        single = dense_topk(queries[[row]], factors, 15, exclude=exclude[[row]], available=available)
        assert single.item_index.tobytes() == batch.item_index[row].tobytes()
        assert single.score.tobytes() == batch.score[row].tobytes()


@pytest.mark.parametrize("n_threads", [2, 7, 10**6])
def test_threads_do_not_change_the_answer(shop, n_threads):
    queries, factors, exclude, available = shop
    whole = dense_topk(queries, factors, 15, exclude=exclude, available=available)
    shared = dense_topk(queries, factors, 15, exclude=exclude, available=available, n_threads=n_threads)
    assert same(whole, shared)


def test_pairs_equal_lists_to_the_last_bit(shop):
    queries, factors, exclude, _ = shop
    found = dense_topk(queries, factors, 30, exclude=exclude)
    with sizes(_RESCORE_CELLS=64):
        pairs = dense_pairs(queries, factors, found.item_index)
    real = found.item_index >= 0
    assert pairs[real].tobytes() == found.score[real].tobytes()
    assert (pairs[~real] == 0).all()


@pytest.fixture
def reference(kernel):
    """For tests that watch the reference at work; those of the native one stand in test_dense_native."""
    if kernel != "reference":
        pytest.skip("it looks inside the reference")


class OutOfBounds(np.ndarray):
    """An array whose matrix product may not be asked for."""

    def __matmul__(self, other):
        raise AssertionError("BLAS was called")


@pytest.mark.usefixtures("reference")
def test_one_query_never_reaches_blas(shop):
    queries, factors, _, _ = shop
    guarded = queries.view(OutOfBounds)
    single = reference_dense._tile(guarded[:1], factors)
    np.testing.assert_allclose(single, reference_dense._tile(queries[:2], factors)[:1], atol=1e-4)
    with pytest.raises(AssertionError, match="BLAS was called"):
        reference_dense._tile(guarded[:2], factors)


def tiles_looked_at(queries, factors, k, **rest):
    looks = []
    look = reference_dense._Search._look

    def counted(self, active, start, stop, hidden, exact):
        looks.append((len(active), stop - start))
        look(self, active, start, stop, hidden, exact)

    with patch.object(reference_dense._Search, "_look", counted), sizes(_TILE_ITEMS=32, _FEW_ROWS=0):
        dense_topk(queries, factors, k, **rest)
    return looks


@pytest.mark.usefixtures("reference")
def test_the_search_stops_where_norms_have_fallen():
    rng = np.random.default_rng(2)
    directions = rng.standard_normal((3200, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    queries = rng.standard_normal((20, 8))
    decaying = directions * 0.995 ** np.arange(3200)[:, None]
    assert len(tiles_looked_at(queries, decaying, 5)) < 12
    assert len(tiles_looked_at(queries, directions, 5)) == 100
    assert len(tiles_looked_at(queries, decaying, 40)) < 30, "a list longer than a tile stops as well"
    # Rows that are done drop out, and one whose items are all barred keeps the others from nothing.
    barred = csr_array((np.ones(3200), (np.zeros(3200, int), np.arange(3200))), shape=(20, 3200))
    looks = tiles_looked_at(queries, decaying, 5, exclude=barred)
    assert len(looks) == 100
    assert looks[0] == (20, 32)
    assert looks[-1] == (1, 32)


@pytest.mark.usefixtures("reference")
def test_few_available_items_are_gathered():
    factors = np.random.default_rng(3).standard_normal((3200, 8))
    queries = np.ones((2, 8))
    available = np.zeros(3200, bool)
    available[7:3200:100] = True
    assert tiles_looked_at(queries, factors, 5, available=available) == [(2, 32)]
    available[:400] = True
    assert len(tiles_looked_at(queries, factors, 5, available=available)) > 5


def test_scores_that_overflow_are_left_out_and_the_rest_is_exact():
    factors = np.array([[3e38, 0], [1, 0], [-3e38, 0], [3e38, 3e38], [0, 2]], np.float32)
    queries = np.array([[2, -2], [1, 1], [0, 0]], np.float32)
    for constants in ({}, {"_TILE_ITEMS": 1}):
        with sizes(**constants):
            found = dense_topk(queries, factors, 5)
        # The fourth item's products overflow one by one, and cancel in the exact sum.
        assert [found.items(0), found.scores(0)] == [[1, 3, 4], [2.0, 0.0, -4.0]]
        assert found.items(1) == [0, 4, 1, 2]
        assert found.items(2) == [0, 1, 2, 3, 4]
    assert dense_pairs(queries[:1], factors, [[0, 2, 3]]).tolist() == [[np.inf, -np.inf, 0.0]]


def test_the_smallest_numbers_are_not_lost():
    smallest = np.finfo(np.float32).smallest_subnormal
    factors = np.array([[-smallest], [0], [smallest], [3 * smallest]], np.float32)
    assert dense_topk([[1.0]], factors, 4).items(0) == [3, 2, 1, 0]
    # Products that vanish tie at zero, whichever their sign.
    assert dense_topk([[smallest]], factors, 4).items(0) == [0, 1, 2, 3]


def test_no_rows_items_or_factors():
    assert dense_topk(np.empty((0, 3)), np.ones((4, 3)), 2).item_index.shape == (0, 2)
    assert dense_topk(np.ones((2, 3)), np.empty((0, 3)), 2).counts.tolist() == [0, 0]
    assert dense_topk(np.empty((1, 0)), np.empty((3, 0)), 2).items(0) == [0, 1]
    assert dense_pairs(np.empty((1, 0)), np.empty((3, 0)), [[2]]).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: dense_topk(np.ones((1, 2)), np.ones((4, 3)), 1),
            "queries has the shape (1, 2) and factors has the shape (4, 3): "
            "expected as many columns in one as in the other.",
        ),
        (
            lambda: dense_topk(np.ones(3), np.ones((4, 3)), 1),
            "queries has the shape (3,): expected two dimensions.",
        ),
        (
            lambda: dense_topk([["a"]], np.ones((4, 1)), 1),
            "queries is of type <U1: expected real numbers.",
        ),
        (
            lambda: dense_topk([[1.0, np.nan]], np.ones((4, 2)), 1),
            "queries[0, 1] is nan: expected numbers that are finite in float32.",
        ),
        (
            lambda: dense_topk(np.ones((1, 3)), np.ones((4, 3)), -1),
            "k=-1: expected an integer of at least 1.",
        ),
        (
            lambda: dense_topk(np.ones((1, 3)), np.ones((4, 3)), 1, n_threads=0),
            "n_threads=0: expected an integer of at least 1.",
        ),
        (
            lambda: dense_topk(np.ones((1, 3)), np.ones((4, 3)), 1, exclude=csr_array((1, 3))),
            "exclude has the shape (1, 3): expected (1, 4), one row a list, one column an item.",
        ),
        (
            lambda: dense_topk(np.ones((1, 3)), np.ones((4, 3)), 1, available=[1, 1, 0, 1]),
            "available has the type int64 and the shape (4,): expected one bool an item, (4,).",
        ),
        (
            lambda: dense_pairs(np.ones((1, 3)), np.ones((4, 3)), [[4]]),
            "item_index[0, 0] is 4: expected item indices from -1 to 3.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, text):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == text
