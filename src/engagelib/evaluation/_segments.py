"""Segments: the same figures for some of the customers, or for some of what they had to find."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_array

from engagelib import errors
from engagelib.evaluation._asking import Judged, Question, Shown
from engagelib.evaluation._measuring import Figures, Known, row_values, sum_up
from engagelib.histories import Histories
from engagelib.tables import Cell, Table

SEGMENTS: Final = ("history", "repeat", "channel")
"""Ways to tell customers, or what they had to find, apart."""


@dataclass(frozen=True, repr=False)
class Segments(Shown):
    """Figures by segment; prints as a table, a segment a row and, of several recommenders, a row each.

    Attributes
    ----------
    rows
        What was found in each segment, under its name: for one recommender `rows["light"]`, for several
        `rows["light", "default"]`. Segments without a customer to judge are left out.
    metric
        The compared metric, such as "ndcg@10"; None for one recommender.
    """

    rows: dict[Any, Figures]
    metric: str | None = None

    def intervals(self) -> Table:
        """Return a long table: every metric of every row, with its interval."""
        return interval_table(self.rows, self._keys())

    def _keys(self) -> tuple[str, ...]:
        return ("segment",) if self.metric is None else ("segment", "recommender")

    def _table(self) -> Table:
        measured = next(iter(self.rows.values())).metrics if self.rows else {}
        compared = () if self.metric is None else ("difference", "low", "high")
        rows: list[tuple[Cell, ...]] = []
        for key, found in self.rows.items():
            apart: tuple[float | None, ...] = ()
            if self.metric is not None:
                apart = tuple(found.differences.get(self.metric, (None, None, None)))
            rows.append((*_cells(key), found.n_customers, *found.metrics.values(), *apart))
        return Table((*self._keys(), "customers", *measured, *compared), tuple(rows))


def interval_table(rows: Mapping[Any, Figures], keys: Sequence[str]) -> Table:
    """Return every metric of every row with its interval, and what it differs by."""
    differ = any(found.differences for found in rows.values())
    compared = ("difference", "difference_low", "difference_high") if differ else ()
    names = ("metric", "value", "low", "high", *compared)
    lines: list[tuple[Cell, ...]] = []
    for key, found in rows.items():
        for metric, value in found.metrics.items():
            apart: tuple[float | None, ...] = ()
            if differ:
                apart = tuple(found.differences.get(metric, (None, None, None)))
            lines.append((*_cells(key), metric, value, *found.intervals[metric], *apart))
    return Table((*keys, *names), tuple(lines))


def _cells(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)


def checked_segments(given: Any, before: Histories | None) -> tuple[str, ...]:
    """Return the ways to segment: `True` is all that the log allows."""
    if given is True or given is False:
        some = SEGMENTS if before is None or "channel" in before.codes else SEGMENTS[:-1]
        return some if given else ()
    if isinstance(given, str) or not all(name in SEGMENTS for name in given):
        expected = f"True, False, or some of {', '.join(SEGMENTS)}"
        raise errors.bad_argument("by_segment", given, expected)
    if before is not None and "channel" in given and "channel" not in before.codes:
        raise errors.log.needs_column('by_segment="channel"', "channel")
    return tuple(name for name in SEGMENTS if name in given)


@dataclass(frozen=True)
class Situation:
    """What figures by segment need: whom was asked what, and what was known of them before.

    `rows` are customers of the test log who are judged, in the order of the lists; `relevant` is what each
    customer of that log had to find.
    """

    asked: Question
    before: Histories
    relevant: csr_array
    rows: np.ndarray
    names: tuple[str, ...]
    n_resamples: int
    generator: np.random.Generator


def by_segment(
    ways: Sequence[str],
    here: Situation,
    contenders: Mapping[Any, Any],
    judged: Sequence[Judged],
    values: Sequence[Mapping[str, np.ndarray]],
    known: Sequence[Known],
    metric: str | None,
) -> Segments:
    """Measure every segment for all contenders; of one that stands alone the name is None."""
    found: dict[Any, Figures] = {}

    def add(
        segment: str,
        mask: np.ndarray,
        judged: Sequence[Judged] = judged,
        values: Sequence[Mapping[str, np.ndarray]] = values,
        truths: Sequence[csr_array] | None = None,
    ) -> None:
        truths = [each.truth(here.relevant) for each in judged] if truths is None else truths
        judgeable = np.logical_and.reduce([mask, *(np.diff(truth.indptr) > 0 for truth in truths)])
        if judgeable.any():
            figures = sum_up(
                judged, values, here.asked.ks, here.names, judgeable, here.n_resamples, here.generator, mask
            )
            for name, figure in zip(contenders, figures, strict=True):
                found[segment if name is None else (segment, name)] = figure

    everybody = np.ones(len(here.rows), bool)
    for way in ways:
        if way == "history":
            add("new", *_newcomers(here, contenders, known))
            add("light", light := _light(here))
            add("heavy", ~light)
        elif way == "channel":
            for name, mask in _channels(here):
                add(f"channel {name}", mask)
        else:
            for segment, relevant in _repeats(here):
                truths = [each.truth(relevant) for each in judged]
                again = [
                    row_values(each, truth, here.asked.ks, here.names, about, shared)
                    for each, truth, about, shared in zip(judged, truths, known, values, strict=True)
                ]
                add(segment, everybody, values=again, truths=truths)
    return Segments(found, metric)


def _newcomers(
    here: Situation, contenders: Mapping[Any, Any], known: Sequence[Known]
) -> tuple[np.ndarray, list[Judged], list[dict[str, np.ndarray]]]:
    """Ask for lists for customers without a history, which are otherwise not judged."""
    new = np.flatnonzero(here.before.customers.indices(here.asked.test.customers) < 0)
    judged = [Judged.ask(contender, here.asked, new) for contender in contenders.values()]
    values = [
        row_values(each, each.truth(here.relevant), here.asked.ks, here.names, about)
        for each, about in zip(judged, known, strict=True)
    ]
    return np.ones(len(new), bool), judged, values


def _places(here: Situation) -> np.ndarray:
    """Return the row of each judged customer in the histories before, -1 for none."""
    return np.asarray(here.before.customers.indices(here.asked.test.customers)[here.rows])


def _light(here: Situation) -> np.ndarray:
    """Say whose history is no longer than the median of those who have something to find."""
    lengths = np.append(np.diff(here.before.indptr), 0)[_places(here)]
    to_find = np.diff(here.relevant.indptr)[here.rows] > 0
    return np.asarray(lengths <= np.median(lengths[to_find if to_find.any() else slice(None)]))


def _channels(here: Situation) -> Iterator[tuple[Any, np.ndarray]]:
    """Tell customers apart by the channel of their newest event before the test."""
    place, codes = _places(here), here.before.codes["channel"]
    last = np.where(place >= 0, here.before.indptr[place + 1] - 1, -1)
    newest = np.append(codes, -1)[last]
    for code, name in enumerate(here.before.tables["channel"]):
        yield name, newest == code


def _repeats(here: Situation) -> Iterator[tuple[str, csr_array]]:
    """Divide what was to be found by whether the customer had bought it before."""
    relevant, test = here.relevant, here.asked.test
    rows = np.repeat(np.arange(relevant.shape[0]), np.diff(relevant.indptr))
    cells = rows * relevant.shape[1] + relevant.indices
    bought = here.before.take(here.before.customers.indices(test.customers)).met("purchased")
    column = test.items.indices(here.before.items)[bought.indices]
    theirs = np.repeat(np.arange(relevant.shape[0]), np.diff(bought.indptr)) * relevant.shape[1] + column
    again = np.isin(cells, theirs[column >= 0])
    for name, keep in (("repeat", again), ("explore", ~again)):
        indptr = np.append(0, np.cumsum(keep))[relevant.indptr]
        yield name, csr_array((relevant.data[keep], relevant.indices[keep], indptr), shape=relevant.shape)
