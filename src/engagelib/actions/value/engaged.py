"""Engaged: whether a customer will buy again soon, by a calibrated chance and an explained threshold."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from engagelib import errors
from engagelib.actions.value.beta_geometric import (
    BetaGeometric,
    alive_chance,
    check_penalty,
    purchase_chance,
    stored_parameters,
)
from engagelib.actions.value.summary import (
    PurchaseSummary,
    checked_positive,
    moment_of,
    occasions,
    one_customer,
    summarise_purchases,
)
from engagelib.histories import Histories
from engagelib.times import DAY, Moment, spell

Method = Literal["auto", "isotonic", "sigmoid"]

_FOLDS: Final = 5
_LEAST: Final = 20
_MANY: Final = 1000
_TINY: Final = 1e-6


@dataclass(frozen=True)
class EngagedReport:
    """How far the chances could be taken at their word, on a slice of time that the model did not see.

    Attributes
    ----------
    cut
        Where the slice begins, microseconds since 1970; it lasts for the horizon.
    method
        How chances were calibrated: "isotonic" or "sigmoid".
    n_customers, n_bought
        Customers with a purchase before the slice, and how many of them bought in it.
    brier, ece
        Brier score and expected calibration error of the calibrated chances, each for customers that the
        calibration was not learned from.
    brier_before, ece_before
        The same of the chances that BG/NBD gives.
    """

    cut: int
    method: str
    n_customers: int
    n_bought: int
    brier: float
    ece: float
    brier_before: float
    ece_before: float


class Engaged:
    """Says of each customer whether they are engaged: whether they will buy within a horizon.

    BG/NBD is fitted on what came before the last horizon of the log, its chances of a purchase are
    calibrated on what came in it, and it is then fitted anew on everything. A customer is engaged where the
    calibrated chance is at least the threshold.

    Parameters
    ----------
    horizon_days
        The time within which a purchase is to come, in days, above 0.
    cost_of_missing
        How much worse it is to take an engaged customer for a lost one than the other way round, above 0. The
        threshold is where both errors are expected to cost the same: 1 / (1 + cost_of_missing).
    threshold
        A threshold of one's own, in (0, 1), instead.
    method
        "isotonic" calibrates by any rising steps, "sigmoid" by a line in log-odds (Platt); "auto" takes steps
        where at least 1,000 customers bought and 1,000 did not.
    penalty
        As for `BetaGeometric`.
    rng
        Seed of the folds that judge the calibration.

    Attributes
    ----------
    threshold_
        The threshold.
    model_
        The `BetaGeometric`, fitted on everything.
    report_
        What came of the calibration, an `EngagedReport`.
    """

    def __init__(
        self,
        *,
        horizon_days: float = 90.0,
        cost_of_missing: float = 1.0,
        threshold: float | None = None,
        method: Method = "auto",
        penalty: float = 0.0,
        rng: int = 0,
    ) -> None:
        self.horizon_days = horizon_days
        self.cost_of_missing = cost_of_missing
        self.threshold = threshold
        self.method = method
        self.penalty = penalty
        self.rng = rng

    def fit(self, histories: Histories, at: Moment | int | None = None) -> Self:
        """Learn the chances and their calibration from what happened until a moment.

        Raises
        ------
        NotEnoughDataError
            If the log has no times or is shorter than two horizons, fewer than 10 customers bought more than
            once before the last one, or fewer than 20 did, or did not, buy in it.
        ArgumentError
            If an argument is outside what it accepts.
        """
        horizon = self._check()
        now = moment_of(histories, at)
        times = histories.time
        assert times is not None  # moment_of has looked
        cut = now - round(horizon * DAY)
        span = (now - int(times.min())) / DAY if len(times) else 0.0
        if span <= 2 * horizon:
            raise errors.value.too_short(horizon, span)
        before = summarise_purchases(histories, cut)
        raw = BetaGeometric(penalty=self.penalty).fit(before).p_purchase(before, horizon)
        came = _bought_since(histories, cut, now)
        known = np.flatnonzero(before.has_bought)
        raw, came = raw[known], came[known]
        n_bought = int(came.sum())
        if min(n_bought, len(came) - n_bought) < _LEAST:
            raise errors.value.one_outcome(len(came), n_bought, horizon, _LEAST)
        method = self.method
        if method == "auto":
            method = "isotonic" if min(n_bought, len(came) - n_bought) >= _MANY else "sigmoid"
        self.report_ = _judged(raw, came, cut, method, self.rng)
        self.knots_ = _learned(raw, came, method)
        self.threshold_ = 1.0 / (1.0 + self.cost_of_missing) if self.threshold is None else self.threshold
        self.model_ = BetaGeometric(penalty=self.penalty).fit(summarise_purchases(histories, now))
        return self

    def _check(self) -> float:
        checked_positive("cost_of_missing", self.cost_of_missing)
        check_penalty(self.penalty)
        if self.threshold is not None and (
            isinstance(self.threshold, bool)
            or not isinstance(self.threshold, float)
            or not 0 < self.threshold < 1
        ):
            raise errors.bad_argument("threshold", self.threshold, "a number between 0 and 1, or None")
        if self.method not in ("auto", "isotonic", "sigmoid"):
            raise errors.bad_argument("method", self.method, "auto, isotonic or sigmoid")
        if isinstance(self.rng, bool) or not isinstance(self.rng, int | np.integer) or self.rng < 0:
            raise errors.bad_argument("rng", self.rng, "an integer of at least 0")
        return checked_positive("horizon_days", self.horizon_days)

    def p_engaged(
        self, purchases: "Histories | PurchaseSummary", at: Moment | int | None = None
    ) -> np.ndarray:
        """Return the calibrated chance to buy within the horizon, float64, one a customer.

        NaN for customers without a purchase, of whom nothing is known.
        """
        self._check_fitted()
        if isinstance(purchases, Histories):
            purchases = summarise_purchases(purchases, at)
        return self._calibrated(self.model_.p_purchase(purchases, self.horizon_days))

    def is_engaged(
        self, purchases: "Histories | PurchaseSummary", at: Moment | int | None = None
    ) -> np.ndarray:
        """Say of each customer whether they are engaged, bool; a customer without a purchase is not."""
        return np.asarray(self.p_engaged(purchases, at) >= self.threshold_)

    def one(self, history: Histories, at: int) -> float | None:
        """Return the calibrated chance for a history of one row; None without a purchase."""
        self._check_fitted()
        known = one_customer(history, at, self.model_.by_days_)
        if known is None:
            return None
        x, recency, age = (np.array([value]) for value in known[:3])
        p = self.model_.parameters
        chance = purchase_chance(p, x, age, self.horizon_days / self.model_.by_days_)
        return float(self._calibrated(alive_chance(p, x, recency, age) * chance)[0])

    def explain(self) -> str:
        """Say in words what engaged means, where the threshold comes from and how good the chances are."""
        self._check_fitted()
        report, level = self.report_, f"{self.threshold_:.3g}"
        cost = f"{self.cost_of_missing:g}"
        reason = (
            f"To miss a customer who would buy is {cost} times as bad as to count on one who would not, and "
            f"1 / (1 + {cost}) = {level} is where both errors are expected to cost the same."
            if self.threshold is None
            else f"The threshold {level} was chosen by hand."
        )
        return (
            f"A customer is engaged where the chance to buy within {self.horizon_days:g} days is at least "
            f"{level}. {reason} The chances were calibrated on {report.n_customers:,} customers as of "
            f"{spell(report.cut)}, of whom {report.n_bought:,} bought within the horizon (Brier score "
            f"{report.brier:.4f}, expected calibration error {report.ece:.4f})."
        )

    def _calibrated(self, raw: np.ndarray) -> np.ndarray:
        return _applied(self.knots_, raw, self.report_.method)

    def _check_fitted(self) -> None:
        if not hasattr(self, "knots_"):
            raise errors.not_fitted(type(self).__name__)

    def __repr__(self) -> str:
        if not hasattr(self, "knots_"):
            return f"Engaged(horizon_days={self.horizon_days:g})"
        return f"Engaged(horizon_days={self.horizon_days:g}, threshold={self.threshold_:.3g})"

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        self._check_fitted()
        return {"purchases": self.model_.parameters, "knots": self.knots_}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        self._check_fitted()
        return {
            "horizon_days": float(self.horizon_days),
            "cost_of_missing": float(self.cost_of_missing),
            "threshold": None if self.threshold is None else float(self.threshold),
            "method": self.method,
            "penalty": float(self.penalty),
            "rng": int(self.rng),
            "report": asdict(self.report_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave; an altered file raises `ArtifactError`."""
        for name in ("purchases", "knots"):
            if name not in arrays:
                raise errors.value.altered_value(name, "is missing", "an array of float64")
        try:
            names = ("horizon_days", "cost_of_missing", "threshold", "method", "penalty", "rng")
            made = cls(**{name: facts[name] for name in names})
            made._check()
            made.report_ = EngagedReport(**facts["report"])
            if made.report_.method not in ("isotonic", "sigmoid"):
                raise ValueError(made.report_.method)
        except (KeyError, TypeError, ValueError) as error:
            raise errors.value.altered_value("facts", f"can't be read ({error})", "those of a fit") from error
        made.model_ = BetaGeometric(penalty=made.penalty)
        model = made.model_
        model.r_, model.alpha_, model.a_, model.b_ = stored_parameters(arrays, "purchases", 4)
        model.by_days_, model.report_ = 1.0, None
        knots = np.asarray(arrays["knots"])
        sound = knots.ndim == 2 and knots.shape[0] == 2 and knots.shape[1] > 0 and knots.dtype == np.float64
        if not sound or not np.isfinite(knots).all():
            raise errors.value.altered_value(
                "knots", f"is of shape {knots.shape}", "two rows of finite float64"
            )
        made.knots_ = knots
        made.threshold_ = 1.0 / (1.0 + made.cost_of_missing) if made.threshold is None else made.threshold
        return made


def _bought_since(histories: Histories, cut: int, now: int) -> np.ndarray:
    """Say of each customer whether a purchase after a cut was kept, bool."""
    row, _, _ = occasions(histories, now, after=cut)
    return np.bincount(row, minlength=histories.n_histories)[: histories.n_customers] > 0


def _judged(raw: np.ndarray, came: np.ndarray, cut: int, method: str, rng: int) -> EngagedReport:
    from engagelib.metrics import brier_score, expected_calibration_error

    fold = np.random.default_rng(rng).integers(0, _FOLDS, len(raw))
    forecast = np.empty(len(raw))
    for number in range(_FOLDS):
        others = fold != number
        forecast[~others] = _applied(_learned(raw[others], came[others], method), raw[~others], method)
    return EngagedReport(
        cut=cut,
        method=method,
        n_customers=len(came),
        n_bought=int(came.sum()),
        brier=brier_score(forecast, came),
        ece=expected_calibration_error(forecast, came),
        brier_before=brier_score(raw, came),
        ece_before=expected_calibration_error(raw, came),
    )


def _learned(raw: np.ndarray, came: np.ndarray, method: str) -> np.ndarray:
    """Return what calibrates: the knots of rising steps, or start and slope of a line in log-odds."""
    return _steps(raw, came) if method == "isotonic" else _line(raw, came)


def _applied(knots: np.ndarray, raw: np.ndarray, method: str) -> np.ndarray:
    if method == "isotonic":
        return np.where(np.isnan(raw), np.nan, np.interp(raw, knots[0], knots[1]).clip(0.0, 1.0))
    start, slope = knots[:, 0]
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-(start + slope * _log_odds(raw)))))


def _log_odds(raw: np.ndarray) -> np.ndarray:
    clipped = np.clip(raw, _TINY, 1.0 - _TINY)
    return np.asarray(np.log(clipped / (1.0 - clipped)))


def _steps(raw: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Return the middles and heights of the blocks of isotonic regression, shape (2, n_blocks)."""
    from scipy.optimize import isotonic_regression

    distinct, code = np.unique(raw, return_inverse=True)
    weight = np.bincount(code).astype(np.float64)
    share = np.bincount(code, came) / weight
    found = isotonic_regression(share, weights=weight)
    starts = found.blocks[:-1]
    mass = np.add.reduceat(weight, starts)
    middle = np.add.reduceat(distinct * weight, starts) / mass
    # One more of each outcome in a block: nothing is certain because it never was otherwise.
    height = (np.add.reduceat(share * weight, starts) + came.mean()) / (mass + 1.0)
    return np.stack([middle, np.maximum.accumulate(height)])


def _line(raw: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Return start and slope of a logistic regression on log-odds, shape (2, 1), by Newton's method.

    Outcomes are drawn in a little, as Platt does, so that the line is finite; the slope is at least 0.
    """
    n_bought = came.sum()
    target = np.where(came, (n_bought + 1) / (n_bought + 2), 1 / (len(came) - n_bought + 2))
    columns = np.stack([np.ones(len(raw)), _log_odds(raw)])
    line = np.array([0.0, 1.0])
    for _ in range(50):
        chance = 1.0 / (1.0 + np.exp(-(line @ columns)))
        slope = columns @ (target - chance)
        curve = (columns * (chance * (1 - chance))) @ columns.T + _TINY * np.eye(2)
        step = np.linalg.solve(curve, slope)
        line = line + step * min(1.0, 2.0 / max(np.abs(step).max(), _TINY))
        if np.abs(step).max() < 1e-10:
            break
    if line[1] < 0:
        line = np.array([np.log(target.mean() / (1 - target.mean())), 0.0])
    return line[:, None]
