"""Rows: what is said of items, by channel, location and window of time, and what of it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from engagelib.availability.scopes import EVERY, Scope, overlap, places_of
from engagelib.segments import gather

NEVER_BEFORE: Final = int(np.iinfo(np.int64).min)
NEVER_AFTER: Final = int(np.iinfo(np.int64).max)
"""The bounds of a window that has none."""

TABLE_KEY: Final = 1

_Run = TypeVar("_Run", bound=Any)


@dataclass(eq=False, slots=True)
class Rows:
    """Rows in the order of their scopes, each about one item; they never change.

    Of all rows that hold for an item in one place at one moment, the one with the largest key decides: the
    item may be shown if that key is odd. Rows of the table share the key 1, so that any of them suffices;
    the rows of a later update have a larger one.

    Attributes
    ----------
    items
        Item indices, shape (n,).
    channels, locations
        Codes, or `EVERY`, shape (n,), rising together.
    keys
        int64, shape (n,).
    starts, ends
        Windows in microseconds since 1970, the end not included; None where no row has one.
    groups
        Where the rows of each scope lie.
    """

    items: np.ndarray
    channels: np.ndarray
    locations: np.ndarray
    keys: np.ndarray
    starts: np.ndarray | None = None
    ends: np.ndarray | None = None
    groups: dict[Scope, slice] = field(init=False)
    _by_item: tuple[np.ndarray, np.ndarray] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.groups = _groups(self.channels, self.locations)

    def __len__(self) -> int:
        return len(self.items)

    def holding(self, group: Scope, at: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the items and keys of the rows of one scope that hold at a moment."""
        part = self.groups[group]
        items, keys = self.items[part], self.keys[part]
        if self.starts is None or self.ends is None:
            return items, keys
        now = (self.starts[part] <= at) & (at < self.ends[part])
        return items[now], keys[now]

    def take(self, place: np.ndarray, items: np.ndarray) -> "Rows":
        """Return the rows at these places, in rising order, under other item indices."""
        return Rows(
            items,
            self.channels[place],
            self.locations[place],
            self.keys[place],
            None if self.starts is None else self.starts[place],
            None if self.ends is None else self.ends[place],
        )

    def about(self, items: np.ndarray) -> "Rows":
        """Return the rows about some items, sorted and distinct, which are numbered from 0 there."""
        if self._by_item is None:
            order = np.argsort(self.items, kind="stable")
            self._by_item = order, self.items[order]
        order, of_order = self._by_item
        low, high = np.searchsorted(of_order, items), np.searchsorted(of_order, items, side="right")
        place = order[gather(low, high - low)]
        number = np.repeat(np.arange(len(items)), high - low)
        rising = np.argsort(place)
        return self.take(place[rising], number[rising])

    def followed_by(self, newer: "Rows") -> "Rows":
        """Return these rows of updates and newer ones, of each item and scope the newest."""
        items, channels, locations, keys = (
            np.concatenate(pair)
            for pair in (
                (self.items, newer.items),
                (self.channels, newer.channels),
                (self.locations, newer.locations),
                (self.keys, newer.keys),
            )
        )
        order = np.lexsort((keys, items, locations, channels))
        newest = np.zeros(len(order), bool)
        newest[-1:] = True
        for part in (items[order], channels[order], locations[order]):
            newest[:-1] |= part[1:] != part[:-1]
        order = order[newest]
        return Rows(items[order], channels[order], locations[order], keys[order])


def stack(runs: tuple[_Run, ...], newest: _Run, join: Callable[[_Run, _Run], _Run]) -> tuple[_Run, ...]:
    """Add a run to others, and join those at the end that are not much longer than what follows them.

    What was added before is copied only now and then: in sum a few times for each row, however many come one
    by one, and there are never more than a dozen runs (O'Neil et al., 1996, "The log-structured merge-tree").
    """
    while runs and len(runs[-1]) <= 4 * len(newest):
        newest = join(runs[-1], newest)
        runs = runs[:-1]
    return (*runs, newest)


def _groups(channels: np.ndarray, locations: np.ndarray) -> dict[Scope, slice]:
    """Return the rows of each scope."""
    if not len(channels):
        return {}
    new = (channels[1:] != channels[:-1]) | (locations[1:] != locations[:-1])
    first = np.append(0, np.flatnonzero(new) + 1)
    scopes = zip(channels[first].tolist(), locations[first].tolist(), strict=True)
    parts = map(slice, first.tolist(), [*first[1:].tolist(), len(channels)])
    return dict(zip(scopes, parts, strict=True))


def available(
    rows: Sequence[Rows], n_items: int, scope: Scope, n_named: tuple[int, int], at: int
) -> np.ndarray:
    """Say of each item whether it may be shown in a call's scope at a moment, bool of shape (n_items,).

    In a place that the call or the table names, what nobody speaks of may not be shown. A name that only
    updates have must not take away the items that they do not mention: where a call names none, it is a
    refusal under such a name that counts, and nothing else.

    Parameters
    ----------
    rows
        The table, then updates.
    n_items
        Rows are about items 0 to n_items - 1.
    scope, n_named
        As in `places_of`.
    at
        Microseconds since 1970.
    """
    said = [
        {group: part.holding(group, at) for group in part.groups if overlap(group, scope)} for part in rows
    ]
    result = np.ones(n_items, bool)
    for place, added in places_of(scope, set().union(*said), n_named):
        newest = np.full(n_items, TABLE_KEY if any(added) else 0, np.int64)
        for channel in {EVERY, place[0]}:
            for location in {EVERY, place[1]}:
                by_name = (added[0] and channel != EVERY) or (added[1] and location != EVERY)
                always = 1 if any(added) and not by_name else 0
                for part in said:
                    if (channel, location) in part:
                        items, keys = part[channel, location]
                        newest[items] = np.maximum(newest[items], keys | always)
        result &= (newest & 1).astype(bool)
    return result


def moments_of(rows: Rows) -> dict[Scope, np.ndarray]:
    """Return for each scope the moments at which a window of it opens or closes, sorted and distinct."""
    if rows.starts is None or rows.ends is None:
        return {}
    starts, ends = rows.starts, rows.ends
    return {group: np.unique(np.append(starts[part], ends[part])) for group, part in rows.groups.items()}


def span_of(moments: Mapping[Scope, np.ndarray], scope: Scope, at: int) -> tuple[int, int]:
    """Return the span around a moment in which no window of a call's scope opens or closes."""
    opens, closes = NEVER_BEFORE, NEVER_AFTER
    for group, found in moments.items():
        if overlap(group, scope):
            place = int(np.searchsorted(found, at, side="right"))
            if place:
                opens = max(opens, int(found[place - 1]))
            if place < len(found):
                closes = min(closes, int(found[place]))
    return opens, closes
