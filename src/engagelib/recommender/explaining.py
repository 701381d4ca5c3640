"""Explaining: which items of a history speak for each item of a list, computed from the score itself."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.recommender.recommendations import Reason
from engagelib.vocabulary import Id

Named = Callable[[Sequence[int]], list[tuple[Id, str | None]]]
"""Gives the ids and titles of items for their indices."""

_FILLED = (Reason("popular", None, None, 0.0),)
_PINNED = (Reason("pinned", None, None, 0.0),)
_EXPLORED = (Reason("explored", None, None, 0.0),)

_MOST_NAMED: Final = 10
"""Items of the history that are named for one item of a list."""


def explain_list(
    models: Sequence[Model],
    scales: np.ndarray,
    history: Histories,
    item_index: np.ndarray,
    *,
    at: int | None,
    showable: np.ndarray,
    named: Named,
    pinned: np.ndarray,
    explored: np.ndarray,
) -> list[tuple[Reason, ...]]:
    """Give the reasons for each item of one list.

    Parameters
    ----------
    models, scales
        The models, and what the score of each was multiplied by, shape (n_models, n).
    history
        The one history that was read.
    item_index
        The items of the list, shape (n,).
    at
        As for `Model.score_topk`.
    showable
        True for items that a reason may name, shape (n_items,): nobody is told that they are shown a lamp
        because they paid for postage. What the others contribute is summed under "other_items", and so is
        what items beyond the strongest ten do.
    named
        Looks up ids and titles.
    pinned
        Whether a rule put the item on top, bool of shape (n,).
    explored
        Whether the item is tried, bool of shape (n,).

    Returns
    -------
    For each item its reasons, the largest contribution first, at most ten of them items; they sum to its
    score, up to rounding. An item that only fills the list has the one reason "popular", one that is pinned
    without a score the one reason "pinned", and one that is tried "explored".
    """
    kinds = list(dict.fromkeys(model.reason_kind for model in models))
    other, whole = history.n_items, history.n_items + 1  # in place of an item
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for model, scale in zip(models, scales, strict=True):
        found = model.contributions(history, item_index, at=at)
        if found is not None:
            listed, value = found.listed, found.value
            because = np.where(showable[found.item_index], found.item_index, other)
        else:
            listed, because = np.arange(len(item_index)), np.full(len(item_index), whole)
            value = model.score_pairs(history, item_index[None, :], at=at)[0]
        kind = np.where(because == other, 0, kinds.index(model.reason_kind))
        parts.append((listed, because, kind, value * scale[listed]))
    listed, because, kind, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    shape = (len(item_index), len(kinds), history.n_items + 2)
    listed, kind, because, total = _summed(listed, kind, because, value, shape)
    # Items beyond the strongest few are told together, so that an answer stays short and still sums up.
    place = np.arange(len(listed)) - np.searchsorted(listed, listed)
    beyond = (place >= _MOST_NAMED) & (because < other)
    because, kind = np.where(beyond, other, because), np.where(beyond, 0, kind)
    listed, kind, because, total = _summed(listed, kind, because, total, shape)
    spoken = np.unique(because[because < other]).tolist()
    names = dict(zip(spoken, named(spoken), strict=True))

    def reason(kind: int, because: int, contribution: float) -> Reason:
        if because == other:
            return Reason("other_items", None, None, contribution)
        item_id, title = names.get(because, (None, None))
        return Reason(kinds[kind], item_id, title, contribution)

    reasons = list(map(reason, kind.tolist(), because.tolist(), total.tolist()))
    starts = np.searchsorted(listed, np.arange(len(item_index) + 1)).tolist()
    unscored = [
        _PINNED if is_pinned else _EXPLORED if is_tried else _FILLED
        for is_pinned, is_tried in zip(pinned.tolist(), explored.tolist(), strict=True)
    ]
    return [
        tuple(reasons[start:stop]) or reason_of_its_own
        for (start, stop), reason_of_its_own in zip(pairwise(starts), unscored, strict=True)
    ]


def with_ranking(reasons: tuple[Reason, ...], score: float) -> tuple[Reason, ...]:
    """Name apart, and last, what the second stage makes of the sum of the first, so that all sum up.

    What only fills a list, or is pinned or explored without a score, has no part of it.
    """
    if score == 0:
        return reasons
    rest = score - sum(reason.contribution for reason in reasons)
    return (*reasons, Reason("ranked", None, None, rest))


def _summed(
    listed: np.ndarray, kind: np.ndarray, because: np.ndarray, value: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Add up what has the same place, kind and item; by place, the largest first, ties to the lower item."""
    cells, cell = np.unique(np.ravel_multi_index((listed, kind, because), shape), return_inverse=True)
    total = np.bincount(cell, value, minlength=len(cells))
    cells, total = cells[total != 0], total[total != 0]
    listed, kind, because = np.unravel_index(cells, shape)
    order = np.lexsort((because, -total, listed))
    return listed[order], kind[order], because[order], total[order]
