"""Spots: where in the events of many histories their moments lie, and sums and last events up to there."""

from dataclasses import dataclass

import numpy as np


def first_after(time: np.ndarray, start: np.ndarray, end: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Return the first place in `[start, end)` whose time lies after a moment, `end` where none does.

    All pairs are halved together, so that the cost grows with the logarithm of the longest history.

    Parameters
    ----------
    time
        int64, in order within each of the ranges.
    start, end, moment
        int64, all of shape (n_pairs,).
    """
    low, high = start.copy(), end.copy()
    if not len(time) or not len(low):
        return low
    for _ in range(int((end - start).max()).bit_length()):
        middle = (low + high) >> 1
        goes_on = (low < high) & (time[np.minimum(middle, len(time) - 1)] <= moment)
        low, high = np.where(goes_on, middle + 1, low), np.where(goes_on, high, middle)
    return low


@dataclass(frozen=True, eq=False)
class Spots:
    """Pairs of a history and a moment, as places among the events.

    Attributes
    ----------
    start, end
        The events of pair `i` up to its moment are those at `start[i]` to `end[i] - 1`, int64.
    moment
        Microseconds since 1970, int64.
    """

    start: np.ndarray
    end: np.ndarray
    moment: np.ndarray

    @classmethod
    def of(cls, indptr: np.ndarray, time: np.ndarray, row: np.ndarray, moment: np.ndarray) -> "Spots":
        """Look up pairs; a row of -1 has no event."""
        known = row >= 0
        start = np.where(known, indptr[row], 0).astype(np.int64)
        last = np.where(known, indptr[row + 1], 0).astype(np.int64)
        return cls(start, first_after(time, start, last, moment), moment)

    def earlier(self, time: np.ndarray, by: int) -> "Spots":
        """Return the same histories as of a moment that lies `by` microseconds before."""
        moment = self.moment - by
        return Spots(self.start, first_after(time, self.start, self.end, moment), moment)

    def total(self, amounts: np.ndarray) -> np.ndarray:
        """Add up what the events up to each moment amount to, integers or bool of shape (n_events,).

        Integers are added without rounding, so that neither the order of rows nor other customers matter.
        """
        sums = np.zeros(len(amounts) + 1, np.int64)
        np.cumsum(amounts, out=sums[1:])
        return np.asarray(sums[self.end] - sums[self.start])

    def newest(self, which: np.ndarray) -> np.ndarray:
        """Return the place of the last event of a mask up to each moment, -1 where there is none."""
        if not len(which):
            return np.full(len(self.end), -1)
        place = np.maximum.accumulate(np.where(which, np.arange(len(which)), -1))
        found = place[np.maximum(self.end, 1) - 1]
        return np.where((self.end > self.start) & (found >= self.start), found, -1)

    def oldest(self, which: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
        """Return the place of the first event of a mask, from `start` on and up to each moment, else -1."""
        start = self.start if start is None else start
        place = np.append(np.flatnonzero(which), len(which))
        found = place[np.searchsorted(place, np.minimum(start, len(which)))]
        return np.where(found < self.end, found, -1)


def moment_ends(rows: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Say of each event whether it is the last of its history and moment, bool."""
    ends = np.ones(len(time), bool)
    ends[:-1] = (rows[1:] != rows[:-1]) | (time[1:] != time[:-1])
    return ends


def lowest_of_moment(rows: np.ndarray, time: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give the events of one history and moment the lowest of their values: rows in a log have no order."""
    if not len(time):
        return values
    begins = np.append(True, moment_ends(rows, time)[:-1])
    lowest = np.minimum.reduceat(values, np.flatnonzero(begins))
    return np.asarray(lowest[np.cumsum(begins) - 1])
