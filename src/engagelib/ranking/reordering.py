"""Reordering: the head of a blended list is put in the ranker's order, and what follows stays behind it."""

from collections.abc import Sequence

import numpy as np

from engagelib.histories import Histories
from engagelib.ranking.ranker import RANKED, Ranker
from engagelib.scoring import TopK
from engagelib.scoring.blending import Blend, blend


def ranked_blend(
    ranker: Ranker,
    found: Sequence[TopK],
    block: Histories,
    k: int,
    *,
    at: int | None,
    factor: np.ndarray | None = None,
    among: np.ndarray | None = None,
) -> Blend:
    """List the k best items of each row: the best `RANKED` of the blend by the ranker, then the others.

    Parameters
    ----------
    found, k, factor, among
        As for `scoring.blending.blend`.
    block, at
        The histories, and the moment up to which they are read.

    Returns
    -------
    Lists by falling score, ties to the lower index. Scores are above 0: those of the head are below 1, times
    the factor of the item; those behind it are the blend's, scaled to what is left below the head. Sources
    are the blend's.
    """
    n_items = block.n_items
    if ranker.scorer is None:
        return blend(found, k, n_items, factor=factor, among=among, weights=ranker.weights)
    items, scores, sources = blend(
        found, max(k, min(RANKED, n_items)), n_items, factor=factor, among=among, weights=ranker.weights
    )
    head = np.ascontiguousarray(items[:, :RANKED])
    is_listed = head >= 0
    odds = np.clip(ranker.score(found, head, block, at), -30.0, 30.0)
    ranked = (1.0 / (1.0 + np.exp(-odds))).astype(np.float32)
    if factor is not None:
        ranked *= factor[head]
    ranked[~is_listed] = -np.inf
    order = np.lexsort((head, -ranked), axis=1)
    if items.shape[1] > head.shape[1] and (items[:, head.shape[1]] >= 0).any():
        least = np.where(is_listed, ranked, np.inf).min(axis=1, keepdims=True)
        tail = scores[:, RANKED:]
        highest = np.maximum(tail[:, :1], np.finfo(np.float32).tiny)
        scores[:, RANKED:] = np.where(items[:, RANKED:] >= 0, tail / highest * least, -np.inf)
    for column, values in ((items, head), (scores, ranked), (sources, sources[:, :RANKED])):
        column[:, :RANKED] = np.take_along_axis(values, order, axis=1)
    return items[:, :k], scores[:, :k], sources[:, :k]
