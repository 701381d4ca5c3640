"""What the compiled kernel offers; arrays are C-contiguous, and written where a name begins with `out_`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engagelib.scoring._checks import FloatArray, IndexArray, MaskArray

# drawing.cpp

def draw_interest(
    indptr: IndexArray,
    item_index: npt.NDArray[np.int32],
    event_type: npt.NDArray[np.int16],
    time: npt.NDArray[np.int64] | None,
    share: npt.NDArray[np.float32] | None,
    per_type: npt.NDArray[np.float64],
    n_items: int,
    until: int,
    now: int,
    half_life: float,
    half_life_in_steps: float,
    n_visit: int,
    heaviest: float,
    out_indptr: npt.NDArray[np.int64],
    out_indices: npt.NDArray[np.int32],
    out_data: npt.NDArray[np.float32],
) -> int: ...
def draw_met(
    indptr: IndexArray,
    item_index: npt.NDArray[np.int32],
    event_type: npt.NDArray[np.int16],
    time: npt.NDArray[np.int64] | None,
    counts: MaskArray,
    without: MaskArray | None,
    n_items: int,
    until: int,
    out_indptr: npt.NDArray[np.int64],
    out_indices: npt.NDArray[np.int32],
) -> int: ...

# blending.cpp

def blend(
    item_index: Sequence[npt.NDArray[np.int32]],
    score: Sequence[FloatArray],
    n_items: int,
    factor: FloatArray | None,
    among: MaskArray | None,
    out_item_index: npt.NDArray[np.int32],
    out_score: FloatArray,
    out_source: npt.NDArray[np.int8],
) -> bool: ...

# sparse.cpp: the answer is -1, or where a fault was found

def sparse_topk(
    indptr: IndexArray,
    indices: IndexArray,
    data: npt.NDArray[Any] | None,
    weight_indptr: IndexArray,
    weight_columns: IndexArray,
    weight_values: FloatArray,
    n_columns: int,
    exclude_indptr: IndexArray | None,
    exclude_indices: IndexArray | None,
    available: MaskArray | None,
    items: npt.NDArray[np.int32],
    scores: FloatArray,
    n_threads: int,
) -> int: ...
def sparse_pairs(
    indptr: IndexArray,
    indices: IndexArray,
    data: npt.NDArray[Any] | None,
    weight_indptr: IndexArray,
    weight_columns: IndexArray,
    weight_values: FloatArray,
    n_columns: int,
    wanted: IndexArray,
    scores: FloatArray,
    n_threads: int,
) -> int: ...
def ranking_topk(
    ranking: IndexArray,
    n_items: int,
    exclude_indptr: IndexArray | None,
    exclude_indices: IndexArray | None,
    available: MaskArray | None,
    items: npt.NDArray[np.int32],
) -> int: ...
def sound_rows(
    indptr: IndexArray, indices: IndexArray, data: npt.NDArray[Any] | None, shape: tuple[int, int]
) -> bool: ...

# Alternating least squares and folding. Those that return an integer return the position of an entry that
# leads outside, or -1.

def als_half_step(
    indptr: IndexArray,
    indices: IndexArray,
    confidence: FloatArray,
    fixed: FloatArray,
    solved: FloatArray,
    regularization: float,
    n_steps: int,
    n_threads: int,
    room: FloatArray,
) -> int: ...
def als_solve(
    indptr: IndexArray,
    indices: IndexArray,
    confidence: FloatArray,
    fixed: FloatArray,
    solved: npt.NDArray[np.float64],
    regularization: float,
    most_steps: int,
    n_threads: int,
    room: FloatArray,
) -> int: ...
def als_turn(
    vectors: npt.NDArray[np.float64], turned: npt.NDArray[np.float64], regularization: float, n_threads: int
) -> None: ...
def fold_rows(
    indptr: IndexArray,
    indices: IndexArray,
    confidence: FloatArray,
    vectors: FloatArray,
    out: npt.NDArray[np.float64],
    most_steps: int,
    n_threads: int,
) -> int: ...
def solve_rows(
    indptr: IndexArray,
    indices: IndexArray,
    extra: npt.NDArray[np.float64],
    vectors: FloatArray,
    right: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
    most_steps: int,
    n_threads: int,
) -> int: ...
def sum_rows(
    indptr: IndexArray,
    indices: IndexArray,
    weights: npt.NDArray[np.float64],
    vectors: FloatArray,
    out: npt.NDArray[np.float64],
    n_threads: int,
) -> int: ...

# dense.cpp

def dense_topk(
    queries: FloatArray,
    by_norm: FloatArray,
    norms: npt.NDArray[np.float64],
    permutation: npt.NDArray[np.int32],
    place: npt.NDArray[np.int32],
    indptr: IndexArray | None,
    excluded: IndexArray | None,
    available: npt.NDArray[np.uint8] | None,
    item_index: npt.NDArray[np.int32],
    score: FloatArray,
    multiply: int,
    n_threads: int,
) -> int: ...
def dense_pairs(
    queries: FloatArray,
    factors: FloatArray,
    wanted: npt.NDArray[np.int64],
    score: FloatArray,
    n_threads: int,
) -> None: ...
def sgemm_of(capsule: object) -> int: ...
