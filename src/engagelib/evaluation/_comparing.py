"""Comparing recommenders on the same customers, with intervals for their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.evaluation._asking import (
    Judged,
    Question,
    Shown,
    counted,
    nothing_to_find,
    relevant_items,
    spell_settings,
)
from engagelib.evaluation._bootstrap import checked_rng
from engagelib.evaluation._contending import Contending, as_contenders, prepare
from engagelib.evaluation._measuring import (
    PER_CUSTOMER,
    Difference,
    Figures,
    Interval,
    Known,
    checked_names,
    row_values,
    sum_up,
)
from engagelib.evaluation._segments import (
    Segments,
    Situation,
    by_segment,
    checked_segments,
    interval_table,
)
from engagelib.histories import Histories
from engagelib.metrics import RANKING_METRICS
from engagelib.recommender.request import ExcludeSeen, check_count
from engagelib.splitting import Split
from engagelib.tables import Cell, Table


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
    intervals
        The 95% interval of each metric by itself.
    differences
        The same as `difference`, `low` and `high` for every metric that single customers have.
    fit_seconds
        Seconds that fitting took, None where it was fitted before.
    ms_per_customer
        CPU milliseconds that a list took.
    """

    metrics: dict[str, float]
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    intervals: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    fit_seconds: float | None = field(default=None, compare=False)
    ms_per_customer: float | None = field(default=None, compare=False)


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
    events, exclude_seen, repeat, ask
        As they were asked for.
    segments
        Figures by segment, None unless they were asked for.
    """

    rows: dict[str, Compared]
    metric: str
    n_customers: int
    events: tuple[str, ...]
    exclude_seen: ExcludeSeen
    repeat: bool | None
    ask: Mapping[str, Any] = field(default_factory=dict)
    segments: Segments | None = None

    def intervals(self) -> Table:
        """Return a long table: every metric of every recommender, its interval and what it differs by."""
        figures = {
            name: Figures(row.metrics, row.intervals, self.n_customers, row.differences)
            for name, row in self.rows.items()
        }
        return interval_table(figures, ("recommender",))

    def costs(self) -> Table:
        """Return what each recommender cost: seconds of fitting, CPU milliseconds a customer.

        These differ from one run to the next, and therefore stand in a table of their own.
        """
        return cost_table({name: (row.fit_seconds, row.ms_per_customer) for name, row in self.rows.items()})

    def _table(self) -> Table:
        first = next(iter(self.rows))
        several = len(self.rows) > 1
        compared = ("difference", "low", "high") if several else ()
        rows: list[tuple[Cell, ...]] = [
            (name, *row.metrics.values(), *((row.difference, row.low, row.high) if several else ()))
            for name, row in self.rows.items()
        ]
        difference = f"; difference in {self.metric} to {first!r}, 95% interval" if several else ""
        settings = spell_settings(self.events, self.exclude_seen, self.repeat, self.ask)
        title = f"{counted(self.n_customers)} judged{difference}\n{settings}"
        return Table(("recommender", *self.rows[first].metrics, *compared), tuple(rows), title)


def cost_table(costs: Mapping[str, tuple[float | None, float | None]]) -> Table:
    """Return costs as a table."""
    return Table(
        ("recommender", "fit_seconds", "ms_per_customer"),
        tuple((name, *cost) for name, cost in costs.items()),
    )


def compare(
    recommenders: Mapping[str, Contending] | Sequence[Contending],
    split: Split,
    *,
    metric: str = "ndcg",
    k: int | Sequence[int] = 10,
    events: Sequence[str] = ("purchase",),
    exclude_seen: ExcludeSeen = "purchased",
    repeat: bool | None = None,
    names: Sequence[str] = RANKING_METRICS,
    by_segment: bool | Sequence[str] = False,
    ask: Mapping[str, Any] | None = None,
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
        At least two, under the names to show, or a list of them, which names each by its models: each a
        `Recommender`, a `Model`, the name of one, "auto", or another `Contender` such as `ImplicitAdapter`.
        Those that are not fitted are fitted here, on `split.train`. A customer is judged where all of them
        know the customer and there is something to find for all.
    split, events, exclude_seen, repeat, names, by_segment, ask, n_resamples
        As in `evaluate`; the split is needed.
    metric
        The metric to compare, at the first of `k`: any but coverage and the Gini index, which no customer
        has alone. It is shown whether `names` holds it or not.
    k
        Length of the lists, or several, as in `evaluate`.
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
    contenders = as_contenders(recommenders, least=2)
    if not isinstance(split, Split):
        raise errors.bad_argument("split", type(split).__name__, "a Split")
    if metric not in PER_CUSTOMER:
        raise errors.bad_argument("metric", metric, f"one of {', '.join(PER_CUSTOMER)}")
    shown = checked_names(names)
    return judge_together(
        contenders,
        split,
        Question.check(split, k, events, exclude_seen, repeat, ask),
        metric,
        shown if metric in shown else (metric, *shown),
        by_segment,
        check_count(n_resamples, "n_resamples"),
        checked_rng(rng),
    )


def judge_together(
    contenders: Mapping[str, Any],
    split: Split,
    asked: Question,
    metric: str,
    names: tuple[str, ...],
    segments: bool | Sequence[str],
    n_resamples: int,
    generator: np.random.Generator,
) -> Comparison:
    """Judge contenders on the customers whom all of them know; all arguments were checked before."""
    before = Histories.from_log(split.train)
    ways = checked_segments(segments, before)
    relevant = relevant_items(asked, before)
    seconds = [prepare(contender, split) for contender in contenders.values()]
    everybody = asked.test.customers
    known = np.logical_and.reduce(
        [contender.customers_.indices(everybody) >= 0 for contender in contenders.values()]
    )
    if not known.any():
        raise errors.evaluation.nobody_known(len(everybody), "the recommenders together know")
    customers = np.flatnonzero(known)
    about = Known.of(before, split.train)
    of_items = [about.ordered_as(contender.items_) for contender in contenders.values()]
    judged = [Judged.ask(contender, asked, customers) for contender in contenders.values()]
    truths = [each.truth(relevant) for each in judged]
    paired = np.logical_and.reduce([np.diff(truth.indptr) > 0 for truth in truths])
    if not paired.any():
        raise nothing_to_find(asked, len(paired))
    values = [
        row_values(each, truth, asked.ks, names, items)
        for each, truth, items in zip(judged, truths, of_items, strict=True)
    ]
    at_first_cut = f"{metric}@{asked.ks[0]}"
    rows = {}
    for name, found, lists, fitting in zip(
        contenders,
        sum_up(judged, values, asked.ks, names, paired, n_resamples, generator),
        judged,
        seconds,
        strict=True,
    ):
        apart = found.differences.get(at_first_cut)
        rows[name] = Compared(
            metrics=found.metrics,
            difference=None if apart is None else apart.mean,
            low=None if apart is None else apart.low,
            high=None if apart is None else apart.high,
            intervals=found.intervals,
            differences=found.differences,
            fit_seconds=fitting,
            ms_per_customer=lists.ms_per_customer,
        )
    by_way = None
    if ways:
        here = Situation(asked, before, relevant, customers, names, n_resamples, generator)
        by_way = by_segment(ways, here, contenders, judged, values, of_items, at_first_cut)
    return Comparison(
        rows,
        at_first_cut,
        int(paired.sum()),
        asked.events,
        asked.exclude_seen,
        asked.repeat,
        asked.ask,
        by_way,
    )
