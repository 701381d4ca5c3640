"""A made-up shop of any size with the habits of real ones: tastes, long tails, funnels, repeats, stock."""

from dataclasses import dataclass
from operator import index as as_index
from typing import TYPE_CHECKING

import numpy as np

from engagelib import errors
from engagelib.datasets._shop_catalogue import (
    CHANNELS,
    LOCATIONS,
    Catalogue,
    availability_table,
    ids,
    item_ids,
    item_table,
    make_catalogue,
    times,
    words,
)
from engagelib.datasets._shop_visits import (
    CART,
    EVENT_TYPES,
    PURCHASE,
    RATING,
    RETURN,
    Visits,
    make_customers,
    make_visits,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from engagelib.events import EventLog

# Only the work saved depends on this estimate: too low draws more than is kept, too high begins anew.
EVENTS_PER_SESSION = 4.0

# The events that the bits of a visit's steps stand for: how many, and which is the s-th.
_MASKS = range(1 << len(EVENT_TYPES))
_N_STEPS = np.array([mask.bit_count() for mask in _MASKS])
_STEPS = np.zeros((len(_MASKS), len(EVENT_TYPES)), dtype=np.int8)
for _mask in _MASKS:
    _STEPS[_mask, : _N_STEPS[_mask]] = [event for event in range(len(EVENT_TYPES)) if _mask >> event & 1]


@dataclass(frozen=True)
class Shop:
    """A made-up shop.

    Attributes
    ----------
    log
        What its customers did, an `EventLog`.
    items
        One row an item: `item_id`, `title`, `category`, `price`, `for_sale`.
    availability
        What can be had just after the log ends: `item_id`, `channel`, `location`, `starts`, `ends`,
        `quantity`; null means every channel, every location, no bound, not counted. Items without a row
        are sold out or withdrawn.
    """

    log: "EventLog"
    items: "pa.Table"
    availability: "pa.Table"


def make_shop(
    n_customers: int = 2_000,
    n_items: int = 500,
    n_events: int = 50_000,
    *,
    rng: int | np.random.Generator = 0,
) -> Shop:
    """Make up a shop with a year of events, the same for the same arguments.

    Parameters
    ----------
    n_customers
        Known customers, at least 1; each appears in the log.
    n_items
        Items of the catalogue, at least 1; those in no event are in the item table all the same.
    n_events
        Rows of the log, exactly; at least `n_customers`.
    rng
        A seed of at least 0, or a Generator, which moves on.

    Returns
    -------
    The shop; `make_shop_tables` says what its log is like.

    Raises
    ------
    ArgumentError
        If a count is no integer or too low, or `rng` neither a seed nor a Generator.
    """
    from engagelib.events import EventLog

    events, items, availability = make_shop_tables(n_customers, n_items, n_events, rng=rng)
    # However few the customers, none of them is a bot.
    log = EventLog.from_frame(events, items=items, max_events_per_customer=events.num_rows)
    return Shop(log=log, items=items, availability=availability)


def make_shop_tables(
    n_customers: int = 2_000,
    n_items: int = 500,
    n_events: int = 50_000,
    *,
    rng: int | np.random.Generator = 0,
) -> tuple["pa.Table", "pa.Table", "pa.Table"]:
    """Make up a shop as plain tables: events, items and availability.

    The arguments and errors are those of `make_shop`.

    Returns
    -------
    events
        Rows in time order over the year 2025 (UTC): `customer_id` ("c-000123"; null for anonymous visits),
        `item_id` ("i-00042"), `event_type` (view, cart, purchase, rating, return), `timestamp`,
        `quantity` (pieces, of carts, purchases and returns; negative for a return), `value` (quantity times
        price, of purchases and returns), `rating` (1 to 5), `channel`, `location` (of store visits),
        `order_id` (of purchases and their returns), `session_id` (null for ratings and returns, which come
        days later).
    items, availability
        As the attributes of `Shop`.

    Notes
    -----
    A catalogue has categories, and in them clusters of about twelve items that are alike. A customer has
    tastes over categories and four favourite clusters; a session keeps mostly to one of them, so that
    neighbours tell more than popularity. Popularity of items and activity of customers have long tails.
    On the web and in the app each purchase follows a view and a cart of its session; tills and the call
    centre see purchases alone. Consumables are bought again after an interval typical of the item, what
    lasts is hardly ever bought twice. What the availability table bars was not viewed or bought either.
    """
    n_customers = _count("n_customers", n_customers, 1)
    n_items = _count("n_items", n_items, 1)
    n_events = _count("n_events", n_events, n_customers, "each customer needs an event.")
    generator = _generator(rng)
    catalogue = make_catalogue(generator, n_items)
    customers = make_customers(generator, n_customers, catalogue)
    n_sessions = max(n_customers, int(n_events / EVENTS_PER_SESSION) + 50)
    visits = make_visits(generator, n_sessions, customers, catalogue)
    while (made := int(_N_STEPS[visits.steps].sum())) < n_events:
        n_sessions = int(n_sessions * 1.1 * n_events / max(made, 1)) + 1
        visits = make_visits(generator, n_sessions, customers, catalogue)
    return (
        _event_table(visits, catalogue, n_customers, n_events),
        item_table(catalogue),
        availability_table(catalogue),
    )


def _count(name: str, given: int, least: int, hint: str = "") -> int:
    try:
        if not isinstance(given, bool) and as_index(given) >= least:
            return as_index(given)
    except TypeError:
        pass
    raise errors.bad_argument(name, given, f"an integer of at least {least:,}", hint)


def _generator(rng: int | np.random.Generator) -> np.random.Generator:
    try:
        if rng is not None:  # for None NumPy asks the system, and no two shops would be alike
            return np.random.default_rng(rng)
    except (TypeError, ValueError):
        pass
    raise errors.bad_argument("rng", rng, "a seed of at least 0 or a NumPy Generator")


def _event_table(visits: Visits, catalogue: Catalogue, n_customers: int, n_events: int) -> "pa.Table":
    """Spell the visits out as exactly `n_events` rows in time order."""
    import pyarrow as pa

    n_steps = _N_STEPS[visits.steps]
    known = np.flatnonzero((n_steps > 0) & ~visits.anonymous)
    first = np.zeros(n_customers, dtype=np.int64)
    first[visits.customer[known]] = known  # any one row of each customer
    # One event of each customer must fit; the front of a funnel is a funnel.
    n_steps[first] = np.minimum(n_steps[first], n_events // n_customers)
    is_first = np.zeros(len(n_steps), dtype=bool)
    is_first[first] = True
    order = np.concatenate([first, np.flatnonzero(~is_first & (n_steps > 0))])
    ends = np.cumsum(n_steps[order])
    n_visits = int(np.searchsorted(ends, n_events)) + 1
    order, ends = order[:n_visits], ends[:n_visits]
    visit = np.repeat(order, n_steps[order])[:n_events]
    step = np.arange(n_events) - np.repeat(ends - n_steps[order], n_steps[order])[:n_events]
    event = _STEPS[visits.steps[visit], step]
    time = visits.viewed[visit]
    time = np.where(event == CART, time + 5 + visit % 36, time)  # the next item is at least 45 seconds away
    for later, moment in ((PURCHASE, visits.paid), (RATING, visits.rated), (RETURN, visits.returned)):
        time = np.where(event == later, moment[visit], time)
    in_time = np.argsort(time, kind="stable")
    time, visit, event = time[in_time], visit[in_time], event[in_time]

    item, session = visits.item[visit], visits.session[visit]
    n_sessions = int(session.max()) + 1
    paid = (event == PURCHASE) | (event == RETURN)
    pieces = np.where(event == RETURN, -1, 1) * visits.quantity[visit]
    who = pa.array(visits.customer[visit], mask=visits.anonymous[visit])
    return pa.table(
        {
            "customer_id": ids("c-", n_customers, 6).take(who),
            "item_id": item_ids(catalogue).take(pa.array(item)),
            "event_type": words(EVENT_TYPES, event),
            "timestamp": times(time),
            "quantity": pa.array(pieces.astype(np.int32), mask=~paid & (event != CART)),
            "value": pa.array(np.round(pieces * catalogue.price[item], 2), mask=~paid),
            "rating": pa.array(visits.stars[visit].astype(np.float32), mask=event != RATING),
            "channel": words(CHANNELS, visits.channel[visit]),
            "location": words(LOCATIONS, visits.location[visit]),
            "order_id": ids("o-", n_sessions, 6).take(pa.array(session, mask=~paid)),
            "session_id": ids("s-", n_sessions, 6).take(pa.array(session, mask=event >= RATING)),
        }
    )
