"""Half steps of alternating least squares: where they lead, what the loss does, and what changes nothing."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib.errors import ArtifactError
from engagelib.scoring import _kernels
from engagelib.scoring._checks import Rows

WIDTHS = [1, 3, 16, 17, 32, 50, 64, 96, 128, 131]


def rows_of(matrix, index_type=np.int32):
    matrix = csr_array(matrix)
    indptr, indices = (part.astype(index_type) for part in (matrix.indptr, matrix.indices))
    return Rows(indptr, indices, matrix.data.astype(np.float32), matrix.shape)


def confidence(rng, n_rows, n_columns, density=0.2):
    """Confidences of at least 1 where a cell is filled, 0 elsewhere; some rows and columns are empty."""
    filled = rng.random((n_rows, n_columns)) < density * rng.choice([0, 1, 3], (n_rows, 1))
    return np.where(filled, 1 + rng.exponential(2.0, filled.shape), 0).astype(np.float32)


def loss_of(cells, x, y, penalty):
    """The loss by its definition, in float64."""
    x, y, cells = (part.astype(np.float64) for part in (x, y, cells))
    errors = np.where(cells > 0, cells, 1.0) * ((cells > 0) - x @ y.T) ** 2
    return errors.sum() + penalty * ((x**2).sum() + (y**2).sum())


def minimum(cells, y, penalty):
    """The rows that minimise the loss, each by its normal equations in float64."""
    y, cells = y.astype(np.float64), cells.astype(np.float64)
    solved = []
    for row in cells:
        weight = np.where(row > 0, row, 1.0)
        matrix = y.T @ (weight[:, None] * y) + penalty * np.eye(y.shape[1])
        solved.append(np.linalg.solve(matrix, y.T @ row))
    return np.array(solved).reshape(len(cells), y.shape[1])


def case(n_rows, n_columns, n_factors, seed=0, density=0.2):
    rng = np.random.default_rng(seed)
    start = [(rng.standard_normal((n, n_factors)) / 4).astype(np.float32) for n in (n_rows, n_columns)]
    return confidence(rng, n_rows, n_columns, density), *start


def half_step(rows, fixed, solved, penalty=0.8, n_steps=2, n_threads=1, **keywords):
    solved = solved.copy()
    _kernels.active.als_half_step(
        rows, fixed, solved, penalty, n_steps=n_steps, n_threads=n_threads, **keywords
    )
    return solved


@pytest.mark.parametrize("n_factors", WIDTHS)
def test_many_steps_come_to_the_minimum(n_factors):
    cells, x, y = case(70, 90, n_factors)
    expected = minimum(cells, y, 0.8)
    found = half_step(rows_of(cells), y, x, n_steps=200)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    again = half_step(rows_of(cells), y, found, n_steps=3)
    np.testing.assert_allclose(again, found, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("n_factors", WIDTHS)
def test_the_last_turn_is_the_minimum(n_factors):
    cells, _, y = case(70, 90, n_factors, seed=1)
    found = _kernels.active.als_solve(rows_of(cells), y, 0.3, n_threads=1)
    expected = minimum(cells, y, 0.3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, atol=2e-6 * np.abs(expected).max())


# What the module says of the coordinates in which steps are taken, by its definition.
@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 20)),
    n_steps=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_half_step_is_conjugate_gradients_in_turned_coordinates(sizes, n_steps, seed):
    cells, x, y = case(*sizes, seed=seed, density=0.5)
    found = half_step(rows_of(cells), y, x, n_steps=n_steps)
    lower = np.linalg.cholesky(y.astype(float).T @ y + 0.8 * np.eye(sizes[2]))
    turned = np.linalg.solve(lower, y.T).T
    for row, start, got in zip(cells.astype(float), x, found, strict=True):
        if not row.any():
            assert not got.any()
            continue
        matrix = np.eye(sizes[2]) + turned.T @ (np.maximum(row - 1, 0)[:, None] * turned)
        z = lower.T @ start
        residual = turned.T @ row - matrix @ z
        direction, first = residual, residual @ residual
        for _ in range(n_steps):
            square = residual @ residual
            if square <= 1e-12 * first:
                break
            step = square / (direction @ matrix @ direction)
            z, residual = z + step * direction, residual - step * matrix @ direction
            direction = residual + (residual @ residual) / square * direction
        np.testing.assert_allclose(got, np.linalg.solve(lower.T, z), rtol=2e-4, atol=2e-5)


def test_turned_vectors_have_the_identity_as_what_all_rows_share():
    for n_factors in (1, 5, 16, 33):
        vectors = np.random.default_rng(2).standard_normal((200, n_factors))
        turned = _kernels.active.als_turn(vectors, 0.7, n_threads=1)
        gram = vectors.T @ vectors + 0.7 * np.eye(n_factors)
        lower = np.linalg.cholesky(gram)
        np.testing.assert_allclose(turned, np.linalg.solve(lower, vectors.T).T, rtol=1e-10, atol=1e-12)


def test_the_loss_never_rises():
    cells, x, y = case(150, 80, 24, seed=3)
    by_row, by_column = rows_of(cells), rows_of(cells.T)
    for n_steps in (1, 2, 100):
        theirs, items = x, y
        losses = [loss_of(cells, theirs, items, 0.8)]
        for _ in range(8):
            theirs = half_step(by_row, items, theirs, n_steps=n_steps)
            losses.append(loss_of(cells, theirs, items, 0.8))
            items = half_step(by_column, theirs, items, n_steps=n_steps)
            losses.append(loss_of(cells, theirs, items, 0.8))
        assert (np.diff(losses) <= 1e-6 * losses[-1]).all(), losses
        assert losses[-1] < 0.5 * losses[0]


def test_more_steps_get_closer():
    cells, x, y = case(100, 120, 40, seed=4, density=0.4)
    expected = minimum(cells, y, 0.05)
    apart = [np.abs(half_step(rows_of(cells), y, x, 0.05, n) - expected).max() for n in (1, 2, 4, 8)]
    assert apart == sorted(apart, reverse=True)
    assert apart[-1] < apart[0] / 20


@pytest.mark.parametrize("n_factors", [1, 20, 64])
def test_neither_threads_nor_the_company_of_rows_change_a_bit(n_factors):
    cells, x, y = case(1000, 700, n_factors, seed=5, density=0.02)
    one = half_step(rows_of(cells), y, x)
    exact = _kernels.active.als_solve(rows_of(cells), y, 0.8, n_threads=1)
    turned = _kernels.active.als_turn(exact, 0.8, n_threads=1)
    if _kernels.active.NAME == "reference":
        return  # threads are nothing to it, and BLAS adds rows up by how many there are
    for n_threads in (2, 3, 8):
        assert half_step(rows_of(cells), y, x, n_threads=n_threads).tobytes() == one.tobytes()
        again = _kernels.active.als_solve(rows_of(cells), y, 0.8, n_threads=n_threads)
        assert again.tobytes() == exact.tobytes()
        assert _kernels.active.als_turn(exact, 0.8, n_threads=n_threads).tobytes() == turned.tobytes()
    order = np.random.default_rng(0).permutation(1000)[:333]
    assert half_step(rows_of(cells[order]), y, x[order]).tobytes() == one[order].tobytes()


def test_either_index_type_any_room_and_read_only_arrays_give_the_same():
    cells, x, y = case(60, 50, 20, seed=6)
    rows = rows_of(cells)
    expected = half_step(rows, y, x)
    room = _kernels.active.als_room(50, 20)
    if room is not None:
        room[:] = np.nan
    for part in (*rows[:3], y):
        part.flags.writeable = False
    for index_type in (np.int32, np.int64):
        assert half_step(rows_of(cells, index_type), y, x, room=room).tobytes() == expected.tobytes()
    assert half_step(rows, y, x).tobytes() == expected.tobytes()


def test_rows_and_columns_without_entries():
    cells, x, y = case(40, 30, 6, seed=7)
    cells[[0, 5, 39]] = 0
    cells[:, [0, 29]] = 0
    found = half_step(rows_of(cells), y, x)
    assert not found[[0, 5, 39]].any()
    assert np.isfinite(found).all()
    for empty in (np.zeros((0, 30)), np.zeros((3, 30))):
        assert not half_step(rows_of(empty), y, x[: len(empty)]).any()
        assert not _kernels.active.als_solve(rows_of(empty), y, 0.8, n_threads=2).any()
    nothing = half_step(rows_of(np.zeros((4, 0))), y[:0], x[:4])
    assert not nothing.any()


@pytest.mark.parametrize(("at", "index"), [(0, 30), (7, -1), (20, 10**6)])
@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_an_entry_that_leads_outside_is_refused(at, index, index_type):
    cells, x, y = case(40, 30, 6, seed=8)
    rows = rows_of(cells, index_type)
    rows.indices[at] = index
    text = re.escape(f"entry {at} of the stored weights leads to item {index} of 30: ")
    with pytest.raises(ArtifactError, match=f"^{text}"):
        half_step(rows, y, x)
    with pytest.raises(ArtifactError, match=f"^{text}"):
        _kernels.active.als_solve(rows, y, 0.8, n_threads=2)


def test_vectors_without_products_to_speak_of_are_refused():
    cells, x, y = case(10, 9, 4)
    for value in (np.nan, np.inf):
        broken = y.copy()
        broken[3, 2] = value
        for ask in (
            lambda broken=broken: half_step(rows_of(cells), broken, x),
            lambda broken=broken: _kernels.active.als_solve(rows_of(cells), broken, 0.8, n_threads=1),
            lambda broken=broken: _kernels.active.als_turn(broken.astype(float), 0.8, n_threads=1),
        ):
            with pytest.raises(ValueError, match=r"finite|positive definite"):
                ask()
    with pytest.raises(ValueError, match=r"positive definite"):
        half_step(rows_of(cells), np.zeros_like(y), x, penalty=0.0)


def test_both_implementations_take_the_same_steps():
    pytest.importorskip("engagelib.scoring.native", exc_type=ImportError)
    for n_factors in (1, 20, 64):
        cells, x, y = case(300, 200, n_factors, seed=9, density=0.1)
        found = []
        for name in ("native", "reference"):
            with _kernels.using(name):
                found.append(half_step(rows_of(cells), y, x))
        np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5 * np.abs(found[1]).max())


# Past the wrappers, which hand over arrays that fit each other.
def test_the_native_kernel_refuses_arrays_that_do_not_fit(kernel):
    if kernel == "reference":
        return
    from engagelib.scoring.native import _kernel, als

    cells, x, y = case(12, 9, 5)
    good = rows_of(cells)._asdict() | {"fixed": y, "solved": x, "room": als.als_room(9, 5)}
    falling = good["indptr"].copy()
    falling[3] = falling[-1]
    for name, part in {
        "indptr": good["indptr"][:-1],
        "indices": good["indices"][:-1],
        "data": good["data"][:-1],
        "fixed": np.zeros((9, 4), np.float32),
        "room": good["room"][:60],
    }.items():
        a = SimpleNamespace(**(good | {name: part}))
        with pytest.raises(ValueError, match=r".+"):
            _kernel.als_half_step(a.indptr, a.indices, a.data, a.fixed, a.solved, 0.5, 2, 1, a.room)
    for indptr in (falling, good["indptr"] - 1):
        a = SimpleNamespace(**good)
        with pytest.raises(ValueError, match=r"^indptr"):
            _kernel.als_half_step(indptr, a.indices, a.data, a.fixed, a.solved, 0.5, 2, 1, a.room)
    for solved in (x.astype(np.float64), x[:, ::-1]):
        a = SimpleNamespace(**good)
        with pytest.raises(TypeError):
            _kernel.als_half_step(a.indptr, a.indices, a.data, a.fixed, solved, 0.5, 2, 1, a.room)
