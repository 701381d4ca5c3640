"""Columns: which features a log can tell of, in their order, and what is learned to work them out."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

import numpy as np

from engagelib.attributes import ItemAttributes
from engagelib.histories import Histories
from engagelib.vocabulary import Id, Vocabulary

UNKNOWN: Final = -1
"""The category of an item that has none."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of a feature table are.

    Attributes
    ----------
    window_days
        Lengths of the windows that purchases and money are counted in.
    event_types, channels, categories
        Those that have a column of shares, each.
    has_value, has_ratings, has_surveys, has_returns, has_bad
        Whether the log tells of money, of ratings, of answers to surveys, of returns, of bad experiences.
    n_tastes
        Length of the item vectors, 0 for none.
    """

    window_days: tuple[float, ...]
    event_types: tuple[str, ...]
    channels: tuple[Id, ...]
    categories: tuple[Id, ...]
    has_value: bool
    has_ratings: bool
    has_surveys: bool
    has_returns: bool
    has_bad: bool
    n_tastes: int

    @classmethod
    def learn(
        cls, histories: Histories, categories: tuple[Id, ...], window_days: tuple[float, ...], n_tastes: int
    ) -> Self:
        """Look at what a log tells."""
        types = histories.event_types
        rating = histories.numbers.get("rating")
        is_rated = np.zeros(histories.n_events, bool) if rating is None else ~np.isnan(rating)
        is_survey = histories.of_type("survey")
        has_ratings = bool((is_rated & ~is_survey).any())
        has_surveys = bool((is_rated & is_survey).any())
        has_bad = has_ratings or has_surveys or "return" in types or "complaint" in types
        channels: tuple[Id, ...] = tuple(histories.tables["channel"]) if "channel" in histories.tables else ()
        return cls(
            window_days=window_days,
            event_types=types,
            channels=channels,
            categories=categories,
            has_value="value" in histories.numbers,
            has_ratings=has_ratings,
            has_surveys=has_surveys,
            has_returns="return" in types,
            has_bad=has_bad,
            n_tastes=n_tastes,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        names = ["recency_days", "tenure_days", "n_events", "n_items", "n_purchases", "days_since_purchase"]
        names += ["usual_interval_days", "days_overdue", "browse_to_buy"]
        names += ["value", "mean_order_value"] if self.has_value else []
        for days in self.window_days:
            names += [f"events_{days:g}d", f"purchases_{days:g}d"]
            names += [f"value_{days:g}d"] if self.has_value else []
        names += ["n_returns", "return_share"] if self.has_returns else []
        names += ["mean_rating", "last_rating"] if self.has_ratings else []
        names += ["last_survey"] if self.has_surveys else []
        names += ["days_since_bad_experience"] if self.has_bad else []
        names += [f"event_share:{name}" for name in self.event_types]
        names += [f"channel_share:{name}" for name in self.channels]
        names += [f"category_share:{name}" for name in self.categories]
        return (*names, *(f"taste_{place}" for place in range(self.n_tastes)))


def top_categories(
    histories: Histories, attributes: ItemAttributes | None, n_categories: int, purchases: tuple[int, ...]
) -> tuple[tuple[Id, ...], np.ndarray]:
    """Return the categories most often bought, ties in the order of their names, and that of each item.

    Returns
    -------
    The names; and int32 of shape (n_items,): a place among them, their number for any other category,
    `UNKNOWN` for none.
    """
    nothing = np.full(histories.n_items, UNKNOWN, np.int32)
    if attributes is None or "category" not in attributes.texts or not n_categories:
        return (), nothing
    codes, table = attributes.texts["category"]
    which = np.isin(histories.event_type, purchases) & (histories.item_index >= 0)
    bought = codes[histories.item_index[which]]
    counts = np.bincount(bought[bought >= 0], minlength=len(table))
    top = np.argsort(-counts, kind="stable")[:n_categories]
    top = top[counts[top] > 0]
    place = np.append(np.full(len(table), len(top)), UNKNOWN)  # the last is that of -1
    place[top] = np.arange(len(top))
    return tuple(table.ids(top.tolist())), place[codes].astype(np.int32)


@lru_cache(maxsize=64)
def type_places(event_types: tuple[str, ...], learned: tuple[str, ...]) -> tuple[int, ...]:
    """Return where each learned event type stands among those of a log, -1 for nowhere."""
    return tuple(event_types.index(name) if name in event_types else -1 for name in learned)


def code_places(table: Vocabulary | None, learned: tuple[Id, ...]) -> list[int]:
    """Return where each learned channel stands in a table, -1 for nowhere."""
    return [-1 if table is None else table.find(name) for name in learned]
