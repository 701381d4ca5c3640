"""Describing in NumPy: candidates and events meet by the cell of a row and an item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import FloatArray
from engagelib.scoring.describing import n_features_of
from engagelib.scoring.reference.drawing import history_of, is_sound
from engagelib.segments import steps_back

if TYPE_CHECKING:
    from engagelib.scoring._operands import TopK
    from engagelib.scoring.describing import Clock, ItemFacts
    from engagelib.scoring.drawing import Events

_Doubles = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int64]


class _Read(NamedTuple):
    """The events that are read, oldest first in each row, one entry each."""

    row: _Places
    item: npt.NDArray[np.int32]
    group: npt.NDArray[np.int8]
    steps: _Doubles
    days: _Doubles
    moment: _Places
    """A number that is the same for events of one row and moment alone."""


def describe(
    found: Sequence[TopK],
    item_index: npt.NDArray[np.int32],
    events: Events,
    group: npt.NDArray[np.int8],
    n_groups: int,
    clock: Clock,
    facts: ItemFacts,
    n_threads: int,  # noqa: ARG001
) -> FloatArray | None:
    """Work out each feature for all candidates at once."""
    if not is_sound(events, len(group)):
        return None
    n_rows, n_items = len(item_index), events.n_items
    if not all(_fits(one, n_rows, n_items) for one in (*(best.item_index for best in found), item_index)):
        raise errors.scoring.lists_unlike(n_items)
    features = np.zeros((*item_index.shape, n_features_of(len(found), n_groups, facts)), np.float32)
    row, place = np.nonzero(item_index >= 0)
    item = item_index[row, place]
    read = _read(events, group, clock)
    of_pairs, of_rows = _of_pairs(row * n_items + item, read, n_groups, n_items), _of_rows(read, n_rows)
    goal_moments = _count(_distinct(read.row, read.moment, read.group == 0), n_rows)
    share = _divided(of_pairs["occasions"], goal_moments[row])
    columns = [
        *_of_lists(found, row, item, n_items),
        *facts.columns[item].T,
        *(of_pairs[f"{name}{one}"] for one in range(n_groups) for name in ("count", "steps", "days")),
        of_pairs["occasions"],
        share,
        of_pairs["due_steps"],
        of_pairs["due_days"],
        *(column[row] for column in of_rows),
        *_from_usual(facts, read, row, item, n_rows),
        *_of_category(facts, read, row, item, n_rows),
    ]
    with np.errstate(over="ignore", invalid="ignore"):
        features[row, place] = np.stack(columns, axis=1, dtype=np.float64).astype(np.float32)
    return features


def _fits(item_index: npt.NDArray[np.int32], n_rows: int, n_items: int) -> bool:
    inside = not item_index.size or (item_index.min() >= -1 and item_index.max() < n_items)
    return len(item_index) == n_rows and bool(inside)


def _read(events: Events, group: npt.NDArray[np.int8], clock: Clock) -> _Read:
    keep = (events.item_index >= 0) & (group >= 0)[events.event_type]
    if events.time is not None and clock.until is not None:
        keep &= events.time <= clock.until
    if events.share is not None:
        keep &= events.share > 0
    kept = np.flatnonzero(keep)
    row = history_of(events)[kept]
    steps = days = np.zeros(len(kept))
    moment = row
    if events.time is not None:
        time = events.time[kept]
        steps = steps_back(row, time)
        moment = np.cumsum(np.r_[False, (row[1:] != row[:-1]) | (time[1:] != time[:-1])][: len(row)])
        if clock.day:
            days = np.maximum(clock.now - time, 0) / clock.day
    return _Read(row, events.item_index[kept], group[events.event_type[kept]], steps, days, moment)


def _of_lists(
    found: Sequence[TopK], row: _Places, item: npt.NDArray[np.int32], n_items: int
) -> list[_Doubles]:
    """Look candidates up in the list of each model."""
    columns: list[_Doubles] = []
    named, total = np.zeros(len(row)), np.zeros(len(row))
    for best in found:
        by_row, place = np.nonzero((best.item_index >= 0) & (best.score > 0))
        score = best.score[by_row, place].astype(np.float64)
        rank, highest = _ranks(by_row, score), best.score.max(axis=1, initial=-np.inf).astype(np.float64)
        key, first = np.unique(by_row * n_items + best.item_index[by_row, place], return_index=True)
        at = np.searchsorted(key, row * n_items + item)
        listed = np.flatnonzero(at < len(key))
        listed = listed[key[at[listed]] == (row * n_items + item)[listed]]
        entry = first[at[listed]]
        scaled, plain, nearness = (np.zeros(len(row)) for _ in range(3))
        columns += [scaled, plain, nearness]
        plain[listed] = score[entry]
        scaled[listed] = score[entry] / highest[row[listed]]
        nearness[listed] = 1.0 / rank[entry]
        named[listed] += 1.0
        total += scaled
    return [*columns, named / len(found), total / len(found)]


def _ranks(row: _Places, score: _Doubles) -> _Places:
    """Return one more than how many scores of its row stand above each."""
    order = np.lexsort((-score, row))
    row, score = row[order], score[order]
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (score[1:] != score[:-1])
    run = np.flatnonzero(new)[np.cumsum(new) - 1] if len(row) else np.zeros(0, np.int64)
    ranks = np.empty(len(row), np.int64)
    ranks[order] = 1 + run - np.searchsorted(row, row)
    return ranks


def _of_pairs(wanted: _Places, read: _Read, n_groups: int, n_items: int) -> dict[str, _Doubles]:
    """Say what the history did with each candidate, from the events on the same cell."""
    cells, cell_of = np.unique(wanted, return_inverse=True)
    key = read.row * n_items + read.item
    at = np.searchsorted(cells, key)
    met = np.flatnonzero(at < len(cells))
    met = met[cells[at[met]] == key[met]]
    cell, group, steps, days = at[met], read.group[met], read.steps[met], read.days[met]
    found: dict[str, _Doubles] = {}
    for one in range(n_groups):
        among = group == one
        count, last_steps, last_days = _last(cell[among], steps[among], days[among], len(cells))
        found[f"count{one}"] = count
        met_once = count > 0
        found[f"steps{one}"] = np.where(met_once, 1.0 / (1.0 + last_steps), 0.0)
        found[f"days{one}"] = np.where(met_once, 1.0 / (1.0 + last_days), 0.0)
    goal = group == 0
    occasions = _count(_distinct(cell, read.moment[met], goal), len(cells))
    found["occasions"] = occasions
    for name, ages in (("due_steps", steps), ("due_days", days)):
        latest, first = np.full(len(cells), np.inf), np.full(len(cells), -np.inf)
        np.minimum.at(latest, cell[goal], ages[goal])
        np.maximum.at(first, cell[goal], ages[goal])
        usual = np.zeros(len(cells))
        several = occasions > 1
        usual[several] = (first[several] - latest[several]) / (occasions[several] - 1.0)
        found[name] = np.zeros(len(cells))
        found[name][usual > 0] = latest[usual > 0] / usual[usual > 0]
    return {name: values[cell_of] for name, values in found.items()}


def _last(
    cell: _Places, steps: _Doubles, days: _Doubles, n_cells: int
) -> tuple[_Doubles, _Doubles, _Doubles]:
    """Count the events of each cell, and say how long ago the last was."""
    last_steps, last_days = np.full(n_cells, np.inf), np.full(n_cells, np.inf)
    np.minimum.at(last_steps, cell, steps)
    np.minimum.at(last_days, cell, days)
    return _count(cell, n_cells), last_steps, last_days


def _of_rows(read: _Read, n_rows: int) -> list[_Doubles]:
    """Say how much each history holds."""
    every, goal = np.ones(len(read.row), bool), read.group == 0
    since_last, since_first = np.full(n_rows, np.inf), np.zeros(n_rows)
    np.minimum.at(since_last, read.row, read.days)
    np.maximum.at(since_first, read.row, read.days)
    n_events = _count(read.row, n_rows)
    return [
        n_events,
        _count(_distinct(read.row, read.item.astype(np.int64), every), n_rows),
        _count(read.row[goal], n_rows),
        _count(_distinct(read.row, read.item.astype(np.int64), goal), n_rows),
        _count(_distinct(read.row, read.moment, every), n_rows),
        np.where(n_events > 0, since_last, 0.0),
        since_first,
    ]


def _from_usual(
    facts: ItemFacts, read: _Read, row: _Places, item: npt.NDArray[np.int32], n_rows: int
) -> list[_Doubles]:
    """Take the mean level of the history from the item's."""
    columns = []
    for level in facts.levels.T.astype(np.float64):
        known = ~np.isnan(level[read.item])
        count = _count(read.row[known], n_rows)
        total = np.bincount(read.row[known], level[read.item[known]], minlength=n_rows)
        mean = _divided(total.astype(np.float64), count)
        apart = level[item] - mean[row]
        columns.append(np.where((count[row] > 0) & ~np.isnan(apart), apart, 0.0))
    return columns


def _of_category(
    facts: ItemFacts, read: _Read, row: _Places, item: npt.NDArray[np.int32], n_rows: int
) -> list[_Doubles]:
    """Count the events of the history that are on the item's category."""
    theirs, ours = facts.category[read.item].astype(np.int64), facts.category[item].astype(np.int64)
    n = facts.n_categories
    known = np.flatnonzero(theirs >= 0)
    cells, count = np.unique(read.row[known] * n + theirs[known], return_counts=True)
    at = np.searchsorted(cells, row * n + ours)
    same = np.zeros(len(row), np.float64)
    listed = np.flatnonzero((at < len(cells)) & (ours >= 0))
    listed = listed[cells[at[listed]] == (row * n + ours)[listed]]
    same[listed] = count[at[listed]]
    newest = np.full(n_rows, -1, np.int64)
    newest[read.row] = theirs  # the last write wins: the newest event
    return [
        _divided(same, _count(read.row, n_rows)[row]),
        ((ours >= 0) & (newest[row] == ours)).astype(float),
    ]


def _distinct(row: _Places, other: _Places, among: npt.NDArray[np.bool_]) -> _Places:
    """Return the row of each distinct pair."""
    if not among.any():
        return np.zeros(0, np.int64)
    pairs = np.unique(np.stack([row[among], other[among]]), axis=1)
    return np.asarray(pairs[0])


def _count(row: _Places, n_rows: int) -> _Doubles:
    return np.bincount(row, minlength=n_rows).astype(np.float64)


def _divided(values: _Doubles, by: _Doubles) -> _Doubles:
    result = np.zeros(len(values))
    np.divide(values, by, out=result, where=by > 0)
    return result
