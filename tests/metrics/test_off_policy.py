"""Off-policy terms against their definitions, laws of intervals, and how often these hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagelib.metrics import (
    dr_terms,
    effective_sample_size,
    importance_weights,
    ips_terms,
    mean_estimate,
    snips_terms,
)

EIGHTHS = st.integers(1, 8).map(lambda n: n / 8)


@st.composite
def logs(draw, least=1):
    """Rewards, actions, chances and a target policy in eighths, so that sums are exact."""
    n, k = draw(st.integers(least, 12)), draw(st.integers(1, 4))

    def column(of):
        return np.array(draw(st.lists(of, min_size=n, max_size=n)))

    reward = column(st.integers(-3, 3)).astype(float)
    action = column(st.integers(0, k - 1))
    p_logged = column(EIGHTHS)
    parts = [draw(st.lists(st.integers(0, 3), min_size=k, max_size=k).filter(any)) for _ in range(n)]
    target = np.array([[part / sum(row) for part in row] for row in parts])
    q = np.array([draw(st.lists(st.integers(-2, 2), min_size=k, max_size=k)) for _ in range(n)], float)
    return reward, action, p_logged, target, q


@given(log=logs(), max_weight=st.sampled_from([None, 1.0, 2.5]))
def test_terms_are_what_the_definitions_say(log, max_weight):
    reward, action, p_logged, target, q = log
    weights, ips, dr = [], [], []
    for i, taken in enumerate(action):
        weight = target[i][taken] / p_logged[i]
        weight = weight if max_weight is None else min(weight, max_weight)
        weights.append(weight)
        ips.append(weight * reward[i])
        expected = sum(target[i][a] * q[i][a] for a in range(len(q[i])))
        dr.append(expected + weight * (reward[i] - q[i][taken]))
    of_taken = target[np.arange(len(action)), action]
    clip = {"max_weight": max_weight}
    assert importance_weights(p_logged, of_taken, **clip) == pytest.approx(np.array(weights))
    assert ips_terms(reward, p_logged, of_taken, **clip) == pytest.approx(np.array(ips))
    assert dr_terms(reward, action, p_logged, target, q, **clip) == pytest.approx(np.array(dr))
    snips = snips_terms(reward, p_logged, of_taken, **clip)
    if sum(weights) == 0:
        assert np.isnan(snips).all()
    else:
        value = sum(w * r for w, r in zip(weights, reward, strict=True)) / sum(weights)
        assert snips.mean() == pytest.approx(value)
        mean = np.mean(weights)
        terms = [value + w * (r - value) / mean for w, r in zip(weights, reward, strict=True)]
        assert snips == pytest.approx(np.array(terms))


@given(log=logs())
def test_codes_are_a_policy_that_is_certain(log):
    reward, action, p_logged, target, q = log
    codes = np.argmax(target, axis=1)
    certain = np.eye(q.shape[1])[codes]
    assert dr_terms(reward, action, p_logged, codes, q) == pytest.approx(
        dr_terms(reward, action, p_logged, certain, q)
    )


@given(log=logs(), shift=st.integers(-5, 5))
def test_self_normalised_values_move_with_a_shift_of_rewards(log, shift):
    reward, action, p_logged, target, _ = log
    of_taken = target[np.arange(len(action)), action]
    moved = snips_terms(reward + shift, p_logged, of_taken)
    assert moved == pytest.approx(snips_terms(reward, p_logged, of_taken) + shift, nan_ok=True)


@given(
    entries=st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 3)), min_size=2, max_size=20).filter(
        lambda entries: len({who for _, who in entries}) > 1
    )
)
def test_standard_errors_take_a_customer_as_one_piece(entries):
    values = np.array([value for value, _ in entries], float)
    # Codes with gaps: only which are equal counts.
    customer = np.array([10 * who for _, who in entries])
    mean = values.mean()
    sums = [sum(v - mean for v, who in entries if who == one) for one in {who for _, who in entries}]
    expected = np.sqrt(len(sums) / (len(sums) - 1) * sum(s**2 for s in sums)) / len(values)
    found = mean_estimate(values, customer=customer)
    assert found.value == pytest.approx(mean)
    assert found.standard_error == pytest.approx(expected)
    assert found.n == len(values)


def test_the_interval_of_single_rows_is_students():
    # 1, 2, 3, 4: mean 2.5, standard error 0.6455; t of 3 degrees at 97.5% is 3.1824.
    found = mean_estimate([1, 2, 3, 4])
    assert found.standard_error == pytest.approx(0.645497)
    assert (found.low, found.high) == (pytest.approx(0.4457397), pytest.approx(4.5542603))
    narrow = mean_estimate([1, 2, 3, 4], level=0.5)
    assert narrow.high - narrow.value == pytest.approx(0.764892 * 0.645497, rel=1e-5)


def test_the_effective_sample_size_counts_equal_weights():
    assert effective_sample_size([2, 2, 2, 0]) == pytest.approx(3)
    assert effective_sample_size([3, 1]) == pytest.approx(1.6)
    assert effective_sample_size([0, 0]) == 0
    assert effective_sample_size([1e200, 1e200]) == pytest.approx(2)
    assert effective_sample_size([]) == 0
    assert mean_estimate([1, 2], weights=[3, 1]).effective_sample_size == pytest.approx(1.6)
    assert mean_estimate([1, 2]).effective_sample_size == 2


CHANCES = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
EXPECTED = np.array([[0.2, 0.5, 0.4], [0.6, 0.3, 0.1]])
TARGET = np.array([[0.1, 0.6, 0.3], [0.5, 0.5, 0.0]])


def draw(rng, n_logs, n):
    """Draw many logs at once, shape (n_logs, n): the situation, the action, its chance and what came."""
    situation = rng.integers(0, 2, (n_logs, n))
    chances = CHANCES[situation]
    action = (chances.cumsum(axis=2) > rng.random((n_logs, n, 1))).argmax(axis=2)
    reward = (rng.random((n_logs, n)) < EXPECTED[situation, action]).astype(float)
    return situation, action, CHANCES[situation, action], reward


def test_values_are_right_on_average_and_their_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    truth = float((TARGET * EXPECTED).sum(axis=1).mean())
    n_logs = 600
    held, values = np.zeros((n_logs, 3)), np.zeros((n_logs, 3))
    wrong_model = np.array([[0.5, 0.1, 0.3], [0.3, 0.3, 0.3]])
    logs = draw(rng, n_logs, 400)
    for place, (situation, action, chance, reward) in enumerate(zip(*logs, strict=True)):
        of_taken = TARGET[situation, action]
        terms = (
            ips_terms(reward, chance, of_taken),
            snips_terms(reward, chance, of_taken),
            dr_terms(reward, action, chance, TARGET[situation], wrong_model[situation]),
        )
        for which, each in enumerate(terms):
            found = mean_estimate(each)
            values[place, which] = found.value
            held[place, which] = found.low <= truth <= found.high
    # Three standard errors of a mean over the logs.
    assert np.abs(values.mean(axis=0) - truth) == pytest.approx(0, abs=3 * 0.04 / np.sqrt(n_logs))
    assert (held.mean(axis=0) > 0.92).all()
    assert (held.mean(axis=0) < 0.98).all()


def test_intervals_of_customers_with_many_decisions_hold_the_truth_and_those_of_rows_do_not():
    rng = np.random.default_rng(1)
    held = np.zeros((500, 2))
    customer = np.repeat(np.arange(60), 10)
    for place in range(len(held)):
        values = rng.normal(size=60)[customer] + rng.normal(size=600)
        for which, whose in enumerate((customer, None)):
            found = mean_estimate(values, customer=whose)
            held[place, which] = found.low <= 0 <= found.high
    assert 0.92 < held[:, 0].mean() < 0.98
    assert held[:, 1].mean() < 0.75


def test_a_perfect_model_leaves_the_variance_of_what_can_be_expected():
    rng = np.random.default_rng(2)
    situation, action, chance, _ = (each[0] for each in draw(rng, 1, 500))
    expected = EXPECTED[situation]
    reward = expected[np.arange(500), action]
    terms = dr_terms(reward, action, chance, TARGET[situation], expected)
    assert terms == pytest.approx((TARGET * EXPECTED).sum(axis=1)[situation])


def test_an_action_drawn_by_lot_is_worth_the_mean_of_its_arm():
    rng = np.random.default_rng(3)
    action, reward = rng.integers(0, 3, 200), rng.normal(size=200)
    for arm in range(3):
        terms = snips_terms(reward, np.full(200, 1 / 3), (action == arm).astype(float))
        assert terms.mean() == pytest.approx(reward[action == arm].mean())
