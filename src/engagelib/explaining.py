"""Explaining: which items of a history speak for each item of a list, computed from the score itself."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from engagelib.histories import Histories
from engagelib.models import Model
from engagelib.recommendations import Reason
from engagelib.vocabulary import Id

Named = Callable[[int], tuple[Id, str | None]]
"""Gives an item's id and title for its index."""

_FILLED = (Reason("popular", None, None, 0.0),)


def explain_list(
    models: Sequence[Model],
    scales: np.ndarray,
    history: Histories,
    item_index: np.ndarray,
    *,
    at: int | None,
    showable: np.ndarray,
    named: Named,
) -> list[tuple[Reason, ...]]:
    """Give the reasons for each item of one list.

    Parameters
    ----------
    models, scales
        The models, and what the score of each was multiplied by, shape (n_models,).
    history
        The one history that was read.
    item_index
        The items of the list, shape (n,).
    at
        As for `Model.score_topk`.
    showable
        True for items that a reason may name, shape (n_items,): nobody is told that they are shown a lamp
        because they paid for postage. What the others contribute is summed under "other_items".
    named
        Looks up ids and titles.

    Returns
    -------
    For each item its reasons, the largest contribution first; they sum to its score. An item that only fills
    the list has the one reason "popular".
    """
    other, whole = history.n_items, history.n_items + 1
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for place, (model, scale) in enumerate(zip(models, scales, strict=True)):
        found = model.contributions(history, item_index, at=at)
        if found is not None:
            because = np.where(showable[found.item_index], found.item_index, other)
            parts.append((found.listed, because, found.value * scale))
        else:
            score = model.score_pairs(history, item_index[None, :], at=at)[0]
            parts.append((np.arange(len(item_index)), np.full(len(item_index), whole + place), score * scale))
    listed, because, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    span = whole + len(models)
    cells, cell = np.unique(listed * span + because, return_inverse=True)
    total = np.bincount(cell, value, minlength=len(cells))
    cells, total = cells[total != 0], total[total != 0]
    place, because = np.divmod(cells, span)
    order = np.lexsort((because, -total, place))

    def reason(because: int, contribution: float) -> Reason:
        if because < other:
            return Reason(models[0].reason_kind, *named(because), contribution)
        kind = "other_items" if because == other else models[because - whole].reason_kind
        return Reason(kind, None, None, contribution)

    reasons = list(map(reason, because[order].tolist(), total[order].tolist()))
    starts = np.searchsorted(place, np.arange(len(item_index) + 1)).tolist()
    return [tuple(reasons[start:stop]) or _FILLED for start, stop in pairwise(starts)]
