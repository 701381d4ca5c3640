"""Arrays in segments: stable counting sorts, gathers, steps and running minima, over many groups at once."""

from collections.abc import Callable

import numpy as np


def counting_order(keys: np.ndarray, n_keys: int) -> np.ndarray:
    """Return the stable order of integer keys in [0, n_keys), int64, in time linear in both.

    SciPy's conversion of coordinates to rows is a stable counting sort; with so many keys that their
    counts would outweigh the input, NumPy's sort takes over.
    """
    if len(keys) * 4 < n_keys or len(keys) < 256:
        return np.argsort(keys, kind="stable")
    from scipy.sparse import coo_array

    places = np.arange(len(keys))
    triplets = coo_array((places, (keys, np.zeros_like(keys))), shape=(n_keys, 1))
    triplets.has_canonical_format = True  # else equal coordinates would be summed
    return np.asarray(triplets.tocsr().data)


def offsets_of(keys: np.ndarray, n_keys: int) -> np.ndarray:
    """Return where each key's segment begins once sorted, int64 of shape (n_keys + 1,)."""
    offsets = np.zeros(n_keys + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=n_keys), out=offsets[1:])
    return offsets


def gather(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the places of segments one after the other: starts[0], starts[0] + 1, ..., starts[1], ..."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    places: np.ndarray = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return places


def steps_back(history: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Count for each event the distinct later moments of its history; the events come by history and time."""
    if not len(history):
        return np.zeros(0)
    moves = np.append(0, np.cumsum((history[1:] != history[:-1]) | (time[1:] != time[:-1])))
    last_of_row = np.searchsorted(history, history, side="right") - 1
    return np.asarray(moves[last_of_row] - moves)


def sum_cells(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum values that fall into one cell, in the order they come, in float64.

    SciPy sums duplicates in an order that depends on its sort; here one row alone gives the same bits as
    the row within a matrix.

    Returns
    -------
    Row, column and float32 sum of each cell, by row and column, without zeros.
    """
    order = counting_order(columns, shape[1])
    if shape[0] > 1:
        order = order[counting_order(rows[order], shape[0])]
    rows, columns = rows[order], columns[order]
    new = np.ones(len(order), bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    cell = np.cumsum(new) - 1
    sums = np.bincount(cell, values[order]).astype(np.float32)
    rows, columns = rows[new], columns[new]
    if not sums.all():  # decayed below what float32 can tell from 0
        kept = sums != 0
        rows, columns, sums = rows[kept], columns[kept], sums[kept]
    return rows, columns, sums


def running(values: np.ndarray, segment: np.ndarray, combine: Callable[..., np.ndarray]) -> np.ndarray:
    """Combine each value with all earlier ones of its segment, as `np.add` or `np.minimum` does two.

    Segments are runs of equal numbers. Doubling strides (Hillis and Steele, 1986) need as many passes as
    the longest segment has binary digits, and never mix segments, as a trick with offsets would.
    """
    result = values.copy()
    if not len(values):
        return result
    longest = int(np.diff(np.flatnonzero(np.r_[True, segment[1:] != segment[:-1], True])).max())
    stride = 1
    while stride < longest:
        same = segment[stride:] == segment[:-stride]
        result[stride:] = np.where(same, combine(result[stride:], result[:-stride]), result[stride:])
        stride *= 2
    return result
