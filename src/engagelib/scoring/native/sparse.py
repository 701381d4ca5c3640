"""Sparse scoring in C++: what stands between the checked operands and the compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows
from engagelib.scoring._operands import ItemWeights, Ranking, TopK
from engagelib.scoring.native import _kernel

_SOUND: Final = -1  # any other answer is a fault
_MOST_THREADS: Final = 256


def are_sound(rows: Rows) -> bool:
    """Tell whether rows may go as they are: safe to follow, of types that C++ reads, values finite."""
    try:
        return _kernel.sound_rows(*rows)
    except TypeError:  # arrays of another type, or no arrays
        return False


def sparse_topk(
    rows: Rows,
    weights: ItemWeights,
    k: int,
    excluded: Rows | None,
    available: MaskArray | None,
    *,
    n_threads: int = 1,
) -> TopK:
    """Add up each row, drop what may not be listed, and keep the k highest scores above 0."""
    n_rows = rows.shape[0]
    found = TopK(np.empty((n_rows, k), np.int32), np.empty((n_rows, k), np.float32))
    fault = _answer(
        _kernel.sparse_topk,
        rows.indptr,
        rows.indices,
        rows.data,
        weights.indptr,
        weights.indices,
        weights.data,
        weights.shape[1],
        None if excluded is None else excluded.indptr,
        None if excluded is None else excluded.indices,
        available,
        found.item_index,
        found.score,
        min(n_threads, _MOST_THREADS),
    )
    if fault != _SOUND:
        raise _damage(weights, fault)
    return found


def sparse_pairs(rows: Rows, weights: ItemWeights, wanted: IndexArray, *, n_threads: int = 1) -> FloatArray:
    """Add up each row as `sparse_topk` does and look the wanted items up."""
    scores = np.empty(wanted.shape, np.float32)
    fault = _answer(
        _kernel.sparse_pairs,
        rows.indptr,
        rows.indices,
        rows.data,
        weights.indptr,
        weights.indices,
        weights.data,
        weights.shape[1],
        wanted.ravel(),
        scores,
        min(n_threads, _MOST_THREADS),
    )
    if fault != _SOUND:
        raise _damage(weights, fault)
    return scores


def ranking_topk(
    ranking: Ranking, n_rows: int, k: int, excluded: Rows | None, available: MaskArray | None
) -> npt.NDArray[np.int32]:
    """Walk down the shared order for each row, past what the row excludes."""
    found = np.empty((n_rows, k), np.int32)
    fault = _answer(
        _kernel.ranking_topk,
        ranking.order,
        ranking.n_items,
        None if excluded is None else excluded.indptr,
        None if excluded is None else excluded.indices,
        available,
        found,
    )
    if fault != _SOUND:
        raise errors.scoring.altered_ranking(fault, int(ranking.order[fault]), ranking.n_items - 1)
    return found


def _answer(function: Callable[..., int], *arguments: Any) -> int:
    try:
        return function(*arguments)
    except TypeError:  # indices of a type that C++ does not read, which are rare
        return function(*(_plain(argument) for argument in arguments))


def _plain(argument: Any) -> Any:
    is_index = isinstance(argument, np.ndarray) and argument.dtype.kind in "iu"
    if is_index and argument.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        return argument.astype(np.int64)
    return argument


def _damage(weights: ItemWeights, fault: int) -> Exception:
    """Say what is wrong with weights that were altered after they were opened."""
    if fault >= 0:
        return errors.scoring.altered_weights(fault, int(weights.indices[fault]), weights.shape[1])
    weights.check_frame()
    return errors.scoring.broken_rows("weights", "indptr changed while it was read", "")
