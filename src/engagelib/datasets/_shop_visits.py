"""How the customers of a made-up shop behave: tastes, sessions, funnels, habits and second thoughts."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from engagelib.datasets._shop_catalogue import (
    CHANNELS,
    DAY,
    LOCATIONS,
    SPAN,
    STORE,
    Bools,
    Catalogue,
    Floats,
    Ints,
)

EVENT_TYPES = ("view", "cart", "purchase", "rating", "return")
VIEW, CART, PURCHASE, RATING, RETURN = range(5)
CHANNEL_SHARES = (0.45, 0.30, 0.20, 0.05)
ANONYMOUS_SHARES = np.array([0.12, 0.06, 0.35, 0.0])  # few show a card at the till
N_FAVOURITES = 4


@dataclass(frozen=True)
class Customers:
    """Who shops: how often, for what and where."""

    activity: Floats  # cumulated
    favourites: Ints  # clusters, (n_customers, N_FAVOURITES)
    channel: Ints
    home: Ints  # location of the nearest store
    joined: Ints  # day


@dataclass
class Visits:
    """One row for each look at, or purchase of, an item; the bits of `steps` say which events it left."""

    session: Ints
    customer: Ints
    anonymous: Bools
    item: Ints
    channel: Ints
    location: Ints  # -1 outside stores
    viewed: Ints  # seconds since START, as all times
    paid: Ints
    rated: Ints
    returned: Ints
    quantity: Ints
    stars: Ints
    steps: Ints

    def bought(self) -> Bools:
        """Tell which visits ended in a purchase."""
        bought: Bools = self.steps >> PURCHASE & 1 == 1
        return bought

    def take(self, rows: Any) -> "Visits":
        """Keep the rows given, in that order."""
        return Visits(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class _Sessions:
    customer: Ints
    anonymous: Bools
    channel: Ints
    location: Ints
    theme: Ints  # cluster
    starts: Ints


def make_customers(rng: np.random.Generator, n: int, catalogue: Catalogue) -> Customers:
    """Draw customers with tastes over categories and favourite clusters within them."""
    n_categories = len(catalogue.category_starts) - 1
    taste = np.cumsum(rng.gamma(0.35, size=(n, n_categories)) + 1e-6, axis=1)
    aim = rng.random((n, N_FAVOURITES)) * taste[:, -1:]
    category = (aim[:, :, None] >= taste[:, None, :]).sum(axis=2).clip(max=n_categories - 1).ravel()
    low, high = catalogue.category_starts[category], catalogue.category_starts[category + 1]
    joined = np.where(rng.random(n) < 0.5, 0, rng.integers(350, size=n))
    return Customers(
        # Half a year leaves half the sessions.
        activity=np.cumsum(rng.lognormal(0, 1.2, n) * (365 - joined)),
        favourites=catalogue.cluster[catalogue.draw(rng, catalogue.flat, low, high)].reshape(n, N_FAVOURITES),
        channel=rng.choice(len(CHANNELS), size=n, p=CHANNEL_SHARES),
        home=rng.integers(len(LOCATIONS), size=n),
        joined=joined,
    )


def make_visits(
    rng: np.random.Generator, n_sessions: int, customers: Customers, catalogue: Catalogue
) -> Visits:
    """Draw at least as many sessions as customers; habitual purchases come first, then session by session."""
    sessions = _make_sessions(rng, n_sessions, customers)
    visits = _browse(rng, sessions, customers, catalogue)
    _merge(visits, catalogue)
    _take_back(rng, visits, catalogue)
    habits = _replenish(rng, visits, catalogue, n_sessions)
    _look_back(rng, visits, catalogue)
    return Visits(
        **{name: np.concatenate([getattr(v, name) for v in (*habits, visits)]) for name in vars(visits)}
    )


def _make_sessions(rng: np.random.Generator, n: int, customers: Customers) -> _Sessions:
    n_customers = len(customers.home)
    drawn = np.searchsorted(
        customers.activity, rng.random(n - n_customers) * customers.activity[-1], side="right"
    )
    # One session of each customer comes early, so that cutting the end loses nobody.
    who = np.concatenate([rng.permutation(n_customers), drawn.clip(max=n_customers - 1)])
    stray = rng.choice(len(CHANNELS), size=n, p=CHANNEL_SHARES)
    channel = np.where(rng.random(n) < 0.75, customers.channel[who], stray)
    away = rng.integers(len(LOCATIONS), size=n)
    location = np.where(rng.random(n) < 0.85, customers.home[who], away)
    anonymous = rng.random(n) < ANONYMOUS_SHARES[channel]
    anonymous[:n_customers] = False
    day = customers.joined[who] + (rng.random(n) * (365 - customers.joined[who])).astype(np.int64)
    hour = np.where(channel >= STORE, rng.triangular(9, 13, 18, n), rng.triangular(6, 20, 22.5, n))
    favourite = (rng.random(n)[:, None] > np.array([0.4, 0.7, 0.9])).sum(axis=1)
    return _Sessions(
        customer=who,
        anonymous=anonymous,
        channel=channel,
        location=np.where(channel == STORE, location, -1),
        theme=customers.favourites[who, favourite],
        starts=day * DAY + (hour * 3600).astype(np.int64),
    )


def _browse(
    rng: np.random.Generator, sessions: _Sessions, customers: Customers, catalogue: Catalogue
) -> Visits:
    """Look at items, mostly of the session's theme, and pay for some of them at its end."""
    n_sessions = len(sessions.customer)
    n_items = np.minimum(rng.geometric(np.where(sessions.channel >= STORE, 0.45, 0.33)), 30)
    session = np.repeat(np.arange(n_sessions), n_items)
    n = len(session)
    # Seconds from one item to the next, counted from the start of the session. No session lasts an hour and
    # a half, so that one begun at half past ten ends with the day.
    elapsed = np.cumsum(45 + np.minimum(rng.exponential(60, n), 120).astype(np.int64))
    first = np.cumsum(n_items) - n_items
    elapsed -= elapsed[first][session]
    checkout = sessions.starts + elapsed[first + n_items - 1] + 60 + rng.integers(240, size=n_sessions)
    viewed, paid = sessions.starts[session] + elapsed, checkout[session]

    customer, channel, location = (
        sessions.customer[session],
        sessions.channel[session],
        sessions.location[session],
    )
    mode = rng.random(n)
    other = customers.favourites[customer, rng.integers(N_FAVOURITES, size=n)]
    cluster = np.where(mode < 0.68, sessions.theme[session], other)
    familiar = mode < 0.86  # the rest looks at what everybody looks at
    low = np.where(familiar, catalogue.cluster_starts[cluster], 0)
    high = np.where(familiar, catalogue.cluster_starts[cluster + 1], len(catalogue.price))
    item = catalogue.draw(rng, catalogue.popularity, low, high)
    item = np.where(catalogue.barred(item, channel, location, viewed, paid), catalogue.anchor[item], item)

    at_till = channel >= STORE
    carted = rng.random(n) < np.where(familiar, 0.26, 0.12) * catalogue.quality[item] / 4
    bought = at_till | (carted & (rng.random(n) < 0.55))
    browsed = (1 << VIEW) | carted.astype(np.int64) << CART
    return Visits(
        session=session,
        customer=customer,
        anonymous=sessions.anonymous[session],
        item=item,
        channel=channel,
        location=location,
        viewed=viewed,
        paid=paid,
        rated=paid + rng.integers(2 * DAY, 15 * DAY, size=n),
        returned=paid + rng.integers(2 * DAY, 25 * DAY, size=n),
        quantity=rng.geometric(np.where(catalogue.repeat_days[item] > 0, 0.6, 0.85)),
        stars=np.clip(np.round(rng.normal(catalogue.quality[item], 0.9)), 1, 5).astype(np.int64),
        steps=np.where(at_till, 0, browsed) | bought.astype(np.int64) << PURCHASE,
    )


def _merge(visits: Visits, catalogue: Catalogue) -> None:
    """Pay for an item once in a session, however often it was looked at."""
    bought = np.flatnonzero(visits.bought())
    _, once = np.unique(
        visits.session[bought] * len(catalogue.price) + visits.item[bought], return_index=True
    )
    again = np.ones(len(bought), dtype=bool)
    again[once] = False
    visits.steps[bought[again]] &= 1 << VIEW


def _known_purchases(visits: Visits, catalogue: Catalogue) -> tuple[Ints, Bools]:
    """List purchases by customer, item and time, and tell which repeat the one before."""
    known = np.flatnonzero(visits.bought() & ~visits.anonymous)
    pair = visits.customer[known] * len(catalogue.price) + visits.item[known]
    order = np.lexsort((visits.paid[known], pair))
    pair = pair[order]
    return known[order], np.concatenate([[False], pair[1:] == pair[:-1]])[: len(pair)]


def _take_back(rng: np.random.Generator, visits: Visits, catalogue: Catalogue) -> None:
    """Turn most second purchases of what lasts into mere looks."""
    known, again = _known_purchases(visits, catalogue)
    lasting = catalogue.repeat_days[visits.item[known]] == 0
    visits.steps[known[again & lasting & (rng.random(len(known)) < 0.9)]] &= 1 << VIEW


def _replenish(
    rng: np.random.Generator, visits: Visits, catalogue: Catalogue, n_sessions: int
) -> list[Visits]:
    """Buy consumables again, an interval after the time before, until the habit or the year ends."""
    known, again = _known_purchases(visits, catalogue)
    bought = visits.take(known[~again & (catalogue.repeat_days[visits.item[known]] > 0)])
    rounds = []
    while len(bought.item):
        bought = bought.take(rng.random(len(bought.item)) < 0.7)
        n = len(bought.item)
        days = np.maximum(np.round(catalogue.repeat_days[bought.item] * rng.lognormal(0, 0.15, n)), 1)
        bought.viewed = bought.paid + days.astype(np.int64) * DAY + rng.integers(-1800, 1800, size=n)
        bought.paid = bought.viewed + 60 + rng.integers(240, size=n)
        bought.session = n_sessions + np.arange(n)
        whole = (1 << VIEW) | (1 << CART) | (1 << PURCHASE)
        bought.steps = np.where(bought.channel >= STORE, 1 << PURCHASE, whole)
        bought = bought.take(bought.paid < np.minimum(SPAN, catalogue.on_sale_to[bought.item]))
        n_sessions += n
        rounds.append(bought)
    return rounds


def _look_back(rng: np.random.Generator, visits: Visits, catalogue: Catalogue) -> None:
    """Rate some purchases and bring some back, days later and sooner in anger."""
    known = visits.bought() & ~visits.anonymous
    unhappy = visits.stars <= 2
    p_return = np.where(unhappy, 0.3, np.where(catalogue.repeat_days[visits.item] > 0, 0.01, 0.04))
    rates = known & (visits.rated < SPAN) & (rng.random(len(known)) < np.where(unhappy, 0.25, 0.10))
    returns = known & (visits.returned < SPAN) & (rng.random(len(known)) < p_return)
    visits.steps |= (rates.astype(np.int64) << RATING) | (returns.astype(np.int64) << RETURN)
