"""Evaluating recommenders: how good lists were, judged by what customers did afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack, overload

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
from engagelib.evaluation._comparing import Comparison, cost_table, judge_together
from engagelib.evaluation._contending import Contending, as_contender, as_contenders, name_of, prepare
from engagelib.evaluation._measuring import (
    EVALUATION_METRICS,
    PER_CUSTOMER,
    Interval,
    Known,
    checked_names,
    row_values,
    sum_up,
)
from engagelib.evaluation._segments import Segments, Situation, by_segment, checked_segments
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.recommender.request import ExcludeSeen, check_count
from engagelib.splitting import Split
from engagelib.tables import Cell, Table


@dataclass(frozen=True, repr=False)
class Evaluation(Shown):
    """What `evaluate` found; prints as a table, a metric a row and a cut a column.

    Every known customer of the test log is counted once: in `n_customers`, `n_unknown` or
    `n_nothing_to_find`.

    Attributes
    ----------
    metrics
        Means under names such as "ndcg@10".
    n_customers
        Customers judged: those with something to find. All means are over them; coverage and the Gini index
        are of the lists of those with nothing to find, too.
    n_unknown
        Customers whom the recommender does not know; they are not judged.
    n_nothing_to_find
        Customers whom the recommender knows, and in whose test events no list could have scored.
    ks, names, events, exclude_seen, repeat, ask
        As they were asked for.
    intervals
        The 95% interval of each metric.
    segments
        Figures by segment, None unless they were asked for.
    fit_seconds
        Seconds that fitting took, None where it was fitted before.
    ms_per_customer
        CPU milliseconds that a list took.
    """

    metrics: dict[str, float]
    n_customers: int
    n_unknown: int
    n_nothing_to_find: int
    ks: tuple[int, ...]
    names: tuple[str, ...]
    events: tuple[str, ...]
    exclude_seen: ExcludeSeen
    repeat: bool | None
    ask: Mapping[str, Any] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    segments: Segments | None = None
    recommender: str = "recommender"
    fit_seconds: float | None = field(default=None, compare=False)
    ms_per_customer: float | None = field(default=None, compare=False)

    def costs(self) -> Table:
        """Return what the recommender cost: seconds of fitting, CPU milliseconds a customer.

        These differ from one run to the next, and therefore stand in a table of their own.
        """
        return cost_table({self.recommender: (self.fit_seconds, self.ms_per_customer)})

    def _table(self) -> Table:
        behind = [""] if len(self.ks) == 1 else [f"@{k}" for k in self.ks]
        columns = [(f"@{k}", f"low{end}", f"high{end}") for k, end in zip(self.ks, behind, strict=True)]
        rows: list[tuple[Cell, ...]] = [
            (
                name,
                *(
                    cell
                    for k in self.ks
                    for cell in (self.metrics[f"{name}@{k}"], *self.intervals[f"{name}@{k}"])
                ),
            )
            for name in self.names
        ]
        title = (
            f"{counted(self.n_customers)} judged; {self.n_unknown:,} unknown to the recommender, "
            f"{self.n_nothing_to_find:,} with nothing to find; 95% intervals\n"
            + spell_settings(self.events, self.exclude_seen, self.repeat, self.ask)
        )
        return Table(("metric", *(name for group in columns for name in group)), tuple(rows), title)


class Options(TypedDict, total=False):
    """The options of `evaluate`, the same for one recommender and for several."""

    k: int | Sequence[int]
    events: Sequence[str]
    exclude_seen: ExcludeSeen
    repeat: bool | None
    names: Sequence[str]
    by_segment: bool | Sequence[str]
    ask: Mapping[str, Any] | None
    n_resamples: int
    rng: int | np.random.Generator


@overload  # a text is a name, and no sequence of them
def evaluate(  # type: ignore[overload-overlap]
    recommender: Contending, split: Split | EventLog, **options: Unpack[Options]
) -> Evaluation: ...
@overload
def evaluate(
    recommender: Mapping[str, Contending] | Sequence[Contending], split: Split, **options: Unpack[Options]
) -> Comparison: ...
def evaluate(
    recommender: Any,
    split: Split | EventLog,
    *,
    k: int | Sequence[int] = 10,
    events: Sequence[str] = ("purchase",),
    exclude_seen: ExcludeSeen = "purchased",
    repeat: bool | None = None,
    names: Sequence[str] = EVALUATION_METRICS,
    by_segment: bool | Sequence[str] = False,
    ask: Mapping[str, Any] | None = None,
    n_resamples: int = 1000,
    rng: int | np.random.Generator = 0,
) -> Evaluation | Comparison:
    """Ask a recommender for lists as of the end of training, and judge them by the test events.

    Each customer of the test log whom the recommender knows gets a list. Relevant are the items of the
    customer's test events of the types in `events`, a purchase that was returned later included, apart from

    - items that the list may not hold because the customer met them before: with the defaults, whatever was
      purchased in training. `exclude_seen` and `repeat` settle this for lists and relevant items alike, so
      that discovery and repeats are judged by a call each: `repeat=False` and `repeat=True`;
    - items that are not for sale.

    Relevant items that the recommender never saw stay: no list can hold them, and they count as misses.
    Anonymous visits are not judged.

    Parameters
    ----------
    recommender
        Fitted on what came before the test; or not fitted, then it is fitted here, on `split.train`. Also a
        `Model`, the name of one or "auto", which stand for a `Recommender` of their own, or any other
        `Contender`. A mapping of names to several, or a list of several, gives a `Comparison`, as `compare`
        does.
    split
        A split; or, for one recommender, a test log alone, which then is everything after a moment (with
        timestamps) or after a position of each customer. A log that tells no order can't be checked for
        leaks. What a customer met before is read from the training log, of a test log alone from the
        recommender.
    k
        Length of the lists, at least 1, or several: each metric at each of them.
    events
        Types of test events that make an item relevant.
    exclude_seen, repeat
        As in `Recommender.recommend`.
    names
        Metrics out of `engagelib.evaluation.EVALUATION_METRICS`: those of the room `metrics`, where "mrr"
        is the mean of `reciprocal_rank`, "map" that of `average_precision`, "diversity" that of
        `intra_list_diversity`. Coverage and the Gini index are of the items for sale. Novelty counts the
        customers who met an item before the test. Items are alike that share a `category` of the item
        table; where it has none, as far as the same customers met them (of at most 10,000 of these).
    by_segment
        True, or some of "history", "repeat" and "channel": the same metrics for some of the customers.
        "history" tells light and heavy customers apart, those with histories of up to and above the median
        length of those judged, and new ones without a history, who are judged nowhere else. "repeat" judges
        everybody, once by items that they had bought before, once by those that they had not. "channel"
        goes by the newest event before the test.
    ask
        Further arguments for `recommend_many`, such as `{"rules": [...]}`.
    n_resamples
        Number of bootstrap samples of customers behind an interval, at least 1. Intervals of means are
        percentiles of these; those of coverage and the Gini index are 1.96 standard errors to either side.
    rng
        A seed of at least 0, or a generator: the same seed gives the same intervals.

    Returns
    -------
    An `Evaluation`; of several recommenders a `Comparison`, on the customers whom all of them know.

    Raises
    ------
    LeakError
        If the recommender was fitted on test events, or on anything at or after the cut of a split by time.
    NotFittedError
        If it is not fitted, and `split` is a test log alone.
    NotEnoughDataError
        If it knows no customer of the test log, or none of those has anything to find; if the log has no
        channels to segment by.
    SchemaError
        If ids differ in type, or order is told in another way.
    ArgumentError
        If an argument is not understood.

    References
    ----------
    B. Efron, R. J. Tibshirani, *An Introduction to the Bootstrap*, Chapman & Hall 1993, sections 12.2, 13.3.
    """
    several = isinstance(recommender, Mapping | Sequence) and not isinstance(recommender, str)
    if several and not isinstance(split, Split):
        raise errors.bad_argument("split", type(split).__name__, "a Split, to judge several recommenders by")
    if not isinstance(split, Split | EventLog):
        raise errors.bad_argument("split", type(split).__name__, "a Split, or an EventLog to test on")
    contenders: dict[str, Any] = as_contenders(recommender, least=1) if several else {}
    contender = None if several else as_contender(recommender, "recommender")
    asked = Question.check(split, k, events, exclude_seen, repeat, ask)
    metrics, n_resamples = checked_names(names), check_count(n_resamples, "n_resamples")
    generator = checked_rng(rng)
    if isinstance(split, Split) and several:
        measured = [name for name in ("ndcg", *metrics) if name in metrics and name in PER_CUSTOMER]
        if not measured:
            raise errors.bad_argument("names", names, f"at least one of {', '.join(PER_CUSTOMER)}")
        return judge_together(
            contenders, split, asked, measured[0], metrics, by_segment, n_resamples, generator
        )
    return _judge(contender, split, asked, metrics, by_segment, n_resamples, generator)


def _judge(
    contender: Any,
    split: Split | EventLog,
    asked: Question,
    names: tuple[str, ...],
    segments: bool | Sequence[str],
    n_resamples: int,
    generator: np.random.Generator,
) -> Evaluation:
    """Judge one contender on the customers whom it knows."""
    # Arguments are all checked before anything is fitted.
    before, log = (
        (Histories.from_log(split.train), split.train) if isinstance(split, Split) else (None, split)
    )
    ways = checked_segments(segments, before)
    relevant = None if before is None else relevant_items(asked, before)
    seconds = prepare(contender, split)
    if before is None or relevant is None:
        before = contender.histories_
        ways, relevant = checked_segments(segments, before), relevant_items(asked, before)
    known = contender.customers_.indices(asked.test.customers) >= 0
    if not known.any():
        raise errors.evaluation.nobody_known(asked.test.n_customers, "the recommender knows")
    customers = np.flatnonzero(known)
    about = Known.of(before, log).ordered_as(contender.items_)
    judged = Judged.ask(contender, asked, customers)
    truth = judged.truth(relevant)
    to_find = np.diff(truth.indptr) > 0
    if not to_find.any():
        raise nothing_to_find(asked, len(to_find))
    values = row_values(judged, truth, asked.ks, names, about)
    found = sum_up([judged], [values], asked.ks, names, to_find, n_resamples, generator)[0]
    by_way = None
    if ways:
        here = Situation(asked, before, relevant, customers, names, n_resamples, generator)
        by_way = by_segment(ways, here, {None: contender}, [judged], [values], [about], None)
    return Evaluation(
        metrics=found.metrics,
        n_customers=found.n_customers,
        n_unknown=int((~known).sum()),
        n_nothing_to_find=int((~to_find).sum()),
        ks=asked.ks,
        names=names,
        events=asked.events,
        exclude_seen=asked.exclude_seen,
        repeat=asked.repeat,
        ask=asked.ask,
        intervals=found.intervals,
        segments=by_way,
        recommender=name_of(contender),
        fit_seconds=seconds,
        ms_per_customer=judged.ms_per_customer,
    )
