"""The thin side of the trees in C++: room for what it writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray
from engagelib.scoring.native import _kernel

if TYPE_CHECKING:
    from engagelib.scoring.trees import Trees


def score_trees(trees: Trees, features: FloatArray, n_threads: int) -> npt.NDArray[np.float64]:
    """Walk the trees."""
    total = np.full(len(features), trees.start)
    _kernel.score_trees(*trees.layout, features, total, n_threads)
    return total
