"""Forecasts: what is expected of customers, for many at once and for one in a hurry."""

from dataclasses import dataclass, fields
from math import exp, expm1, isnan, log, log1p
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib.actions.value.beta_geometric import alive_chance
from engagelib.actions.value.series import expected_alive, expected_alive_one
from engagelib.actions.value.summary import PurchaseSummary

if TYPE_CHECKING:
    import pyarrow as pa

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_PAIRS: Final = tuple(zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class ValueForecast:
    """What is expected of customers within a horizon, one value a customer, float64 but for `is_one_time`.

    NaN stands for customers who never bought. Intervals are None unless they were asked for.

    Attributes
    ----------
    horizon_days
        How far it looks.
    expected_purchases
        Purchases that are expected.
    expected_value
        Money that they are expected to bring, discounted where that was asked for; NaN without money.
    p_alive
        The chance that the customer still buys at times; NaN for one-time buyers, of whom the model can't
        tell.
    p_purchase
        The chance of at least one purchase.
    is_one_time
        Who bought on one occasion alone, bool.
    purchases_low, purchases_high, value_low, value_high
        Ends of the intervals of what is expected.
    """

    horizon_days: float
    expected_purchases: np.ndarray
    expected_value: np.ndarray
    p_alive: np.ndarray
    p_purchase: np.ndarray
    is_one_time: np.ndarray
    purchases_low: np.ndarray | None = None
    purchases_high: np.ndarray | None = None
    value_low: np.ndarray | None = None
    value_high: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.expected_purchases)

    def __repr__(self) -> str:
        total = float(np.nansum(self.expected_purchases))
        return (
            f"ValueForecast({len(self):,} customers, {total:,.1f} purchases in {self.horizon_days:,.1f} days)"
        )

    def columns(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, without those that were not asked for."""
        found = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {name: values for name, values in found.items() if values is not None}

    def to_frame(self) -> "pa.Table":
        """Return an Arrow table, a row a customer; NaN is null."""
        import pyarrow as pa

        return pa.table({name: pa.array(values, from_pandas=True) for name, values in self.columns().items()})


@dataclass(frozen=True)
class CustomerValue:
    """What is expected of one customer, in built-in numbers; None where nothing can be said.

    The names are those of `ValueForecast`; times are in days, and `frequency` counts repeat purchases.
    """

    horizon_days: float
    expected_purchases: float | None = None
    expected_value: float | None = None
    p_alive: float | None = None
    p_purchase: float | None = None
    is_one_time: bool = False
    frequency: int | None = None
    recency_days: float | None = None
    age_days: float | None = None
    mean_value: float | None = None

    def to_record(self) -> dict[str, Any]:
        """Return all fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def discounted(
    parameters: np.ndarray, known: PurchaseSummary, horizon: float, interest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected purchases within a horizon, as they are and each discounted by when it is due.

    The discounted ones are, by parts, exp(-i h) E(h) + i times the integral of exp(-i s) E(s) over the
    horizon; over the logarithm of alpha + age + s Gauss and Legendre's rule has it in a dozen points.
    """
    alive = alive_chance(parameters, known.frequency, known.recency, known.age)
    base = parameters[1] + known.age
    whole = expected_alive(parameters, known.frequency, horizon / base)
    if not interest:
        return alive * whole, alive * whole
    span = np.log1p(horizon / base)
    total = np.exp(-interest * horizon) * whole
    for node, weight in _PAIRS:
        u = np.expm1(span * node)
        part = expected_alive(parameters, known.frequency, u)
        total = total + interest * weight * span * base * (1.0 + u) * np.exp(-interest * base * u) * part
    return alive * whole, alive * total


def forecast_one(
    parameters: tuple[float, float, float, float],
    money: tuple[float, ...] | None,
    known: tuple[float, float, float, float],
    horizon: float,
    interest: float,
    by_days: float,
) -> CustomerValue:
    """Forecast one customer, by the same formulas."""
    r, alpha, a, b = parameters
    x, recency, age, mean_value = known
    base = alpha + age
    alive = 1.0
    if x > 0:
        odds = log(a) - log(b + x - 1.0) + (r + x) * log(base / (alpha + recency))
        alive = 1.0 / (1.0 + exp(odds)) if odds < 700 else 0.0
    u = horizon / base
    counted = whole = expected_alive_one(r, a, b, x, u)
    if interest:
        span = log1p(u)
        counted = exp(-interest * horizon) * whole
        for node, weight in _PAIRS:
            v = expm1(span * node)
            part = expected_alive_one(r, a, b, x, v)
            counted += interest * weight * span * base * (1.0 + v) * exp(-interest * base * v) * part
    value = None
    if money is not None:
        p, q, v, each = money
        has_money = x > 0 and mean_value > 0
        n = x if has_money else 0.0
        if p * n + q > 1.0:
            each = p * (v + (n * mean_value if has_money else 0.0)) / (p * n + q - 1.0)
        value = alive * counted * each
    return CustomerValue(
        horizon_days=horizon * by_days,
        expected_purchases=alive * whole,
        expected_value=value,
        p_alive=None if x == 0 else alive,
        p_purchase=alive * -expm1(-(r + x) * log1p(u)),
        is_one_time=x == 0,
        frequency=int(x),
        recency_days=recency * by_days,
        age_days=age * by_days,
        mean_value=None if isnan(mean_value) else mean_value,
    )
