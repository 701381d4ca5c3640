"""Profiling: one history, as it stands now, becomes the facts of a customer's page."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from engagelib.cells import check_codes
from engagelib.histories import Histories
from engagelib.recommender.learned import Learned
from engagelib.recommender.pages import (
    Bought,
    CategoryShare,
    Line,
    Occasion,
    Profile,
    Returned,
    Rhythm,
    Tally,
)
from engagelib.recommender.recommendations import Recommendations
from engagelib.recommender.serving import Serving
from engagelib.returning import match_returns
from engagelib.times import DAY, to_datetime
from engagelib.vocabulary import Id, Vocabulary

_MOST_LINES: Final = 10


def draw_profile(
    serving: Serving, history: Histories, suggestions: Recommendations, *, at: int | None
) -> Profile:
    """Draw the page of the customer that a list was made for.

    Parameters
    ----------
    serving
        What the list was made from.
    history
        The customer's history, one row.
    suggestions
        The list, which also says who was asked for.
    at
        Microseconds since 1970: later events are left out. None for all that is known.
    """
    history = history if at is None else history.until(at)
    facts = _Facts(serving.learned, history)
    asked_for = suggestions.customer_id
    customer = None if asked_for is None else serving.live.who(asked_for)
    members = [] if customer is None else serving.live.links.members(customer)
    time, as_of = facts.timestamp, at
    if as_of is None and history.time_kind == "timestamp":
        newest = [] if history.newest is None else [history.newest]
        newest += [] if time is None or not len(time) else [int(time[-1])]
        as_of = max(newest, default=None)
    first, last = (None, None) if time is None or not len(time) else (time[0], time[-1])
    return Profile(
        customer_id=customer,
        known=suggestions.known,
        identities=tuple(id_ for id_ in members if id_ != customer),
        as_of=_moment(as_of),
        n_events=history.n_events,
        first_seen=_moment(first),
        last_seen=_moment(last),
        event_types=facts.tallies(history.event_type, history.event_types),
        channels=facts.tallies(history.codes["channel"], history.tables["channel"])
        if "channel" in history.codes
        else (),
        bought=facts.bought(),
        returned=facts.returned(),
        rhythm=facts.rhythm(as_of),
        categories=facts.categories(),
        last_purchases=facts.last_purchases(),
        last_returns=facts.last_returns(),
        suggestions=suggestions,
    )


class _Facts:
    """The events of one history as arrays, and what is told of them.

    Purchases are events of that type; in a log with one event type on items that type counts too.
    """

    def __init__(self, learned: Learned, history: Histories) -> None:
        self.learned, self.history = learned, history
        for name, codes in history.codes.items():
            check_codes(name, codes, -1, len(history.tables[name]))
        alone = history.item_types if len(history.item_types) == 1 else ()
        self.is_return = history.of_type("return")
        self.is_purchase = history.of_type("purchase", *alone) & ~self.is_return
        self.item = history.item_index
        self.for_sale = (self.item >= 0) & learned.for_sale[self.item]
        self.timestamp = history.time if history.time_kind == "timestamp" else None
        self.quantity, self.value = (self._numbers(name) for name in ("quantity", "value"))
        self.kept, self.unmatched = self._matched()

    def _numbers(self, name: str) -> np.ndarray | None:
        """Return a column as float64, without signs where it counts pieces; None where the log has none."""
        if name not in self.history.numbers:
            return None
        values = self.history.numbers[name].astype(np.float64)
        return np.abs(values) if name == "quantity" else values

    def _matched(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the kept share of each event, and the quantity of each return that undoes nothing."""
        n, time = self.history.n_events, self.history.time
        kept, unmatched = np.ones(n), np.zeros(n)
        place = np.flatnonzero((self.is_purchase | self.is_return) & (self.item >= 0))
        moment = np.zeros(n, np.int64) if time is None else time
        quantity = np.ones(n) if self.quantity is None else self.quantity
        kept[place], unmatched[place] = match_returns(
            np.zeros(len(place), np.int64),
            self.item[place],
            self.is_return[place],
            quantity[place],
            moment=moment[place],
        )
        return kept, unmatched

    def tallies(self, codes: np.ndarray, names: Sequence[Id] | Vocabulary) -> tuple[Tally, ...]:
        """Count events by code, the most frequent first and -1 last, ties in the order of codes."""
        found, newest, counts = np.unique(codes[::-1], return_index=True, return_counts=True)
        order = np.lexsort((found, -counts, found < 0))
        last = self._moments(len(codes) - 1 - newest[order])
        rows = zip(found[order].tolist(), counts[order].tolist(), last, strict=True)
        return tuple(Tally(names[code] if code >= 0 else None, count, seen) for code, count, seen in rows)

    def bought(self) -> Bought:
        """Sum up the purchases."""
        which = np.flatnonzero(self.is_purchase)
        began, occasion = self._occasions()
        return Bought(
            n_occasions=None if occasion is None else len(began),
            occasion=occasion,
            n_purchases=len(which),
            n_items=self._n_items(which),
            quantity=_pieces(self.quantity, which),
            value=_money(self.value, which),
        )

    def returned(self) -> Returned:
        """Sum up the returns; an export may write their value with either sign."""
        which = np.flatnonzero(self.is_return)
        return Returned(
            n_returns=len(which),
            n_items=self._n_items(which),
            quantity=_pieces(self.quantity, which),
            value=_money(None if self.value is None else np.abs(self.value), which),
            unmatched=round(float(self.unmatched.sum()), 4),
        )

    def rhythm(self, as_of: int | None) -> Rhythm:
        """Say how long it usually takes from one purchase to the next, and how long ago the last was."""
        time, bought_at = self.history.time, None
        if time is not None:
            bought_at = time[self.is_purchase]
        n_since = None if time is None else 0
        if time is not None and bought_at is not None and len(bought_at):
            n_since = int(np.count_nonzero(time > bought_at[-1]))
        if self.timestamp is None or bought_at is None or not len(bought_at):
            return Rhythm(None, 0, None, None, 0, n_since)
        assert as_of is not None  # there is an event with a time
        days = np.unique(self._occasions()[0] // DAY)
        since, gaps = as_of // DAY - int(days[-1]), np.diff(days)
        usual = float(np.median(gaps)) if len(gaps) else None
        return Rhythm(
            usual_interval_days=usual,
            n_intervals=len(gaps),
            days_since_last=since,
            days_overdue=None if usual is None else since - usual,
            n_longer_intervals=int(np.count_nonzero(gaps > since)),
            n_events_since=n_since,
        )

    def _occasions(self) -> tuple[np.ndarray, Occasion | None]:
        """Return when each occasion of a purchase began, and what an occasion is; None where nothing tells.

        It is an order; of purchases without one it is a day or a position, or all of them in a log without
        an order.
        """
        history = self.history
        which = np.flatnonzero(self.is_purchase)
        order = np.array(history.codes["order"][which], np.int64) if "order" in history.codes else None
        time = np.zeros(len(which), np.int64) if history.time is None else history.time[which]
        moment = time // DAY if self.timestamp is not None else time
        _, number = np.unique(moment, return_inverse=True)
        if order is not None:
            number = np.where(order >= 0, order, len(history.tables["order"]) + number)
        _, first = np.unique(number, return_index=True)  # events are in the order of time
        occasion: Occasion | None = None if history.time is None else "position"
        occasion = "day" if self.timestamp is not None else occasion
        return time[first], occasion if order is None else "order"

    def categories(self) -> tuple[CategoryShare, ...]:
        """Return the share of each category in the purchases, less what was returned."""
        attributes = self.learned.attributes
        if "category" not in attributes.texts:
            return ()
        which = np.flatnonzero(self.is_purchase & self.for_sale & (self.kept > 0))
        code = attributes.texts["category"][0][self.item[which]]
        which, code = which[code >= 0], code[code >= 0]
        found, first, group = np.unique(code, return_index=True, return_inverse=True)
        weight = np.bincount(group, self.kept[which], len(found))
        order = np.argsort(-weight, kind="stable")
        names = attributes.values("category", self.item[which[first[order]]])
        shares = (weight[order] / weight.sum()).tolist() if len(order) else []
        return tuple(CategoryShare(str(name), share) for name, share in zip(names, shares, strict=True))

    def last_purchases(self) -> tuple[Line, ...]:
        """List the newest purchases of items for sale."""
        which = np.flatnonzero(self.is_purchase & self.for_sale)[: -_MOST_LINES - 1 : -1]
        returned = np.round(1.0 - self.kept[which], 4)
        return self._lines(which, _cells(self.quantity, which, 4), _cells(self.value, which, 2), returned)

    def last_returns(self) -> tuple[Line, ...]:
        """List the items that were returned, each with the sums of its returns."""
        which = np.flatnonzero(self.is_return & self.for_sale)[::-1]
        _, newest, group = np.unique(self.item[which], return_index=True, return_inverse=True)
        order = np.argsort(newest)[:_MOST_LINES]

        def summed(values: np.ndarray | None, empty: float, decimals: int) -> list[float | None]:
            if values is None:
                return [None] * len(order)
            every = np.abs(np.where(np.isnan(values), empty, values))[which]
            return list(np.round(np.bincount(group, every, len(newest))[order], decimals).tolist())

        pieces, money = summed(self.quantity, 1.0, 4), summed(self.value, 0.0, 2)
        return self._lines(which[newest[order]], pieces, money, np.ones(len(order)))

    def _lines(
        self,
        which: np.ndarray,
        quantity: Sequence[float | None],
        value: Sequence[float | None],
        returned: np.ndarray,
    ) -> tuple[Line, ...]:
        index: list[int] = self.item[which].tolist()
        channels: list[Id | None] = [None] * len(which)
        if "channel" in self.history.codes:
            table = self.history.tables["channel"]
            codes = self.history.codes["channel"][which].tolist()
            channels = [table[code] if code >= 0 else None for code in codes]
        titles = [title or None for title in self.learned.titles.take(index)]
        columns = (self.history.items.ids(index), titles, self._moments(which), channels, quantity, value)
        return tuple(map(Line, *columns, returned.tolist()))

    def _n_items(self, which: np.ndarray) -> int:
        known = self.item[which]
        return len(np.unique(known[known >= 0]))

    def _moments(self, which: np.ndarray) -> list[datetime | None]:
        if self.timestamp is None:
            return [None] * len(which)
        return [to_datetime(time) for time in self.timestamp[which].tolist()]


def _pieces(quantity: np.ndarray | None, which: np.ndarray) -> float | None:
    """Sum up quantities; what is not stated counts 1."""
    if quantity is None:
        return None
    return round(float(np.where(np.isnan(quantity[which]), 1.0, quantity[which]).sum()), 4)


def _money(value: np.ndarray | None, which: np.ndarray) -> float | None:
    """Sum up values; what is not stated counts 0. The events keep seven digits, so cents are what holds."""
    return None if value is None else round(float(np.nansum(value[which])), 2)


def _cells(values: np.ndarray | None, which: np.ndarray, decimals: int) -> list[float | None]:
    """Return single values, None for those not stated."""
    if values is None:
        return [None] * len(which)
    return [None if math.isnan(value) else round(value, decimals) for value in values[which].tolist()]


def _moment(micros: Any) -> datetime | None:
    return None if micros is None else to_datetime(micros)
