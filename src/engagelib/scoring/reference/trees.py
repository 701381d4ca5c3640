"""Trees in NumPy: all rows walk down one tree together, a level at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray

if TYPE_CHECKING:
    from engagelib.scoring.trees import Trees


def score_trees(trees: Trees, features: FloatArray, n_threads: int) -> npt.NDArray[np.float64]:  # noqa: ARG001
    """Walk each tree, and add the leaves in the order of the trees."""
    total = np.full(len(features), trees.start)
    for root in trees.roots.tolist():
        node = np.full(len(features), root, np.int64)
        going = np.flatnonzero(trees.feature[node] >= 0)
        while len(going):
            here = node[going]
            at_most = features[going, trees.feature[here]] <= trees.threshold[here]
            node[going] = np.where(at_most, trees.left[here], trees.right[here])
            going = going[trees.feature[node[going]] >= 0]
        total += trees.value[node]
    return total
