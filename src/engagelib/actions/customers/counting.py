"""Counting: the features of many customers at many moments, from sums and last events."""

import numpy as np

from engagelib.actions.customers.columns import UNKNOWN, Columns, code_places, type_places
from engagelib.actions.customers.ledger import FINE, Ledger, millionths
from engagelib.actions.customers.spots import Spots
from engagelib.times import DAY


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide, NaN where there is nothing to divide by."""
    result = np.full(len(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def count(
    ledger: Ledger, spots: Spots, columns: Columns, category: np.ndarray, limits: tuple[float, float]
) -> list[np.ndarray]:
    """Return every column but the tastes, float64 of shape (n_pairs,), in the order of their names.

    Parameters
    ----------
    ledger, spots
        The events, and the pairs.
    columns
        What was learned.
    category
        That of each item, as `top_categories` returns it.
    limits
        The highest rating, and the highest answer to a survey, that tell of a bad experience.
    """
    found, n_purchases = _habits(ledger, spots)
    if columns.has_value:
        value = spots.total(ledger.money) / FINE
        found += [value, ratio(value, n_purchases)]
    for days in columns.window_days:
        before = spots.earlier(ledger.time, round(days * DAY))
        window = Spots(before.end, spots.end, spots.moment)
        found += [window.end - window.start, window.total(ledger.begins)]
        found += [window.total(ledger.money) / FINE] if columns.has_value else []
    if columns.has_returns:
        lines = spots.total(ledger.is_purchase)
        found += [spots.total(ledger.is_return), ratio(spots.total(ledger.came_back), lines)]
    found += _opinions(ledger, spots, columns, limits)
    return [np.asarray(column, np.float64) for column in found + _shares(ledger, spots, columns, category)]


def _since(ledger: Ledger, spots: Spots, place: np.ndarray) -> np.ndarray:
    """Return the days from some event to the moment, NaN where there is no such event."""
    if not ledger.n_events:
        return np.full(len(place), np.nan)
    return np.where(place >= 0, (spots.moment - ledger.time[place]) / DAY, np.nan)


def intervals(ledger: Ledger, spots: Spots) -> np.ndarray:
    """Return the mean days from one day with purchases to the next, NaN with fewer than two such days."""
    n_days = spots.total(ledger.new_day)
    if not ledger.n_events:
        return np.full(len(n_days), np.nan)
    day = ledger.time // DAY
    span = day[spots.newest(ledger.new_day)] - day[spots.oldest(ledger.new_day)]
    return ratio(span, np.where(n_days > 1, n_days - 1, 0))


def _habits(ledger: Ledger, spots: Spots) -> tuple[list[np.ndarray], np.ndarray]:
    """Return what is known of every log's customers, and their numbers of purchases."""
    n_events = spots.end - spots.start
    filled = n_events > 0
    item, row = ledger.histories.item_index, ledger.row
    key = row * (ledger.histories.n_items + 1) + item
    key[item < 0] = -1
    is_new = np.zeros(len(key), bool)
    is_new[np.unique(key, return_index=True)[1]] = True
    is_new &= item >= 0
    n_purchases = spots.total(ledger.begins)
    since = _since(ledger, spots, spots.newest(ledger.is_purchase))
    interval = intervals(ledger, spots)
    views = spots.total(ledger.of_role(ledger.roles.views))
    habits = [
        _since(ledger, spots, np.where(filled, spots.end - 1, -1)),
        _since(ledger, spots, np.where(filled, spots.start, -1)),
        n_events,
        spots.total(is_new),
        n_purchases,
        since,
        interval,
        since - interval,
        ratio(views, n_purchases),
    ]
    return habits, n_purchases


def _opinions(
    ledger: Ledger, spots: Spots, columns: Columns, limits: tuple[float, float]
) -> list[np.ndarray]:
    """Return what customers said of what they bought, and when they last had a bad experience."""
    found = []
    known = "rating" in ledger.histories.numbers

    def last(which: np.ndarray) -> np.ndarray:
        place = spots.newest(which)
        return np.where(place >= 0, ledger.lowest(which)[place], np.nan) if len(which) else place * np.nan

    nothing = np.full(len(spots.end), np.nan)
    if columns.has_ratings and known:
        rating = np.where(ledger.rated, millionths(ledger.rating), 0)
        mean = ratio(spots.total(rating) / FINE, spots.total(ledger.rated))
        found += [mean, last(ledger.rated)]
    elif columns.has_ratings:
        found += [nothing, nothing]
    if columns.has_surveys:
        found.append(last(ledger.answers) if known else nothing)
    if columns.has_bad:
        found.append(_since(ledger, spots, spots.newest(ledger.bad(*limits) >= 0)))
    return found


def _shares(ledger: Ledger, spots: Spots, columns: Columns, category: np.ndarray) -> list[np.ndarray]:
    """Return the shares of event types, of channels, and of categories in purchases."""
    histories = ledger.histories
    n_events = spots.end - spots.start
    found = [
        ratio(spots.total(histories.event_type == code), n_events)
        for code in type_places(histories.event_types, columns.event_types)
    ]
    if columns.channels:
        codes = histories.codes["channel"] if "channel" in histories.codes else np.full(ledger.n_events, -1)
        stated = spots.total(codes >= 0)
        places = code_places(histories.tables.get("channel"), columns.channels)
        found += [ratio(spots.total((codes == code) & (codes >= 0)), stated) for code in places]
    if columns.categories:
        item = histories.item_index
        known = ledger.is_purchase & (item >= 0) & (item < len(category))
        code = np.full(ledger.n_events, UNKNOWN)
        code[known] = category[item[known]]
        n_lines = spots.total(code >= 0)
        found += [ratio(spots.total(code == place), n_lines) for place in range(len(columns.categories))]
    return found
