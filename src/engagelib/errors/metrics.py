"""Wording of what the metrics refuse."""

from engagelib.errors._classes import ArgumentError
from engagelib.errors._common import bad_argument


def item_out_of_range(row: int, position: int, item: int, n_items: int) -> ArgumentError:
    """Word a list that holds an item which the catalogue has not."""
    return bad_argument(
        f"item_index[{row}, {position}]",
        item,
        f"an item below n_items={n_items}, counted from 0, or -1 after the last one",
        "the lists and what they are judged by must number their items alike.",
    )


def padding_before_item(row: int, position: int) -> ArgumentError:
    """Word a list with a hole, which would shift the ranks of what follows."""
    return bad_argument(
        f"item_index[{row}, {position}]", -1, "padding only after the last item of a list, but one follows"
    )


def repeated_item(row: int, item: int) -> ArgumentError:
    """Word a list that holds an item twice, which would count one hit as two."""
    return ArgumentError(
        f"row {row} of item_index holds item {item} more than once: "
        "expected each item at most once in a list."
    )


def rows_differ(name: str, n_rows: int, other: str, n_other: int) -> ArgumentError:
    """Word two arrays that should have a row each for the same customers."""
    return ArgumentError(
        f"{name} has {n_rows:,} rows and {other} has {n_other:,}: expected as many, in the same order."
    )


def not_a_sparse_matrix(name: str, given: str) -> ArgumentError:
    """Word something else where a SciPy sparse matrix is due."""
    return ArgumentError(
        f"{name} is {given}: expected a SciPy sparse matrix of shape (n_rows, n_items). "
        "Hint: wrap a dense array in scipy.sparse.csr_array."
    )
