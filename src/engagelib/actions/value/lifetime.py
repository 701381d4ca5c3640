"""LifetimeValue: how much each customer will still buy and bring, as of any moment, with intervals."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.value.beta_geometric import (
    BetaGeometric,
    Likelihood,
    alive_chance,
    check_penalty,
    purchase_chance,
    stored_parameters,
)
from engagelib.actions.value.forecasts import CustomerValue, ValueForecast, discounted, forecast_one
from engagelib.actions.value.gamma_gamma import GammaGamma, MoneyLikelihood, mean_money
from engagelib.actions.value.summary import (
    PurchaseSummary,
    checked_positive,
    one_customer,
    summarise_pairs,
    summarise_purchases,
    summary_of,
)
from engagelib.histories import Histories
from engagelib.tables import Table
from engagelib.times import Moment, all_as_microseconds, as_microseconds

if TYPE_CHECKING:
    from engagelib.actions.value.fitting import FitReport

_BLOCK: Final = 4096
_PARAMETERS: Final = ("r", "alpha", "a", "b", "p", "q", "v")


class LifetimeValue:
    """What customers will still buy and bring: BG/NBD for how often, gamma-gamma for how much at a time.

    Parameters
    ----------
    horizon_days
        How far forecasts look, in days, above 0; calls may say otherwise.
    discount_per_year
        Interest on money, at least 0: 0.1 makes money of a year from now worth a tenth less than 1.1 times.
    by_days
        Unit of time of the parameters, in days; None is days, or that of the summary which is fitted on.
    penalty
        As for `BetaGeometric` and `GammaGamma`.
    n_resamples
        Resamples of the customers for intervals; 0 for none. 200 are enough for 95%.
    level
        How much of the resamples an interval holds, in (0, 1).
    rng
        A seed or a Generator, for the resamples.

    Attributes
    ----------
    purchases_, money_
        The fitted `BetaGeometric` and `GammaGamma`; `money_` is None where the log has no money.
    by_days_
        Days in the unit of time of the parameters.
    replicates_
        Parameters of each resample, float64, shape (n_resamples, 4) or (n_resamples, 8): `r`, `alpha`, `a`,
        `b`, and where there is money `p`, `q`, `v` and the mean value.
    """

    def __init__(
        self,
        *,
        horizon_days: float = 365.0,
        discount_per_year: float = 0.0,
        by_days: float | None = None,
        penalty: float = 0.0,
        n_resamples: int = 0,
        level: float = 0.95,
        rng: "int | np.random.Generator" = 0,
    ) -> None:
        self.horizon_days = horizon_days
        self.discount_per_year = discount_per_year
        self.by_days = by_days
        self.penalty = penalty
        self.n_resamples = n_resamples
        self.level = level
        self.rng = rng

    def fit(self, purchases: "PurchaseSummary | Histories | Any", at: Moment | int | None = None) -> Self:
        """Learn both models, and the resamples where they are asked for.

        Parameters
        ----------
        purchases
            Histories, a `PurchaseSummary`, or a table as `PurchaseSummary.from_frame` reads it.
        at
            The moment as of which histories are summarised; None is their newest event.

        Raises
        ------
        NotEnoughDataError
            If fewer than 10 customers bought more than once, or the histories have no times. Where no
            customer's money is known the money is left out instead.
        ArgumentError
            If an argument is outside what it accepts.
        """
        self._check()
        summary = summary_of(purchases, at, self.by_days)
        likelihood = Likelihood(summary, float(self.penalty))
        with_money = bool(((summary.frequency > 0) & ~np.isnan(summary.mean_value)).any())
        money = MoneyLikelihood(summary, float(self.penalty)) if with_money else None
        self.purchases_ = BetaGeometric(penalty=self.penalty)
        self.purchases_._fit(likelihood)
        self.by_days_ = self.purchases_.by_days_ = summary.by_days
        self.money_: GammaGamma | None = None
        if money is not None:
            self.money_ = GammaGamma(penalty=self.penalty)
            self.money_._fit(money)
        self.replicates_ = self._resampled(summary, likelihood, money)
        return self

    def _check(self) -> None:
        checked_positive("horizon_days", self.horizon_days)
        if self.by_days is not None:
            checked_positive("by_days", self.by_days)
        check_penalty(self.penalty)
        check_discount(self.discount_per_year)
        whole = isinstance(self.n_resamples, int | np.integer) and not isinstance(self.n_resamples, bool)
        if not whole or self.n_resamples < 0:
            raise errors.bad_argument("n_resamples", self.n_resamples, "an integer of at least 0")
        if isinstance(self.level, bool) or not isinstance(self.level, int | float) or not 0 < self.level < 1:
            raise errors.bad_argument("level", self.level, "a number between 0 and 1")
        whole = isinstance(self.rng, int | np.integer) and not isinstance(self.rng, bool)
        if not isinstance(self.rng, np.random.Generator) and not (whole and int(self.rng) >= 0):
            raise errors.bad_argument("rng", self.rng, "an integer of at least 0 or a numpy.random.Generator")

    def _resampled(
        self, summary: PurchaseSummary, likelihood: Likelihood, money: MoneyLikelihood | None
    ) -> np.ndarray:
        generator = np.random.default_rng(self.rng)
        has_bought = summary.has_bought
        n, found = int(has_bought.sum()), []
        begin, money_begin = self._vectors()
        for _ in range(int(self.n_resamples)):
            # How often each customer was drawn; both models see the same draw.
            times = np.bincount(generator.integers(0, n, n), minlength=n).astype(np.float64)
            model = BetaGeometric(penalty=self.penalty)
            model._fit(likelihood, times, begin)
            drawn = model.parameters.tolist()
            if money is not None and money_begin is not None:
                spent = GammaGamma(penalty=self.penalty)
                whole = np.zeros(len(summary))
                whole[has_bought] = times
                spent._fit(money, whole[money.used], money_begin[:3])
                drawn += [*spent.parameters.tolist(), spent.mean_]
            found.append(drawn)
        return np.array(found).reshape(len(found), 4 if money is None else 8)

    def _vectors(self) -> tuple[list[float], list[float] | None]:
        money = self.money_
        spent = None if money is None else [*money.parameters.tolist(), money.mean_]
        return self.purchases_.parameters.tolist(), spent

    def parameters(self) -> Table:
        """Return the parameters as a table, with their intervals where resamples were drawn."""
        self._check_fitted()
        first, spent = self._vectors()
        values = [*first, *(spent or [])[:3]]
        names = _PARAMETERS[: len(values)]
        if not len(self.replicates_):
            return Table(("name", "value"), tuple(zip(names, values, strict=True)))
        low, high = np.quantile(self.replicates_[:, : len(values)], self._levels(), axis=0).tolist()
        return Table(("name", "value", "low", "high"), tuple(zip(names, values, low, high, strict=True)))

    def predict(
        self,
        purchases: "PurchaseSummary | Histories",
        at: Moment | int | None = None,
        *,
        horizon_days: float | None = None,
        intervals: bool = False,
    ) -> ValueForecast:
        """Forecast every customer as of a moment.

        Parameters
        ----------
        purchases
            Histories, of whose customers each gets a forecast, or a summary. Both may be later than what the
            model was fitted on.
        at
            The moment, for histories; None is their newest event.
        horizon_days
            How far to look; None is the model's own.
        intervals
            Whether to add intervals, of what is expected and not of what will come: how far it depends on
            which customers were learned from.

        Raises
        ------
        ArgumentError
            If the horizon is not above 0, or intervals are asked of a model without resamples.
        """
        self._check_fitted()
        if isinstance(purchases, Histories):
            purchases = summarise_purchases(purchases, at, self.by_days_)
        known = purchases.in_units_of(self.by_days_)
        horizon = self._horizon(horizon_days)
        if intervals and not len(self.replicates_):
            raise errors.value.no_resamples()
        first, spent = self._vectors()
        bought, value = self._expected(np.array(first), spent, known, horizon)
        alive = alive_chance(np.array(first), known.frequency, known.recency, known.age)
        return ValueForecast(
            horizon_days=horizon * self.by_days_,
            expected_purchases=bought,
            expected_value=value,
            p_alive=np.where(known.is_one_time, np.nan, alive),
            p_purchase=alive * purchase_chance(np.array(first), known.frequency, known.age, horizon),
            is_one_time=known.is_one_time,
            **(self._intervals(known, horizon) if intervals else {}),
        )

    def predict_pairs(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> ValueForecast:
        """Forecast customers, each as of a moment of its own: what `predict` gives at that moment.

        Parameters
        ----------
        histories
            With times.
        row, moment
            Which rows, -1 for somebody who never bought, and as of when, microseconds since 1970; shape (n,).
        """
        self._check_fitted()
        if histories.time_kind != "timestamp":
            raise errors.log.needs_time("the value of customers", histories.time_kind)
        moment = all_as_microseconds(moment, "moment")
        return self.predict(summarise_pairs(histories, np.asarray(row), moment, self.by_days_))

    def of(
        self,
        frequency: Any,
        recency: Any,
        age: Any,
        mean_value: Any = None,
        *,
        horizon_days: float | None = None,
        intervals: bool = False,
    ) -> ValueForecast:
        """Forecast customers from arrays, times in units of `by_days_` days; see `PurchaseSummary`."""
        self._check_fitted()
        summary = PurchaseSummary.from_columns(frequency, recency, age, mean_value, by_days=self.by_days_)
        return self.predict(summary, horizon_days=horizon_days, intervals=intervals)

    def one(
        self, history: Histories, at: Moment | int, *, horizon_days: float | None = None
    ) -> CustomerValue:
        """Forecast one customer: what `predict` gives, as built-in numbers, from a history of one row.

        `at` is a moment, or microseconds since 1970. Every number is None for somebody without a purchase.
        """
        self._check_fitted()
        if history.time_kind != "timestamp":
            raise errors.log.needs_time("the value of customers", history.time_kind)
        horizon = self._horizon(horizon_days)
        known = one_customer(history, as_microseconds(at), self.by_days_)
        if known is None:
            return CustomerValue(horizon * self.by_days_)
        money = None if self.money_ is None else (*self.money_.parameters.tolist(), self.money_.mean_)
        model = self.purchases_
        parameters = (model.r_, model.alpha_, model.a_, model.b_)
        return forecast_one(parameters, money, known, horizon, self._interest(), self.by_days_)

    def _expected(
        self, parameters: np.ndarray, money: "list[float] | None", known: PurchaseSummary, horizon: float
    ) -> tuple[np.ndarray, np.ndarray]:
        bought, counted = discounted(parameters, known, horizon, self._interest())
        if money is None:
            return bought, np.full(len(known), np.nan)
        each = mean_money(np.array(money[:3]), money[3], known.frequency, known.mean_value)
        return bought, counted * each

    def _intervals(self, known: PurchaseSummary, horizon: float) -> dict[str, np.ndarray]:
        names = ("purchases_low", "purchases_high", "value_low", "value_high")
        found = {name: np.full(len(known), np.nan) for name in names}
        for start in range(0, len(known), _BLOCK):
            part = slice(start, start + _BLOCK)
            block = known.take(part)
            drawn = np.array(
                [
                    self._expected(row[:4], row[4:].tolist() or None, block, horizon)
                    for row in self.replicates_
                ]
            )
            low, high = np.quantile(drawn, self._levels(), axis=0)
            for place, name in enumerate(("purchases", "value")):
                found[f"{name}_low"][part], found[f"{name}_high"][part] = low[place], high[place]
        return found

    def _levels(self) -> list[float]:
        return [(1 - self.level) / 2, (1 + self.level) / 2]

    def _interest(self) -> float:
        """Return the rate of continuous discounting, for one unit of time."""
        return float(np.log1p(self.discount_per_year)) / 365.25 * self.by_days_

    def _horizon(self, horizon_days: float | None) -> float:
        given = self.horizon_days if horizon_days is None else checked_positive("horizon_days", horizon_days)
        return given / self.by_days_

    def _check_fitted(self) -> None:
        if not hasattr(self, "purchases_"):
            raise errors.not_fitted(type(self).__name__)

    def __repr__(self) -> str:
        if not hasattr(self, "purchases_"):
            return f"LifetimeValue(horizon_days={self.horizon_days:g})"
        return f"LifetimeValue({self.purchases_!r}, {self.money_!r}, n_resamples={len(self.replicates_)})"

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        self._check_fitted()
        first, spent = self._vectors()
        return {
            "purchases": np.array(first),
            "money": np.array(spent or [], np.float64),
            "replicates": self.replicates_,
        }

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        self._check_fitted()
        facts: dict[str, Any] = {
            name: None if (value := getattr(self, name)) is None else float(value)
            for name in ("horizon_days", "discount_per_year", "by_days", "penalty", "level")
        }
        money = self.money_
        reports = {"purchases": self.purchases_.report_, "money": money.report_ if money else None}
        return facts | {
            "by_days_": self.by_days_,
            "n_left_out": money.n_left_out if money else 0,
            "reports": {name: None if found is None else asdict(found) for name, found in reports.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave.

        Raises
        ------
        ArtifactError
            If parameters are missing, or are no finite numbers above 0.
        """
        for name in ("purchases", "money", "replicates"):
            if name not in arrays:
                raise errors.value.altered_value(name, "is missing", "an array of float64")
        try:
            names = ("horizon_days", "discount_per_year", "by_days", "penalty", "level")
            made = cls(**{name: facts[name] for name in names})
            made._check()
            made.by_days_ = checked_positive("by_days_", facts["by_days_"])
            reports, n_left_out = facts["reports"], int(facts["n_left_out"])
            found = {name: _report(reports[name]) for name in ("purchases", "money")}
        except (KeyError, TypeError, ValueError) as error:
            raise errors.value.altered_value("facts", f"can't be read ({error})", "those of a fit") from error
        made.purchases_ = _purchases(arrays, made.by_days_, found["purchases"], made.penalty)
        made.money_ = None
        if len(arrays["money"]):
            spent = GammaGamma(penalty=made.penalty)
            spent.p_, spent.q_, spent.v_, spent.mean_ = stored_parameters(arrays, "money", 4)
            spent.n_left_out, spent.report_ = n_left_out, found["money"]
            made.money_ = spent
        replicates = np.asarray(arrays["replicates"])
        width = 4 if made.money_ is None else 8
        if replicates.ndim != 2 or replicates.shape[1] != width or replicates.dtype != np.float64:
            shape = f"is of shape {replicates.shape} and {replicates.dtype}"
            raise errors.value.altered_value("replicates", shape, f"{width} columns of float64")
        if not (np.isfinite(replicates) & (replicates > 0)).all():
            raise errors.value.altered_value("replicates", "holds others", "finite numbers above 0")
        made.replicates_, made.n_resamples = replicates, len(replicates)
        return made


def check_discount(given: Any) -> float:
    """Return a rate of interest of at least 0, or refuse it."""
    is_number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not is_number or not 0 <= given < np.inf:
        raise errors.bad_argument("discount_per_year", given, "a finite number of at least 0")
    return float(given)


def _purchases(
    arrays: Mapping[str, np.ndarray], by_days: float, report: "FitReport | None", penalty: float
) -> BetaGeometric:
    made = BetaGeometric(penalty=penalty)
    made.r_, made.alpha_, made.a_, made.b_ = stored_parameters(arrays, "purchases", 4)
    made.by_days_, made.report_ = by_days, report
    return made


def _report(given: "Mapping[str, Any] | None") -> "FitReport | None":
    if given is None:
        return None
    from engagelib.actions.value.fitting import FitReport

    return FitReport(**given)
