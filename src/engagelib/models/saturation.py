"""Saturation: the tenth purchase of an item says less about a customer than the first."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from engagelib.cells import check_event_weights
from engagelib.histories import Histories


def draw_saturated(
    block: Histories,
    event_weights: Mapping[str, float] | None,
    half_life_days: float | None,
    *,
    at: int | None = None,
) -> csr_array:
    """Draw interest in [0, 1): `x / (x + w)`, with `x` the confidence and `w` the heaviest event weight.

    One event of the heaviest type counts a half, many of them count 1; only ratios of weights matter. A
    visit that `Histories.followed_by` added counts for at least as much as all else, as in
    `Histories.matrix`, and to that end its items may exceed 1: saturation would else take back most of it.

    Returns
    -------
    float32 of shape (n_histories, n_items), indices sorted, without duplicates or zeros.
    """
    plain = replace(block, n_visit=0) if block.n_visit else block
    drawn = plain.matrix(event_weights=event_weights, half_life_days=half_life_days, at=at)
    heaviest = max(check_event_weights(event_weights).values(), default=0.0)
    confidence = drawn.data.astype(np.float64)
    interest = confidence / (confidence + max(heaviest, np.finfo(float).tiny))
    if block.n_visit:
        interest *= _emphasis(block, drawn, interest)
    saturated = csr_array((interest.astype(np.float32), drawn.indices, drawn.indptr), shape=drawn.shape)
    saturated.has_canonical_format = True
    if not saturated.data.all():  # decayed below what float32 can tell from 0
        saturated.eliminate_zeros()
    return saturated


def _emphasis(block: Histories, drawn: csr_array, interest: np.ndarray) -> np.ndarray:
    """Return what raises the items of the visit, in each row, to the weight of all others."""
    n_rows = block.n_histories
    row = np.repeat(np.arange(n_rows), np.diff(drawn.indptr))
    last = block.indptr[1:, None] - np.arange(1, block.n_visit + 1)
    visited = np.sort(np.arange(n_rows)[:, None] * block.n_items + block.item_index[last], axis=None)
    cell = row * block.n_items + drawn.indices
    place = np.minimum(np.searchsorted(visited, cell), len(visited) - 1)
    in_visit = visited[place] == cell
    visit, others = (np.bincount(row, interest * part, minlength=n_rows) for part in (in_visit, ~in_visit))
    factor = np.ones(n_rows)
    np.divide(others, visit, out=factor, where=(visit > 0) & (others > visit))
    return np.where(in_visit, factor[row], 1.0)
