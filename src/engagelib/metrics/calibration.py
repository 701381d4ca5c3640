"""How far probabilities can be taken at their word: of what was given 20%, a fifth should come about."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.metrics._hits import Floats, Ints, checked_whole
from engagelib.tables import Table

__all__ = ["Reliability", "brier_score", "expected_calibration_error", "log_loss", "reliability_table"]


@dataclass(frozen=True, eq=False, repr=False)
class Reliability:
    """What probabilities said and what came of it, bin by bin from low to high; prints as a table.

    Attributes
    ----------
    low, high
        The smallest and largest probability of each bin.
    n
        How many fell into it, at least 1.
    probability
        Their mean probability.
    share
        The share of them that came about; equal to `probability` where these can be taken at their word.
    """

    low: Floats
    high: Floats
    n: Ints
    probability: Floats
    share: Floats

    def __len__(self) -> int:
        return len(self.n)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the bins as mappings, of built-in types alone."""
        return self._table().to_records()

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        names = ("low", "high", "n", "probability", "share")
        columns = [getattr(self, name).tolist() for name in names]
        return Table(names, tuple(zip(*columns, strict=True)))


def reliability_table(probability: npt.ArrayLike, outcome: npt.ArrayLike, n_bins: int = 10) -> Reliability:
    """Compare what was forecast with what came about, in bins of as many forecasts each.

    Parameters
    ----------
    probability
        What was forecast, in [0, 1], shape (n,).
    outcome
        What came about: 1 or True where it did, else 0 or False, shape (n,).
    n_bins
        Number of bins, at least 1. Bins are of equal mass: forecast i goes to bin
        floor(n_bins * smaller / n), where `smaller` counts the forecasts below it. Equal forecasts share a
        bin, so that bins may differ in size, and those that stay empty are left out.

    Returns
    -------
    A bin a row; none for no forecasts.

    Raises
    ------
    ArgumentError
        If a probability is outside [0, 1] or NaN, an outcome neither 0 nor 1, or they differ in number; the
        message names the first such place.

    References
    ----------
    A. H. Murphy, R. L. Winkler, Reliability of subjective probability forecasts of precipitation and
    temperature, Applied Statistics 26(1), 1977.
    """
    forecast, came = _checked_pair(probability, outcome)
    n_bins = checked_whole("n_bins", n_bins, least=1)
    order = np.argsort(forecast, kind="stable")
    forecast, came = forecast[order], came[order]
    # Integers, since a quotient of floats may lie just beside the edge of a bin.
    of_bin = np.searchsorted(forecast, forecast, side="left") * n_bins // max(len(forecast), 1)
    starts = np.flatnonzero(np.append(True, of_bin[1:] != of_bin[:-1])) if len(of_bin) else np.zeros(0, int)
    n = np.diff(np.append(starts, len(of_bin)))
    if not len(starts):
        return Reliability(*(np.zeros(0, kind) for kind in (float, float, np.int64, float, float)))
    sums = [np.add.reduceat(values, starts) for values in (forecast, came)]
    return Reliability(forecast[starts], forecast[starts + n - 1], n, sums[0] / n, sums[1] / n)


def expected_calibration_error(probability: npt.ArrayLike, outcome: npt.ArrayLike, n_bins: int = 10) -> float:
    """Return how far forecasts are from what came about, on average over the bins of `reliability_table`.

    Arguments and errors are those of `reliability_table`. A forecast of the same for all is calibrated as
    soon as it is right on average: read the Brier score or the log loss beside it.

    Returns
    -------
    The mean distance between probability and share, over forecasts, in [0, 1]; NaN for no forecasts.

    References
    ----------
    M. P. Naeini, G. Cooper, M. Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
    AAAI 2015. Bins of equal mass: J. Nixon et al., Measuring calibration in deep learning, CVPR workshops
    2019.
    """
    bins = reliability_table(probability, outcome, n_bins)
    return _mean(np.abs(bins.probability - bins.share), bins.n)


def brier_score(probability: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the mean square of what forecasts were off by: lower is better.

    Arguments and errors are those of `reliability_table`.

    Returns
    -------
    The score in [0, 1]: 0 for certain and right, 0.25 for 50% throughout. NaN for no forecasts.

    References
    ----------
    G. W. Brier, Verification of forecasts expressed in terms of probability, Monthly Weather Review 78(1),
    1950: there over both outcomes, which is twice as much.
    """
    forecast, came = _checked_pair(probability, outcome)
    return _mean((forecast - came) ** 2)


def log_loss(probability: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the mean of -ln of the probability that was given to what came about: lower is better.

    Arguments and errors are those of `reliability_table`. Nothing is clipped: who gives 0 to what comes
    about pays without limit.

    Returns
    -------
    Nats, at least 0, 0.69 for 50% throughout; inf if something came about that was ruled out. NaN for no
    forecasts.

    References
    ----------
    I. J. Good, Rational decisions, Journal of the Royal Statistical Society B 14(1), 1952.
    """
    forecast, came = _checked_pair(probability, outcome)
    given = np.where(came == 1, forecast, 1.0 - forecast)
    with np.errstate(divide="ignore"):
        return _mean(-np.log(given)) + 0.0  # not -0.0


def _checked_pair(probability: npt.ArrayLike, outcome: npt.ArrayLike) -> tuple[Floats, Floats]:
    given = {"probability": np.asarray(probability), "outcome": np.asarray(outcome)}
    for name, values in given.items():
        if values.ndim != 1:
            raise errors.bad_argument(f"{name}.ndim", values.ndim, "1, shape (n,)")
        if values.dtype.kind not in "buif" and len(values):
            raise errors.bad_argument(f"{name}.dtype", str(values.dtype), "numbers")
    forecast, came = (values.astype(np.float64) for values in given.values())
    if len(forecast) != len(came):
        raise errors.metrics.rows_differ("probability", len(forecast), "outcome", len(came))
    for place in np.flatnonzero(~((forecast >= 0) & (forecast <= 1)))[:1]:
        raise errors.bad_argument(f"probability[{place}]", float(forecast[place]), "a number from 0 to 1")
    for place in np.flatnonzero((came != 0) & (came != 1))[:1]:
        raise errors.bad_argument(f"outcome[{place}]", float(came[place]), "0 or 1")
    return forecast, came


def _mean(values: Floats, weights: Ints | None = None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else float("nan")
