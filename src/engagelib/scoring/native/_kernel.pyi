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
    weights: npt.NDArray[np.float64] | None,
    out_item_index: npt.NDArray[np.int32],
    out_score: FloatArray,
    out_source: npt.NDArray[np.int8],
) -> bool: ...

# describing.cpp: 0, 1 where the lists are unlike each other, -1 where the events are

def describe(
    item_index: Sequence[npt.NDArray[np.int32]],
    score: Sequence[FloatArray],
    candidates: npt.NDArray[np.int32],
    indptr: IndexArray,
    event_item: npt.NDArray[np.int32],
    event_type: npt.NDArray[np.int16],
    time: npt.NDArray[np.int64] | None,
    share: npt.NDArray[np.float32] | None,
    n_items: int,
    group: npt.NDArray[np.int8],
    n_groups: int,
    until: int,
    now: int,
    day: int,
    columns: FloatArray,
    levels: FloatArray,
    category: npt.NDArray[np.int32],
    n_categories: int,
    out: FloatArray,
    n_threads: int,
) -> int: ...

# trees.cpp

def score_trees(
    feature: npt.NDArray[np.int32],
    threshold: FloatArray,
    keeps: npt.NDArray[np.uint32],
    value: npt.NDArray[np.float64],
    node_starts: npt.NDArray[np.int32],
    leaf_starts: npt.NDArray[np.int32],
    features: FloatArray,
    out_total: npt.NDArray[np.float64],
    n_threads: int,
) -> None: ...

# neighbours.cpp: the answer is -1, or the row at which a fault was found

def near_items(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    data: FloatArray,
    posting_indptr: npt.NDArray[np.int64],
    posting_history: npt.NDArray[np.int32],
    posting_place: npt.NDArray[np.int32],
    posting_value: FloatArray,
    stored_indptr: npt.NDArray[np.int64],
    stored_item: npt.NDArray[np.int32],
    stored_place: npt.NDArray[np.int32],
    stored_value: FloatArray,
    closeness: npt.NDArray[np.float64],
    n_nearest: int,
    out_indptr: npt.NDArray[np.int64],
    out_indices: npt.NDArray[np.int32],
    out_data: FloatArray,
) -> int: ...

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
