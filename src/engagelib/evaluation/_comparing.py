"""Comparing recommenders on the same customers, with intervals for their differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.evaluation._asking import (
    Judged,
    Question,
    Shown,
    checked_names,
    counted,
    nothing_to_find,
    prepare,
    relevant_items,
    spell_settings,
)
from engagelib.histories import Histories
from engagelib.metrics import (
    RANKING_METRICS,
    average_precision,
    hit_rate,
    ndcg,
    precision,
    recall,
    reciprocal_rank,
)
from engagelib.recommender import Recommender
from engagelib.recommender.request import ExcludeSeen, check_count
from engagelib.splitting import Split
from engagelib.tables import Cell, Table

_PER_CUSTOMER: Final[Mapping[str, Callable[..., npt.NDArray[np.float64]]]] = {
    "recall": recall,
    "precision": precision,
    "hit_rate": hit_rate,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


@dataclass(frozen=True)
class Compared:
    """One recommender of a comparison.

    Attributes
    ----------
    metrics
        Means under names such as "ndcg@10".
    difference
        Mean difference of the compared metric to that of the first recommender, customer by customer; None
        for the first.
    low, high
        Its 95% interval; None for the first. An interval without 0 speaks for a difference.
    """

    metrics: dict[str, float]
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """What `compare` found; prints as a table, a recommender a row.

    Attributes
    ----------
    rows
        What was found for each recommender, under its name, in the order given.
    metric
        The compared metric, such as "ndcg@10".
    n_customers
        Customers judged, the same for all.
    events, exclude_seen, repeat
        As they were asked for.
    """

    rows: dict[str, Compared]
    metric: str
    n_customers: int
    events: tuple[str, ...]
    exclude_seen: ExcludeSeen
    repeat: bool | None

    def _table(self) -> Table:
        first = next(iter(self.rows))
        columns = ("recommender", *self.rows[first].metrics, "difference", "low", "high")
        rows: list[tuple[Cell, ...]] = [
            (name, *row.metrics.values(), row.difference, row.low, row.high)
            for name, row in self.rows.items()
        ]
        title = (
            f"{counted(self.n_customers)} judged; difference in {self.metric} to {first!r}, 95% interval\n"
            + spell_settings(self.events, self.exclude_seen, self.repeat)
        )
        return Table(columns, tuple(rows), title)


def compare(
    recommenders: Mapping[str, Recommender],
    split: Split,
    *,
    metric: str = "ndcg",
    k: int = 10,
    events: Sequence[str] = ("purchase",),
    exclude_seen: ExcludeSeen = "purchased",
    repeat: bool | None = None,
    names: Sequence[str] = RANKING_METRICS,
    n_resamples: int = 1000,
    rng: int | np.random.Generator = 0,
) -> Comparison:
    """Evaluate several recommenders on the same customers, and compare each with the first.

    Differences are taken customer by customer, which removes what makes a customer easy or hard for all.
    Their interval is the percentile bootstrap over customers; it says how far the mean depends on which
    customers came by, and not what another time or another fit would bring.

    Parameters
    ----------
    recommenders
        At least two, under the names to show. Those that are not fitted are fitted here, on `split.train`.
        A customer is judged where all of them know the customer and there is something to find for all.
    split, k, events, exclude_seen, repeat, names
        As in `evaluate`; the split is needed, and `k` is one length.
    metric
        The metric to compare, any but coverage; it is shown whether `names` holds it or not.
    n_resamples
        Number of bootstrap samples, at least 1.
    rng
        A seed of at least 0, or a generator: the same seed gives the same intervals.

    Raises
    ------
    ArgumentError, LeakError, NotEnoughDataError, SchemaError
        As in `evaluate`.

    References
    ----------
    B. Efron, R. J. Tibshirani, *An Introduction to the Bootstrap*, Chapman & Hall 1993, section 13.3.
    """
    if not isinstance(recommenders, Mapping) or len(recommenders) < 2:
        given = list(recommenders) if isinstance(recommenders, Mapping) else type(recommenders).__name__
        raise errors.bad_argument("recommenders", given, "a mapping of at least two names to recommenders")
    if not isinstance(split, Split):
        raise errors.bad_argument("split", type(split).__name__, "a Split")
    if metric not in _PER_CUSTOMER:
        raise errors.bad_argument("metric", metric, f"one of {', '.join(_PER_CUSTOMER)}")
    shown = checked_names(names)
    shown = shown if metric in shown else (metric, *shown)
    n_resamples = check_count(n_resamples, "n_resamples")
    generator, k = _checked_rng(rng), check_count(k, "k")
    asked = Question.check(split, k, events, exclude_seen, repeat)
    relevant = relevant_items(asked, Histories.from_log(split.train))
    known: np.ndarray = np.ones(asked.test.n_customers, bool)
    for name, recommender in recommenders.items():
        prepare(recommender, split, f"recommenders[{name!r}]")
        known &= recommender.customers_.indices(asked.test.customers) >= 0
    if not known.any():
        raise errors.evaluation.nobody_known(asked.test.n_customers, "the recommenders together know")
    customers = np.flatnonzero(known)
    judged = [Judged.ask(recommender, asked, relevant, customers) for recommender in recommenders.values()]
    values = np.stack([_PER_CUSTOMER[metric](each.lists, each.relevant, k) for each in judged])
    paired = np.asarray(np.isfinite(values).all(axis=0))
    if not paired.any():
        raise nothing_to_find(asked, len(paired))
    differences = (values[1:] - values[0])[:, paired]
    spreads = np.stack([differences.mean(axis=1), *_interval(differences, n_resamples, generator)], axis=1)
    rows = {}
    for name, each, spread in zip(recommenders, judged, [(None,) * 3, *spreads.tolist()], strict=True):
        rows[name] = Compared(each.means((k,), shown, paired), *spread)
    return Comparison(rows, f"{metric}@{k}", int(paired.sum()), asked.events, exclude_seen, repeat)


def _interval(
    differences: np.ndarray, n_resamples: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% interval of each row's mean; all rows share their samples of customers."""
    n_customers = differences.shape[1]
    means = np.empty((n_resamples, len(differences)))
    step = max(1, 2**20 // n_customers)
    for start in range(0, n_resamples, step):
        drawn = generator.integers(0, n_customers, (min(step, n_resamples - start), n_customers))
        for place, row in enumerate(differences):
            means[start : start + step, place] = row[drawn].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return low, high


def _checked_rng(rng: Any) -> np.random.Generator:
    whole = isinstance(rng, int | np.integer) and not isinstance(rng, bool)
    if not isinstance(rng, np.random.Generator) and not (whole and rng >= 0):
        raise errors.bad_argument("rng", rng, "an integer of at least 0 or a numpy.random.Generator")
    return np.random.default_rng(rng)
