"""Undoing: which return takes back how much of which purchase, and when it did."""

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-9
"""Sums of fractional quantities may miss 0 by rounding; less than this share of a purchase is nothing."""


@dataclass(frozen=True, eq=False)
class Undone:
    """What each return takes from the newest earlier purchases of its customer and item.

    Purchases of one customer, item and moment lie in one layer, of which each keeps the same share.

    Attributes
    ----------
    layer
        Number of the layer of each event, int64 of shape (n_events,); -1 where there is none.
    back, taken_from
        The event of a return and the layer that it takes from, int64, shape (n_takings,), oldest first.
    before, left
        The share of the layer that was left before and after, float64 in [0, 1].
    """

    layer: np.ndarray
    back: np.ndarray
    taken_from: np.ndarray
    before: np.ndarray
    left: np.ndarray


def undo(
    history: np.ndarray, item: np.ndarray, is_return: np.ndarray, quantity: np.ndarray, time: np.ndarray
) -> Undone | None:
    """Match returns as `returning.match_returns` does, and tell the single takings; None without returns.

    What a return takes does not depend on later events: as of any moment, the takings up to it count.

    Parameters
    ----------
    history, item
        Whose event it is, and of what, integers of shape (n_events,).
    is_return
        bool; the other rows are purchases.
    quantity
        float64; its sign is not read, NaN counts 1.
    time
        Microseconds, int64.
    """
    if not is_return.any():
        return None
    key = history.astype(np.int64) * (int(item.max()) + 1) + item
    returned = np.unique(key[is_return])
    spot = np.minimum(np.searchsorted(returned, key), len(returned) - 1)
    place = np.flatnonzero(returned[spot] == key)
    size = np.abs(quantity[place].astype(np.float64))
    size[np.isnan(size)] = 1.0
    order = np.lexsort((size, is_return[place], time[place], key[place]))
    order = order[size[order] > 0]
    place, size = place[order], size[order]
    stack, back, when = key[place], is_return[place], time[place]
    begins = np.ones(len(place), bool)
    begins[1:] = back[1:] | back[:-1] | (stack[1:] != stack[:-1]) | (when[1:] != when[:-1])
    number = np.cumsum(begins) - 1
    thick = np.bincount(number, size)
    layer = np.full(len(history), -1, np.int64)
    layer[place] = number
    takings = _cancel(stack[begins], back[begins], thick)
    returns = place[begins]
    # Those of one layer in the order in which it was taken from.
    return Undone(layer, returns[takings[0]], takings[1], takings[2], takings[3])


def _cancel(
    stack: np.ndarray, back: np.ndarray, thick: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Let each return and the purchase right below it cancel, as brackets do, until none is left.

    All stacks are worked at once; a pass for each return that lies above another suffices.
    """
    left, active = thick.copy(), np.arange(len(thick))
    found: list[tuple[np.ndarray, ...]] = []
    while True:
        first, is_back = np.ones(len(active), bool), back[active]
        first[1:] = stack[active[1:]] != stack[active[:-1]]
        hits = np.flatnonzero(is_back[1:] & ~is_back[:-1] & ~first[1:]) + 1
        if not len(hits):
            break
        above, below = active[hits], active[hits - 1]
        before = left[below] / thick[below]
        amount = np.minimum(left[above], left[below])
        for one in (above, below):
            rest = left[one] - amount
            left[one] = np.where(rest < thick[one] * ROUNDING, 0.0, rest)
        found.append((above, below, before, left[below] / thick[below]))
        # A return that lies at the bottom finds nothing to undo.
        active = active[(left[active] > 0) & ~(is_back & first)]
    if not found:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, np.zeros(0), np.zeros(0)
    above, below, before, after = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((above, below))
    return above[order], below[order], before[order], after[order]
