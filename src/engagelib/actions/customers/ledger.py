"""Ledger: what each event of many histories adds to or takes from orders, money and bad experiences."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from engagelib.actions.customers.spots import lowest_of_moment
from engagelib.actions.customers.undoing import Undone, undo
from engagelib.drawing import check_unaltered
from engagelib.histories import Histories
from engagelib.times import DAY

FINE: Final = 1_000_000.0
"""Money and ratings are added up in millionths, as integers, so that sums don't depend on their order."""

_MOST: Final = 1e12

BAD: Final = ("complaint", "return", "low_survey", "low_rating")
"""Bad experiences, the one that is named first where two share a moment."""


def millionths(values: np.ndarray) -> np.ndarray:
    """Write numbers in millionths, int64; what is not stated counts 0."""
    wide = values.astype(np.float64)
    wide[np.isnan(wide)] = 0.0
    return np.rint(np.minimum(np.maximum(wide, -_MOST), _MOST) * FINE).astype(np.int64)


@dataclass(frozen=True)
class Roles:
    """What the event types of a log are for, as tuples of codes.

    Purchases are events of that type; in a log with one event type on items that type counts too.
    """

    purchases: tuple[int, ...]
    returns: tuple[int, ...]
    surveys: tuple[int, ...]
    complaints: tuple[int, ...]
    views: tuple[int, ...]

    @classmethod
    def of(cls, event_types: tuple[str, ...], item_types: tuple[str, ...]) -> "Roles":
        """Find the codes by the names of event types."""
        bought = {"purchase", *(item_types if len(item_types) == 1 else ())} - {"return"}

        def codes(names: set[str]) -> tuple[int, ...]:
            return tuple(code for code, name in enumerate(event_types) if name in names)

        return cls(codes(bought), codes({"return"}), codes({"survey"}), codes({"complaint"}), codes({"view"}))


class Ledger:
    """The events of histories, one array of changes a question; worked out when they are asked for.

    Parameters
    ----------
    histories
        With real times, in the order of rows and time.
    """

    def __init__(self, histories: Histories) -> None:
        check_unaltered(histories)
        assert histories.time is not None  # checked at the public edge
        self.histories = histories
        self.indptr, self.time = histories.indptr, histories.time
        self.n_events = len(self.time)
        self.row = histories.rows()
        self.roles = Roles.of(histories.event_types, histories.item_types)
        self.is_purchase = self.of_role(self.roles.purchases)
        self.is_return = self.of_role(self.roles.returns)

    def of_role(self, codes: tuple[int, ...]) -> np.ndarray:
        """Say of each event whether its type is one of some codes, bool."""
        named = np.zeros(len(self.histories.event_types), bool)
        named[list(codes)] = True
        return np.asarray(named[self.histories.event_type])

    @cached_property
    def bought(self) -> np.ndarray:
        """Places of the purchases, int64."""
        return np.flatnonzero(self.is_purchase)

    @cached_property
    def occasion(self) -> np.ndarray:
        """Number of the occasion of each purchase, int64 of shape (n_purchases,): an order, else a day."""
        row, day = self.row[self.bought], self.time[self.bought] // DAY
        new = np.ones(len(row), bool)
        if not len(row):
            return np.zeros(0, np.int64)
        if "order" not in self.histories.codes:
            new[1:] = (row[1:] != row[:-1]) | (day[1:] != day[:-1])
            return np.cumsum(new) - 1
        order = self.histories.codes["order"][self.bought].astype(np.int64)
        n_orders, first = len(self.histories.tables["order"]), int(day.min())
        number = np.where(order >= 0, order, n_orders + day - first)
        key = row * (n_orders + int(day.max()) - first + 1) + number
        # Lines of an order mostly stand together: fewer runs are to be sorted than lines.
        new[1:] = key[1:] != key[:-1]
        _, of_run = np.unique(key[new], return_inverse=True)
        return np.asarray(of_run[np.cumsum(new) - 1])

    @cached_property
    def begins(self) -> np.ndarray:
        """Say of each event whether an occasion begins with it, bool."""
        begins = np.zeros(self.n_events, bool)
        if len(self.bought):
            n = int(self.occasion.max()) + 1
            first = np.full(n, self.n_events)
            np.minimum.at(first, self.occasion, self.bought)
            begins[first] = True
        return begins

    @cached_property
    def new_day(self) -> np.ndarray:
        """Say of each event whether it begins the first occasion of its day, bool."""
        place = np.flatnonzero(self.begins)
        row, day = self.row[place], self.time[place] // DAY
        new = np.ones(len(place), bool)
        new[1:] = (row[1:] != row[:-1]) | (day[1:] != day[:-1])
        result = np.zeros(self.n_events, bool)
        result[place[new]] = True
        return result

    @cached_property
    def undone(self) -> Undone | None:
        """What returns take back, None where there is none."""
        if not self.roles.returns:
            return None
        item = self.histories.item_index
        place = np.flatnonzero((self.is_purchase | self.is_return) & (item >= 0))
        numbers = self.histories.numbers
        quantity = numbers["quantity"][place] if "quantity" in numbers else np.ones(len(place))
        found = undo(self.row[place], item[place], self.is_return[place], quantity, self.time[place])
        if found is None:
            return None
        layer = np.full(self.n_events, -1, np.int64)
        layer[place] = found.layer
        return Undone(layer, place[found.back], found.taken_from, found.before, found.left)

    @cached_property
    def ended(self) -> tuple[np.ndarray, np.ndarray]:
        """Purchases that came back whole, and the returns that brought them back, as places of events."""
        undone = self.undone
        if undone is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        by = np.full(int(undone.layer.max()) + 1, -1)
        whole = undone.left == 0
        by[undone.taken_from[whole]] = undone.back[whole]
        lines = np.flatnonzero(self.is_purchase & (undone.layer >= 0))
        lines = lines[by[undone.layer[lines]] >= 0]
        return lines, by[undone.layer[lines]]

    @cached_property
    def came_back(self) -> np.ndarray:
        """How many purchases came back whole with each event, int64."""
        return np.bincount(self.ended[1], minlength=self.n_events)

    @cached_property
    def money(self) -> np.ndarray:
        """What each event adds to the money kept, in millionths, int64; a return takes back."""
        change = np.where(self.is_purchase, millionths(self.histories.numbers["value"]), 0)
        if (undone := self.undone) is not None and len(undone.back):
            lines = np.flatnonzero(self.is_purchase & (undone.layer >= 0))
            worth = np.zeros(int(undone.layer.max()) + 1, np.int64)
            np.add.at(worth, undone.layer[lines], change[lines])
            whole = worth[undone.taken_from].astype(np.float64)
            taken = np.rint(undone.left * whole).astype(np.int64)
            taken -= np.rint(undone.before * whole).astype(np.int64)
            np.add.at(change, undone.back, taken)
        return change

    @cached_property
    def kept(self) -> np.ndarray:
        """What each event adds to the occasions of which something was kept, int64.

        Within one moment only the sum is of meaning.
        """
        change = self.begins.astype(np.int64)
        lines, by = self.ended
        if not len(lines):
            return change
        at = np.full(self.n_events, -1)
        at[self.bought] = self.occasion
        touched = np.zeros(int(self.occasion.max()) + 1, bool)
        touched[at[lines]] = True
        mine = self.bought[touched[self.occasion]]
        change[mine] = 0
        occasion = np.append(at[mine], at[lines])
        place, step = np.append(mine, by), np.append(np.ones(len(mine), np.int64), np.full(len(lines), -1))
        order = np.lexsort((-step, self.time[place], occasion))
        occasion, place, step = occasion[order], place[order], step[order]
        # Each occasion's steps add up to at least 0, and count from where the last one ended.
        alive = np.cumsum(step)
        new = np.ones(len(occasion), bool)
        new[1:] = occasion[1:] != occasion[:-1]
        alive -= (alive - step)[new][np.cumsum(new) - 1]
        np.add.at(change, place, (alive > 0).astype(np.int64) - (alive - step > 0))
        return change

    @cached_property
    def rating(self) -> np.ndarray:
        """The rating of each event, float64, NaN for none."""
        return np.asarray(self.histories.numbers["rating"], np.float64)

    @cached_property
    def answers(self) -> np.ndarray:
        """Say of each event whether it answers a survey, bool."""
        return np.asarray(self.of_role(self.roles.surveys) & ~np.isnan(self.rating))

    @cached_property
    def rated(self) -> np.ndarray:
        """Say of each event whether it rates something, bool; the answer to a survey does not."""
        return np.asarray(~self.of_role(self.roles.surveys) & ~np.isnan(self.rating))

    def lowest(self, which: np.ndarray) -> np.ndarray:
        """Return the rating of each event of a mask, the lowest of its moment; float64, NaN elsewhere."""
        values = np.full(self.n_events, np.nan)
        place = np.flatnonzero(which)
        values[place] = lowest_of_moment(self.row[place], self.time[place], self.rating[place])
        return values

    def bad(self, low_rating: float, low_survey: float) -> np.ndarray:
        """Return which of `BAD` each event is, the first of its moment; int8, -1 for none of them."""
        kind = np.full(self.n_events, len(BAD), np.int8)
        if "rating" in self.histories.numbers:
            kind[self.rated & (self.rating <= low_rating)] = BAD.index("low_rating")
            kind[self.answers & (self.rating <= low_survey)] = BAD.index("low_survey")
        kind[self.is_return] = BAD.index("return")
        kind[self.of_role(self.roles.complaints)] = BAD.index("complaint")
        place = np.flatnonzero(kind < len(BAD))
        kind[place] = lowest_of_moment(self.row[place], self.time[place], kind[place])
        kind[kind == len(BAD)] = -1
        return kind
