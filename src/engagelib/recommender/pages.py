"""Pages: what is known of one customer, at a glance for a member of staff."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from engagelib.recommender.recommendations import Recommendations
from engagelib.recommender.wording import facts, heading, html_page, text_page
from engagelib.tables import Table
from engagelib.vocabulary import Id

Occasion = Literal["order", "day", "position"]


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events are of one type, or happened in one channel.

    Attributes
    ----------
    name
        The event type or the channel; None where the event names no channel, or one that the model never saw.
    n_events, last_seen
        How many there are, and when the newest was; None in a log without timestamps.
    """

    name: Id | None
    n_events: int
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class Bought:
    """All purchases together, those returned since and those of items not for sale, such as postage, too.

    Attributes
    ----------
    n_occasions, occasion
        On how many occasions something was bought, and what an occasion is: an "order"; without an order id
        all purchases of one "day" (UTC), or at one "position". None in a log that tells none of them.
    n_purchases, n_items
        Events, and the distinct items in them that the model knows.
    quantity
        Pieces; a purchase that does not say counts 1. None where the log has no such column.
    value
        Money, in the unit of the log, to 2 decimals; what has no value counts 0. None as above.
    """

    n_occasions: int | None
    occasion: Occasion | None
    n_purchases: int
    n_items: int
    quantity: float | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Returned:
    """All returns together.

    Attributes
    ----------
    n_returns, n_items, quantity
        As for `Bought`.
    value
        Money given back, at least 0, as for `Bought`.
    unmatched
        How much of the quantity has no earlier purchase that it could undo; one a return where the log has
        no quantities.
    """

    n_returns: int
    n_items: int
    quantity: float | None
    value: float | None
    unmatched: float


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often something is bought, counted in days (UTC) on which an occasion began.

    Attributes
    ----------
    usual_interval_days
        The median number of days from one such day to the next; None with fewer than two of them.
    n_intervals
        How many intervals that is the median of.
    days_since_last
        Days from the last of them to the day of the page; None where nothing was bought.
    days_overdue
        Days since the last less the usual interval: below 0 the next purchase is not due yet.
    n_longer_intervals
        How many of the intervals were longer than the days since the last.
    n_events_since
        Events of any type after the last purchase; None in a log without an order.

    Without timestamps all but the last are None or 0.
    """

    usual_interval_days: float | None
    n_intervals: int
    days_since_last: int | None
    days_overdue: float | None
    n_longer_intervals: int
    n_events_since: int | None


@dataclass(frozen=True, slots=True)
class CategoryShare:
    """A category, and its share of the purchases, in (0, 1]."""

    category: str
    share: float


@dataclass(frozen=True, slots=True)
class Line:
    """One purchase, or all returns of one item.

    Attributes
    ----------
    item_id, title
        The item; `title` is None where there is none.
    timestamp
        When it was bought, or last returned; None in a log without timestamps.
    channel
        Where it was bought, or last returned; None where that is not stated.
    quantity, value
        Pieces, and money of the whole purchase or given back; None where not stated.
    returned
        The share of a purchase that came back since, from 0 to 1; 1 for returns.
    """

    item_id: Id
    title: str | None
    timestamp: datetime | None
    channel: Id | None
    quantity: float | None
    value: float | None
    returned: float


@dataclass(frozen=True, eq=False)
class Profile:
    """One customer at a glance: who, since when, what was bought and returned, how often, and what to show.

    `str()` is a page of at most 100 columns, a notebook shows the same as tables. Money is in the unit of
    the log, times are in UTC.

    Attributes
    ----------
    customer_id
        The canonical id; None for a visitor without an id, and for what can be nobody's id. What was asked
        for stands in `suggestions.customer_id`.
    known
        Whether there is a history. Of who is unknown, all counts are 0 and all lists empty, but for
        `suggestions`.
    identities
        The other identities of the customer, oldest first.
    as_of
        The moment of the page: the one asked for, else the newest event known, of the log or of this
        customer. None in a log without timestamps.
    n_events, first_seen, last_seen
        How many events there are, of any type, and the times of the first and the last; None as above.
    event_types, channels
        Events by type and by channel, the most frequent first, those without a channel last; `channels` is
        empty where the log has none.
    bought, returned, rhythm
        Sums, and how often.
    categories
        The share of each category in the purchases of items for sale that have one, the largest first. Each
        purchase counts once however old it is, less the share of it that was returned. Empty where the item
        table has no `category`.
    last_purchases
        The newest 10 purchases of items for sale, newest first; in a log without an order the last 10 of it.
    last_returns
        The items for sale that were returned, at most 10 of them, the last returned first.
    suggestions
        What to show next, with reasons.
    """

    customer_id: Id | None
    known: bool
    identities: tuple[Id, ...]
    as_of: datetime | None
    n_events: int
    first_seen: datetime | None
    last_seen: datetime | None
    event_types: tuple[Tally, ...]
    channels: tuple[Tally, ...]
    bought: Bought
    returned: Returned
    rhythm: Rhythm
    categories: tuple[CategoryShare, ...]
    last_purchases: tuple[Line, ...]
    last_returns: tuple[Line, ...]
    suggestions: Recommendations

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in built-in types alone, ready for `json.dumps`; times are texts in ISO 8601."""
        whole: dict[str, Any] = _plain(self)
        whole["suggestions"] = self.suggestions.to_records()
        whole["shortfall"] = self.suggestions.shortfall
        return whole

    def to_records(self) -> list[dict[str, Any]]:
        """Return the page as a list of the one record that `to_dict` makes."""
        return [self.to_dict()]

    def summary(self) -> Table:
        """Return the facts in words, without the lists."""
        return Table(("what", "value"), tuple(facts(self)), title=heading(self))

    def __str__(self) -> str:
        return text_page(self)

    def __repr__(self) -> str:
        return f"Profile({self.customer_id!r}, known={self.known}, {self.n_events:,} events)"

    def _repr_html_(self) -> str:
        return html_page(self)


def _plain(value: Any) -> Any:
    """Turn a record of records into mappings and lists of built-in types."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Recommendations) or not hasattr(value, "__dataclass_fields__"):
        return value
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
