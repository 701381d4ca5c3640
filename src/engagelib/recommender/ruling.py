"""Ruling: what rules change in lists beside scores, the order of what fills and what is pinned on top."""

from collections.abc import Sequence

import numpy as np

from engagelib.models import Popularity
from engagelib.recommender.listing import Lists
from engagelib.recommender.rules import CompiledRules, Pin


def boosted_ranking(popularity: Popularity, location: int | None, rules: CompiledRules) -> np.ndarray:
    """Return all items by popularity times boost, int32 of shape (n_items,); popularity breaks ties."""
    order = popularity.ranking(location)
    if not rules.groups:
        return order
    assert rules.factor is not None  # there are groups
    score = popularity.for_location(location).scores_[order] * rules.factor[order]
    return np.asarray(order[np.argsort(-score, kind="stable")])


def pinned_lists(ranked: Lists, pin: Pin, n_items: int) -> Lists:
    """Put the ranked items of a pin into the order that it wants, and keep as many as it wants."""
    order = np.tile(np.arange(ranked.item_index.shape[1]), (len(ranked.item_index), 1))
    if pin.item_index is not None:
        place = np.full(n_items + 1, n_items)
        place[pin.item_index] = np.arange(len(pin.item_index))
        order = np.argsort(place[ranked.item_index], axis=1, kind="stable")  # the last place is that of -1
    order = order[:, : pin.most]
    columns = (ranked.item_index, ranked.score, ranked.source)
    return Lists(*(np.take_along_axis(column, order, axis=1) for column in columns))


def put_on_top(lists: Lists, pinned: Sequence[Lists], k: int, *, n_items: int, source: int) -> Lists:
    """Put pinned items on top of each list, in their order, and cut the lists to k.

    Parameters
    ----------
    lists
        Lists long enough that k items are left without the pinned ones.
    pinned
        What goes on top, the first first; an item counts where it stands first.
    source
        The code of pinned items.
    """
    items, score, sources = (
        np.concatenate([getattr(part, name) for part in (*pinned, lists)], axis=1)
        for name in ("item_index", "score", "source")
    )
    n_pinned = items.shape[1] - lists.item_index.shape[1]
    sources[:, :n_pinned][items[:, :n_pinned] >= 0] = source
    row, place = np.nonzero(items >= 0)
    # `np.nonzero` goes row by row and place by place, and `np.unique` gives the first of each.
    _, first = np.unique(row * n_items + items[row, place], return_index=True)
    first = np.sort(first)
    row, place = row[first], place[first]
    to_place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = to_place < k
    row, place, to_place = row[kept], place[kept], to_place[kept]
    result = Lists.empty(len(items), k)
    result.item_index[row, to_place] = items[row, place]
    result.score[row, to_place] = score[row, place]
    result.source[row, to_place] = sources[row, place]
    return result
