"""Neighbours: which stored histories are like one, and what they hold near to what they have in common.

A row is answered by itself, in float64 and in one order of addition: the answer is the same bit for bit
alone as among others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engagelib.scoring import _kernels as kernels
from engagelib.scoring._checks import FloatArray, IndexArray, Rows

__all__ = ["Placed", "near_items", "near_parts"]


class Placed(NamedTuple):
    """Rows of cells that each have a place within something in order.

    Attributes
    ----------
    indptr
        Where each row begins and the last one ends, int64, shape (n_rows + 1,).
    column
        Column of each cell, int32.
    place
        Its place, counted from 0, int32.
    value
        Its value, float32.
    """

    indptr: npt.NDArray[np.int64]
    column: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    value: FloatArray


def near_items(
    rows: Rows, postings: Placed, stored: Placed, closeness: npt.NDArray[np.float64], n_nearest: int
) -> Rows:
    """Score what the stored histories hold that are most like each row.

    The likeness of a stored history is the sum over the items that both hold of the row's value times the
    value of the posting. Its anchor is the place, in it, of the item among these that has the highest value
    in the row, of equal ones the first. Each of the `n_nearest` most alike, of equal ones those of the higher
    index, adds to every item that it holds its likeness times the closeness of the item's place to the
    anchor, times the value of the cell.

    Parameters
    ----------
    rows
        Confidence of each row in its items, float32 of above 0, each item once, shape (n_rows, n_items).
    postings
        For each item, which stored histories hold it (`column`), and where.
    stored
        For each stored history, which items it holds (`column`), and where.
    closeness
        What a cell counts by its place less the anchor, at least 0, shape (2 n - 1,), with the anchor's own
        place in the middle; no two places of a history may be n or more apart.
    n_nearest
        Histories that speak, at least 1.

    Returns
    -------
    Scores above 0, float32, shape (n_rows, n_items), in the order in which the items are met: neighbours by
    their index, and items as they stand in each.

    Raises
    ------
    ArtifactError
        If postings or stored histories lead outside each other, as only those of an altered file do.
    """
    return kernels.active.near_items(rows, postings, stored, closeness, n_nearest)


def near_parts(
    row: Rows,
    postings: Placed,
    stored: Placed,
    closeness: npt.NDArray[np.float64],
    n_nearest: int,
    item_index: IndexArray,
) -> npt.NDArray[np.float64]:
    """Share the scores that `near_items` gives to items out among the entries of a single row.

    Parameters
    ----------
    row, postings, stored, closeness, n_nearest
        As for `near_items`.
    item_index
        Items, each once, shape (m,).

    Returns
    -------
    float64, shape (n_entries, m): what each entry of the row adds to the score of each item.
    """
    from engagelib.scoring.reference.neighbours import near_parts  # it imports SciPy

    return near_parts(row, postings, stored, closeness, n_nearest, item_index)
