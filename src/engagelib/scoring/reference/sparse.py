"""Sparse scoring in NumPy and SciPy: a product, and the best of each of its rows."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray, Rows
from engagelib.scoring._operands import ItemWeights, TopK
from engagelib.scoring.reference.rows import (
    Positions,
    best_of_rows,
    block_rows,
    blocks,
    entries_of,
    padded,
    part_of,
)

_SMALLEST = np.finfo(np.float32).smallest_subnormal


def are_sound(rows: Rows) -> bool:  # noqa: ARG001
    """Tell that rows need no other checks; here none do without them."""
    return False


def sparse_topk(
    rows: Rows,
    weights: ItemWeights,
    k: int,
    excluded: Rows | None,
    available: MaskArray | None,
    *,
    n_threads: int = 1,  # noqa: ARG001
) -> TopK:
    """Multiply, drop what may not be listed, and keep the k highest scores above 0 of each row.

    One thread does it, whatever `n_threads` is.
    """
    n_rows, n_to = rows.shape[0], weights.shape[1]
    found = padded(n_rows, k)
    size = block_rows(n_to)
    hidden = np.zeros((min(size, n_rows), n_to), np.bool_) if excluded is not None else None
    for start, stop in blocks(n_rows, size):
        indptr, items, scores = _product(rows, weights, start, stop)
        if available is not None:
            scores = np.where(available[items], scores, np.float32(0))
        depth = np.full(stop - start, k)
        if excluded is not None:
            depth += np.diff(excluded.indptr[start : stop + 1])
        row, at = _contenders(indptr, scores, depth)
        item, score = items[at], scores[at]
        listed = score > 0
        if excluded is not None and hidden is not None:
            marks = entries_of(excluded, start, stop)
            hidden[marks] = True
            listed &= ~hidden[row, item]
            hidden[marks] = False
        best_of_rows(part_of(found, start, stop), row[listed], item[listed], score[listed])
    return found


def sparse_pairs(
    rows: Rows,
    weights: ItemWeights,
    wanted: IndexArray,
    *,
    n_threads: int = 1,  # noqa: ARG001
) -> FloatArray:
    """Multiply as `sparse_topk` does and look the wanted items up."""
    n_rows, n_to = rows.shape[0], weights.shape[1]
    found = np.zeros(wanted.shape, np.float32)
    size = block_rows(n_to)
    scratch = np.zeros((min(size, n_rows), n_to), np.float32)
    for start, stop in blocks(n_rows, size):
        indptr, items, scores = _product(rows, weights, start, stop)
        row = np.repeat(np.arange(stop - start), np.diff(indptr))
        scratch[row, items] = scores
        asked_row, asked = np.nonzero(wanted[start:stop] >= 0)
        found[start + asked_row, asked] = scratch[asked_row, wanted[start + asked_row, asked]]
        scratch[row, items] = 0
    return found


def _product(
    rows: Rows, weights: ItemWeights, start: int, stop: int
) -> tuple[IndexArray, IndexArray, FloatArray]:
    """Multiply a block of rows with the weights; within a row the entries come in no order.

    SciPy adds each row up by itself, in float32, so no row's result depends on the others of its block. All
    sparse scores come from here, which is why pairs and lists agree to the last bit.
    """
    indptr = rows.indptr[start : stop + 1]
    entries = slice(int(indptr[0]), int(indptr[-1]))
    # In the weights' own index type: SciPy would otherwise convert all the weights for each product.
    indices = rows.indices[entries].astype(weights.indices.dtype, copy=False)
    starts = (indptr - indptr[0]).astype(indices.dtype, copy=False)
    block = csr_array(
        (cast(FloatArray, rows.data)[entries], indices, starts), shape=(stop - start, rows.shape[1])
    )
    product = weights.product(block)
    scores = product.data
    # Only overflows of opposite sign add up to NaN; they are evidence of nothing.
    if scores.size and np.isnan(scores.max()):
        scores = np.where(np.isnan(scores), np.float32(0), scores)
    return product.indptr, product.indices, scores


def _contenders(
    indptr: IndexArray, scores: FloatArray, depth: npt.NDArray[np.int64]
) -> tuple[Positions, Positions]:
    """Pick the entries that may be among the `depth` highest of their row, as (row, position in `scores`).

    A row of a product has thousands of entries, nearly all far below its k-th. They are dealt into groups,
    and the depth-th highest of the groups' maxima bounds the depth-th highest score from below. `depth` is
    k plus the exclusions of the row, so that the bound holds whichever of them come out on top.
    """
    counts = np.diff(indptr)
    width = int(counts.max())
    n_groups = min(2 * int(depth.max()), width // 4)
    if n_groups <= depth.min():
        return np.repeat(np.arange(len(counts)), counts), np.arange(len(scores))
    padded_width = -(-width // n_groups) * n_groups
    packed = np.zeros((len(counts), padded_width), np.float32)
    packed[np.arange(padded_width) < counts[:, None]] = scores
    tops = np.sort(packed.reshape(len(counts), -1, n_groups).max(axis=1), axis=1)
    bound = tops[np.arange(len(counts)), np.maximum(n_groups - depth, 0)]
    # Where there are fewer groups than places, or fewer entries above 0, only the sign is known to matter.
    bound[(depth > n_groups) | (bound <= 0)] = _SMALLEST
    row, column = np.divmod(np.flatnonzero(packed >= bound[:, None]), padded_width)
    return row, indptr[:-1].astype(np.intp)[row] + column
