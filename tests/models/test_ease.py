"""EASE against its closed form and the conditions of its optimum, its pruning, its memory, its refusals."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from engagelib import EASE, Histories
from engagelib.errors import ArgumentError, NotEnoughDataError, TooLargeError
from engagelib.models import ease
from engagelib.testing import histories_of, random_log


def draw_saturated(histories, event_weights, half_life_days, at=None):
    drawn = histories.interest(
        event_weights=event_weights, half_life_days=half_life_days, at=at, saturated=True
    )
    return drawn.to_matrix()


PURCHASES = {"half_life_days": None, "event_weights": {"purchase": 1.0}}


def histories_from(counts):
    """A log in which customer `c` bought item `i` `counts[c][i]` times; every item stands in the table."""
    visits = {c: [i for i, n in enumerate(row) for _ in range(n)] for c, row in enumerate(counts)}
    return histories_of(visits, items={"item_id": list(range(len(counts[0])))})


def interest(counts):
    counts = np.array(counts, float)
    return counts / (counts + 1)


def closed_form(x, regularization):
    """The weights of Steck (2019), equation 8, in float64, and the penalty."""
    diagonal = (x**2).sum(axis=0)
    penalty = regularization * (diagonal**2).sum() / diagonal.sum()
    inverse = np.linalg.inv(x.T @ x + penalty * np.eye(x.shape[1]))
    weights = -inverse / inverse.diagonal()
    np.fill_diagonal(weights, 0)
    return weights, penalty


# More customers than items, and more items than customers; few values, so that columns are often equal.
COUNTS = st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: st.lists(
        st.lists(st.sampled_from([0, 0, 1, 2]), min_size=shape[1], max_size=shape[1]),
        min_size=shape[0],
        max_size=shape[0],
    ).filter(lambda rows: any(map(any, rows)))
)


@given(counts=COUNTS, regularization=st.sampled_from([0.2, 1.0, 5.0]))
def test_weights_are_the_closed_form(counts, regularization):
    model = EASE(regularization, **PURCHASES).fit(histories_from(counts))
    expected, penalty = closed_form(interest(counts), regularization)
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=1e-4, atol=1e-6)
    assert model.penalty_ == pytest.approx(penalty, rel=1e-6)


@pytest.mark.parametrize("shape", [(60, 25), (25, 60)])
def test_the_gradient_vanishes_off_the_diagonal(shape):
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 5, shape) * (rng.random(shape) < 0.3)
    model = EASE(0.5, n_neighbours=60, **PURCHASES).fit(histories_from(counts.tolist()))
    x, weights = interest(counts), model.item_weights_.matrix.toarray().astype(np.float64)
    gradient = x.T @ (x @ weights - x) + model.penalty_ * weights
    np.fill_diagonal(gradient, 0)
    assert np.abs(gradient).max() < 1e-5 * np.abs(x.T @ x).max()
    assert (weights < 0).any(), "items speak against each other too"


@given(counts=COUNTS, n=st.integers(1, 4))
def test_each_item_keeps_the_weights_furthest_from_0(counts, n):
    histories = histories_from(counts)
    whole = EASE(**PURCHASES).fit(histories).item_weights_.matrix.toarray()
    pruned = EASE(n_neighbours=n, **PURCHASES).fit(histories).item_weights_.matrix.toarray()
    for row, kept in zip(whole, pruned, strict=True):
        best = np.argsort(-np.abs(row), kind="stable")[:n]
        expected = np.zeros_like(row)
        expected[best] = row[best]
        assert kept.tolist() == expected.tolist()


@given(counts=COUNTS, data=st.data())
def test_equal_columns_have_equal_weights_bit_for_bit(counts, data):
    counts = np.array(counts)
    twins = data.draw(st.lists(st.integers(0, counts.shape[1] - 1), min_size=1, max_size=3))
    counts = np.hstack([counts, counts[:, twins]])
    histories = histories_from(counts.tolist())
    weights = EASE(**PURCHASES).fit(histories).item_weights_.matrix.toarray()
    for place, item in enumerate(twins, counts.shape[1] - len(twins)):
        others = np.setdiff1d(np.arange(counts.shape[1]), [item, place])
        assert weights[others, item].tobytes() == weights[others, place].tobytes()
        assert weights[item, others].tobytes() == weights[place, others].tobytes()
        assert weights[item, place] == weights[place, item]


@pytest.mark.parametrize("size", [(60, 25), (20, 70)])
def test_the_size_of_blocks_does_not_matter(size, monkeypatch):
    histories = Histories.from_log(random_log(*size, 500, rng=2))
    whole = EASE(n_neighbours=8).fit(histories).item_weights_.matrix
    for block_bytes in (1, 3000, 20_000):
        monkeypatch.setattr(ease, "_BLOCK_BYTES", block_bytes)
        assert np.array_equal(
            EASE(n_neighbours=8).fit(histories).item_weights_.matrix.nonzero(), whole.nonzero()
        )
        again = EASE(n_neighbours=8).fit(histories).item_weights_.matrix
        np.testing.assert_allclose(again.data, whole.data, rtol=1e-5, atol=1e-7)


def test_both_ways_to_the_inverse_agree():
    # Each customer twice changes X'X by a factor, which the penalty shares.
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 4, (20, 30)) * (rng.random((20, 30)) < 0.4)
    few, many = (
        EASE(**PURCHASES).fit(histories_from(rows)) for rows in (counts.tolist(), counts.tolist() * 2)
    )
    assert many.penalty_ == pytest.approx(2 * few.penalty_)
    matrices = [model.item_weights_.matrix.toarray() for model in (few, many)]
    np.testing.assert_allclose(*matrices, rtol=1e-4, atol=1e-6)


# Hand-worked: of three customers two bought both, with one event of the heaviest type each: 1/2 everywhere.
def test_two_items_worked_by_hand():
    model = EASE(1.0, **PURCHASES).fit(histories_from([[1, 1], [1, 1], [1, 0]]))
    # X'X is [[3/4, 2/4], [2/4, 2/4]]; its diagonal weighed by itself is (9/16 + 4/16) / (5/4) = 13/20.
    assert model.penalty_ == pytest.approx(13 / 20)
    # One item on one other: b = x'y / (x'x + penalty).
    expected = [[0, 0.5 / (0.75 + 0.65)], [0.5 / (0.5 + 0.65), 0]]
    np.testing.assert_allclose(model.item_weights_.matrix.toarray(), expected, rtol=1e-6)


def test_interest_saturates_and_ages():
    histories = histories_of({"ann": ["a", "b", "b", ("c", "view"), ("d", "login")]})
    drawn = draw_saturated(histories, None, None).toarray()[0]
    np.testing.assert_allclose(drawn[:3], [5 / 10, 10 / 15, 1 / 6], rtol=1e-6)
    alike = draw_saturated(histories, {"purchase": 1e30, "view": 2e29}, None).toarray()[0]
    np.testing.assert_allclose(alike[:3], [1 / 2, 2 / 3, 1 / 6], rtol=1e-6)
    aged = draw_saturated(histories, None, 1.0, at=int(histories.time[2])).toarray()[0]
    np.testing.assert_allclose(aged[:2], [1.25 / 6.25, 7.5 / 12.5], rtol=1e-6)
    assert drawn[3:].tolist() == [0] * len(drawn[3:])


def test_weights_of_nothing_draw_nothing():
    histories = histories_of({"ann": ["a"]})
    assert draw_saturated(histories, {"purchase": 0.0}, None).nnz == 0
    light = draw_saturated(histories_of({"ann": [("a", "view")]}), {"purchase": 1e30, "view": 1e-20}, None)
    assert light.nnz == 0
    ancient = draw_saturated(histories, None, 1e-3, at=int(histories.time[0]) + 10**13)
    assert ancient.nnz == 0


def test_a_visit_counts_as_much_as_all_before_it():
    bought = [f"i{n}" for n in range(20)]
    histories = histories_of({"ann": bought, "bob": ["i3"], "cyd": []} | {"dan": ["x", "y"]})
    block = histories.take(np.array([0, 1, -1]))
    x, y, three = (histories.items.find(name) for name in ("x", "y", "i3"))
    before = draw_saturated(block, None, None).toarray()
    during = draw_saturated(block.followed_by(np.array([x, y, three]), "view", None), None, None).toarray()
    visit = during[:, [x, y, three]]
    others = np.delete(during, [x, y, three], axis=1)
    assert visit[0].sum() == pytest.approx(others[0].sum())
    assert (
        np.delete(during, [x, y, three], axis=1).tolist() == np.delete(before, [x, y, three], axis=1).tolist()
    )
    # Short histories are outweighed as they are; the visited item counts with what was bought of it before.
    np.testing.assert_allclose(visit[1:], [[1 / 6, 1 / 6, 6 / 11], [1 / 6, 1 / 6, 1 / 6]], rtol=1e-6)
    ratio = [1 / 6, 1 / 6, 6 / 11]
    np.testing.assert_allclose(visit[0] / visit[0].sum(), np.array(ratio) / sum(ratio), rtol=1e-5)


def test_one_row_draws_the_same_as_among_all():
    histories = Histories.from_log(random_log())
    visited = histories.followed_by(np.array([3, 7, 3]), "view", None)
    whole = draw_saturated(visited, None, 30.0)
    for row in range(histories.n_histories):
        single = draw_saturated(visited.block(row, row + 1), None, 30.0)
        assert single.data.tobytes() == whole.data[whole.indptr[row] : whole.indptr[row + 1]].tobytes()


def test_auto_decays_where_there_are_times_alone():
    for time_kind, expected in (("timestamp", 60.0), ("position", None)):
        histories = Histories.from_log(random_log(time_kind=time_kind))
        auto, named = (EASE(half_life_days=days).fit(histories) for days in ("auto", expected))
        assert auto.item_weights_.data.tobytes() == named.item_weights_.data.tobytes()


def test_similar_items_are_those_it_speaks_for():
    histories = Histories.from_log(random_log())
    model = EASE().fit(histories)
    row = model.item_weights_.matrix[[3]].toarray()[0]
    found = model.similar_topk(3, 40)
    assert found.scores(0) == sorted(row[row > 0].tolist(), reverse=True)


def wide_histories(n_customers, n_items):
    """Histories in which all columns differ."""
    rng = np.random.default_rng(0)
    return histories_of({c: rng.choice(n_items, 40, replace=False).tolist() for c in range(n_customers)})


def test_what_is_too_large_is_refused_before_memory_is_taken():
    histories = wide_histories(400, 900)
    needed = 4 * 400**2 + 24 * 900 * 100 + ease._BLOCK_BYTES
    EASE(max_gib=needed / 2**30).fit(histories)
    tracemalloc.start()
    with pytest.raises(TooLargeError) as caught:
        EASE(max_gib=0.0649).fit(histories)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 400**2 * 8
    assert histories.n_items == 900
    # 4 n^2 + 24 * 100 n fits into what 0.0649 GiB leave beside blocks of 64 MiB.
    assert str(caught.value) == (
        "EASE needs 0.07 GiB for 900 items and 400 histories: expected at most max_gib=0.0649, enough for a "
        "catalogue of 556 items, or for any with as few histories. Hint: give it more memory, or leave rare "
        "items out of the log; item_knn and als need far less."
    )
    free = 0.0649 * 2**30 - ease._BLOCK_BYTES
    assert 4 * 556**2 + 24 * 100 * 556 <= free < 4 * 557**2 + 24 * 100 * 557
    assert isinstance(caught.value, ValueError)
    with pytest.raises(TooLargeError, match="enough for a catalogue of 0 items"):
        EASE(max_gib=1e-3).fit(histories)


@pytest.mark.parametrize("size", [(2400, 1200), (1200, 2400)])
def test_learning_takes_no_more_memory_than_it_says(size, monkeypatch):
    monkeypatch.setattr(ease, "_BLOCK_BYTES", 1 << 20)
    rng = np.random.default_rng(0)
    rows, columns = np.divmod(rng.choice(size[0] * size[1], 8 * size[0], replace=False), size[1])
    x = csr_array((rng.random(len(rows)).astype(np.float32), (rows, columns)), shape=size)
    model = EASE(n_neighbours=20)
    model.penalty_ = 1.0
    tracemalloc.start()
    model._solve(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    copies_of_the_log = 5 * x.nnz * 12
    assert copies_of_the_log < 4 * 1200**2 / 4
    assert peak < ease._bytes_to_learn(size[1], 1200, 20) + copies_of_the_log


def test_equations_that_float32_can_not_solve_are_refused():
    counts = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
    with pytest.raises(ArgumentError) as caught:
        EASE(1e-12, **PURCHASES).fit(histories_from(counts))
    assert str(caught.value) == (
        "regularization=1e-12 is too small for this log: expected one with which the equations can be solved "
        "in float32. Hint: the default is 1."
    )


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"regularization": 0}, "regularization=0: expected a number above 0."),
        ({"regularization": np.inf}, "regularization=inf: expected a number above 0."),
        ({"regularization": "1"}, "regularization='1': expected a number above 0."),
        ({"n_neighbours": 0}, "n_neighbours=0: expected an integer of at least 1."),
        ({"n_neighbours": True}, "n_neighbours=True: expected an integer of at least 1."),
        ({"half_life_days": -1}, 'half_life_days=-1: expected "auto", None or a number above 0.'),
        ({"max_gib": 0}, "max_gib=0: expected a number above 0."),
        (
            {"event_weights": {"purchase": np.nan}},
            "event_weights={'purchase': nan}: expected weights from 0 to 1e+30; 'purchase' has nan.",
        ),
    ],
)
def test_settings_outside_their_range_are_refused_by_fit(settings, text):
    with pytest.raises(ArgumentError, match=f"^{re.escape(text)}$"):
        EASE(**settings).fit(histories_of({1: [1, 2]}))


def test_a_log_that_lacks_what_is_asked_for_is_refused_by_fit():
    text = "half_life_days needs a timestamp for each event; this log tells order by 'set'."
    with pytest.raises(NotEnoughDataError, match=f"^{re.escape(text)}"):
        EASE(half_life_days=3.0).fit(histories_of({1: [1]}, time_kind="set"))
    with pytest.raises(NotEnoughDataError, match=r"^no event type of the log counts as interest"):
        EASE(event_weights={"listen": 1.0}).fit(histories_of({1: [1]}))


def test_settings_come_back_as_built_in_types():
    model = EASE(np.float32(2), np.int64(7), event_weights={"view": np.float64(1)})
    assert model.params() == {
        "regularization": 2.0, "n_neighbours": 7, "half_life_days": "auto", "half_life_steps": "auto",
        "event_weights": {"view": 1.0}, "max_gib": 4.0,
    }  # fmt: skip
    assert repr(EASE()) == "EASE()"
