"""evaluate_policy: what a policy would have brought, judged by what another one did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.evaluation._bootstrap import checked_rng
from engagelib.evaluation._outcomes import GuessedChances, ShrunkOutcomes
from engagelib.evaluation._policy_tables import Constant, PolicyEvaluation, PolicyValue
from engagelib.evaluation._targets import Folds, Split, cross_fitted, target_of
from engagelib.metrics import Estimate, effective_sample_size, mean_estimate, reliability_table
from engagelib.metrics.off_policy import (
    chance_of,
    check_support,
    checked_propensities,
    clustered_mean,
    clusters_of,
    expected_under,
    normalized_terms,
)

_ESTIMATORS: Final = ("ips", "snips", "dr")

_LEAST_GUESS: Final = 0.001
"""Guessed chances are not believed below this."""


def evaluate_policy(
    decisions: LoggedDecisions,
    policy: Any,
    *,
    estimators: Sequence[str] = _ESTIMATORS,
    outcome_model: Any = None,
    n_folds: int = 5,
    split: Split = "customers",
    p_logged: str | None = None,
    level: float = 0.95,
    max_weight: float | None = None,
    min_effective: float = 30.0,
    rng: Any = 0,
) -> PolicyEvaluation:
    """Estimate what policies would have brought on decisions that another policy took.

    Parameters
    ----------
    decisions
        What was decided, with `p_logged`, the chance of each action taken. Decisions of the control group are
        left out and shown apart: they are not the logging policy's.
    policy
        One policy, or a mapping of names to several, which are compared in pairs. A policy is

        - the name of an action, always taken;
        - an array: probabilities (n, n_actions), or codes or names of actions (n,), in the order of the
          decisions;
        - a function of features (n, n_features), or an object with `action_probabilities(features)`, that
          gives either;
        - a learner: an object with `fit(decisions)` and either `action_probabilities(features)` or
          `predict(features)`, expected rewards (n, n_actions) of which the highest is taken (ties: the
          first).
          A copy is learned for each fold on the others, so that none is judged by what it learned from. To
          judge one as it stands, pass its bound `action_probabilities`; its decisions must then be new to it.
    estimators
        Of "ips" (inverse propensity scoring: no bias, large variance), "snips" (self-normalised), "dr"
        (doubly robust). The last one leads in `by_action()` and in plots.
    outcome_model
        Object with `fit(decisions)` and `predict(features)`, expected rewards (n, n_actions), for "dr"; a
        copy is fitted for each fold. None for a linear model with shrunk departures of each action.
    n_folds
        Number of folds, at least 2.
    split
        "customers": folds of whole customers, by lot. "time": folds of time, each judged by what was learned
        before it; the first of `n_folds` + 1 blocks is only learned from.
    p_logged
        None for the chances as logged. "estimate" guesses them from the features, on other folds: right only
        where the features hold all that the choice depended on, which nothing can show.
    level
        Of the intervals, between 0 and 1. Decisions of one customer count as one piece.
    max_weight
        Weights above it become it, at least 1: narrower and biased. None clips nothing.
    min_effective
        Effective sample size below which a policy is refused.
    rng
        Seed or generator for the folds.

    Returns
    -------
    Values with intervals, and what each policy gains on the best constant (chosen for each fold by the
    others) and on the logging policy, decision by decision.

    Raises
    ------
    NoSupportError
        If chances are missing, 0 or none, or a policy does what the log seldom or never saw.
    NotEnoughDataError
        If there are fewer customers, or times, than folds.
    ArgumentError
        If an argument is out of range, or a policy or model is of no known kind or of a wrong shape.

    References
    ----------
    M. Dudik, D. Erhan, J. Langford, L. Li, Doubly robust policy evaluation and optimization, Statistical
    Science 29(4), 2014.
    """
    asked = _checked_estimators(estimators)
    generator = checked_rng(rng)
    for name, given, least in (("max_weight", max_weight, 1), ("min_effective", min_effective, 0)):
        if given is not None and not given >= least:
            raise errors.bad_argument(name, given, f"a number of at least {least}")
    named = _named(policy)
    given_policies, decisions, control = _without_control(named, decisions.checked(), level)
    folds = Folds.draw(decisions, n_folds, split, generator)
    chances = _chances(decisions, p_logged, folds)
    q = None
    if "dr" in asked:
        q = cross_fitted(outcome_model or ShrunkOutcomes(), decisions, folds, "the outcome model")
    targets = {name: target_of(each, decisions, folds, name) for name, each in given_policies.items()}
    judged = folds.of >= 0
    log = _Log(
        decisions.take(judged),
        chances[judged],
        None if q is None else q[judged],
        folds.of[judged],
        asked,
        level,
        max_weight,
        min_effective,
    )
    judge = _Judge(log)
    found = {name: judge.terms_of(target[judged]) for name, target in targets.items()}
    return PolicyEvaluation(
        policies={name: judge.valued(each) for name, each in found.items()},
        best_constant=None if judge.best is None else judge.valued(judge.best),
        chosen=judge.chosen,
        constants=judge.constants,
        logging=mean_estimate(log.decisions.reward, customer=log.decisions.customer, level=level),
        control=control,
        n_decisions=len(log.decisions),
        n_customers=_count_customers(log.decisions),
        level=level,
        estimated=p_logged is not None,
        max_weight=max_weight,
        calibration=log.calibration(),
        pairs={
            (first, second): judge.difference(found[first], found[second])
            for place, first in enumerate(found)
            for second in list(found)[place + 1 :]
        },
    )


@dataclass(frozen=True)
class _Log:
    """The decisions that are judged, and all that every policy is judged with."""

    decisions: LoggedDecisions
    chances: np.ndarray
    q: np.ndarray | None
    fold: np.ndarray
    estimators: tuple[str, ...]
    level: float
    max_weight: float | None
    min_effective: float

    def calibration(self) -> Any:
        """Return the table of what was expected of the actions taken, where it is a chance."""
        reward = self.decisions.reward
        if self.q is None or not np.isin(reward, (0, 1)).all():
            return None
        expected = self.q[np.arange(len(reward)), self.decisions.action]
        return reliability_table(np.clip(expected, 0, 1), reward)


@dataclass(frozen=True)
class _Terms:
    """The terms of one policy, by estimator, and the weights that they were made with."""

    terms: dict[str, np.ndarray]
    weights: np.ndarray
    raw_weights: np.ndarray


class _Judge:
    """Makes terms of policies, and compares each with the best constant and with the logging policy."""

    def __init__(self, log: _Log) -> None:
        self._log = log
        decisions = log.decisions
        self._cluster = clusters_of(decisions.customer, len(decisions))
        found: dict[str, _Terms] = {}
        refusals: dict[str, str] = {}
        for code, name in enumerate(decisions.actions):
            try:
                found[name] = self.terms_of(np.full(len(decisions), code, np.int64))
            except errors.NoSupportError as error:
                refusals[name] = str(error).partition(". ")[0]
        self._constants = found
        self.chosen, self.best = self._choose_best(list(found))
        taken = np.bincount(decisions.action, minlength=len(decisions.actions))
        lowest = np.full(len(decisions.actions), np.inf)
        np.minimum.at(lowest, decisions.action, log.chances)
        self.constants = {
            name: Constant(
                int(taken[code]),
                float(lowest[code]) if taken[code] else None,
                self.valued(found[name]) if name in found else {},
                refusals.get(name, ""),
            )
            for code, name in enumerate(decisions.actions)
        }

    def terms_of(self, target: np.ndarray) -> _Terms:
        """Return the terms of a policy, or refuse it where the log can't tell."""
        log, decisions = self._log, self._log.decisions
        check_support(target, decisions.action, decisions.actions, decisions.allowed)
        raw = chance_of(target, decisions.action) / log.chances
        effective = effective_sample_size(raw)
        if effective < log.min_effective:
            heavy = np.bincount(decisions.action, weights=raw**2, minlength=len(decisions.actions))
            names = [decisions.actions[code] for code in np.argsort(-heavy, kind="stable") if heavy[code] > 0]
            raise errors.policies.too_few_effective(effective, log.min_effective, len(decisions), names[:3])
        weights = raw if log.max_weight is None else np.minimum(raw, log.max_weight)
        terms = {}
        for estimator in log.estimators:
            if estimator == "ips":
                terms[estimator] = weights * decisions.reward
            elif estimator == "snips":
                terms[estimator] = normalized_terms(weights, decisions.reward)
            elif log.q is not None:
                rest = decisions.reward - log.q[np.arange(len(decisions)), decisions.action]
                terms[estimator] = expected_under(target, log.q) + weights * rest
        return _Terms(terms, weights, raw)

    def valued(self, found: _Terms) -> dict[str, PolicyValue]:
        """Return what a policy would have brought, and what it gains."""
        reward = self._log.decisions.reward
        mean, error, _ = clustered_mean(found.raw_weights, self._cluster)
        warning = _warning(mean, error, effective_sample_size(found.weights))
        clipped = float((found.raw_weights > found.weights).mean())
        return {
            estimator: PolicyValue(
                self._mean(terms, found.weights),
                self._over_best(estimator, terms),
                self._mean(terms - reward),
                mean,
                clipped,
                "; ".join(filter(None, (warning, f"{100 * clipped:.1f}% clipped" if clipped else ""))),
            )
            for estimator, terms in found.terms.items()
        }

    def _over_best(self, estimator: str, terms: np.ndarray) -> Estimate | None:
        """Return the gain on the best constant of each fold.

        Folds that disagree which one is best do so because of each other's decisions, which the standard
        error does not know of: the interval then spans those of the gains on each constant that was chosen.
        """
        if self.best is None:
            return None
        gain = self._mean(terms - self.best.terms[estimator])
        rivals = sorted(set(self.chosen))
        if len(rivals) == 1:
            return gain
        each = [self._mean(terms - self._constants[name].terms[estimator]) for name in rivals]
        low = min(gain.low, *(found.low for found in each))
        return replace(gain, low=low, high=max(gain.high, *(found.high for found in each)))

    def difference(self, first: _Terms, second: _Terms) -> dict[str, Estimate]:
        """Return the second less the first, by estimator."""
        return {name: self._mean(second.terms[name] - first.terms[name]) for name in first.terms}

    def _mean(self, terms: np.ndarray, weights: np.ndarray | None = None) -> Estimate:
        return mean_estimate(terms, customer=self._cluster, level=self._log.level, weights=weights)

    def _choose_best(self, names: list[str]) -> tuple[tuple[str, ...], "_Terms | None"]:
        """Return the best constant of each fold, chosen by the self-normalised means of the others."""
        if not names:
            return (), None
        log, decisions = self._log, self._log.decisions
        n_actions, n_folds = len(decisions.actions), int(log.fold.max()) + 1
        cell = log.fold * n_actions + decisions.action
        weights = 1 / log.chances
        mass, total = (
            np.bincount(cell, weights=each, minlength=n_folds * n_actions).reshape(n_folds, n_actions)
            for each in (weights, weights * decisions.reward)
        )
        elsewhere, brought = mass.sum(axis=0) - mass, total.sum(axis=0) - total
        means = np.divide(brought, elsewhere, out=np.full_like(mass, -np.inf), where=elsewhere > 1e-12)
        codes = np.array([decisions.actions.index(name) for name in names])
        # Among those that can be judged: the first of them where all others' decisions say nothing.
        best = codes[np.argmax(means[:, codes], axis=1)]
        chosen = tuple(decisions.actions[code] for code in best)
        try:
            return chosen, self.terms_of(best[log.fold])
        except errors.NoSupportError:  # each constant has enough for itself, a mixture of them may not
            return (), None


def _warning(mean: float, error: float, effective: float) -> str:
    """Say what speaks against weights: a mean that is not 1, or so few that count."""
    said = []
    if abs(mean - 1) > max(3 * error, 0.01):
        said.append("mean weight is not 1: chances wrong, or the policy not covered")
    if effective < 100:
        said.append("few decisions count")
    return "; ".join(said)


def _checked_estimators(given: Sequence[str]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys([given] if isinstance(given, str) else given))
    if not asked or not set(asked) <= set(_ESTIMATORS):
        raise errors.bad_argument("estimators", given, f"some of {', '.join(_ESTIMATORS)}")
    return asked


def _named(policy: Any) -> dict[str, Any]:
    if isinstance(policy, Mapping):
        if not policy:
            raise errors.bad_argument("policy", {}, "at least one policy")
        return {str(name): each for name, each in policy.items()}
    return {f"always {policy}" if isinstance(policy, str) else "policy": policy}


def _without_control(
    policies: dict[str, Any], decisions: LoggedDecisions, level: float
) -> tuple[dict[str, Any], LoggedDecisions, Estimate | None]:
    """Set the control group aside, also in policies that are arrays."""
    if decisions.is_control is None or not decisions.is_control.any():
        return policies, decisions, None
    rest = ~decisions.is_control
    control = decisions.take(decisions.is_control)
    mean = None
    if _count_customers(control) > 1:
        mean = mean_estimate(control.reward, customer=control.customer, level=level)
    kept = {}
    for name, policy in policies.items():
        is_array = isinstance(policy, np.ndarray | list | tuple)
        if is_array and len(policy) != len(decisions):
            expected = f"{len(decisions):,} rows, one for each decision"
            raise errors.policies.wrong_shape(name, np.shape(policy), expected)
        kept[name] = np.asarray(policy)[rest] if is_array else policy
    return kept, decisions.take(rest), mean


def _chances(decisions: LoggedDecisions, p_logged: str | None, folds: Folds) -> np.ndarray:
    if p_logged is None:
        return checked_propensities(decisions.p_logged, decisions.action, decisions.actions)
    if p_logged != "estimate":
        raise errors.bad_argument("p_logged", p_logged, "None or 'estimate'")
    guessed = cross_fitted(GuessedChances(), decisions, folds, "the guessed chances")
    return np.asarray(np.maximum(guessed[np.arange(len(decisions)), decisions.action], _LEAST_GUESS))


def _count_customers(decisions: LoggedDecisions) -> int:
    return len(decisions) if decisions.customer is None else len(np.unique(decisions.customer))
