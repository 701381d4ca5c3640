"""GammaGamma: how much a customer spends at a purchase, from what they spent before and what others do."""

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.value.beta_geometric import check_penalty
from engagelib.actions.value.summary import PurchaseSummary, summary_of
from engagelib.histories import Histories
from engagelib.times import Moment

if TYPE_CHECKING:
    from engagelib.actions.value.fitting import FitReport

LEAST_CUSTOMERS: Final = 10
"""Customers with money that are needed: fewer determine nothing."""

NAMES: Final = ("p", "q", "v")


class GammaGamma:
    """The gamma-gamma model of money: purchases vary around a customer's mean, and means vary over customers.

    The money of each purchase of a customer is gamma distributed with shape `p` and a scale of their own,
    whose inverse is gamma distributed over customers with shape `q` and rate `v`. What somebody spends is
    taken to say nothing of how often they buy.

    Parameters
    ----------
    penalty
        Weight of the sum of squared logarithms of the parameters, with `v` in units of the mean value,
        against the mean log likelihood; at least 0.

    Attributes
    ----------
    p_, q_, v_
        Learned, above 0; `v_` in the log's unit of money.
    mean_
        Mean value of the customers that were learned from.
    n_left_out
        Customers with a repeat purchase that were not learned from: their mean value is not above 0, or not
        known.
    report_
        What came of the search, a `FitReport`.

    References
    ----------
    P. S. Fader, B. G. S. Hardie, The gamma-gamma model of monetary value, 2013
    (http://www.brucehardie.com/notes/025/).
    """

    def __init__(self, *, penalty: float = 0.0) -> None:
        self.penalty = penalty

    def fit(self, purchases: "PurchaseSummary | Histories | Any", at: Moment | int | None = None) -> Self:
        """Learn the three parameters by maximum likelihood, from customers with a repeat purchase and money.

        Parameters
        ----------
        purchases, at
            As for `BetaGeometric.fit`.

        Raises
        ------
        NotEnoughDataError
            If fewer than 10 customers have a repeat purchase and a mean value above 0.
        ArgumentError
            If `penalty` is negative or not finite.
        """
        summary = summary_of(purchases, at, None)
        self._fit(MoneyLikelihood(summary, check_penalty(self.penalty)))
        return self

    def _fit(
        self,
        likelihood: "MoneyLikelihood",
        weights: np.ndarray | None = None,
        start: "list[float] | None" = None,
    ) -> None:
        """Learn from customers who count as often as the weights say, beginning at other parameters."""
        from engagelib.actions.value.fitting import minimise, report_of

        likelihood.weigh(weights)
        unit = np.array([1.0, 1.0, likelihood.scale])
        begin = likelihood.start() if start is None else np.log(np.array(start) / unit)
        point, value, gradient, n = minimise(likelihood, begin)
        self.p_, self.q_, self.v_ = map(float, np.exp(point) * unit)
        self.mean_ = likelihood.scale * float(likelihood.weights @ likelihood.mean) / likelihood.total
        self.n_left_out = likelihood.n_left_out
        total = likelihood.log_likelihood(value, point)
        self.report_: FitReport | None = report_of(point, gradient, total, likelihood.weights, n)

    @property
    def parameters(self) -> np.ndarray:
        """Return `p_`, `q_` and `v_`, float64."""
        if not hasattr(self, "p_"):
            raise errors.not_fitted(type(self).__name__)
        return np.array([self.p_, self.q_, self.v_])

    def expected_mean_value(self, purchases: PurchaseSummary) -> np.ndarray:
        """Return the money that each next purchase of a customer is expected to bring, float64.

        Between the customer's own mean and that of all customers, the nearer to the former the more
        purchases there are. Customers without a repeat purchase or without money get the latter; where the
        model has no finite mean (`q_` at most 1) the mean of those it was fitted on stands in. NaN for
        customers without a purchase.
        """
        return mean_money(self.parameters, self.mean_, purchases.frequency, purchases.mean_value)

    def __repr__(self) -> str:
        if not hasattr(self, "p_"):
            return f"GammaGamma(penalty={self.penalty:g})"
        values = ", ".join(f"{name}={value:.4g}" for name, value in zip(NAMES, self.parameters, strict=True))
        return f"GammaGamma({values})"


class MoneyLikelihood:
    """The likelihood of gamma-gamma over merged rows, as a function of logarithms of the parameters."""

    def __init__(self, summary: PurchaseSummary, penalty: float = 0.0) -> None:
        from engagelib.actions.value.fitting import merged

        repeat = summary.frequency > 0
        self.used = repeat & (summary.mean_value > 0)
        self.n_left_out = int(repeat.sum() - self.used.sum())
        known = summary.take(self.used)
        if len(known) < LEAST_CUSTOMERS:
            raise errors.value.no_money(len(known), LEAST_CUSTOMERS)
        self.penalty = penalty
        # Money in units of its mean, so that all parameters are of one order.
        self.scale = float(known.mean_value.mean())
        (self.x, mean), self.code = merged((known.frequency, known.mean_value))
        self.mean = mean / self.scale
        self.paid, self.log_paid = self.x * self.mean, np.log(self.x * self.mean)
        self.levels, self.level = np.unique(self.x, return_inverse=True)
        self.counts = np.bincount(self.code, minlength=len(self.x)).astype(np.float64)
        self.weigh(None)

    def weigh(self, weights: np.ndarray | None) -> None:
        """Let customers count as often as these weights say, one for each that is `used`."""
        self.weights = (
            self.counts if weights is None else np.bincount(self.code, weights, minlength=len(self.x))
        )
        self.total = float(self.weights.sum())
        self.level_weights = np.bincount(self.level, self.weights, minlength=len(self.levels))

    def start(self) -> np.ndarray:
        """Return where to begin: money that varies by a half within and between customers."""
        return np.log([4.0, 4.0, 0.75])

    def log_likelihood(self, value: float, point: np.ndarray) -> float:
        """Return the sum over customers, in the log's own unit of money, from the mean that was found."""
        plain = -(value - self.penalty * float(point @ point)) * self.total
        return plain - self.total * float(np.log(self.scale))

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean negative log likelihood with the penalty, and its gradient."""
        from scipy.special import gammaln, psi

        p, q, v = np.exp(point)
        w, n, lw = self.weights, p * self.x, self.level_weights
        levels = p * self.levels
        whole = v + self.paid
        log_whole = np.log(whole)
        share = self.log_paid - log_whole
        # log(paid^n / mean) = n log(paid) - log(mean): the density is that of the mean, not of the sum.
        value = lw @ (gammaln(levels + q) - gammaln(levels) - gammaln(q)) + self.total * q * point[2]
        value += w @ (n * share - q * log_whole - np.log(self.mean))
        more = psi(levels + q)
        slope = np.array(
            [
                lw @ (self.levels * (more - psi(levels))) + w @ (self.x * share),
                lw @ (more - psi(q)) + self.total * point[2] - w @ log_whole,
                self.total * q / v - w @ ((n + q) / whole),
            ]
        )
        penalty = self.penalty * float(point @ point)
        by_logarithm = slope * (p, q, v)
        return -float(value) / self.total + penalty, -by_logarithm / self.total + 2 * self.penalty * point


def mean_money(
    parameters: np.ndarray, stand_in: float, frequency: np.ndarray, mean_value: np.ndarray
) -> np.ndarray:
    """Return the expected money of a purchase; see `GammaGamma.expected_mean_value`."""
    p, q, v = parameters
    has_money = (frequency > 0) & (mean_value > 0)
    x = np.where(has_money, frequency, 0.0)
    paid = np.where(has_money, x * mean_value, 0.0)
    below = p * x + q - 1.0
    found = np.full(len(frequency), stand_in)
    np.divide(p * (v + paid), below, out=found, where=below > 0)
    return np.where(np.isnan(frequency), np.nan, found)
