"""The safe gate: choosing for each customer replaces one action for all only where it shows to bring more."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.actions.response.chances import estimated_chances
from engagelib.actions.response.checking import check_decisions
from engagelib.actions.response.folding import clustered_mean, clusters_of, folds_of
from engagelib.actions.response.responding import ActionResponse
from engagelib.tables import Cell, Table

PERSONALISED: Final = "personalised"
_COLUMNS: Final = ("policy", "value", "low", "high", "gain", "gain_low", "gain_high", "share")
_LEAST_ESS: Final = 30.0
_LEAST_CLUSTERS: Final = 20


class Learner(Protocol):
    """Whatever says what each action would bring: `ActionResponse`, `Uplift`, or something of yours."""

    def fit(self, decisions: LoggedDecisions) -> Any:
        """Learn afresh from decisions."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return what each action would bring, shape (n, n_actions)."""


@dataclass(frozen=True, eq=False)
class Gate:
    """What a comparison of personal choice with one action for all came to; prints as words.

    Attributes
    ----------
    opened
        Whether choosing for each customer is shown to bring more: `low` above 0, on at least 30 effective
        decisions.
    policy
        "personalised" where it opened, otherwise the name of the best constant action.
    best_constant
        The action which, taken for everybody, brings most by these decisions.
    gain, low, high
        What choosing brings more than one action for all, a decision, in the unit of value: the mean of
        paired differences, and its two-sided interval at `level`. For the gate only `low` counts, so that an
        idle choice opens it with a chance of (1 - level) / 2.
    level
        Of the interval, such as 0.95.
    n, n_customers
        Number of decisions, and of the customers they are about.
    ess
        Effective number of the decisions on which the personal choice agrees with what was done.
    is_estimated
        Whether the chances of logged decisions were estimated, since nobody wrote them down: the gain is then
        only as good as the features that explain who was given what.
    rows
        The table: each constant action and the personal choice, with its value, its gain over the best
        constant, their intervals, and the share of decisions it would be taken for.
    """

    opened: bool
    policy: str
    best_constant: str
    gain: float
    low: float
    high: float
    level: float
    n: int
    n_customers: int
    ess: float
    is_estimated: bool
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def table(self) -> Table:
        """Each policy's value and gain over the best constant, with intervals."""
        return Table(_COLUMNS, self.rows)

    def summary(self) -> str:
        """Return in words what is used, and why."""
        found = f"{self.gain:+.4f} a decision ({self.level:.0%} interval {self.low:+.4f} to {self.high:+.4f}"
        found += f", {self.n:,} decisions of {self.n_customers:,} customers"
        found += ", chances estimated)" if self.is_estimated else ")"
        if self.opened:
            return (
                f"Choosing for each customer is used: over {self.best_constant!r} for all it gains {found}."
            )
        if not np.isfinite(self.low):
            why = f"{self.n_customers:,} customers are too few to show that choosing brings more"
        elif self.low > 0:
            why = f"choosing agrees with only {self.ess:,.0f} effective decisions, of {_LEAST_ESS:.0f} needed"
        else:
            why = f"choosing for each customer is not shown to bring more: {found}"
        return f"{self.best_constant!r} is used for all: {why}."

    def __str__(self) -> str:
        return self.summary()

    def facts(self) -> dict[str, Any]:
        """Return everything as built-in types, for the store."""
        # A bound without limit is no number of JSON.
        bounds = {name: value if np.isfinite(value) else None for name, value in self._bounds().items()}
        return {**self.__dict__, **bounds, "rows": [list(row) for row in self.rows]}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Take back what `facts` gave."""
        low, high = facts["low"], facts["high"]
        bounds = {"low": -np.inf if low is None else low, "high": np.inf if high is None else high}
        return cls(**{**facts, **bounds, "rows": tuple(tuple(row) for row in facts["rows"])})

    def _bounds(self) -> dict[str, float]:
        return {"low": self.low, "high": self.high}


def safe_gate(
    decisions: LoggedDecisions,
    learner: Learner,
    *,
    values: np.ndarray | None = None,
    costs: np.ndarray | None = None,
    n_folds: int = 5,
    level: float = 0.95,
    rng: int = 0,
) -> Gate:
    """Find out whether choosing by a learner brings more than the best constant action.

    Customers are put into folds. For each fold the learner, a model of outcomes and the best constant are
    learned from half of the other folds (see `cross_fit`); on the fold itself both policies are valued, row
    by row, by doubly robust scores, and their difference is taken. Nothing that is valued was learned from,
    and no action or model is picked by the rows that value it. What is used in the end is learned from all
    decisions, and as a rule better than what was valued.

    Parameters
    ----------
    decisions
        Decisions and what came of them. Chances that are missing are estimated from the features.
    learner
        Fitted to copies; the one given stays as it is.
    values, costs
        What a reward of 1 is worth and what the action costs, by action, shape (n_actions,). None is 1 and 0.
        With values that differ by action the learner must forecast rewards, not effects.
    n_folds
        At least 3; an odd number leaves no fold unused.
    level
        Of the two-sided interval, in (0, 1).
    rng
        Seed of the folds.

    Returns
    -------
    The gate, closed where there are fewer than 20 customers or a fold has nothing to learn from.

    Raises
    ------
    NotEnoughDataError, ArgumentError
        If there is no decision, or an argument is outside its range.

    References
    ----------
    M. Dudik, J. Langford, L. Li, Doubly robust policy evaluation and learning, ICML 2011. Cross-fitting:
    V. Chernozhukov et al., Double/debiased machine learning, Econometrics Journal 21(1), 2018.
    """
    check_decisions(decisions, "a gate")
    if n_folds < 3:
        raise errors.bad_argument("n_folds", n_folds, "an integer of at least 3")
    if not 0 < level < 1:
        raise errors.bad_argument("level", level, "a number between 0 and 1")
    terms = terms_of(values, costs, len(decisions.actions))
    cluster, n_clusters = clusters_of(decisions)
    fold = folds_of(decisions, n_folds, rng)
    if n_clusters < max(_LEAST_CLUSTERS, n_folds):
        return _closed(decisions, terms, n_clusters, level)
    crossed = cross_fit(decisions, learner, terms, fold)
    seen = np.bincount(decisions.action, minlength=len(decisions.actions)) > 0
    order = _by_value(decisions, crossed.worth, seen)
    return _judged(decisions, crossed, order, (cluster, n_clusters), level)


class Crossed(NamedTuple):
    """What is found for rows by what was learned from other folds.

    Attributes
    ----------
    worth
        Doubly robust value of each action, float64, shape (n, n_actions).
    chance
        Of the action taken, shape (n,).
    chosen, constant
        The action that the learner would take, and the best of one for all; int64, shape (n,).
    """

    worth: np.ndarray
    chance: np.ndarray
    chosen: np.ndarray
    constant: np.ndarray


def cross_fit(
    decisions: LoggedDecisions, learner: Learner, terms: tuple[np.ndarray, np.ndarray], fold: np.ndarray
) -> Crossed:
    """Value each fold by what is learned from the half of the others that follow it, in a circle.

    Of two folds at most one is learned from for the other. Were each, noise that favours an action in both
    would make both choose it and both praise it: where actions are nearly equal the means of folds then go
    together, and an interval that takes them for independent is too narrow. As it is they are uncorrelated.
    """
    n_folds = int(fold.max()) + 1
    n, n_actions = len(decisions), len(decisions.actions)
    worth, chance = np.empty((n, n_actions)), np.empty(n)
    chosen, constant = np.empty(n, np.int64), np.empty(n, np.int64)
    for held in range(n_folds):
        here = fold == held
        behind = (fold - held) % n_folds
        train, test = decisions.take((behind >= 1) & (behind <= (n_folds - 1) // 2)), decisions.take(here)
        seen = np.bincount(train.action, minlength=n_actions) > 0
        before, chance[here] = chances_of(train, test)
        outcome = ActionResponse().fit(train)
        order = _by_value(train, doubly_robust(train, outcome, terms, before), seen)
        worth[here] = doubly_robust(test, outcome, terms, chance[here])
        constant[here] = _first_allowed(order, test)
        chosen[here] = greedy(copy.deepcopy(learner).fit(train).predict(test.features), test, terms, seen)
    return Crossed(worth, chance, chosen, constant)


def terms_of(
    values: np.ndarray | None, costs: np.ndarray | None, n_actions: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a reward is worth and what an action costs, by action; checked."""
    found = []
    for name, given, default in (("values", values, 1.0), ("costs", costs, 0.0)):
        part = np.full(n_actions, default) if given is None else np.asarray(given, np.float64)
        if part.shape != (n_actions,) or not np.isfinite(part).all():
            raise errors.bad_argument(name, given, f"{n_actions} finite numbers, one an action")
        found.append(part)
    return found[0], found[1]


def doubly_robust(
    decisions: LoggedDecisions,
    outcome: ActionResponse,
    terms: tuple[np.ndarray, np.ndarray],
    chance: np.ndarray,
) -> np.ndarray:
    """Return what each action would have brought, row by row, right on average if `outcome` or `chance` is.

    float64, shape (n, n_actions): the forecast, and for the action taken what came of it beyond the forecast,
    over its chance.
    """
    values, costs = terms
    worth: np.ndarray = outcome.predict(decisions.features) * values - costs
    row = np.arange(len(decisions))
    came = decisions.reward * values[decisions.action] - costs[decisions.action]
    worth[row, decisions.action] += (came - worth[row, decisions.action]) / chance
    return worth


def greedy(
    forecast: np.ndarray,
    decisions: LoggedDecisions,
    terms: tuple[np.ndarray, np.ndarray],
    seen: np.ndarray,
) -> np.ndarray:
    """Return the action of the highest value for each row, the first of equals; never one without data."""
    values, costs = terms
    allowed = np.broadcast_to(seen, forecast.shape)
    if decisions.allowed is not None:
        both = decisions.allowed & allowed
        allowed = np.where(both.any(axis=1, keepdims=True), both, decisions.allowed)
    return np.asarray(np.where(allowed, forecast * values - costs, -np.inf).argmax(axis=1))


def chances_of(train: LoggedDecisions, test: LoggedDecisions) -> tuple[np.ndarray, np.ndarray]:
    """Return the chances of the actions taken, of both; where not written down, estimated by the first."""
    if train.p_logged is not None and test.p_logged is not None:
        return train.p_logged, test.p_logged
    return estimated_chances(train, train), estimated_chances(train, test)


def _by_value(decisions: LoggedDecisions, worth: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return actions by what they bring for all, best first, those without data last."""
    found = worth.mean(axis=0)
    if decisions.allowed is not None:
        n = decisions.allowed.sum(axis=0)
        found = np.where(decisions.allowed, worth, 0.0).sum(axis=0) / np.maximum(n, 1)
        # One that may rarely be taken is no action for all, however much it brings there.
        seen = seen & (n >= 0.5 * n.max())
    return np.argsort(-np.where(seen, found, found.min() - 1.0), kind="stable")


def _first_allowed(order: np.ndarray, decisions: LoggedDecisions) -> np.ndarray:
    """Return the first action of an order that each row allows."""
    if decisions.allowed is None:
        return np.full(len(decisions), order[0])
    return np.asarray(order[decisions.allowed[:, order].argmax(axis=1)])


def _judged(
    decisions: LoggedDecisions,
    crossed: Crossed,
    order: np.ndarray,
    clusters: tuple[np.ndarray, int],
    level: float,
) -> Gate:
    row, (worth, chance, chosen, constant) = np.arange(len(decisions)), crossed
    wide = NormalDist().inv_cdf(0.5 + level / 2)

    def interval(terms: np.ndarray) -> tuple[float, float, float]:
        mean, error = clustered_mean(terms, *clusters)
        return mean, mean - wide * error, mean + wide * error

    base = worth[row, constant]
    gain, low, high = interval(worth[row, chosen] - base)
    weight = 1.0 / chance[decisions.action == chosen]
    ess = float(weight.sum() ** 2 / (weight**2).sum()) if len(weight) else 0.0
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(decisions.actions):
        first = np.append(place, order[order != place])
        taken = worth[row, _first_allowed(first, decisions)]
        rows.append((name, *interval(taken), *interval(taken - base), float((chosen == place).mean())))
    rows.append((PERSONALISED, *interval(worth[row, chosen]), gain, low, high, 1.0))
    opened = low > 0 and ess >= _LEAST_ESS
    best = decisions.actions[int(order[0])]
    return Gate(
        opened=bool(opened),
        policy=PERSONALISED if opened else best,
        best_constant=best,
        gain=gain,
        low=low,
        high=high,
        level=level,
        n=len(decisions),
        n_customers=clusters[1],
        ess=ess,
        is_estimated=decisions.p_logged is None,
        rows=tuple(rows),
    )


def _closed(
    decisions: LoggedDecisions, terms: tuple[np.ndarray, np.ndarray], n_clusters: int, level: float
) -> Gate:
    """Return a gate that stays shut for want of customers; the constant is what brought most so far."""
    n_actions = len(decisions.actions)
    values, costs = terms
    n = np.bincount(decisions.action, minlength=n_actions)
    reward = np.bincount(decisions.action, weights=decisions.reward, minlength=n_actions)
    mean = np.where(n > 0, values * reward / np.maximum(n, 1) - costs, -np.inf)
    best = decisions.actions[int(mean.argmax())]
    inf = float("inf")
    estimated = decisions.p_logged is None
    return Gate(False, best, best, 0.0, -inf, inf, level, len(decisions), n_clusters, 0.0, estimated, ())


def compare_learners(
    decisions: LoggedDecisions,
    learners: Mapping[str, Learner],
    *,
    values: np.ndarray | None = None,
    costs: np.ndarray | None = None,
    n_folds: int = 5,
    level: float = 0.95,
    rng: int = 0,
) -> Table:
    """Judge several learners on the same folds, each against the best constant action.

    Arguments and errors are those of `safe_gate`. Picking the best of many by this table and then trusting
    its interval is picking by the rows that value it: use the table to look, and one learner for the gate.

    Returns
    -------
    A row a learner: value, gain over the best constant, their intervals, and whether it would open.
    """
    rows: list[tuple[Cell, ...]] = []
    for name, learner in learners.items():
        gate = safe_gate(
            decisions, learner, values=values, costs=costs, n_folds=n_folds, level=level, rng=rng
        )
        own = gate.rows[-1][1:4] if gate.rows else (None, None, None)
        rows.append((name, *own, gate.gain, gate.low, gate.high, gate.opened))
    return Table(("learner", "value", "low", "high", "gain", "gain_low", "gain_high", "opens"), tuple(rows))
