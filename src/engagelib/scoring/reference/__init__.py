"""The kernel in NumPy and SciPy: the definition that any faster one must match, and the fallback.

Operands come checked. Rows are answered in blocks, so that memory grows neither with their number nor with
the catalogue, and within a block nothing loops over rows in Python.
"""

from engagelib.scoring.reference.als import als_half_step, als_room, als_solve, als_turn
from engagelib.scoring.reference.blending import blend
from engagelib.scoring.reference.dense import dense_pairs, dense_topk
from engagelib.scoring.reference.describing import describe
from engagelib.scoring.reference.drawing import draw_interest, draw_met
from engagelib.scoring.reference.folding import fold_rows, solve_rows, sum_rows
from engagelib.scoring.reference.neighbours import near_items
from engagelib.scoring.reference.ranking import ranking_topk
from engagelib.scoring.reference.sparse import are_sound, sparse_pairs, sparse_topk
from engagelib.scoring.reference.trees import score_trees

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

NAME = "reference"
