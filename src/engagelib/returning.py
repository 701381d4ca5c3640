"""Returns: each is matched to the newest earlier purchase of the same customer and item."""

import numpy as np

from engagelib.segments import running

# Sums of fractional quantities may miss 0 by rounding; less than this share of a purchase is nothing.
_ROUNDING = 1e-9


def match_returns(
    history: np.ndarray,
    item_index: np.ndarray,
    is_return: np.ndarray,
    quantity: np.ndarray,
    *,
    moment: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Match returns to the newest earlier unreturned purchases, by quantity, in part where need be.

    Purchases of one customer and item are a stack: each adds its quantity on top, a return takes from the
    top. Seen as a path of the stack's height, what is left of a purchase is the part of its layer that the
    path never falls below afterwards, so that running sums and minima match all stacks at once.

    Within one moment nothing but the order of rows would say what came first. There purchases come before
    returns and lie in one layer, of which each keeps the same share.

    Parameters
    ----------
    history, item_index
        Whose purchase or return it is, and of what, integers of shape (n,).
    is_return
        bool, shape (n,): the other rows are purchases.
    quantity
        float64, shape (n,); its sign is not read, NaN counts 1.
    moment
        When it happened, integers of shape (n,), in any order; all the same where there is no time. None
        where each row is a moment of its own, oldest first.

    Returns
    -------
    The share of each purchase that was kept, in [0, 1], 1 for returns; and the quantity of each return that
    found no purchase to undo, 0 for purchases. Of returns in one moment the smaller find theirs first.
    """
    n = len(history)
    kept, unmatched = np.ones(n), np.zeros(n)
    if not is_return.any():
        return kept, unmatched
    stack = history.astype(np.int64) * (int(item_index.max()) + 1) + item_index
    stacks, stack = np.unique(stack, return_inverse=True)
    is_touched = np.bincount(stack[is_return], minlength=len(stacks)) > 0
    place = np.flatnonzero(is_touched[stack])
    size = np.abs(quantity[place].astype(np.float64))
    size[np.isnan(size)] = 1.0
    when = place if moment is None else moment[place]
    order = np.lexsort((size, is_return[place], when, stack[place]))
    place, size, when = place[order], size[order], when[order]
    stack, back = stack[place], is_return[place]

    # From rows to layers: the purchases of one moment, or one return.
    begins = np.r_[True, back[1:] | back[:-1] | (stack[1:] != stack[:-1]) | (when[1:] != when[:-1])]
    layer = np.cumsum(begins) - 1
    thick, stack, back = np.bincount(layer, size), stack[begins], back[begins]
    level = running(np.where(back, -thick, thick), stack, np.add)
    # Returns that find the stack empty do not dig below it: the path is reflected at 0.
    floor = np.minimum(running(level, stack, np.minimum), 0.0)
    height = level - floor
    lowest_after = running(height[::-1], stack[::-1], np.minimum)[::-1]
    left = np.clip(lowest_after - (height - thick), 0.0, thick)

    share = np.ones(len(thick))
    np.divide(left, thick, out=share, where=~back & (thick > 0))
    share[share < _ROUNDING] = 0.0
    kept[place] = np.where(size > 0, share[layer], 1.0)
    floor_before = np.where(np.r_[True, stack[1:] != stack[:-1]], 0.0, np.r_[0.0, floor[:-1]])
    missing = floor_before - floor
    unmatched[place] = np.where(missing < thick * _ROUNDING, 0.0, missing)[layer]
    return kept, unmatched
