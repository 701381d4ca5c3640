"""Calibrating: probabilities are learned from lists as of a moment, and from what came about after it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from engagelib.histories import Histories
from engagelib.ranking.calibration import NUMBERS, Calibration, bent_scores, customer_numbers
from engagelib.ranking.slices import Slice
from engagelib.times import DAY

DEPTH: Final = 20
"""Places of each list that are looked at: two lists of the usual ten, as pages show."""

MOST_CUSTOMERS: Final = 20_000
"""Customers that are asked for: more teach hardly more."""

_LEAST_MET: Final = 100
"""Listed items that came about: of fewer nothing is learned."""

_FOLDS: Final = 5
_BLOCK: Final = 1024

Listed = Callable[[Histories], tuple[np.ndarray, np.ndarray]]
"""Gives the items and the scores of the first `DEPTH` places of the list of each history of a block."""


@dataclass(frozen=True, eq=False)
class LearnedCalibration:
    """What came of learning probabilities.

    Attributes
    ----------
    calibration
        None where there are none.
    choice
        In words, what was learned from what, or why nothing was.
    """

    calibration: Calibration | None
    choice: str


@dataclass(frozen=True, eq=False)
class Pairs:
    """Customers and the items on their lists.

    Attributes
    ----------
    numbers
        What is known of each customer, float64, shape (n_customers, len(NUMBERS)).
    customer
        The customer of each pair, non-decreasing, shape (n_pairs,).
    score
        The score of the item, float32, above 0, same shape.
    is_met
        Whether it came about, bool, same shape.
    """

    numbers: np.ndarray
    customer: np.ndarray
    score: np.ndarray
    is_met: np.ndarray

    def take(self, which: np.ndarray) -> "Pairs":
        """Return some of the pairs, bool of shape (n_pairs,), with the numbers of all customers."""
        return Pairs(self.numbers, self.customer[which], self.score[which], self.is_met[which])


def learn_calibration(
    histories: Histories,
    held: Slice | None,
    goal: str,
    listed: Listed,
    *,
    by_odds: bool,
    unseen: np.ndarray | None,
    rng: np.random.Generator,
) -> LearnedCalibration:
    """Learn the chance that a customer meets a listed item within the time that a slice spans.

    Looked at are the customers with an event before the slice, those who did nothing in it included.

    Parameters
    ----------
    histories
        All of the log.
    held
        The slice; without one of time nothing is learned.
    goal
        The event type that is forecast.
    listed
        Lists of histories before the slice, by models that know nothing later.
    by_odds
        Whether scores are probabilities of their own.
    unseen
        Rows of `held.before` that the lists were not learned from, a fair sample of those who did something
        and of those who did not; None where that is all of them.
    rng
        Which customers are looked at, and which of them judge.
    """
    if histories.time_kind != "timestamp" or held is None or not held.by_time:
        return uncalibrated(histories)
    days = ((histories.newest or 0) - (held.before.newest or 0)) / DAY
    pairs = draw_pairs(histories, held.before, goal, listed, unseen=unseen, rng=rng)
    n_met = int(pairs.is_met.sum())
    if n_met < _LEAST_MET:
        return LearnedCalibration(
            None,
            f"none: of {len(pairs.score):,} items listed to {len(pairs.numbers):,} customers {n_met:,} came "
            f"about within {days:,.1f} days, at least {_LEAST_MET} are needed to learn from",
        )
    from engagelib.metrics import brier_score, expected_calibration_error, log_loss, reliability_table

    fold = rng.integers(0, _FOLDS, len(pairs.numbers))[pairs.customer]
    forecast = np.zeros(len(pairs.score))
    for number in range(_FOLDS):
        weight, start = fit_line(pairs.take(fold != number), by_odds=by_odds)
        forecast[fold == number] = forecast_of(pairs.take(fold == number), weight, start, by_odds=by_odds)
    weight, start = fit_line(pairs, by_odds=by_odds)
    bins = reliability_table(forecast, pairs.is_met)
    made = Calibration(
        event=goal,
        horizon_days=days,
        n_customers=len(pairs.numbers),
        n_pairs=len(pairs.score),
        n_met=n_met,
        mean_probability=float(forecast.mean()),
        ece=expected_calibration_error(forecast, pairs.is_met),
        brier=brier_score(forecast, pairs.is_met),
        log_loss=log_loss(forecast, pairs.is_met),
        bins=np.array([bins.low, bins.high, bins.n, bins.probability, bins.share]),
        by_odds=by_odds,
        weight=weight,
        start=start,
    )
    return LearnedCalibration(
        made,
        f"of {goal!r} within {days:,.1f} days, learned from {made.n_customers:,} customers, whether they "
        f"came back or not; expected calibration error {made.ece:.4f}, {n_met / made.n_pairs:.4f} came about",
    )


def uncalibrated(histories: Histories) -> LearnedCalibration:
    """Say why there are no probabilities where no span of time was held back."""
    if histories.time_kind != "timestamp":
        return LearnedCalibration(None, f"none: the log has no timestamps, order by {histories.time_kind}")
    return LearnedCalibration(None, "none: no span of time was held back for a second stage")


def draw_pairs(
    histories: Histories,
    before: Histories,
    goal: str,
    listed: Listed,
    *,
    unseen: np.ndarray | None,
    rng: np.random.Generator,
) -> Pairs:
    """List for customers as of the newest moment of `before`, and see what of it came about after it."""
    assert histories.time is not None  # the caller has looked
    cut = before.newest or 0
    known = histories.until(cut).as_of(cut)  # of whom `before` may hide something
    rows = np.flatnonzero(np.diff(known.indptr[: known.n_customers + 1]) > 0)
    if unseen is not None:
        rows = rows[np.isin(rows, unseen)]
    if len(rows) > MOST_CUSTOMERS:
        rows = np.sort(rng.choice(rows, MOST_CUSTOMERS, replace=False))
    later = np.flatnonzero((histories.time > cut) & histories.of_type(goal) & (histories.item_index >= 0))
    n_items = before.n_items
    wanted = np.unique(histories.rows()[later] * n_items + histories.item_index[later])
    numbers = np.full((len(rows), len(NUMBERS)), np.nan)
    customers, scores, met = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)], [np.zeros(0, bool)]
    for start in range(0, len(rows), _BLOCK):
        some = rows[start : start + _BLOCK]
        block = known.take(some)
        numbers[start : start + _BLOCK] = customer_numbers(block, None, goal)
        items, score = listed(block)
        row, place = np.nonzero((items >= 0) & (score > 0))
        customers.append(row + start)
        scores.append(score[row, place])
        met.append(np.isin(some[row] * n_items + items[row, place], wanted))
    return Pairs(numbers, np.concatenate(customers), np.concatenate(scores), np.concatenate(met))


def fit_line(pairs: Pairs, *, by_odds: bool) -> tuple[np.ndarray, float]:
    """Fit a logistic regression on scores and customers' numbers; a higher score never means less chance."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    bent = np.log1p(pairs.numbers)[pairs.customer]
    features = np.column_stack([bent_scores(pairs.score, by_odds=by_odds), bent])
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale < 1e-9] = 1.0
    weight = np.zeros(features.shape[1])
    for used in (slice(0, None), slice(1, None)):
        with threadpool_limits(1):
            model = LogisticRegression(max_iter=500).fit(((features - mean) / scale)[:, used], pairs.is_met)
        weight[used] = model.coef_[0] / scale[used]
        if weight[0] >= 0:
            break
        weight[0] = 0.0
    return weight, float(model.intercept_[0] - (weight * mean).sum())


def forecast_of(pairs: Pairs, weight: np.ndarray, start: float, *, by_odds: bool) -> np.ndarray:
    """Return the chance of each pair, float64."""
    features = np.column_stack(
        [bent_scores(pairs.score, by_odds=by_odds), np.log1p(pairs.numbers)[pairs.customer]]
    )
    return np.asarray(1.0 / (1.0 + np.exp(-(features @ weight + start))))
