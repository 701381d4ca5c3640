"""BetaGeometric: how often customers will buy, and whether they still do, from when they bought before."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.value.series import expected_alive
from engagelib.actions.value.summary import PurchaseSummary, checked_positive, summary_of
from engagelib.histories import Histories
from engagelib.times import Moment

if TYPE_CHECKING:
    from engagelib.actions.value.fitting import FitReport

LEAST_REPEATS: Final = 10
"""Customers with a repeat purchase that are needed: fewer determine nothing."""

_NOBODY_LEAVES: Final = 1e-6
"""The mean chance to leave after a purchase below which nobody does, for all that a log can tell."""

NAMES: Final = ("r", "alpha", "a", "b")


class BetaGeometric:
    """The BG/NBD model: customers buy at a rate of their own until, after some purchase, they never do again.

    Purchases of a customer are a Poisson process, its rate gamma distributed over customers with shape `r`
    and rate `alpha`. After each purchase the customer is gone for good with a chance of their own, beta
    distributed with `a` and `b`. The model knows no seasons and no growth.

    A customer can only leave after a *repeat* purchase, as the model is written. For one-time buyers P(alive)
    is therefore 1, however long ago they bought: it says nothing of them, and `p_alive` gives NaN unless
    asked otherwise. What is expected of them falls with time all the same, since their rate must be low.

    Parameters
    ----------
    penalty
        Weight of the sum of squared logarithms of the parameters, with `alpha` in units of the mean age,
        against the mean log likelihood; at least 0. A little steadies fits on few customers.

    Attributes
    ----------
    r_, alpha_, a_, b_
        Learned, above 0; `alpha_` in units of `by_days_` days.
    by_days_
        Days in the unit of time of what it was fitted on.
    report_
        What came of the search, a `FitReport`.

    References
    ----------
    P. S. Fader, B. G. S. Hardie, K. L. Lee, "Counting your customers" the easy way: an alternative to the
    Pareto/NBD model, Marketing Science 24(2), 2005.
    """

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, purchases: "PurchaseSummary | Histories | Any", at: Moment | int | None = None) -> Self:
        """Learn the four parameters by maximum likelihood.

        Parameters
        ----------
        purchases
            A `PurchaseSummary`, histories, or a table as `PurchaseSummary.from_frame` reads it. Customers
            without a purchase are left out.
        at
            The moment as of which histories are summarised, in days.

        Raises
        ------
        NotEnoughDataError
            If fewer than 10 customers bought more than once.
        ArgumentError
            If `penalty` is negative or not finite.
        """
        summary = summary_of(purchases, at, None)
        self._fit(Likelihood(summary, check_penalty(self.penalty)))
        self.by_days_ = summary.by_days
        return self

    def _fit(
        self,
        likelihood: "Likelihood",
        weights: np.ndarray | None = None,
        start: "list[float] | None" = None,
    ) -> None:
        """Learn from customers who count as often as the weights say, beginning at other parameters."""
        from engagelib.actions.value.fitting import minimise, report_of

        likelihood.weigh(weights)
        unit = np.array([1.0, likelihood.scale, 1.0, 1.0])
        begin = likelihood.start() if start is None else np.log(np.array(start) / unit)
        point, value, gradient, n = minimise(likelihood, begin)
        self.r_, self.alpha_, self.a_, self.b_ = map(float, np.exp(point) * unit)
        total = likelihood.log_likelihood(value, point)
        report = report_of(point, gradient, total, likelihood.weights, n)
        # Where nobody leaves the slope is flat, and a search may stop anywhere on the way to the bound.
        flat = self.a_ < _NOBODY_LEAVES * (self.a_ + self.b_)
        self.report_: FitReport | None = replace(report, at_bound=report.at_bound or flat)

    @property
    def parameters(self) -> np.ndarray:
        """Return `r_`, `alpha_`, `a_` and `b_`, float64."""
        if not hasattr(self, "r_"):
            raise errors.not_fitted(type(self).__name__)
        return np.array([self.r_, self.alpha_, self.a_, self.b_])

    def p_alive(self, purchases: PurchaseSummary, *, one_time: float = np.nan) -> np.ndarray:
        """Return the chance that a customer still buys at times, float64 in [0, 1], one a customer.

        `one_time` stands for those who bought once: the model's own value is 1 and says nothing. NaN for
        those who never bought.
        """
        known = purchases.in_units_of(self._unit())
        alive = alive_chance(self.parameters, known.frequency, known.recency, known.age)
        return np.where(known.is_one_time, one_time, alive)

    def p_purchase(self, purchases: PurchaseSummary, horizon_days: float) -> np.ndarray:
        """Return the chance of at least one purchase within a horizon, float64 in [0, 1]; NaN as above.

        In closed form: whoever is alive stays so until the next purchase, which is due at a gamma
        distributed rate.
        """
        known, horizon = self._asked(purchases, horizon_days)
        p = self.parameters
        alive = alive_chance(p, known.frequency, known.recency, known.age)
        return np.asarray(alive * purchase_chance(p, known.frequency, known.age, horizon))

    def expected_purchases(self, purchases: PurchaseSummary, horizon_days: float) -> np.ndarray:
        """Return how many purchases are expected of a customer within a horizon, float64; NaN as above."""
        known, horizon = self._asked(purchases, horizon_days)
        p = self.parameters
        alive = alive_chance(p, known.frequency, known.recency, known.age)
        return np.asarray(alive * expected_alive(p, known.frequency, horizon / (p[1] + known.age)))

    def _unit(self) -> float:
        self.parameters  # noqa: B018  refuses a model that is not fitted
        return self.by_days_

    def _asked(self, purchases: PurchaseSummary, horizon_days: float) -> tuple[PurchaseSummary, float]:
        unit = self._unit()
        return purchases.in_units_of(unit), checked_positive("horizon_days", horizon_days) / unit

    def __repr__(self) -> str:
        if not hasattr(self, "r_"):
            return f"BetaGeometric(penalty={self.penalty:g})"
        values = ", ".join(f"{name}={value:.4g}" for name, value in zip(NAMES, self.parameters, strict=True))
        return f"BetaGeometric({values})"


class Likelihood:
    """The likelihood of BG/NBD over merged rows, as a function of logarithms of the parameters."""

    def __init__(self, summary: PurchaseSummary, penalty: float = 0.0) -> None:
        from engagelib.actions.value.fitting import merged

        known = summary.take(summary.has_bought)
        n_repeats = int((known.frequency > 0).sum())
        if n_repeats < LEAST_REPEATS:
            raise errors.value.too_few_repeats("BetaGeometric", n_repeats, LEAST_REPEATS, len(known))
        self.penalty = penalty
        # Times in units of the mean age, so that all parameters are of one order.
        self.scale = float(known.age.mean()) or 1.0
        (x, recency, age), self.code = merged((known.frequency, known.recency, known.age))
        self.x, self.recency, self.age = x, recency / self.scale, age / self.scale
        self.repeat = np.flatnonzero(x > 0)
        self.levels, self.level = np.unique(x, return_inverse=True)
        self.counts = np.bincount(self.code, minlength=len(x)).astype(np.float64)
        self.weigh(None)

    def weigh(self, weights: np.ndarray | None) -> None:
        """Let customers count as often as these weights say, one a customer; None is once each."""
        self.weights = (
            self.counts if weights is None else np.bincount(self.code, weights, minlength=len(self.x))
        )
        self.total = float(self.weights.sum())
        self.level_weights = np.bincount(self.level, self.weights, minlength=len(self.levels))
        self.repeat_weights = self.weights[self.repeat]

    def start(self) -> np.ndarray:
        """Return where to begin: the mean rate, customers who differ, and one in five lost at a purchase."""
        rate = float(self.weights @ self.x) / max(float(self.weights @ self.age), 1e-12)
        return np.log([0.5, 0.5 / max(rate, 1e-6), 1.0, 4.0]).clip(-10, 10)

    def log_likelihood(self, value: float, point: np.ndarray) -> float:
        """Return the sum over customers, in the summary's own unit of time, from the mean that was found."""
        plain = -(value - self.penalty * float(point @ point)) * self.total
        # The density of times changes with their unit, once for each repeat purchase.
        return plain - float(self.weights @ self.x) * float(np.log(self.scale))

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean negative log likelihood with the penalty, and its gradient."""
        from scipy.special import gammaln, psi

        r, alpha, a, b = np.exp(point)
        x, w = self.levels, self.level_weights
        value = w @ (
            gammaln(r + x) - gammaln(r) + gammaln(a + b) - gammaln(b) + gammaln(b + x) - gammaln(a + b + x)
        )
        value += self.total * r * point[1]
        both = psi(a + b) - psi(a + b + x)
        slope = np.array(
            [
                w @ (psi(r + x) - psi(r)) + self.total * point[1],
                self.total * r / alpha,
                w @ both,
                w @ (both - psi(b) + psi(b + x)),
            ]
        )
        # Still alive: no purchase since the last one.
        old = alpha + self.age
        log_old, weights = np.log(old), self.weights
        n = r + self.x
        value -= weights @ (n * log_old)
        slope[0] -= weights @ log_old
        slope[1] -= weights @ (n / old)
        # Or gone at the last purchase.
        rw, rn = self.repeat_weights, n[self.repeat]
        young = alpha + self.recency[self.repeat]
        gap = log_old[self.repeat] - np.log(young)
        below = b + self.x[self.repeat] - 1.0
        odds = point[2] - np.log(below) + rn * gap
        value += rw @ np.logaddexp(0.0, odds)
        with np.errstate(over="ignore"):  # exp(inf) is a chance of 0
            gone = rw / (1.0 + np.exp(-odds))
        slope[0] += gone @ gap
        slope[1] -= gone @ (rn * (1.0 / young - 1.0 / old[self.repeat]))
        slope[2] += gone.sum() / a
        slope[3] -= gone @ (1.0 / below)
        by_logarithm = slope * (r, alpha, a, b)
        penalty = self.penalty * float(point @ point)
        return -float(value) / self.total + penalty, -by_logarithm / self.total + 2 * self.penalty * point


def alive_chance(
    parameters: np.ndarray, frequency: np.ndarray, recency: np.ndarray, age: np.ndarray
) -> np.ndarray:
    """Return P(alive) as the model has it: 1 for who bought once; NaN for who never bought."""
    r, alpha, a, b = parameters
    repeat = np.maximum(frequency, 1.0)  # without one the branch is not taken
    odds = np.log(a) - np.log(b + repeat - 1.0) + (r + frequency) * np.log((alpha + age) / (alpha + recency))
    with np.errstate(over="ignore"):
        alive = 1.0 / (1.0 + np.exp(odds))
    return np.where(frequency > 0, alive, np.where(np.isnan(frequency), np.nan, 1.0))


def purchase_chance(
    parameters: np.ndarray, frequency: np.ndarray, age: np.ndarray, horizon: float
) -> np.ndarray:
    """Return the chance that somebody who is alive buys within a horizon."""
    r, alpha, _, _ = parameters
    return np.asarray(-np.expm1(-(r + frequency) * np.log1p(horizon / (alpha + age))))


def check_penalty(given: Any) -> float:
    """Return a penalty of at least 0, or refuse it."""
    is_number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not is_number or not 0 <= given < np.inf:
        raise errors.bad_argument("penalty", given, "a finite number of at least 0")
    return float(given)


def stored_parameters(arrays: Mapping[str, np.ndarray], name: str, n: int) -> list[float]:
    """Return parameters from a file; refuse what no fit can have given."""
    values = np.asarray(arrays[name])
    if values.shape != (n,) or values.dtype != np.float64:
        found = f"is of shape {values.shape} and {values.dtype}"
        raise errors.value.altered_value(name, found, f"{n} numbers of float64")
    if not (np.isfinite(values) & (values > 0)).all():
        raise errors.value.altered_value(name, f"holds {values.min():g}", "finite numbers above 0")
    return list(map(float, values))
