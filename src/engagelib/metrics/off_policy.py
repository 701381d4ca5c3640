"""What another policy would have brought, from decisions that were logged with their chances.

A policy is judged by a mean of terms, one for each decision; the difference of two policies is the mean of
the differences of their terms, which is how they are compared in pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.metrics._hits import Floats, Ints

__all__ = [
    "Estimate",
    "dr_terms",
    "effective_sample_size",
    "importance_weights",
    "ips_terms",
    "mean_estimate",
    "snips_terms",
]


@dataclass(frozen=True)
class Estimate:
    """A mean and how far it can be trusted.

    Attributes
    ----------
    value
        The mean, in units of the reward.
    low, high
        The ends of its interval.
    standard_error
        The standard error of the mean, customers taken as independent, their decisions not.
    n
        Number of decisions.
    effective_sample_size
        How many equally weighted decisions would weigh as much (Kish, 1965); n where all weigh the same.
    """

    value: float
    low: float
    high: float
    standard_error: float
    n: int
    effective_sample_size: float


def importance_weights(
    p_logged: npt.ArrayLike, p_target_of_taken: npt.ArrayLike, *, max_weight: float | None = None
) -> Floats:
    """Return how much more often the target policy takes what was taken: their mean should be 1.

    Parameters
    ----------
    p_logged
        The chance that the logging policy had to choose the action taken, in (0, 1], shape (n,).
    p_target_of_taken
        The chance that the target policy has to choose that same action, in [0, 1], shape (n,).
    max_weight
        Weights above it become it, which steadies a mean and biases it; at least 1. None clips nothing.

    Returns
    -------
    Weights of at least 0, shape (n,).

    Raises
    ------
    NoSupportError
        If a logged chance is missing (NaN), 0 or no chance at all.
    ArgumentError
        If a chance of the target policy is none, or arrays differ in length.
    """
    logged = checked_propensities(p_logged)
    target = _column("p_target_of_taken", p_target_of_taken, len(logged))
    for row in np.flatnonzero(~((target >= 0) & (target <= 1 + 1e-9)))[:1]:
        raise errors.policies.unfit_value(
            "p_target_of_taken", int(row), float(target[row]), "a number from 0 to 1"
        )
    if max_weight is not None and not max_weight >= 1:
        raise errors.bad_argument("max_weight", max_weight, "a number of at least 1, or None")
    weights: Floats = target / logged
    return weights if max_weight is None else np.minimum(weights, max_weight)


def ips_terms(
    reward: npt.ArrayLike,
    p_logged: npt.ArrayLike,
    p_target_of_taken: npt.ArrayLike,
    *,
    max_weight: float | None = None,
) -> Floats:
    """Return each decision's reward times its weight: inverse propensity scoring is the mean of these.

    Parameters
    ----------
    reward
        What came of each decision, finite, shape (n,).
    p_logged, p_target_of_taken, max_weight
        As in `importance_weights`, whose errors these are too.

    Returns
    -------
    Terms, shape (n,): without bias where the logged chances are right, of large variance where these are
    small.

    References
    ----------
    D. G. Horvitz, D. J. Thompson, A generalization of sampling without replacement from a finite universe,
    JASA 47, 1952.
    """
    weights = importance_weights(p_logged, p_target_of_taken, max_weight=max_weight)
    return weights * _rewards(reward, len(weights))


def snips_terms(
    reward: npt.ArrayLike,
    p_logged: npt.ArrayLike,
    p_target_of_taken: npt.ArrayLike,
    *,
    max_weight: float | None = None,
) -> Floats:
    """Return terms whose mean is the weighted mean of rewards, and whose spread gives its standard error.

    With v = sum(w r) / sum(w), a term is v + w (r - v) / mean(w): the ratio to first order (delta method).
    The bias vanishes as 1/n, rewards may be shifted by a constant, and the value never leaves their range.

    Arguments and errors are those of `ips_terms`; NaN throughout where every weight is 0.

    References
    ----------
    A. Swaminathan, T. Joachims, The self-normalized estimator for counterfactual learning, NIPS 2015.
    """
    weights = importance_weights(p_logged, p_target_of_taken, max_weight=max_weight)
    return normalized_terms(weights, _rewards(reward, len(weights)))


def normalized_terms(weights: Floats, reward: Floats) -> Floats:
    """Return the terms of `snips_terms` from weights that were made before."""
    mean = float(weights.mean()) if len(weights) else 0.0
    if not mean > 0:
        return np.full(len(weights), np.nan)
    value = float((weights * reward).sum() / weights.sum())
    terms: Floats = value + weights * (reward - value) / mean
    return terms


def dr_terms(
    reward: npt.ArrayLike,
    action: npt.ArrayLike,
    p_logged: npt.ArrayLike,
    p_target: npt.ArrayLike,
    q: npt.ArrayLike,
    *,
    max_weight: float | None = None,
) -> Floats:
    """Return terms of the doubly robust estimator: what a model expects, put right by what came.

    Parameters
    ----------
    reward, p_logged, max_weight
        As in `ips_terms`.
    action
        Codes of the actions taken, shape (n,).
    p_target
        The target policy's probability of each action, shape (n, n_actions); or the codes of the actions it
        chooses with certainty, integers, shape (n,).
    q
        Expected reward of each action, finite, shape (n, n_actions), from a model that did not see the row:
        learn it on other folds.

    Returns
    -------
    Terms, shape (n,). Their mean is right on average if either the logged chances or the model is, and varies
    the less the better the model.

    Raises
    ------
    NoSupportError, ArgumentError
        As in `importance_weights`; also for arrays that don't fit each other.

    References
    ----------
    M. Dudik, J. Langford, L. Li, Doubly robust policy evaluation and learning, ICML 2011; folds:
    V. Chernozhukov et al., Double/debiased machine learning, The Econometrics Journal 21(1), 2018.
    """
    expected = np.asarray(q, np.float64)
    if expected.ndim != 2:
        raise errors.policies.wrong_shape("q", expected.shape, "(n, n_actions)")
    n, n_actions = expected.shape
    for row in np.flatnonzero(~np.isfinite(expected).all(axis=1))[:1]:
        raise errors.policies.unfit_value("q", int(row), expected[row].tolist(), "finite numbers")
    taken = _codes("action", action, n, n_actions)
    target = checked_policy(p_target, n, n_actions)
    weights = importance_weights(p_logged, chance_of(target, taken), max_weight=max_weight)
    rest = _rewards(reward, n) - expected[np.arange(n), taken]
    terms: Floats = expected_under(target, expected) + weights * rest
    return terms


def effective_sample_size(weights: npt.ArrayLike) -> float:
    """Return how many equal weights weigh as much: sum(w)^2 / sum(w^2); 0 where every weight is 0.

    References
    ----------
    L. Kish, Survey Sampling, Wiley 1965.
    """
    given = np.asarray(weights, np.float64)
    # Scaled first: the square of a large weight may overflow.
    largest = float(given.max(initial=0.0))
    if not largest > 0:
        return 0.0
    scaled = given / largest
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def mean_estimate(
    terms: npt.ArrayLike,
    *,
    customer: npt.ArrayLike | None = None,
    level: float = 0.95,
    weights: npt.ArrayLike | None = None,
) -> Estimate:
    """Return the mean of terms and its interval, each customer's decisions taken as one piece.

    Parameters
    ----------
    terms
        A number a decision, shape (n,), as from `ips_terms`, or the difference of two policies' terms.
    customer
        Whose decision it was, codes, shape (n,). None means that each is another customer's.
    level
        How often an interval made like this one holds the truth, between 0 and 1. Student's t with one
        degree of freedom less than there are customers.
    weights
        Importance weights, for the effective sample size alone; None for equal ones.

    Raises
    ------
    NotEnoughDataError
        For fewer than two customers.
    ArgumentError
        If arrays differ in length, or `level` is out of range.
    """
    values = np.asarray(terms, np.float64)
    if values.ndim != 1:
        raise errors.policies.wrong_shape("terms", values.shape, "(n,)")
    n = len(values)
    if not 0 < level < 1:
        raise errors.bad_argument("level", level, "a number above 0 and below 1")
    value, standard_error, n_clusters = clustered_mean(values, clusters_of(customer, n))
    reach = _t_quantile(level, n_clusters - 1) * standard_error
    effective = float(n) if weights is None else effective_sample_size(_column("weights", weights, n))
    return Estimate(value, value - reach, value + reach, standard_error, n, effective)


def clusters_of(customer: npt.ArrayLike | None, n: int) -> Ints | None:
    """Number customers from 0 without gaps; None where each row is another customer's."""
    if customer is None:
        return None
    codes = np.asarray(customer)
    if codes.shape != (n,):
        raise errors.policies.wrong_shape("customer", codes.shape, f"({n},), a code for each decision")
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def clustered_mean(values: Floats, cluster: Ints | None) -> tuple[float, float, int]:
    """Return a mean, its standard error over clusters numbered without gaps, and the number of clusters."""
    n_clusters = len(values) if cluster is None else int(cluster.max(initial=-1)) + 1
    if n_clusters < 2:
        raise errors.policies.no_clusters(n_clusters)
    mean = float(values.mean())
    rest = values - mean
    if cluster is not None:
        rest = np.bincount(cluster, weights=rest, minlength=n_clusters).astype(np.float64)
    spread = float((rest**2).sum()) * n_clusters / (n_clusters - 1)
    return mean, float(np.sqrt(spread)) / len(values), n_clusters


def checked_propensities(p_logged: Any, action: Ints | None = None, actions: Sequence[str] = ()) -> Floats:
    """Return logged chances as float64, or say which rows, and of which actions, can't be divided by."""
    if p_logged is None:
        raise errors.policies.no_propensities()
    given = np.asarray(p_logged, np.float64)
    if given.ndim != 1:
        raise errors.policies.wrong_shape("p_logged", given.shape, "(n,)")
    faults = {
        "missing": np.isnan(given),
        "0": given == 0,
        "not above 0": given < 0,
        # A sum of chances may pass 1 by a rounding.
        "above 1": given > 1 + 1e-9,
    }
    for what, bad in faults.items():
        if bad.any():
            rows = np.flatnonzero(bad)
            names = [actions[code] for code in np.unique(action[rows])] if action is not None else []
            raise errors.policies.bad_propensities(what, len(rows), len(given), rows[:6].tolist(), names)
    return given


def checked_policy(p_target: Any, n: int, n_actions: int, name: str = "p_target") -> np.ndarray:
    """Return a policy as int64 codes (n,) or as float64 probabilities (n, n_actions) that sum to 1."""
    given = np.asarray(p_target)
    if given.ndim == 1 and given.dtype.kind in "iu":
        return _codes(name, given, n, n_actions)
    if given.shape != (n, n_actions) or given.dtype.kind not in "biuf":
        expected = f"({n}, {n_actions}), the probability of each action, or ({n},), a code each"
        raise errors.policies.wrong_shape(name, given.shape, expected)
    chances = given.astype(np.float64)
    total = chances.sum(axis=1)
    fine = (np.abs(total - 1) <= 1e-6) & (chances >= 0).all(axis=1)
    for row in np.flatnonzero(~fine)[:1]:
        raise errors.policies.not_probabilities(name, int(row), float(total[row]))
    return chances


def check_support(
    target: np.ndarray,
    action: Ints,
    actions: Sequence[str],
    allowed: np.ndarray | None = None,
) -> None:
    """Refuse a policy that would do what was never done, or what was not allowed.

    What a single decision might have been taken to be is only known from `allowed`; without it, an action
    that was taken at least once counts as possible everywhere.
    """
    taken = np.bincount(action, minlength=len(actions)) > 0
    never = np.broadcast_to(~taken, (len(target), len(actions)))
    for ruled_out, refusal in ((never, errors.policies.never_taken), (allowed, errors.policies.not_allowed)):
        if ruled_out is None:
            continue
        outside = ruled_out if ruled_out is never else ~ruled_out
        if target.ndim == 1:
            rows = outside[np.arange(len(target)), target]
            hit = np.unique(target[rows])
            share = float(rows.mean()) if len(rows) else 0.0
        else:
            mass = np.where(outside, target, 0.0)
            rows, hit = mass.sum(axis=1) > _NOTHING, np.flatnonzero(mass.max(axis=0, initial=0.0) > _NOTHING)
            share = float(mass.sum() / len(target)) if len(target) else 0.0
        if rows.any():
            raise refusal([actions[code] for code in hit], share, int(rows.sum()), len(target))


_NOTHING = 1e-9
"""Probability that is a rounding, not a choice."""


def chance_of(target: np.ndarray, action: Ints) -> Floats:
    """Return a policy's chance of given actions, shape (n,)."""
    if target.ndim == 1:
        return np.asarray(target == action, np.float64)
    chances: Floats = target[np.arange(len(target)), action]
    return chances


def expected_under(target: np.ndarray, q: Floats) -> Floats:
    """Return what a policy may expect by the rewards expected of each action, shape (n,)."""
    if target.ndim == 1:
        return np.asarray(q[np.arange(len(target)), target])
    return np.asarray(np.einsum("ij,ij->i", target, q))


def _t_quantile(level: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


def _codes(name: str, given: npt.ArrayLike, n: int, n_actions: int) -> Ints:
    codes = np.asarray(given)
    if codes.shape != (n,) or codes.dtype.kind not in "iu":
        raise errors.policies.wrong_shape(name, codes.shape, f"({n},), integers")
    for row in np.flatnonzero((codes < 0) | (codes >= n_actions))[:1]:
        raise errors.policies.unfit_value(name, int(row), int(codes[row]), f"a code below {n_actions}")
    return codes.astype(np.int64)


def _column(name: str, given: npt.ArrayLike, n: int) -> Floats:
    values = np.asarray(given, np.float64)
    if values.shape != (n,):
        raise errors.policies.wrong_shape(name, values.shape, f"({n},)")
    return values


def _rewards(given: npt.ArrayLike, n: int) -> Floats:
    values = _column("reward", given, n)
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        raise errors.policies.unfit_value("reward", int(row), float(values[row]), "a finite number")
    return values
