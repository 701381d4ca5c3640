"""Blending in NumPy: all that the models named becomes cells, which are added and sorted at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib.scoring import _checks as checks
from engagelib.scoring._checks import FloatArray, MaskArray

if TYPE_CHECKING:
    from engagelib.scoring._operands import TopK
    from engagelib.scoring.blending import Blend


class _Cells(NamedTuple):
    """Scores of (row, item), one cell each."""

    row: npt.NDArray[Any]
    item: npt.NDArray[Any]
    score: FloatArray
    source: npt.NDArray[np.int8]


def blend(
    found: Sequence[TopK],
    k: int,
    n_items: int,
    factor: FloatArray | None,
    among: MaskArray | None,
    weights: npt.NDArray[np.float64] | None = None,
) -> Blend:
    """Add what the models say of each cell, boost it, and keep the best cells of each row."""
    checks.check_lists(found, n_items, factor, among)
    # Scores that are not finite are for the caller to see in the lists.
    with np.errstate(over="ignore", invalid="ignore"):
        cells = _score_cells(found, n_items, weights)
        if factor is not None:
            cells = _boosted(cells, factor, len(found))
    if among is not None:
        kept = among[cells.item]
        cells = _Cells(*(column[kept] for column in cells))
    return _best(cells, len(found[0].item_index), k)


def _score_cells(found: Sequence[TopK], n_items: int, weights: npt.NDArray[np.float64] | None) -> _Cells:
    """Score all that the models named; in a blend only scores above 0 speak for an item."""
    keys, parts, sources = [], [], []
    for place, best in enumerate(found):
        named = best.item_index >= 0
        row, rank = np.nonzero(named if len(found) == 1 else named & (best.score > 0))
        key, first = np.unique(row * n_items + best.item_index[row, rank], return_index=True)
        score = best.score[row, rank][first].astype(np.float64)
        if len(found) > 1:
            score = score / best.score.max(axis=1, initial=-np.inf)[row[first]]
            score = score / len(found) if weights is None else score * weights[place]
        keys.append(key)
        parts.append(score)
        sources.append(np.full(len(key), place, np.int8))
    return _add(np.concatenate(keys), np.concatenate(parts), np.concatenate(sources), n_items)


def _add(
    keys: npt.NDArray[Any], parts: npt.NDArray[np.float64], sources: npt.NDArray[np.int8], n_items: int
) -> _Cells:
    """Add the parts of each cell; its source is the largest part, of equal parts the earlier model's."""
    cells, cell = np.unique(keys, return_inverse=True)
    total = np.bincount(cell, parts, minlength=len(cells)).astype(np.float32)
    by_cell = np.lexsort((sources, -parts, cell))
    source = sources[by_cell[np.searchsorted(cell[by_cell], np.arange(len(cells)))]]
    row, item = np.divmod(cells, max(n_items, 1))
    return _Cells(row, item, total, source)


def _boosted(cells: _Cells, factor: FloatArray, n_models: int) -> _Cells:
    """Multiply by the factor of each item; below 0, as factors can score, more is nearer to 0."""
    boost = factor[cells.item]
    score = np.where(cells.score > 0, cells.score * boost, cells.score / boost)
    source = np.where(boost != 1, cells.source + np.int8(n_models + 1), cells.source)
    return _Cells(cells.row, cells.item, score.astype(np.float32), source.astype(np.int8))


def _best(cells: _Cells, n_rows: int, k: int) -> Blend:
    """Keep the k best cells of each row, ties to the lower index."""
    order = np.lexsort((cells.item, -cells.score, cells.row))
    row = cells.row[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    kept = place < k
    order, row, place = order[kept], row[kept], place[kept]
    item_index, score = np.full((n_rows, k), -1, np.int32), np.full((n_rows, k), -np.inf, np.float32)
    source = np.full((n_rows, k), -1, np.int8)
    item_index[row, place] = cells.item[order]
    score[row, place] = cells.score[order]
    source[row, place] = cells.source[order]
    return item_index, score, source
