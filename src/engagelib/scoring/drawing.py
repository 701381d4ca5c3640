"""Drawing: from the events of each history to what a model reads of them, one cell an item.

A row is drawn by itself, in float64 and in the order of its events: a history gives the same cells alone as
among others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib.scoring import _kernels as kernels
from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows

__all__ = ["Aging", "Events", "draw_interest", "draw_met"]


class Events(NamedTuple):
    """The events of each history, oldest first; those of row `r` lie at `indptr[r]:indptr[r + 1]`.

    Attributes
    ----------
    indptr
        int64, shape (n_rows + 1,).
    item_index
        int32, shape (n_events,), -1 where an event has no item.
    event_type
        int16 codes, shape (n_events,).
    time
        int64, shape (n_events,); None where events have no order.
    share
        What is left of each event, float32 in [0, 1], shape (n_events,); None where all of all is.
    n_items
        Number of items.
    n_visit
        How many of the last events of each row are the visit that goes on now.
    """

    indptr: IndexArray
    item_index: npt.NDArray[np.int32]
    event_type: npt.NDArray[np.int16]
    time: npt.NDArray[np.int64] | None
    share: FloatArray | None
    n_items: int
    n_visit: int = 0


class Aging(NamedTuple):
    """How events fade.

    Attributes
    ----------
    until
        Later events are not read; None reads all.
    now
        The time that ages are counted from; later events have none.
    half_life
        Age after which an event counts half, in units of time; None for no such decay.
    half_life_steps
        The same in distinct later moments of the history.
    """

    until: int | None = None
    now: int = 0
    half_life: float | None = None
    half_life_steps: float | None = None


def draw_interest(
    events: Events, per_type: npt.NDArray[np.float64], aging: Aging, heaviest: float | None = None
) -> Rows | None:
    """Sum the weights of each history's events on an item.

    The visit that goes on now is raised to the weight of what came before it, where it weighs less.

    Parameters
    ----------
    events
        The events.
    per_type
        Weight of one event of each type, float64 of at least 0, shape (n_types,).
    aging
        How events fade; what it asks of times they must have.
    heaviest
        Above 0: turns each sum `x` into `x / (x + heaviest)`. None leaves it.

    Returns
    -------
    float32, shape (n_rows, n_items), indices rising in each row, without zeros; None where the arrays of
    the events lead outside each other, as only those of an altered file do.
    """
    return kernels.active.draw_interest(events, per_type, aging, heaviest)


def draw_met(
    events: Events, counts: MaskArray, until: int | None = None, without: MaskArray | None = None
) -> Rows | None:
    """List the items that each history met.

    Parameters
    ----------
    events
        The events.
    counts
        Whether an event of each type counts, shape (n_types,).
    until
        Later events are not read; None reads all.
    without
        True for items that are left out, shape (n_items,).

    Returns
    -------
    Positions alone, shape (n_rows, n_items), indices rising in each row; None as for `draw_interest`.
    """
    return kernels.active.draw_met(events, counts, until, without)
