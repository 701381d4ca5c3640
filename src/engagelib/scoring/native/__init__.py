"""The kernel in C++; importing it fails where it was not built.

Every function that scores answers, to the last bit, as the one of its name in `engagelib.scoring.reference`
does; those that learn and fold do up to rounding.
"""

import engagelib.scoring.native._kernel  # noqa: F401  first, so that one that is missing is named as such
from engagelib.scoring.native.als import (
    als_half_step,
    als_room,
    als_solve,
    als_turn,
    fold_rows,
    solve_rows,
    sum_rows,
)
from engagelib.scoring.native.blending import blend
from engagelib.scoring.native.dense import dense_pairs, dense_topk
from engagelib.scoring.native.drawing import draw_interest, draw_met
from engagelib.scoring.native.sparse import are_sound, ranking_topk, sparse_pairs, sparse_topk

__all__ = [
    "NAME",
    "als_half_step",
    "als_room",
    "als_solve",
    "als_turn",
    "are_sound",
    "blend",
    "dense_pairs",
    "dense_topk",
    "draw_interest",
    "draw_met",
    "fold_rows",
    "ranking_topk",
    "solve_rows",
    "sparse_pairs",
    "sparse_topk",
    "sum_rows",
]

NAME = "native"
