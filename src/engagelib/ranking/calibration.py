"""Calibration: from the score of a listed item to the chance that it is taken within a horizon."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib.histories import Histories
from engagelib.tables import Table
from engagelib.times import DAY

if TYPE_CHECKING:
    from engagelib.metrics import Reliability

NUMBERS: Final = ("days_since_last", "days_since_first", "goal_events", "days_with_events")
"""What is known of a customer, as `customer_numbers` counts it."""

_BINS: Final = ("low", "high", "n", "probability", "share")


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """How probabilities follow from scores, and how far they could be taken at their word; prints as a table.

    Attributes
    ----------
    event
        The event type that probabilities are about.
    horizon_days
        The time within which it comes about, in days.
    n_customers, n_pairs, n_met
        The customers that were looked at, whether they came back or not, the items on their lists, and how
        many of these came about.
    mean_probability, ece, brier, log_loss
        What was forecast on average, the expected calibration error, the Brier score and the log loss, each
        for customers that the forecast was not learned from.
    bins
        What was forecast for them and what came of it, float64 of shape (5, n_bins); `reliability` reads it.
    by_odds
        Whether scores are probabilities of their own, as a ranker gives them: then their log-odds count,
        otherwise their logarithm.
    weight
        float64, shape (1 + len(NUMBERS),): of the score, and of the logarithm of one more than each number.
    start
        What the sum begins with.
    """

    event: str
    horizon_days: float
    n_customers: int
    n_pairs: int
    n_met: int
    mean_probability: float
    ece: float
    brier: float
    log_loss: float
    bins: np.ndarray
    by_odds: bool
    weight: np.ndarray
    start: float

    @property
    def reliability(self) -> "Reliability":
        """What was forecast and what came of it, a bin a row; `plots.plot_calibration` draws it."""
        from engagelib.metrics import Reliability  # brings what serving does without

        low, high, n, probability, share = self.bins
        return Reliability(low, high, n.astype(np.int64), probability, share)

    def probabilities(self, score: np.ndarray, block: Histories, at: int | None) -> np.ndarray:
        """Return the chance of each listed item, from the scores of lists.

        Parameters
        ----------
        score
            Scores without any boost, shape (n_rows, k).
        block, at
            The histories, and the moment up to which they are read; None for all that they hold.

        Returns
        -------
        float64 in [0, 1], of the shape of `score`; NaN where the score is not above 0, so that nothing but
        popularity speaks for the item, and for histories without an event.
        """
        return self.of_numbers(score, customer_numbers(block, at, self.event))

    def of_numbers(self, score: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Return the chance of each listed item of customers whose numbers are known; see `probabilities`."""
        bent = np.log1p(numbers)
        base = self.start + bent[:, 0] * self.weight[1]
        for place in range(1, len(NUMBERS)):
            base = base + bent[:, place] * self.weight[1 + place]
        odds = self.weight[0] * bent_scores(score, by_odds=self.by_odds) + base[:, None]
        return np.asarray(1.0 / (1.0 + np.exp(-odds)))

    def _table(self) -> Table:
        records = self.reliability.to_records()
        title = (
            f"Chance of {self.event!r} within {self.horizon_days:,.1f} days: expected calibration error "
            f"{self.ece:.4f}, log loss {self.log_loss:.4f} ({self.n_customers:,} customers, "
            f"{self.n_pairs:,} listed items, {self.n_met:,} came about)"
        )
        return Table(_BINS, tuple(tuple(record[name] for name in _BINS) for record in records), title)

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store; `facts` holds the rest."""
        return {"weight": self.weight, "bins": self.bins}

    def facts(self) -> dict[str, Any]:
        """Return what is not an array, as built-in types."""
        names = [field.name for field in fields(self) if field.name not in ("weight", "bins")]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> Self:
        """Take back what `to_arrays` and `facts` gave."""
        return cls(**facts, weight=arrays["weight"], bins=arrays["bins"])


def bent_scores(score: np.ndarray, *, by_odds: bool) -> np.ndarray:
    """Return the log-odds or the logarithm of scores, float64; NaN where they are not above 0."""
    wide = np.ascontiguousarray(score, np.float64)
    wide = np.where(wide > 0, wide, np.nan)
    if by_odds:
        wide = np.minimum(wide, 1.0 - 2.0**-24)
        wide = wide / (1.0 - wide)
    return np.asarray(np.log(wide))


def customer_numbers(block: Histories, at: int | None, event: str) -> np.ndarray:
    """Return what tells whether somebody comes back at all, one row a history and one column a `NUMBERS`.

    Days are those between the moment that is asked for and an event; a moment that is not given is the newest
    of all. float64; NaN for a history without an event.
    """
    assert block.time is not None  # probabilities are learned from logs with times alone
    now = (block.newest or 0) if at is None else at
    code = block.event_types.index(event) if event in block.event_types else -1
    time, n_rows = block.time, block.n_histories
    if n_rows == 1:  # asked for most often, and in a hurry
        n = len(time) if at is None else int(time.searchsorted(at, "right"))
        if not n:
            return np.full((1, len(NUMBERS)), np.nan)
        day = time[:n] // DAY
        n_days = 1 + int(np.count_nonzero(day[1:] != day[:-1]))
        n_goal = int(np.count_nonzero(block.event_type[:n] == code))
        since = [max(now - time.item(place), 0) / DAY for place in (n - 1, 0)]
        return np.array([[*since, n_goal, n_days]])
    row = block.rows()
    kept = np.ones(len(time), bool) if at is None else time <= at
    n_kept = np.bincount(row[kept], minlength=n_rows)
    day = time // DAY
    is_new = np.ones(len(time), bool)
    is_new[1:] = (day[1:] != day[:-1]) | (row[1:] != row[:-1])
    found = np.full((n_rows, len(NUMBERS)), np.nan)
    filled = np.flatnonzero(n_kept)
    first = block.indptr[filled]
    found[filled, 0] = np.maximum(now - time[first + n_kept[filled] - 1], 0) / DAY
    found[filled, 1] = np.maximum(now - time[first], 0) / DAY
    for place, counted in ((2, block.event_type == code), (3, is_new)):
        found[filled, place] = np.bincount(row[kept & counted], minlength=n_rows)[filled]
    return found
