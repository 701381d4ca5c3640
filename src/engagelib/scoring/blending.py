"""Blending: from the lists of several models to one list a row.

A row is blended by itself, in float64 and in the order of the models: the list is the same bit for bit alone
as among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring import _kernels as kernels
from engagelib.scoring._checks import FloatArray, MaskArray
from engagelib.scoring._operands import TopK

__all__ = ["Blend", "blend"]

Blend: TypeAlias = tuple[npt.NDArray[np.int32], FloatArray, npt.NDArray[np.int8]]
"""Item indices, scores and sources, shape (n_rows, k) each; -1, -inf and -1 where a list is short."""


def blend(
    found: Sequence[TopK],
    k: int,
    n_items: int,
    *,
    factor: FloatArray | None = None,
    among: MaskArray | None = None,
    weights: npt.NDArray[np.float64] | None = None,
) -> Blend:
    """List the k items of each row that several models score best on average.

    Each model's scores are divided by its best of the row; an item's score is the mean over the models, or
    their weighted sum, and a model that does not list it with a score above 0 adds nothing. A single model's
    scores stay as they are, of any sign. An item that one model lists twice counts as it stands first.

    Parameters
    ----------
    found
        What each model lists, at least one, of the same rows and of any width each.
    k
        Length of a list, at least 1.
    n_items
        Number of items.
    factor
        What scores are multiplied by at the end, above 0, float32 of shape (n_items,); those below 0 are
        divided by it. None for no such factors.
    among
        True for items that may be listed, shape (n_items,). It changes no score. None means all.
    weights
        What the scores of each model are multiplied by, at least 0, float64 of shape (n_models,); None
        weighs all alike. An item that only models of weight 0 list is listed with score 0.

    Returns
    -------
    Lists by falling score, ties to the lower index. The source of an item is the place of the model that
    contributed most to it, of equal ones the first; `len(found) + 1` more where its factor is not 1.

    Raises
    ------
    ArgumentError
        If the shapes do not fit, a weight is below 0 or not finite, or an item index is not from -1, which is
        padding, to `n_items - 1`.
    """
    if weights is not None:
        weights = np.ascontiguousarray(weights, np.float64)
        if weights.shape != (len(found),) or not (np.isfinite(weights) & (weights >= 0)).all():
            expected = f"{len(found)} finite numbers of at least 0, one a model"
            raise errors.bad_argument("weights", weights.tolist(), expected)
    return kernels.active.blend(found, k, n_items, factor, among, weights)
