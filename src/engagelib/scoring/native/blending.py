"""The thin side of blending in C++: room for what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring import _checks as checks
from engagelib.scoring._checks import FloatArray, MaskArray
from engagelib.scoring.native import _kernel

if TYPE_CHECKING:
    from engagelib.scoring._operands import TopK
    from engagelib.scoring.blending import Blend


def blend(
    found: Sequence[TopK],
    k: int,
    n_items: int,
    factor: FloatArray | None,
    among: MaskArray | None,
    weights: npt.NDArray[np.float64] | None,
) -> Blend:
    """Blend row by row."""
    shape = (len(found[0].item_index), k)
    item_index, score, source = (
        np.empty(shape, np.int32),
        np.empty(shape, np.float32),
        np.empty(shape, np.int8),
    )
    indices, scores = [best.item_index for best in found], [best.score for best in found]
    if not _kernel.blend(indices, scores, n_items, factor, among, weights, item_index, score, source):
        checks.check_lists(found, n_items, factor, among)  # says what is wrong
        raise errors.scoring.broken_rows("found", "it changed while it was read", "")
    return item_index, score, source
