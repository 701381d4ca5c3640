"""Drawing in NumPy: events are weighed all at once, and summed by cell after two counting sorts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray, MaskArray, Rows
from engagelib.segments import offsets_of, steps_back, sum_cells

if TYPE_CHECKING:
    from engagelib.scoring.drawing import Aging, Events

_Doubles = npt.NDArray[np.float64]
_Places = npt.NDArray[np.int64]


def draw_interest(events: Events, per_type: _Doubles, aging: Aging, heaviest: float | None) -> Rows | None:
    """Weigh the events that count, and sum them by cell."""
    if not is_sound(events, len(per_type)):
        return None
    history = history_of(events)
    keep = (events.item_index >= 0) & (per_type > 0)[events.event_type]
    if events.time is not None and aging.until is not None:
        keep &= events.time <= aging.until
    if events.share is not None:
        keep &= events.share > 0
    kept = np.flatnonzero(keep)
    history, weight = history[kept], per_type[events.event_type[kept]]
    if events.share is not None:
        weight *= np.minimum(events.share[kept], 1.0)  # more stands in no file but an altered one
    if aging.half_life is not None and events.time is not None:
        # What is observed while serving may be newer than the moment that ages are counted from.
        weight *= np.exp2(np.minimum(events.time[kept] - aging.now, 0) / aging.half_life)
    if aging.half_life_steps is not None and events.time is not None:
        weight *= np.exp2(-steps_back(history, events.time[kept]) / aging.half_life_steps)
    if events.n_visit and heaviest is None:
        in_visit = kept >= events.indptr[1:][history] - events.n_visit
        weight *= _emphasis(history, in_visit, weight, len(events.indptr) - 1)
    shape = (len(events.indptr) - 1, events.n_items)
    cells = _as_rows(*sum_cells(history, events.item_index[kept], weight, shape), shape)
    return cells if heaviest is None else _saturated(events, cells, heaviest)


def draw_met(events: Events, counts: MaskArray, until: int | None, without: MaskArray | None) -> Rows | None:
    """List the distinct items of the events that count."""
    if not is_sound(events, len(counts)):
        return None
    keep = (events.item_index >= 0) & counts[events.event_type]
    if events.time is not None and until is not None:
        keep &= events.time <= until
    if without is not None:
        keep[keep] = ~without[events.item_index[keep]]
    kept = np.flatnonzero(keep)
    shape = (len(events.indptr) - 1, events.n_items)
    row, item, _ = sum_cells(history_of(events)[kept], events.item_index[kept], np.ones(len(kept)), shape)
    return _as_rows(row, item, None, shape)


def _as_rows(row: _Places, column: _Places, value: FloatArray | None, shape: tuple[int, int]) -> Rows:
    return Rows(offsets_of(row, shape[0]), column.astype(np.int32, copy=False), value, shape)


def _saturated(events: Events, cells: Rows, heaviest: float) -> Rows:
    """Turn confidence into interest, and raise the items of the visit to the weight of all others."""
    n_rows, n_items = cells.shape
    row = np.repeat(np.arange(n_rows), np.diff(cells.indptr))
    confidence = cells.data.astype(np.float64)
    interest = confidence / (confidence + heaviest)
    if events.n_visit and n_rows:
        last = events.indptr[1:, None] - np.arange(1, events.n_visit + 1)
        items = events.item_index[last].astype(np.int64)
        visited = (np.arange(n_rows)[:, None] * n_items + items)[items >= 0]
        in_visit = np.isin(row * n_items + cells.indices, visited)
        interest *= _emphasis(row, in_visit, interest, n_rows)
    value = interest.astype(np.float32)
    kept = value != 0
    return _as_rows(row[kept], cells.indices[kept], value[kept], cells.shape)


def _emphasis(row: _Places, in_visit: MaskArray, weight: _Doubles, n_rows: int) -> _Doubles:
    """Return what raises the visit of each row to the weight of the rest, where it weighs less.

    The thousand things that somebody bought in years would else drown what they look at now.
    """
    visit, others = (np.bincount(row, weight * part, minlength=n_rows) for part in (in_visit, ~in_visit))
    factor = np.ones(n_rows)
    np.divide(others, visit, out=factor, where=(visit > 0) & (others > visit))
    raised: _Doubles = np.where(in_visit, factor[row], 1.0)
    return raised


def history_of(events: Events) -> _Places:
    """Return the row of each event."""
    history: _Places = np.repeat(np.arange(len(events.indptr) - 1), np.diff(events.indptr))
    return history


def is_sound(events: Events, n_types: int) -> bool:
    """Tell whether rows follow each other over all events, and no code leads outside its table."""
    starts, ends, n_events = events.indptr[:-1], events.indptr[1:], len(events.item_index)
    if len(starts) and ((ends < starts).any() or events.indptr[0] != 0 or events.indptr[-1] != n_events):
        return False
    codes = ((events.item_index, -1, events.n_items), (events.event_type, 0, n_types))
    return all(not len(part) or (part.min() >= least and part.max() < most) for part, least, most in codes)
