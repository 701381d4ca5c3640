"""Chances of actions: they sum to exactly 1, none is 0, and they are what posterior draws say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engagelib.errors as errors
from engagelib.actions.bandit import action_probabilities, epsilon_greedy_probabilities


@settings(max_examples=60, deadline=None)
@given(
    k=st.integers(1, 25),
    n=st.integers(0, 4),
    floor=st.floats(1e-4, 1),
    seed=st.integers(0, 10**6),
)
def test_probabilities_sum_to_exactly_one_and_none_is_below_its_share_of_the_floor(k, n, floor, seed):
    rng = np.random.default_rng(seed)
    mean, sd = rng.normal(size=(n, k)), rng.random((n, k))
    eligible = rng.random((n, k)) < 0.7
    eligible[np.arange(n), rng.integers(0, k, n)] = True
    for p in (
        action_probabilities(mean, sd, values=2, floor=floor, n_draws=20, rng=rng, eligible=eligible),
        epsilon_greedy_probabilities(mean, values=2, epsilon=floor, eligible=eligible),
    ):
        assert p.shape == (n, k)
        assert (p.sum(axis=1) == 1).all()
        assert (p[:, rng.permutation(k)].sum(axis=1) == 1).all()
        least = floor / eligible.sum(axis=1, keepdims=True)
        assert (p[eligible] >= (np.broadcast_to(least, p.shape) - k * 2.0**-40)[eligible]).all()
        assert (p[eligible] > 0).all()
        assert (p[~eligible] == 0).all()


def test_two_actions_come_out_best_as_often_as_their_posteriors_say():
    # The difference of two normal draws is normal: P(first best) = Phi(0.3 / 0.5) = 0.7257.
    p = action_probabilities([0.5, 0.2], [0.3, 0.4], floor=0.1, n_draws=200_000, rng=0)
    assert p[0] == pytest.approx(0.9 * 0.7257 + 0.05, abs=0.004)


def test_values_and_costs_decide_as_the_priority_does():
    mean, sd = np.array([0.5, 0.4, 0.3]), np.full(3, 1e-9)
    best = [0.05 / 3, 0.95 + 0.05 / 3, 0.05 / 3]
    p = action_probabilities(mean, sd, values=[1, 2, 2], costs=[0, 0.1, 0.1], rng=0)
    assert np.allclose(p, best)
    p = epsilon_greedy_probabilities(mean, values=[1, 2, 2], costs=[0, 0.1, 0.1])
    assert np.allclose(p, best)
    p = action_probabilities(mean, sd, values=[1, 2, 2], rng=0, eligible=[True, False, True])
    assert np.allclose(p, [0.025, 0, 0.975])


def test_what_may_not_be_taken_costs_no_draw():
    rng = np.random.default_rng(5)
    mean, sd, may = rng.normal(size=9), rng.random(9), np.arange(9) % 3 > 0
    p = action_probabilities(mean, sd, rng=7, eligible=may)
    assert p[may].tolist() == action_probabilities(mean[may], sd[may], rng=7).tolist()


@pytest.mark.parametrize("at_once", [1, 100, 2**18])
def test_customers_who_may_have_different_actions_each_get_the_best_of_their_own(monkeypatch, at_once):
    monkeypatch.setattr("engagelib.actions.bandit.probabilities._AT_ONCE", at_once)
    rng = np.random.default_rng(6)
    mean, may = rng.normal(size=(40, 7)), rng.random((40, 7)) < 0.5
    may[np.arange(40), rng.integers(0, 7, 40)] = True
    p = action_probabilities(mean, np.full((40, 7), 1e-12), n_draws=4, floor=0.1, rng=0, eligible=may)
    best = np.where(may, mean, -np.inf).argmax(axis=1)
    assert np.allclose(p[np.arange(40), best], 0.9 + 0.1 / may.sum(axis=1))


def test_equal_priorities_share_alike_without_draws():
    p = epsilon_greedy_probabilities([0.2, 0.1, 0.2, 0.0], epsilon=0.2)
    assert np.allclose(p, [0.45, 0.05, 0.45, 0.05])


def test_one_customer_is_a_batch_of_one_and_a_seed_repeats():
    mean, sd = np.linspace(0, 0.2, 6), np.full(6, 0.1)
    one = action_probabilities(mean, sd, rng=3)
    assert one.tolist() == action_probabilities(mean[None], sd[None], rng=3)[0].tolist()
    assert one.tolist() == action_probabilities(mean, sd, rng=np.random.default_rng(3)).tolist()
    assert one.tolist() != action_probabilities(mean, sd, rng=4).tolist()


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_blocks_of_customers_do_not_matter(monkeypatch, rows_at_once):
    mean, sd = np.tile([0.1, 0.2], (10, 1)), np.tile([0.1, 0.05], (10, 1))
    whole = action_probabilities(mean, sd, n_draws=50, rng=1)
    monkeypatch.setattr("engagelib.actions.bandit.probabilities._AT_ONCE", rows_at_once * 100)
    assert (action_probabilities(mean, sd, n_draws=50, rng=1) == whole).all()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"floor": 0}, "floor=0: expected a number above 0 and up to 1."),
        ({"n_draws": 0}, "n_draws=0: expected an integer of at least 1."),
        ({"mean": [np.nan, 1]}, "mean='a NaN or an infinity': expected finite numbers."),
        ({"mean": 1.0}, "mean='of shape ()': expected shape (k,) or (n, k), k at least 1."),
        ({"sd": [0.1, -0.1]}, "sd=-0.1: expected no number below 0."),
        ({"sd": [0.1] * 3}, "sd='of shape (3,)': expected shape (2,), its last axis, or one number."),
        ({"values": np.inf}, "values='a NaN or an infinity': expected finite numbers."),
        (
            {"eligible": [False, False]},
            "eligible='a customer without an action': expected at least one action for each.",
        ),
        ({"eligible": [True] * 3}, "eligible='of shape (3,)': expected shape (2,), or its last axis."),
    ],
)
def test_arguments_outside_their_range(change, text):
    arguments = {"mean": [0.1, 0.2], "sd": [0.1, 0.1], "rng": 0} | change
    with pytest.raises(errors.ArgumentError) as caught:
        action_probabilities(**arguments)
    assert str(caught.value) == text
