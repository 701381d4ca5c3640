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
from engagelib.scoring.native.describing import describe
from engagelib.scoring.native.drawing import draw_interest, draw_met
from engagelib.scoring.native.neighbours import near_items
from engagelib.scoring.native.sparse import are_sound, ranking_topk, sparse_pairs, sparse_topk
from engagelib.scoring.native.trees import score_trees

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
    "describe",
    "draw_interest",
    "draw_met",
    "fold_rows",
    "near_items",
    "ranking_topk",
    "score_trees",
    "solve_rows",
    "sparse_pairs",
    "sparse_topk",
    "sum_rows",
]

NAME = "native"
