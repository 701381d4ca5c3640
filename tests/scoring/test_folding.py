"""Folding: rows are solved as the dense definition is, and each as if there were no other."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib.errors import ArtifactError
from engagelib.models.folding import fold_rows, solve_rows, sum_rows
from engagelib.scoring import _kernels
from engagelib.scoring._checks import Rows
from engagelib.scoring.reference import folding as reference

WIDTHS = [1, 2, 7, 8, 9, 16, 32, 33, 64, 96, 128, 130]


@st.composite
def systems(draw):
    n_rows, n_items, n_factors = draw(st.integers(0, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    filled = rng.random((n_rows, n_items)) < 0.6
    extra = csr_array((rng.choice([0.0, 0.5, 3.0, 40.0], (n_rows, n_items)) + 1e-3) * filled)
    vectors = rng.integers(-2, 3, (n_items, n_factors)).astype(np.float32)
    return extra, vectors, rng.integers(-3, 4, (n_rows, n_factors)).astype(np.float64)


def definition(extra, vectors, right):
    """Each row's system as a dense matrix."""
    vectors, solved = vectors.astype(float), []
    for row, given_right in zip(extra.toarray(), right, strict=True):
        matrix = np.eye(vectors.shape[1]) + vectors.T @ (row[:, None] * vectors)
        solved.append(np.linalg.solve(matrix, given_right))
    return np.array(solved).reshape(right.shape)


@given(system=systems(), cells=st.sampled_from([1, 7, 1 << 19]))
def test_rows_are_solved_as_the_dense_definition_is(system, cells):
    extra, vectors, right = system
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reference, "_CELLS", cells)
        found = solve_rows(extra, vectors, right)
        sums = sum_rows(extra, vectors)
    np.testing.assert_allclose(sums, extra.toarray() @ vectors, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found, definition(extra, vectors, right), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_factors", WIDTHS)
def test_histories_of_any_length_are_folded_exactly(n_factors):
    rng = np.random.default_rng(n_factors)
    filled = rng.random((60, 400)) < np.linspace(0, 1, 60)[:, None] ** 2
    cells = np.where(filled, 1 + rng.exponential(2.0, filled.shape), 0).astype(np.float32)
    vectors = (rng.standard_normal((400, n_factors)) / 5).astype(np.float32)
    extra = csr_array(np.where(filled, cells.astype(float) - 1, 0))
    expected = definition(extra, vectors, cells.astype(float) @ vectors)
    found = fold_rows(csr_array(cells), vectors)
    np.testing.assert_allclose(found, expected, atol=3e-7 * np.abs(expected).max())
    assert not found[0].any(), "a history of nothing"


# Sums of the one implementation are those of the other, to the last bit; what is solved is close.
def test_both_implementations_agree():
    pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    extra, vectors, right = random_rows(37)
    cells = csr_array(((1 + extra.data).astype(np.float32), extra.indices, extra.indptr), shape=extra.shape)
    found = []
    for name in ("native", "reference"):
        with _kernels.using(name):
            sums = sum_rows(extra, vectors)
            found.append((sums, solve_rows(extra, vectors, right), fold_rows(cells, vectors)))
    assert found[0][0].tobytes() == found[1][0].tobytes()
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())


def random_rows(n_factors, seed=3):
    rng = np.random.default_rng(seed)
    extra = csr_array(rng.exponential(9.0, (200, 300)) * (rng.random((200, 300)) < rng.random((200, 1)) ** 3))
    vectors = (rng.standard_normal((300, n_factors)) / 9).astype(np.float32)
    return extra, vectors, rng.standard_normal((200, n_factors))


@pytest.mark.parametrize("n_factors", [1, 33, 64])
def test_a_row_is_solved_alike_in_any_company(n_factors):
    extra, vectors, right = random_rows(n_factors)
    cells = csr_array(((1 + extra.data).astype(np.float32), extra.indices, extra.indptr), shape=extra.shape)
    sums, solved, folded = (
        sum_rows(extra, vectors), solve_rows(extra, vectors, right), fold_rows(cells, vectors)
    )  # fmt: skip
    order = np.random.default_rng(0).permutation(200)
    for rows in (order, *([row] for row in range(0, 200, 7))):
        assert sum_rows(extra[rows], vectors).tobytes() == sums[rows].tobytes()
        assert solve_rows(extra[rows], vectors, right[rows]).tobytes() == solved[rows].tobytes()
        assert fold_rows(cells[rows], vectors).tobytes() == folded[rows].tobytes()


def test_conjugate_gradients_stop_where_they_are_told():
    extra, vectors = csr_array(np.array([[3.0, 5.0]])), np.array([[1, 2], [2, -1.5]], np.float32)
    one_step = solve_rows(extra, vectors, np.ones((1, 2)), most_steps=1)
    exact = solve_rows(extra, vectors, np.ones((1, 2)), most_steps=2)
    matrix = np.eye(2) + vectors.T @ np.diag([3.0, 5.0]) @ vectors
    assert not np.allclose(matrix @ one_step[0], 1)
    np.testing.assert_allclose(matrix @ exact[0], 1, rtol=1e-6)


def test_bare_read_only_arrays_of_either_index_type_are_enough():
    extra, vectors, right = random_rows(12)
    expected = fold_rows(extra, vectors), solve_rows(extra, vectors, right), sum_rows(extra, vectors)
    for index_type in (np.int32, np.int64):
        parts = [extra.indptr.astype(index_type), extra.indices.astype(index_type), extra.data.copy()]
        for part in (*parts, vectors, right):
            part.flags.writeable = False
        rows = Rows(*parts, extra.shape)
        found = fold_rows(rows, vectors), solve_rows(rows, vectors, right), sum_rows(rows, vectors)
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


@pytest.mark.parametrize(("at", "index"), [(0, 300), (5, -1), (1234, 2**31 - 1)])
def test_an_entry_that_leads_outside_is_refused(at, index):
    extra, vectors, right = random_rows(4)
    extra.indices[at] = index
    text = re.escape(
        f"entry {at:,} of the stored weights leads to item {index} of 300: expected item indices as they "
        "were saved. Hint: the file was damaged or altered; `engagelib verify` finds where, then save or "
        "copy the model again."
    )
    rows = Rows(extra.indptr, extra.indices, extra.data, extra.shape)
    for ask in (
        lambda: fold_rows(rows, vectors),
        lambda: solve_rows(rows, vectors, right),
        lambda: sum_rows(rows, vectors),
    ):
        with pytest.raises(ArtifactError, match=f"^{text}$"):
            ask()
