"""Tastes: the mean of the vectors of the items that a customer met, the newest counting most."""

import numpy as np

from engagelib.actions.customers.spots import Spots
from engagelib.cells import weights_of
from engagelib.histories import Histories


def tastes_at(histories: Histories, spots: Spots, vectors: np.ndarray, half_life: float) -> np.ndarray:
    """Average item vectors up to each moment, float64 of shape (n_pairs, n_tastes), NaN without an item.

    Parameters
    ----------
    histories
        With real times.
    spots
        The pairs.
    vectors
        float32, shape (n_items, n_tastes). An event counts as `EVENT_WEIGHTS` says of its type; items without
        a vector don't count.
    half_life
        Age in microseconds at which an event counts half.
    """
    assert histories.time is not None
    result = np.full((len(spots.end), vectors.shape[1]), np.nan)
    item = histories.item_index
    weight = weights_of(histories.event_types, None)[histories.event_type]
    counts = np.flatnonzero((weight > 0) & (item >= 0) & (item < len(vectors)))
    start, end = np.searchsorted(counts, spots.start), np.searchsorted(counts, spots.end)
    filled = np.flatnonzero(end > start)
    if not len(filled):
        return result
    # A mean does not depend on the moment, only on the events: each range of them is averaged once.
    ranges, of_pair = np.unique(np.stack([start[filled], end[filled]], axis=1), axis=0, return_inverse=True)
    start, end = ranges.T
    follows = np.zeros(len(start), bool)
    follows[1:] = start[1:] == start[:-1]
    begin = np.where(follows, np.append(0, end[:-1]), start)
    time = histories.time[counts]
    newest = time[end - 1]
    lengths = end - begin
    part = np.repeat(np.arange(len(begin)), lengths)
    place = np.arange(len(part)) + np.repeat(begin - (np.cumsum(lengths) - lengths), lengths)
    share = weight[counts[place]] * np.exp2((time[place] - newest[part]) / half_life)
    first = np.cumsum(lengths) - lengths
    sums = np.add.reduceat(vectors[item[counts[place]]] * share[:, None], first, axis=0)
    total = np.add.reduceat(share, first)
    # What came before a range fades on; the n-th ranges of all histories are taken together.
    rank = np.arange(len(follows)) - np.maximum.accumulate(np.where(follows, 0, np.arange(len(follows))))
    by_rank = np.argsort(rank, kind="stable")
    for several in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])[1:]:
        fade = np.exp2((newest[several - 1] - newest[several]) / half_life)
        sums[several] += sums[several - 1] * fade[:, None]
        total[several] += total[several - 1] * fade
    result[filled] = (sums / total[:, None])[of_pair.ravel()]
    return result


def tastes_of(history: Histories, end: int, vectors: np.ndarray, half_life: float) -> list[float]:
    """Average item vectors over the first `end` events of a single history, as `tastes_at` does."""
    assert history.time is not None
    item = history.item_index[:end]
    weight = weights_of(history.event_types, None)[history.event_type[:end]]
    counts = np.flatnonzero((weight > 0) & (item >= 0) & (item < len(vectors)))
    if not len(counts):
        return [np.nan] * vectors.shape[1]
    time = history.time[counts]
    share = weight[counts] * np.exp2((time - time[-1]) / half_life)
    mean: list[float] = ((share @ vectors[item[counts]]) / share.sum()).tolist()
    return mean
