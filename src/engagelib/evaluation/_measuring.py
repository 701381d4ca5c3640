"""Measuring: figures of lists with their intervals, for one recommender or for several alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.evaluation._asking import Judged
from engagelib.evaluation._bootstrap import mean_intervals, spread_errors
from engagelib.events import EventLog
from engagelib.histories import Histories
from engagelib.metrics import (
    RANKING_METRICS,
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    ranking_values,
)
from engagelib.vocabulary import Vocabulary

OF_ALL: Final = ("coverage", "gini")
"""Metrics of all lists together, which no single customer has."""

EVALUATION_METRICS: Final = (*RANKING_METRICS, "gini", "novelty", "diversity")
"""The names that `evaluate` and `compare` know, in the order in which `evaluate` reports them."""

PER_CUSTOMER: Final = tuple(name for name in EVALUATION_METRICS if name not in OF_ALL)

_CUSTOMERS_OF_VECTORS: Final = 10_000
"""Customers who say which items are alike: more would not say it better, and take longer."""

_NORMAL: Final = 1.959964
"""Standard errors from the middle to the edge of a 95% interval."""

Interval = tuple[float, float]


class Difference(NamedTuple):
    """A mean difference to the first recommender, customer by customer, and its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """What was measured on some customers, under names such as "ndcg@10".

    Attributes
    ----------
    metrics
        Means, or figures of all lists together.
    intervals
        The 95% interval of each.
    differences
        What they differ by from those of the first recommender; only metrics that single customers have.
    n_customers
        Customers judged.
    """

    metrics: dict[str, float]
    intervals: dict[str, Interval]
    n_customers: int
    differences: dict[str, Difference] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """What was known of items before the test: who met them, and which are alike."""

    items: Vocabulary
    n_met: np.ndarray
    n_customers: int
    category: np.ndarray | None
    vectors: csr_array | None

    @classmethod
    def of(cls, before: Histories, log: EventLog) -> Self:
        """Read histories, and the categories of a log's item table where it has any."""
        n_customers = before.n_customers
        met = before.block(0, n_customers).seen("any")
        n_met = np.bincount(met.indices, minlength=before.n_items)
        category = _categories(log, before.items)
        vectors = None
        if category is None:
            step = -(-n_customers // _CUSTOMERS_OF_VECTORS)
            vectors = csr_array(met[::step].T)
        return cls(before.items, n_met, n_customers, category, vectors)

    def ordered_as(self, items: Vocabulary) -> Self:
        """Return the same by the places of other items; of those not among ours nothing is known."""
        if items == self.items:
            return self
        place = self.items.indices(items)
        category = None if self.category is None else np.append(self.category, -1)[place]
        vectors = self.vectors
        if vectors is not None:
            ours = np.flatnonzero(place >= 0)
            ones = (np.ones(len(ours)), (ours, place[ours]))
            vectors = csr_array(csr_array(ones, shape=(len(items), len(self.items))) @ vectors)
        return type(self)(items, np.append(self.n_met, 0)[place], self.n_customers, category, vectors)


def _categories(log: EventLog, items: Vocabulary) -> np.ndarray | None:
    """Return a code for the category of each item, -1 for none; None where no item has one."""
    if "category" not in log.item_table.column_names:
        return None
    texts = log.item_texts("category")
    named = texts.lengths() > 0
    if not named.any():
        return None
    codes = np.append(np.where(named, texts.to_arrow().dictionary_encode().indices.to_numpy(), -1), -1)
    return np.asarray(codes[log.items.indices(items)])


def row_values(
    judged: Judged,
    truth: csr_array,
    ks: Sequence[int],
    names: Sequence[str],
    known: Known,
    shared: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Measure each list; what does not depend on the truth may be shared with another one."""
    ranking = [name for name in names if name in RANKING_METRICS and name not in OF_ALL]
    values = dict(ranking_values(judged.lists, truth, ks, names=ranking)) if ranking else {}
    beyond = [f"{name}@{k}" for k in ks for name in ("novelty", "diversity") if name in names]
    if shared is not None:
        return values | {name: shared[name] for name in beyond}
    for name_at_k in beyond:
        name, _, k = name_at_k.partition("@")
        if name == "novelty":
            n_customers = max(known.n_customers, 1)
            values[name_at_k] = novelty(judged.lists, known.n_met, n_customers, int(k))
        else:
            values[name_at_k] = intra_list_diversity(
                judged.lists, known.vectors, category=known.category, k=int(k)
            )
    return values


def sum_up(
    judged: Sequence[Judged],
    values: Sequence[Mapping[str, np.ndarray]],
    ks: Sequence[int],
    names: Sequence[str],
    found: np.ndarray,
    n_resamples: int,
    generator: np.random.Generator,
    listed: np.ndarray | None = None,
) -> list[Figures]:
    """Average over the rows of a mask, the same for all recommenders, and say how certain that is.

    `listed` are the rows whose lists count for metrics of all lists together; None is all rows.
    """
    n_customers = int(found.sum())
    of_each = [f"{name}@{k}" for k in ks for name in names if name not in OF_ALL]
    spreads: dict[tuple[int, str], Interval] = {}
    differences: list[dict[str, Difference]] = [{} for _ in judged]
    means: list[dict[str, float]] = [{} for _ in judged]
    if of_each:
        table = np.stack([[each[name][found] for name in of_each] for each in values])
        apart = table[1:] - table[0]
        rows = np.concatenate([table.reshape(-1, n_customers), apart.reshape(-1, n_customers)])
        bounds = np.stack(mean_intervals(rows, n_resamples, generator), axis=1).tolist()
        average = [_mean(row) for row in rows]
        for place, name in enumerate(of_each):
            for number in range(len(judged)):
                here = number * len(of_each) + place
                means[number][name] = average[here]
                spreads[number, name] = (bounds[here][0], bounds[here][1])
                if number:
                    there = here + (len(judged) - 1) * len(of_each)
                    differences[number][name] = Difference(average[there], *bounds[there])
    figures = []
    for number, each in enumerate(judged):
        for k in ks:
            for name, (value, interval) in _of_all(each, k, names, n_resamples, generator, listed).items():
                means[number][name], spreads[number, name] = value, interval
        ordered = [f"{name}@{k}" for k in ks for name in names]
        metrics = {name: means[number][name] for name in ordered}
        intervals = {name: spreads[number, name] for name in ordered}
        figures.append(Figures(metrics, intervals, n_customers, differences[number]))
    return figures


def _of_all(
    judged: Judged,
    k: int,
    names: Sequence[str],
    n_resamples: int,
    generator: np.random.Generator,
    listed: np.ndarray | None,
) -> dict[str, tuple[float, Interval]]:
    """Return the coverage and the Gini index of the items for sale, as far as they are asked for."""
    if not any(name in OF_ALL for name in names):
        return {}
    among_showable = np.where(judged.showable, np.cumsum(judged.showable) - 1, -1)
    lists = judged.lists if listed is None else judged.lists[listed]
    lists, n_items = np.append(among_showable, -1)[lists[:, :k]], int(judged.showable.sum())
    drawn = spread_errors(lists, n_items, n_resamples, generator)
    found = {}
    for name, measure, error in zip(OF_ALL, (coverage, gini), drawn, strict=True):
        if name in names:
            value = measure(lists, n_items, k)
            ends = np.clip([value - _NORMAL * error, value + _NORMAL * error], 0.0, 1.0).tolist()
            found[f"{name}@{k}"] = (value, (ends[0], ends[1]))
    return found


def _mean(values: np.ndarray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if len(there) else float("nan")


def checked_names(names: Any) -> tuple[str, ...]:
    """Return the names of metrics, each once."""
    known = ", ".join(EVALUATION_METRICS)
    if isinstance(names, str):
        raise errors.bad_argument("names", names, "a sequence of names", f"one name is names=({names!r},).")
    wanted = tuple(dict.fromkeys(names))
    if not wanted:
        raise errors.bad_argument("names", names, f"at least one of {known}")
    for name in wanted:
        if name not in EVALUATION_METRICS:
            raise errors.bad_argument("names", name, f"metrics out of {known}")
    return wanted
