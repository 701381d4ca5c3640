"""Slices: the part of a log that is held back, so that something can be learned from what came next."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from engagelib.histories import Histories
from engagelib.scoring import Rows
from engagelib.segments import offsets_of

if TYPE_CHECKING:
    from engagelib.events import EventLog

SHARE: Final = 0.1
"""The latest share of time that is held back, or of visits where nobody comes back."""

_LEAST_ROWS: Final = 500
"""Histories with something in the latest slice of time; of fewer, each one's latest occasion is taken."""

_HIDDEN: Final = 0.5
"""Share of the histories that lose what else they did with what they met next."""

MOST_ROWS: Final = 40_000
"""Histories that are asked for: more teach hardly more."""


@dataclass(frozen=True, eq=False)
class Slice:
    """What was known before a slice of the log, and what happened in it.

    Attributes
    ----------
    before
        The histories to fit models on.
    block
        The histories to ask for.
    rows
        Their rows in `before`, -1 for those that are not there, shape (n_rows,).
    targets
        The items of the goal that each of them met next, shape (n_rows, n_items).
    at
        The moment up to which histories are read, None for all that they hold.
    what
        In words, what was held back.
    by_time
        Whether it is all that happened in a span of time, so that those who did nothing are known too.
    hidden
        Whether all else that the history did with its targets was held back too, bool of shape (n_rows,);
        None where no event but those of the goal tells of an item.
    """

    before: Histories
    block: Histories
    rows: np.ndarray
    targets: Rows
    at: int | None
    what: str
    by_time: bool = False
    hidden: np.ndarray | None = None


def draw_slice(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    """Hold back the latest part of a log.

    Where the log has timestamps and enough of its customers come back, that is the latest tenth of time.
    Else it is the latest occasion of each customer, with whatever came after it; without any order one item
    of each customer, whatever else they did with it staying. Where most histories are anonymous visits it
    is a tenth of the visits, the last in the log, each asked for at a random point before its end.

    In a log of several event types, half of the histories lose all that they did with what they met next:
    from the others is learned what an item's views say of its purchase, from these how to find what somebody
    has not met at all.

    Returns
    -------
    None where nothing is left to learn from.
    """
    held = _held_back(histories, goal, rng)
    if held is None or len(set(histories.item_types) - {"return"}) < 2:
        return held
    return _with_hidden(held, rng)


def _held_back(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    if histories.n_histories > 2 * histories.n_customers and histories.time_kind != "set":
        return _of_visits(histories, goal, rng)
    if histories.time_kind == "timestamp":
        found = _of_time(histories, goal, rng)
        if found is not None and len(found.targets.indptr) > _LEAST_ROWS:
            return found
    return _of_last(histories, goal, rng) if histories.time_kind != "set" else _of_one(histories, goal, rng)


def slice_of_log(before: Histories, later: "EventLog", goal: str) -> Slice | None:
    """Take as the slice what another log says of the same customers; what only that log knows is left out."""
    row = before.customers.indices(later.customers)
    item = before.items.indices(later.items)
    columns, types = later.columns, [str(name) for name in later.vocabularies["event_type"]]
    code = types.index(goal) if goal in types else -1
    events = np.flatnonzero(
        (columns["event_type"] == code) & (columns["customer_id"] >= 0) & (columns["item_id"] >= 0)
    )
    row, item = row[columns["customer_id"][events]], item[columns["item_id"][events]]
    known = (row >= 0) & (item >= 0)
    row, item = row[known], item[known]
    rows = np.unique(row)
    rows = rows[np.diff(before.indptr)[rows] > 0]
    kept = np.isin(row, rows)
    if not len(rows):
        return None
    targets = _targets(np.searchsorted(rows, row[kept]), item[kept], (len(rows), before.n_items))
    return Slice(before, before.take(rows), rows, targets, None, "the validation log")


def _of_time(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    """Hold back the latest tenth of time; asked for are customers who were there before and came back."""
    assert histories.time is not None  # the caller has looked
    oldest, newest = int(histories.time.min()), int(histories.time.max())
    cut = newest - int(SHARE * (newest - oldest))
    before = histories.until(cut).as_of(cut)
    later = np.flatnonzero((histories.time > cut) & histories.of_type(goal) & (histories.item_index >= 0))
    row, item = histories.rows()[later], histories.item_index[later]
    known = (np.diff(before.indptr)[row] > 0) & (row < histories.n_customers)
    days = (newest - cut) / (24 * 3600 * 1e6)
    what = f"the latest {days:,.1f} days"
    return _asked(before, before, row[known], item[known], rng, cut, what, by_time=True)


def _of_last(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    """Hold back the latest occasion of each customer, with all that came after it."""
    assert histories.time is not None  # the caller has looked
    rows, time = histories.rows(), histories.time
    aims = np.flatnonzero(
        histories.of_type(goal) & (histories.item_index >= 0) & (rows < histories.n_customers)
    )
    latest = np.full(histories.n_histories, np.iinfo(np.int64).max)
    latest[rows[aims]] = time[aims]  # the last write wins, and events are in order
    kept = time < latest[rows]
    before = histories.keeping(kept)
    held = aims[~kept[aims] & (np.diff(before.indptr)[rows[aims]] > 0)]
    what = "each customer's latest occasion"
    return _asked(before, before, rows[held], histories.item_index[held], rng, None, what)


def _of_one(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    """Hold back one item of the goal of each customer; other events on it stay."""
    rows = histories.rows()
    aims = np.flatnonzero(
        histories.of_type(goal) & (histories.item_index >= 0) & (rows < histories.n_customers)
    )
    shuffled = aims[rng.permutation(len(aims))]
    _, first = np.unique(rows[shuffled], return_index=True)
    drawn = np.full(histories.n_histories, -1, np.int64)
    drawn[rows[shuffled[first]]] = histories.item_index[shuffled[first]]
    held = aims[histories.item_index[aims] == drawn[rows[aims]]]
    kept = np.ones(histories.n_events, bool)
    kept[held] = False
    before = histories.keeping(kept)
    held = held[np.diff(before.indptr)[rows[held]] > 0]
    what = "one item of each customer"
    return _asked(before, before, rows[held], histories.item_index[held], rng, None, what)


def _of_visits(histories: Histories, goal: str, rng: np.random.Generator) -> Slice | None:
    """Hold back the last visits of the log; each is asked for at a random point, for what came next."""
    assert histories.time is not None  # the caller has looked
    # Visits that a later slice took are empty.
    by_age = histories.n_customers + np.flatnonzero(np.diff(histories.indptr[histories.n_customers :]))
    if histories.time_kind == "timestamp":
        by_age = by_age[np.argsort(histories.time[histories.indptr[by_age]], kind="stable")]
    n_held = min(max(int(SHARE * len(by_age)), 1), MOST_ROWS)
    rows = np.sort(by_age[max(len(by_age) - n_held, 0) :])
    left = np.ones(histories.n_histories, bool)
    left[rows] = False
    before = histories.keeping(left[histories.rows()])
    held = histories.take(rows)
    row, time = held.rows(), held.time
    assert time is not None  # as above
    aims = np.flatnonzero(held.of_type(goal) & (held.item_index >= 0) & (time > time[held.indptr[row]]))
    if not len(aims):
        return None
    shuffled = aims[rng.permutation(len(aims))]
    _, first = np.unique(row[shuffled], return_index=True)
    moment = np.full(held.n_histories, np.iinfo(np.int64).min)
    moment[row[shuffled[first]]] = time[shuffled[first]]
    block = held.keeping(time < moment[row])
    aims = aims[time[aims] == moment[row[aims]]]
    what = f"{len(rows):,} visits"
    return _asked(before, block, row[aims], held.item_index[aims], rng, None, what)


def _asked(
    before: Histories,
    histories: Histories,
    row: np.ndarray,
    item: np.ndarray,
    rng: np.random.Generator,
    at: int | None,
    what: str,
    *,
    by_time: bool = False,
) -> Slice | None:
    rows = np.unique(row)
    if not len(rows):
        return None
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.choice(rows, MOST_ROWS, replace=False))
    kept = np.isin(row, rows)
    targets = _targets(np.searchsorted(rows, row[kept]), item[kept], (len(rows), before.n_items))
    known = rows if histories is before else np.full(len(rows), -1)
    return Slice(before, histories.take(rows), known, targets, at, what, by_time)


def _with_hidden(held: Slice, rng: np.random.Generator) -> Slice:
    """Take from half of the histories all that they did with their targets."""
    before, n_items = held.before, held.before.n_items
    hidden = rng.random(len(held.rows)) < _HIDDEN
    row = np.repeat(np.arange(len(held.rows)), np.diff(held.targets.indptr))
    chosen = hidden[row]

    def without_targets(histories: Histories, rows: np.ndarray) -> Histories:
        """Drop the events of these rows, one for each history of the slice, on its targets."""
        known = chosen & (rows[row] >= 0)
        cells = rows[row[known]] * n_items + held.targets.indices[known]
        # Of all events, which may be many, those of these rows alone are looked up.
        loses = np.zeros(histories.n_histories, bool)
        loses[rows[row[known]]] = True
        place = np.flatnonzero(np.repeat(loses, np.diff(histories.indptr)) & (histories.item_index >= 0))
        of_row = np.searchsorted(histories.indptr, place, "right") - 1
        kept = np.ones(histories.n_events, bool)
        kept[place] = ~np.isin(of_row * n_items + histories.item_index[place], cells)
        return histories.keeping(kept)

    left = without_targets(before, held.rows)
    block = without_targets(held.block, np.arange(len(held.rows)))
    return replace(held, before=left, block=block, hidden=hidden)


def _targets(row: np.ndarray, item: np.ndarray, shape: tuple[int, int]) -> Rows:
    cells = np.unique(row.astype(np.int64) * shape[1] + item)
    row, item = np.divmod(cells, shape[1])
    return Rows(offsets_of(row, shape[0]), item.astype(np.int32), None, shape)
