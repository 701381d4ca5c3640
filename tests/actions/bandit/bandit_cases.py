"""Bandits and rows for tests."""

import numpy as np

from engagelib.actions.bandit import LinearBandit
from engagelib.actions.decisions import DecisionRow
from engagelib.times import DAY, to_microseconds

ACTIONS = ("nothing", "offer", "survey")
MEAN, SCALE = np.array([3.0, -1.0, 100.0]), np.array([2.0, 0.5, 0.0])
START = to_microseconds("2024-01-01")


def bandit(**settings):
    return LinearBandit(settings.pop("actions", ACTIONS), MEAN, SCALE, **settings)


def rows(n, seed=0):
    """Return features with gaps and far values, actions and residuals."""
    rng = np.random.default_rng(seed)
    features = MEAN + rng.normal(size=(n, 3)) * np.array([2.0, 0.5, 7.0])
    features[rng.random((n, 3)) < 0.1] = np.nan
    features[rng.random((n, 3)) < 0.02] = 1e9
    return features, rng.integers(0, len(ACTIONS), n), rng.normal(size=n)


def same_state(first, second):
    """Say whether two bandits learned exactly the same."""
    one, other = first.to_arrays(), second.to_arrays()
    alike = all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
    return alike and first.facts() == second.facts()


def same_sums(first, second):
    """Say whether two bandits have exactly the same sums, whatever they have seen of a log."""
    names = ("n_rows_", "products_", "targets_", "squares_")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


def decision(customer=0, action="offer", day=0.0, *, p_success=0.25, **fields):
    return DecisionRow(customer, START + int(day * DAY), action, p_success=p_success, **fields)
