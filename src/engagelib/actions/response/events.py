"""EventResponse: the chance that an event of a type follows within a horizon, learned from the log alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import numpy as np

from engagelib import errors
from engagelib.actions.response.checking import check_shape, checked_features, unpacked
from engagelib.actions.response.preparing import Preparation
from engagelib.actions.response.solving import fit_lines, rows_of, sigmoid
from engagelib.histories import Histories
from engagelib.tables import Cell, Table
from engagelib.times import DAY

if TYPE_CHECKING:
    from engagelib.metrics import Reliability

_LEAST_MET: Final = 20
_MOST_ROWS: Final = 300_000
_N_BINS: Final = 10


class Features(Protocol):
    """What is known of customers at moments: an object like `CustomerFeatures`."""

    def of(self, histories: Histories, row: np.ndarray, moment: np.ndarray) -> Any:
        """Return a table with `values`, float64 of shape (n, n_features), and `names`."""


@dataclass(frozen=True, eq=False)
class EventCalibration:
    """How far the chances of one event type could be taken at their word, on a later time.

    Attributes
    ----------
    n, n_met
        Pairs of a customer and a moment that were looked at, and those which the event followed.
    mean_probability, ece, brier
        What was forecast on average, the expected calibration error and the Brier score, of customers whose
        half the calibration was not learned from.
    bins
        What was forecast and what came of it, float64 of shape (5, n_bins); `reliability` reads it.
    """

    n: int
    n_met: int
    mean_probability: float
    ece: float
    brier: float
    bins: np.ndarray

    @property
    def reliability(self) -> "Reliability":
        """What was forecast and what came of it, a bin a row; `plots.plot_calibration` draws it."""
        from engagelib.metrics import Reliability  # brings what serving does without

        low, high, n, probability, share = self.bins
        return Reliability(low, high, n.astype(np.int64), probability, share)


class EventResponse:
    """The chance that an event of a type follows within a horizon, for a customer as of a moment.

    It says who will do something, not whom an action would move: for that take `ActionResponse` or `Uplift`.

    Parameters
    ----------
    outcomes
        Event types, such as `("purchase",)`.
    horizon_days
        The time within which it has to follow, in days, above 0.
    n_moments
        How many moments of the past are learned from at most, at least 1. They lie one horizon apart, so that
        no event is the answer of two of them.

    Attributes
    ----------
    feature_names_
        Names of the features, where the features have names.
    moments_
        The moments learned from, oldest first, and last the later one that chances are calibrated at, int64
        microseconds. What follows each of them ends before the next begins.
    weight_
        Of the constant and each prepared column by outcome, float64, shape (n_outcomes, 1 + n_columns).
    platt_
        By outcome what the score is multiplied by, and what is added to it, float64, shape (n_outcomes, 2).
    calibration_
        An `EventCalibration` by outcome.

    References
    ----------
    J. Platt, Probabilistic outputs for support vector machines, Advances in Large Margin Classifiers, 1999.
    """

    def __init__(self, outcomes: Sequence[str], horizon_days: float = 28, *, n_moments: int = 6) -> None:
        self.outcomes = (outcomes,) if isinstance(outcomes, str) else tuple(outcomes)
        self.horizon_days = horizon_days
        self.n_moments = n_moments

    def __repr__(self) -> str:
        return f"EventResponse({self.outcomes!r}, {self.horizon_days!r}, n_moments={self.n_moments!r})"

    def fit(
        self,
        histories: Histories,
        features: Features | Callable[[Histories, np.ndarray, np.ndarray], Any],
    ) -> Self:
        """Learn from what followed moments of the past.

        Customers with at least one event up to a moment are learned from; more than 300,000 pairs of customer
        and moment are thinned evenly.

        Parameters
        ----------
        histories
            The log, with times.
        features
            A fitted `CustomerFeatures`, or a function of (histories, row, moment) that returns such a table
            or an array of shape (n, n_features). It must not look past the moment.

        Raises
        ------
        NotEnoughDataError
            If the log has no times, spans less than four horizons, or an event follows fewer than 20 pairs.
        ArgumentError
            If an argument is outside its range, or an outcome no event type of the log.
        """
        self._check(histories)
        assert histories.time is not None  # checked
        self.moments_ = self._moments(histories)
        row, moment = _pairs(histories, self.moments_)
        values, names = _values(features, histories, row, moment)
        self.feature_names_ = names
        horizon = round(self.horizon_days * DAY)
        later = moment == self.moments_[-1]
        self.prepare_ = Preparation.learn(values[~later])
        design = self.prepare_.apply(values)
        weight, scaling = [], []
        self.calibration_: dict[str, EventCalibration] = {}
        for outcome in self.outcomes:
            met = _followed(histories, outcome, row, moment, horizon)
            for part in (met[~later], met[later]):
                if part.sum() < _LEAST_MET:
                    raise errors.response.too_few_events(outcome, int(part.sum()), _LEAST_MET)
            rows = rows_of(design[~later], np.zeros(int((~later).sum()), int), met[~later], 1, None)
            line = fit_lines(rows, own_penalty=np.inf)[0].shared
            score = line[0] + design[later] @ line[1:]
            weight.append(line)
            scaling.append(platt(score, met[later]))
            self.calibration_[outcome] = _calibration(score, met[later], row[later])
        self.weight_, self.platt_ = np.stack(weight), np.array(scaling)
        return self._ready()

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the chance that each event follows within the horizon.

        Parameters
        ----------
        features
            As they were fitted on, shape (n, n_features); NaN is missing.

        Returns
        -------
        float64 in [0, 1], shape (n, n_outcomes).

        Raises
        ------
        ArgumentError
            If the features are of another width.
        """
        if not hasattr(self, "_columns"):
            raise errors.not_fitted("EventResponse")
        design = self.prepare_.apply(checked_features(features, self.prepare_.n_features))
        return sigmoid(design @ self._columns + self._constant)

    def summary(self) -> Table:
        """Return how well each chance could be taken at its word on the later time."""
        if not hasattr(self, "_columns"):
            raise errors.not_fitted("EventResponse")
        columns = ("outcome", "customers", "forecast", "came about", "ece", "brier", "brier of the mean")
        rows: list[tuple[Cell, ...]] = []
        for name, found in self.calibration_.items():
            share = found.n_met / found.n
            rows.append(
                (name, found.n, found.mean_probability, share, found.ece, found.brier, share * (1 - share))
            )
        title = f"Chance within {self.horizon_days:g} days, on a later time than it was learned from"
        return Table(columns, tuple(rows), title)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        if not hasattr(self, "_columns"):
            raise errors.not_fitted("EventResponse")
        prepare = {f"prepare.{name}": part for name, part in self.prepare_.to_arrays().items()}
        bins = {f"bins.{place}": found.bins for place, found in enumerate(self.calibration_.values())}
        return {"weight": self.weight_, "platt": self.platt_, "moments": self.moments_, **prepare, **bins}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        names = ("n", "n_met", "mean_probability", "ece", "brier")
        return {
            "outcomes": list(self.outcomes),
            "horizon_days": self.horizon_days,
            "n_moments": self.n_moments,
            "feature_names": list(self.feature_names_),
            "calibration": [
                {name: getattr(found, name) for name in names} for found in self.calibration_.values()
            ],
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave.

        Raises
        ------
        ArtifactError
            If arrays do not belong together.
        """
        found = cls(facts["outcomes"], facts["horizon_days"], n_moments=facts["n_moments"])
        found.feature_names_ = tuple(facts["feature_names"])
        found.prepare_ = Preparation.from_arrays(unpacked(arrays, "prepare."))
        n, width = len(found.outcomes), 1 + found.prepare_.n_columns
        found.weight_ = check_shape("weight", arrays["weight"], (n, width))
        found.platt_ = check_shape("platt", arrays["platt"], (n, 2))
        found.moments_ = arrays["moments"]
        found.calibration_ = {
            name: EventCalibration(**known, bins=arrays[f"bins.{place}"])
            for place, (name, known) in enumerate(zip(found.outcomes, facts["calibration"], strict=True))
        }
        return found._ready()

    def _ready(self) -> Self:
        """Put the line and its calibration into one line."""
        scaled = self.weight_ * self.platt_[:, :1]
        self._columns = np.ascontiguousarray(scaled[:, 1:].T)
        self._constant = scaled[:, 0] + self.platt_[:, 1]
        return self

    def _check(self, histories: Histories) -> None:
        if not self.outcomes:
            raise errors.bad_argument("outcomes", self.outcomes, "at least one event type")
        if not self.horizon_days > 0 or not np.isfinite(self.horizon_days):
            raise errors.bad_argument("horizon_days", self.horizon_days, "a number of days above 0")
        if self.n_moments < 1:
            raise errors.bad_argument("n_moments", self.n_moments, "an integer of at least 1")
        if histories.time is None or histories.time_kind != "timestamp":
            raise errors.response.no_times("EventResponse")
        for outcome in self.outcomes:
            if outcome not in histories.event_types:
                raise errors.response.no_such_outcome(outcome, histories.event_types)

    def _moments(self, histories: Histories) -> np.ndarray:
        """Return moments one horizon apart, the last of them one horizon before the end of the log."""
        assert histories.time is not None  # checked
        time, horizon = histories.time, round(self.horizon_days * DAY)
        first, last = (int(time.min()), int(time.max())) if len(time) else (0, 0)
        if histories.newest is not None:
            last = max(last, histories.newest)
        n_horizons = (last - first) // horizon
        if n_horizons < 4:
            raise errors.response.too_short((last - first) / DAY, 4 * self.horizon_days, self.horizon_days)
        n_moments = min(self.n_moments + 1, n_horizons - 1)
        return np.asarray(last - horizon * np.arange(n_moments, 0, -1), dtype=np.int64)


def _pairs(histories: Histories, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return customers with an event up to a moment, and that moment, thinned where they are many."""
    assert histories.time is not None  # checked
    start = histories.indptr[:-1][: histories.n_customers]
    known = np.flatnonzero(histories.indptr[1:][: histories.n_customers] > start)
    first = histories.time[start[known]]
    place, at = np.nonzero(first[None, :] <= moments[:, None])
    row, moment = known[at], moments[place]
    every = -(-len(row) // _MOST_ROWS)
    return row[::every].astype(np.int64), moment[::every].astype(np.int64)


def _values(
    features: Any, histories: Histories, row: np.ndarray, moment: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    given = (
        features.of(histories, row, moment) if hasattr(features, "of") else features(histories, row, moment)
    )
    values = np.asarray(getattr(given, "values", given), np.float64)
    if values.ndim != 2 or len(values) != len(row):
        raise errors.response.unlike_parts("features", values.shape, (len(row),))
    names = getattr(given, "names", tuple(f"feature {place}" for place in range(values.shape[1])))
    return values, tuple(names)


def _followed(
    histories: Histories, outcome: str, row: np.ndarray, moment: np.ndarray, horizon: int
) -> np.ndarray:
    """Tell, as 0 or 1, whether an event of a type lies after each moment and not beyond its horizon."""
    assert histories.time is not None  # checked
    is_type = histories.event_type == histories.event_types.index(outcome)
    # Moments are few: times become the place among them that they reach, so that row and place, which rise
    # along the histories, fit into one number whatever the years and customers.
    edges = np.unique(np.append(moment, moment + horizon))
    width = len(edges) + 1
    key = histories.rows()[is_type] * width + np.searchsorted(edges, histories.time[is_type])

    def n_until(asked: np.ndarray) -> np.ndarray:
        return np.asarray(np.searchsorted(key, row * width + np.searchsorted(edges, asked), "right"))

    return np.asarray(n_until(moment + horizon) > n_until(moment), dtype=np.float64)


def platt(score: np.ndarray, met: np.ndarray) -> tuple[float, float]:
    """Return factor and shift under which scores are the log-odds of what came about."""
    center, scale = float(score.mean()), float(score.std())
    if scale < 1e-9:
        share = (met.sum() + 0.5) / (len(met) + 1.0)
        return 0.0, float(np.log(share / (1 - share)))
    rows = rows_of(((score - center) / scale)[:, None], np.zeros(len(met), int), met, 1, None)
    line = fit_lines(rows, own_penalty=np.inf)[0].shared
    factor = float(line[1]) / scale
    return factor, float(line[0]) - factor * center


def _calibration(score: np.ndarray, met: np.ndarray, row: np.ndarray) -> EventCalibration:
    """Judge chances of each half of the customers, calibrated on the other."""
    from engagelib.metrics import brier_score, expected_calibration_error, reliability_table

    forecast = np.empty(len(score))
    for half in (row % 2 == 0, row % 2 == 1):
        if half.any() and not half.all():
            factor, shift = platt(score[~half], met[~half])
            forecast[half] = sigmoid(factor * score[half] + shift)
        elif half.all():
            factor, shift = platt(score, met)
            forecast = sigmoid(factor * score + shift)
    bins = reliability_table(forecast, met, _N_BINS)
    columns = [getattr(bins, name) for name in ("low", "high", "n", "probability", "share")]
    return EventCalibration(
        n=len(met),
        n_met=int(met.sum()),
        mean_probability=float(forecast.mean()),
        ece=expected_calibration_error(forecast, met, _N_BINS),
        brier=brier_score(forecast, met),
        bins=np.array(columns, dtype=np.float64),
    )
