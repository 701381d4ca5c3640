"""The thin side of drawing in C++: room for what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import MaskArray, Rows
from engagelib.scoring.native import _kernel

if TYPE_CHECKING:
    from engagelib.scoring.drawing import Aging, Events

_LATEST: Final = 2**63 - 1


def draw_interest(
    events: Events, per_type: npt.NDArray[np.float64], aging: Aging, heaviest: float | None
) -> Rows | None:
    """Draw row by row."""
    n_events, n_rows = len(events.item_index), len(events.indptr) - 1
    indptr = np.empty(n_rows + 1, np.int64)
    indices, data = np.empty(n_events, np.int32), np.empty(n_events, np.float32)
    n_cells = _kernel.draw_interest(
        events.indptr,
        events.item_index,
        events.event_type,
        events.time,
        events.share,
        per_type,
        events.n_items,
        _LATEST if aging.until is None else aging.until,
        aging.now,
        0.0 if aging.half_life is None or events.time is None else aging.half_life,
        0.0 if aging.half_life_steps is None or events.time is None else aging.half_life_steps,
        events.n_visit,
        0.0 if heaviest is None else heaviest,
        indptr,
        indices,
        data,
    )
    if n_cells < 0:
        return None
    return Rows(indptr, indices[:n_cells], data[:n_cells], (n_rows, events.n_items))


def draw_met(events: Events, counts: MaskArray, until: int | None, without: MaskArray | None) -> Rows | None:
    """Draw row by row."""
    n_events, n_rows = len(events.item_index), len(events.indptr) - 1
    indptr, indices = np.empty(n_rows + 1, np.int64), np.empty(n_events, np.int32)
    n_cells = _kernel.draw_met(
        events.indptr,
        events.item_index,
        events.event_type,
        events.time,
        counts,
        without,
        events.n_items,
        _LATEST if until is None else until,
        indptr,
        indices,
    )
    if n_cells < 0:
        return None
    return Rows(indptr, indices[:n_cells], None, (n_rows, events.n_items))
