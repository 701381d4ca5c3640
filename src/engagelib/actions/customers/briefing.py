"""Briefing: the features of one customer at one moment, in a hurry, to the same numbers as `counting`."""

from bisect import bisect_right
from collections.abc import Sequence
from math import nan

import numpy as np

from engagelib.actions.customers.account import Account
from engagelib.actions.customers.columns import Columns, type_places
from engagelib.actions.customers.ledger import _MOST, FINE
from engagelib.cells import check_codes
from engagelib.histories import Histories
from engagelib.times import DAY


def brief(
    history: Histories,
    at: int,
    columns: Columns,
    category: np.ndarray,
    limits: tuple[float, float],
    channels: Sequence[int],
    account: Account,
) -> list[float]:
    """Return every column but the tastes, in the order of their names.

    The parameters are those of `counting.count`, for the events of a single history; and where each learned
    channel stands in its table; and the events up to the moment, settled with the money where it counts.
    """
    end, time, n_purchases = account.end, account.time, len(account.began)
    counts = np.bincount(history.event_type[:end], minlength=len(history.event_types)).tolist()
    items = set(history.item_index[:end].tolist())
    items.discard(-1)
    since = (at - time[account.bought[-1]]) / DAY if n_purchases else nan
    interval = account.interval()
    usual = nan if interval is None else interval
    views = sum(counts[code] for code in account.roles.views)
    found: list[float] = [
        (at - time[-1]) / DAY if end else nan,
        (at - time[0]) / DAY if end else nan,
        end,
        len(items),
        n_purchases,
        since,
        usual,
        since - usual,
        views / n_purchases if n_purchases else nan,
    ]
    if columns.has_value:
        value = account.value()
        found += [value, value / n_purchases if n_purchases else nan]
    for days in columns.window_days:
        since_then = at - round(days * DAY)
        found.append(end - bisect_right(time, since_then))
        found.append(n_purchases - bisect_right(account.began, since_then))
        if columns.has_value:
            found.append(account.value(since_then))
    if columns.has_returns:
        lines = len(account.bought)
        found += [len(account.back), len(account.ended) / lines if lines else nan]
    found += _opinions(history, at, account, columns, limits)
    places = type_places(history.event_types, columns.event_types)
    found += [(counts[place] if place >= 0 else 0) / end if end else nan for place in places]
    return found + _channels(history, end, channels) + _categories(history, account, columns, category)


def _opinions(
    history: Histories, at: int, account: Account, columns: Columns, limits: tuple[float, float]
) -> list[float]:
    every = account.ratings(history)
    ratings = [(moment, rating) for moment, rating, is_answer in every if not is_answer]
    answers = [(moment, rating) for moment, rating, is_answer in every if is_answer]
    bad = [account.time[place] for place in account.back[-1:]]
    if complaints := account.roles.complaints:
        bad += [account.time[place] for place, code in enumerate(account.codes) if code in complaints]
    bad += [moment for moment, rating, is_answer in every if rating <= limits[is_answer]]
    found: list[float] = []
    if columns.has_ratings:
        total = sum(round(max(min(rating, _MOST), -_MOST) * FINE) for _, rating in ratings)
        found += [total / FINE / len(ratings) if ratings else nan, _last(ratings)]
    if columns.has_surveys:
        found.append(_last(answers))
    if columns.has_bad:
        found.append((at - max(bad)) / DAY if bad else nan)
    return found


def _last(of: list[tuple[int, float]]) -> float:
    """Return the newest rating, the lowest of its moment."""
    return min((rating for moment, rating in of if moment == of[-1][0]), default=nan)


def _channels(history: Histories, end: int, places: Sequence[int]) -> list[float]:
    if not places or "channel" not in history.codes:
        return [nan] * len(places)
    table, codes = history.tables["channel"], history.codes["channel"][:end]
    try:
        counts = np.bincount(codes + 1, minlength=len(table) + 1).tolist()
    except ValueError:
        check_codes("channel", codes, -1, len(table))
        raise
    stated = end - counts[0]
    return [(counts[place + 1] if place >= 0 else 0) / stated if stated else nan for place in places]


def _categories(history: Histories, account: Account, columns: Columns, category: np.ndarray) -> list[float]:
    n = len(columns.categories)
    if not n:
        return []
    counts = [0] * (n + 2)  # the last is that of items without a category
    if account.bought:
        item = history.item_index[account.bought]
        known = item[(item >= 0) & (item < len(category))]
        for place in category[known].tolist():
            counts[place] += 1
    lines = sum(counts[:-1])
    return [count / lines if lines else nan for count in counts[:n]]
