"""Dense scoring in C++: the reference to the last bit, and no more work than the search needs."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scoring_cases import no_padding_faults, same
from threadpoolctl import threadpool_info

from engagelib.errors import ArtifactError
from engagelib.scoring import Factors
from engagelib.scoring._checks import Rows
from engagelib.scoring.reference import dense as reference


@pytest.fixture(scope="module")
def native(kernel):
    """The room under test, once."""
    if kernel != "native":
        pytest.skip("it is about the native implementation")
    from engagelib.scoring.native import dense

    return dense


def numbers(rng, shape, sort):
    """Draw numbers of a sort that breaks careless searches."""
    normal = rng.standard_normal(shape)
    with np.errstate(over="ignore"):
        drawn = {
            "ties": rng.integers(-2, 3, shape),
            "normal": normal,
            "falling": normal * 0.97 ** np.arange(shape[0])[:, None],
            "one large": np.where(np.arange(shape[0])[:, None] == shape[0] // 2, 1e7 * normal, normal),
            "huge": np.clip(normal * 1e38, -3e38, 3e38),
            "near the limit": normal * 1e18,
            "vanishing": normal * 1e-22,
            "subnormal": normal * 1e-44,
            "zeros": np.zeros(shape),
            "cancelling": np.where(np.arange(shape[1]) % 2, 1, -1) * np.round(normal[:, :1] * 8)
            + normal * 1e-4,
            "equal": np.ones(shape),
            # Float64 sums of these depend on their order.
            "absorbing": rng.choice([-(2.0**31), -1, 0, 1, 3, 2.0**31], shape),
        }[sort].astype(np.float32)
    if shape[0] > 3:
        drawn[1] = 0
        drawn[3] = drawn[2]
    return drawn


SORTS = st.sampled_from(
    [
        "ties", "normal", "falling", "one large", "huge", "near the limit", "vanishing", "subnormal", "zeros",
        "cancelling", "equal", "absorbing",
    ]
)  # fmt: skip


def strided(array, form):
    """Lay the same numbers out in another way."""
    if form == "columns first":
        return np.asfortranarray(array)
    if form == "backwards":
        return array[::-1].copy()[::-1]
    if form == "every second":
        wide = np.zeros((2 * array.shape[0], 2 * array.shape[1]), np.float32)
        wide[::2, 1::2] = array
        return wide[::2, 1::2]
    return array


@st.composite
def calls(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows = draw(st.sampled_from([0, 1, 2, 5, 13, 30]))
    n_items = draw(st.sampled_from([0, 1, 15, 33, 200, 1024, 1100, 2500]))
    n_factors = draw(st.sampled_from([1, 2, 3, 5, 8, 16, 17, 33, 64]))
    queries = strided(
        numbers(rng, (n_rows, n_factors), draw(SORTS)),
        draw(st.sampled_from(["as it is", "columns first", "backwards", "every second"])),
    )
    factors = Factors(numbers(rng, (n_items, n_factors), draw(SORTS)))
    excluded = None
    if draw(st.booleans()) and n_items:
        # In any order, and often twice.
        counts = rng.integers(0, draw(st.sampled_from([2, 40, 2 * n_items])), n_rows)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        index_type = draw(st.sampled_from([np.int32, np.int64, np.uint16, ">i4"]))
        indices = rng.integers(0, n_items, indptr[-1]).astype(index_type)
        excluded = Rows(indptr, indices, np.ones(len(indices)), (n_rows, n_items))
    available = None
    share = draw(st.sampled_from([None, 0, 0.02, 0.3, 0.9]))
    if share is not None:
        available = rng.random(n_items) < share
    k = draw(st.sampled_from([1, 2, 10, 100, 600, 3000]))
    return queries, factors, k, excluded, available


@given(call=calls(), n_threads=st.sampled_from([1, 2, 5]))
def test_answers_as_the_reference_does_to_the_last_bit(native, call, n_threads):
    expected = reference.dense_topk(*call)
    found = native.dense_topk(*call, n_threads=n_threads)
    assert same(found, expected)
    queries, factors, *_ = call
    wanted = np.where(np.arange(expected.item_index.size) % 5 == 0, -1, expected.item_index.ravel())
    wanted = wanted.reshape(expected.item_index.shape)
    pairs = native.dense_pairs(queries, factors, wanted, n_threads=n_threads)
    assert pairs.tobytes() == reference.dense_pairs(queries, factors, wanted).tobytes()


@pytest.mark.parametrize("n_factors", [1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 32, 64, 100])
def test_terms_are_added_in_the_order_of_the_reference(native, n_factors):
    rng = np.random.default_rng(n_factors)
    queries = numbers(rng, (5, n_factors), "absorbing")
    factors = Factors(numbers(rng, (400, n_factors), "absorbing"))
    wanted = np.tile(np.arange(400), (5, 1))
    pairs = native.dense_pairs(queries, factors, wanted)
    assert pairs.tobytes() == reference.dense_pairs(queries, factors, wanted).tobytes()


def products_per_query(native, queries, factors, k, **rest):
    """Count the products that guided the search."""
    queries, factors = np.asarray(queries, np.float32), Factors(factors)
    given = {"excluded": None, "available": None, **rest}
    return native.counted_topk(queries, factors, k, **given)[1] / len(queries)


@pytest.mark.parametrize("n_rows", [1, 40])
def test_the_search_stops_where_norms_have_fallen(native, n_rows):
    rng = np.random.default_rng(2)
    directions = rng.standard_normal((20_000, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    queries = rng.standard_normal((n_rows, 8))
    decaying = directions * 0.998 ** np.arange(20_000)[:, None]
    assert products_per_query(native, queries, decaying, 5) < 1500
    assert products_per_query(native, queries, decaying, 300) < 4000
    assert products_per_query(native, queries, directions, 5) > 19_000


def test_a_row_that_is_done_drops_out(native):
    rng = np.random.default_rng(2)
    factors = rng.standard_normal((20_000, 8)) * 0.998 ** np.arange(20_000)[:, None]
    queries = rng.standard_normal((40, 8))
    indptr = np.concatenate([[0], np.full(40, 20_000)])
    barred = Rows(indptr, np.arange(20_000), np.ones(20_000), (40, 20_000))
    # The first row can list nothing, so it looks at everything; the others don't.
    assert 500 < products_per_query(native, queries, factors, 5, excluded=barred) < 2500


@pytest.mark.parametrize("n_rows", [1, 40])
def test_few_available_items_are_looked_at_alone(native, n_rows):
    factors = np.random.default_rng(3).standard_normal((3200, 8))
    queries = np.ones((n_rows, 8))
    available = np.zeros(3200, bool)
    available[7:3200:100] = True
    assert products_per_query(native, queries, factors, 50, available=available) == 32
    available[:400] = True
    assert products_per_query(native, queries, factors, 500, available=available) == 3200


def test_few_queries_never_reach_blas(native):
    rng = np.random.default_rng(3)
    queries = rng.standard_normal((30, 8)).astype(np.float32)
    factors = Factors(rng.standard_normal((50, 8)))
    with patch.object(native._blas, "alone", side_effect=AssertionError("BLAS was called")):
        native.dense_topk(queries[:1], factors, 5, None, None)
        with pytest.raises(AssertionError, match="BLAS was called"):
            native.dense_topk(queries, factors, 5, None, None)


def test_a_batch_is_answered_without_blas_where_its_types_are_unknown(native):
    assert native._kernel.sgemm_of(np._core._multiarray_umath._ARRAY_API) == 0
    rng = np.random.default_rng(3)
    queries = rng.standard_normal((30, 8)).astype(np.float32)
    factors = Factors(rng.standard_normal((3000, 8)))
    whole = native.dense_topk(queries, factors, 5, None, None)
    assert native._blas.address
    with patch.object(native._blas, "address", 0):
        assert same(native.dense_topk(queries, factors, 5, None, None), whole)


def test_many_callers_at_once_get_their_own_answers_and_blas_its_threads_back(native):
    rng = np.random.default_rng(5)
    factors = Factors(rng.standard_normal((4000, 16)) * 0.999 ** np.arange(4000)[:, None])
    asked = [rng.standard_normal((n, 16)).astype(np.float32) for n in (1, 2, 40, 300) * 8]
    native.dense_topk(asked[-1], factors, 10, None, None)
    before = [part["num_threads"] for part in threadpool_info()]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda q: native.dense_topk(q, factors, 10, None, None, n_threads=2), asked)
        for queries, answer in zip(asked, found, strict=True):
            assert same(answer, reference.dense_topk(queries, factors, 10, None, None))
    assert [part["num_threads"] for part in threadpool_info()] == before


FORKING = """
import os, threading
import numpy as np
from engagelib.scoring import Factors
from engagelib.scoring.native import dense

rng = np.random.default_rng(5)
factors = Factors(rng.standard_normal((4000, 16)))
queries = rng.standard_normal((300, 16)).astype(np.float32)
before = dense.dense_topk(queries, factors, 10, None, None, n_threads=2)
with dense._blas.alone():  # as in another thread, when a fork finds it so
    dense._blas._lock.acquire()
    child = os.fork()
    if child == 0:
        after = dense.dense_topk(queries, factors, 10, None, None, n_threads=2)
        os._exit(0 if after.item_index.tobytes() == before.item_index.tobytes() else 3)
    dense._blas._lock.release()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(sys.platform == "win32", reason="nothing forks there")
def test_a_forked_child_answers_too():
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.strip() == "0"


def altered(rng, part, array):
    """Change a stored array as a damaged file could."""
    changed = array.copy()
    at = rng.integers(0, len(array), 30)
    if array.dtype.kind == "i":
        changed[at] = rng.choice([-1, -(2**31), 2**31 - 1, len(array), 0, 5], 30)
    elif part == "norms_by_norm":
        changed[at] = rng.choice([np.nan, np.inf, -np.inf, -1, 0, 1e300, 1e-300], 30)
    else:
        changed[at, 0] = rng.choice([np.nan, np.inf, -np.inf, 3e38, 0], 30)
    return changed


@pytest.mark.parametrize("part", ["array", "by_norm", "norms_by_norm", "place"])
def test_altered_files_give_lists_and_nothing_worse(native, part):
    rng = np.random.default_rng(6)
    names = ("array", "by_norm", "norms_by_norm", "permutation", "place")
    sound = Factors(rng.standard_normal((1500, 8)).astype(np.float32))
    exclude = csr_array(rng.random((40, 1500)) < 0.05)
    excluded = Rows(exclude.indptr, exclude.indices, exclude.data, exclude.shape)
    queries = rng.standard_normal((40, 8)).astype(np.float32)
    for share in (None, 0.05, 0.5):
        available = None if share is None else rng.random(1500) < share
        arrays = {name: getattr(sound, name) for name in names}
        arrays[part] = altered(rng, part, arrays[part])
        factors = Factors.from_arrays(*arrays.values())
        for k in (1, 10, 400, 2000):
            for n_rows in (1, 40):
                barred = Rows(excluded.indptr[: n_rows + 1], excluded.indices, exclude.data, (n_rows, 1500))
                found = native.dense_topk(queries[:n_rows], factors, k, barred, available)
                assert found.item_index.min(initial=0) >= -1
                assert found.item_index.max(initial=0) < 1500
                native.dense_pairs(queries[:n_rows], factors, found.item_index)


@pytest.mark.parametrize("share", [None, 0.05, 0.5])
@pytest.mark.parametrize("n_rows", [1, 40])
def test_a_permutation_that_was_altered_after_it_was_checked_is_refused(native, n_rows, share):
    rng = np.random.default_rng(6)
    factors = Factors(rng.standard_normal((1500, 8)).astype(np.float32))
    queries = rng.standard_normal((n_rows, 8)).astype(np.float32)
    available = None if share is None else rng.random(1500) < share
    no_padding_faults(native.dense_topk(queries, factors, 2000, None, available), 2000)
    place = int(np.flatnonzero(available[factors.permutation])[0]) if share else 7
    factors.permutation[place] = 1500
    with pytest.raises(
        ArtifactError, match=f"place {place:,} of the stored ranking is item 1500, beyond 0 to 1"
    ):
        native.dense_topk(queries, factors, 2000, None, available)
