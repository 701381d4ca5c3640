"""Evaluating one recommender: how good its lists were, judged by what customers did afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.metrics import RANKING_METRICS
from engagelib.recommender import Recommender
from engagelib.recommender.request import ExcludeSeen
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
        Customers judged: those with something to find. All means are over them; coverage is over the lists
        of those with nothing to find, too.
    n_unknown
        Customers whom the recommender does not know; they are not judged.
    n_nothing_to_find
        Customers whom the recommender knows, and in whose test events no list could have scored.
    ks, names, events, exclude_seen, repeat
        As they were asked for.
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

    def _table(self) -> Table:
        rows: list[tuple[Cell, ...]] = [
            (name, *(self.metrics[f"{name}@{k}"] for k in self.ks)) for name in self.names
        ]
        title = (
            f"{counted(self.n_customers)} judged; {self.n_unknown:,} unknown to the recommender, "
            f"{self.n_nothing_to_find:,} with nothing to find\n"
            + spell_settings(self.events, self.exclude_seen, self.repeat)
        )
        return Table(("metric", *(f"@{k}" for k in self.ks)), tuple(rows), title)


def evaluate(
    recommender: Recommender,
    split: Split | EventLog,
    *,
    k: int | Sequence[int] = 10,
    events: Sequence[str] = ("purchase",),
    exclude_seen: ExcludeSeen = "purchased",
    repeat: bool | None = None,
    names: Sequence[str] = RANKING_METRICS,
) -> Evaluation:
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
        Fitted on what came before the test; or not fitted, then it is fitted here, on `split.train`.
    split
        A split; or a test log alone, which then is everything after a moment (with timestamps) or after a
        position of each customer. A log that tells no order can't be checked for leaks. What a customer
        met before is read from the training log, of a test log alone from the recommender.
    k
        Length of the lists, at least 1, or several: each metric at each of them.
    events
        Types of test events that make an item relevant.
    exclude_seen, repeat
        As in `Recommender.recommend`.
    names
        Metrics out of `engagelib.metrics.RANKING_METRICS`. Coverage is the share of the items for sale that
        at least one customer's list shows.

    Raises
    ------
    LeakError
        If the recommender was fitted on test events, or on anything at or after the cut of a split by time.
    NotFittedError
        If it is not fitted, and `split` is a test log alone.
    NotEnoughDataError
        If it knows no customer of the test log, or none of those has anything to find.
    SchemaError
        If ids differ in type, or order is told in another way.
    ArgumentError
        If an argument is not understood.
    """
    if not isinstance(split, Split | EventLog):
        raise errors.bad_argument("split", type(split).__name__, "a Split, or an EventLog to test on")
    asked = Question.check(split, k, events, exclude_seen, repeat)
    metrics = checked_names(names)
    # Arguments are all checked before anything is fitted.
    relevant = relevant_items(asked, Histories.from_log(split.train)) if isinstance(split, Split) else None
    prepare(recommender, split, "recommender")
    if relevant is None:
        relevant = relevant_items(asked, recommender.histories_)
    known = recommender.customers_.indices(asked.test.customers) >= 0
    if not known.any():
        raise errors.evaluation.nobody_known(asked.test.n_customers, "the recommender knows")
    judged = Judged.ask(recommender, asked, relevant, np.flatnonzero(known))
    to_find = np.diff(judged.relevant.indptr) > 0
    if not to_find.any():
        raise nothing_to_find(asked, len(to_find))
    return Evaluation(
        metrics=judged.means(asked.ks, metrics, to_find),
        n_customers=int(to_find.sum()),
        n_unknown=int((~known).sum()),
        n_nothing_to_find=int((~to_find).sum()),
        ks=asked.ks,
        names=metrics,
        events=asked.events,
        exclude_seen=exclude_seen,
        repeat=repeat,
    )
