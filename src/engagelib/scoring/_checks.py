"""Reading the arguments of the kernel: shapes, types and ranges, each refused with its position."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse, sparray, spmatrix

from engagelib import errors

FloatArray: TypeAlias = npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.integer[Any]]
MaskArray: TypeAlias = npt.NDArray[np.bool_]
Sparse: TypeAlias = sparray | spmatrix


class SparseRows(NamedTuple):
    """The arrays of a CSR matrix whose structure was checked; duplicates and any order are allowed."""

    indptr: IndexArray
    indices: IndexArray
    data: npt.NDArray[Any]
    shape: tuple[int, int]


def sparse_rows(matrix: Sparse, name: str) -> SparseRows:
    """Read any SciPy sparse matrix as rows whose indices are safe to follow."""
    if not issparse(matrix):
        raise errors.wrong_kind(name, type(matrix).__name__, "a SciPy sparse matrix")
    if len(matrix.shape) != 2:
        raise errors.scoring.wrong_dimensions(name, matrix.shape, "two dimensions")
    if matrix.format != "csr":
        matrix = matrix.tocsr()
    rows = framed_rows(SparseRows(matrix.indptr, matrix.indices, matrix.data, matrix.shape), name, "")
    indices, n_columns = rows.indices, rows.shape[1]
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_columns):
        at = int(np.argmax((indices < 0) | (indices >= n_columns)))
        raise errors.scoring.broken_rows(
            name, f"entry {at:,} is in column {indices[at]} of {n_columns:,}", ""
        )
    return rows


def framed_rows(rows: SparseRows, name: str, hint: str) -> SparseRows:
    """Check all of a CSR matrix but its columns, which are most of what there is to read."""
    indptr, indices, data, shape = rows
    n_rows, n_columns = shape
    if indptr.ndim != 1 or indices.ndim != 1 or data.ndim != 1:
        raise errors.scoring.broken_rows(name, "its arrays are not all one-dimensional", hint)
    if len(indptr) != n_rows + 1:
        raise errors.scoring.broken_rows(
            name, f"indptr has {len(indptr):,} entries for {n_rows:,} rows", hint
        )
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise errors.scoring.broken_rows(name, f"its indices are {indptr.dtype} and {indices.dtype}", hint)
    if data.dtype.kind not in "biuf":
        raise errors.scoring.broken_rows(name, f"its values are {data.dtype}, not real numbers", hint)
    end = int(indptr[-1])
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise errors.scoring.broken_rows(name, "indptr does not rise from 0", hint)
    if min(len(indices), len(data)) < end:
        held = f"indptr ends at {end:,}, with {len(indices):,} indices and {len(data):,} values"
        raise errors.scoring.broken_rows(name, held, hint)
    # SciPy allows spare room after the last row.
    return SparseRows(indptr, indices[:end], data[:end], (int(n_rows), int(n_columns)))


def is_canonical(rows: SparseRows) -> bool:
    """Tell whether the columns of every row rise strictly."""
    rises = rows.indices[1:] > rows.indices[:-1]
    row_starts = rows.indptr[1:-1]
    rises[row_starts[(row_starts > 0) & (row_starts < len(rows.indices))] - 1] = True
    return bool(rises.all())


def as_float32(values: npt.NDArray[Any]) -> FloatArray:
    """Cast numbers to float32; what is too large becomes infinite, which the caller's check then names."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)


def check_finite_entries(rows: SparseRows, name: str) -> None:
    """Refuse the first entry that is not finite."""
    finite = np.isfinite(rows.data)
    if not finite.all():
        at = int(np.argmin(finite))
        row = int(np.searchsorted(rows.indptr, at, side="right")) - 1
        raise errors.scoring.not_finite(name, (row, int(rows.indices[at])), float(rows.data[at]))


def dense_rows(array: npt.ArrayLike, name: str) -> FloatArray:
    """Read a two-dimensional array of finite float32 numbers."""
    given = np.asarray(array)
    if given.ndim != 2:
        raise errors.scoring.wrong_dimensions(name, given.shape, "two dimensions")
    if given.dtype.kind not in "biuf":
        raise errors.wrong_kind(name, str(given.dtype), "real numbers")
    values = as_float32(given)
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.unravel_index(int(np.argmin(finite)), values.shape)
        raise errors.scoring.not_finite(name, (int(row), int(column)), float(values[row, column]))
    return values


def row_norms(array: FloatArray) -> npt.NDArray[np.float64]:
    """Measure each row in float64, where no float32 row overflows."""
    norms: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    return norms


def whole_number(value: int, name: str, minimum: int) -> int:
    """Read an integer of at least `minimum`; NumPy's integers count, True and False do not."""
    if not isinstance(value, bool | np.bool_):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if number >= minimum:
                return number
    raise errors.bad_argument(name, value, f"an integer of at least {minimum}")


def check_available(available: npt.ArrayLike | None, n_items: int) -> MaskArray | None:
    """Read the mask of items that may be shown, or None where all may."""
    if available is None:
        return None
    mask = np.asarray(available)
    if mask.dtype != np.bool_ or mask.shape != (n_items,):
        raise errors.scoring.wrong_mask("available", mask.dtype, mask.shape, n_items)
    return mask


def check_exclude(exclude: Sparse | None, n_rows: int, n_items: int) -> SparseRows | None:
    """Read the positions that may not be listed, or None where all may."""
    if exclude is None:
        return None
    rows = sparse_rows(exclude, "exclude")
    if rows.shape != (n_rows, n_items):
        raise errors.scoring.wrong_shape(
            "exclude", rows.shape, (n_rows, n_items), "one row a list, one column an item"
        )
    return rows


def check_item_index(item_index: npt.ArrayLike, n_rows: int, n_items: int) -> IndexArray:
    """Read item indices, shape (n_rows, any), each from -1 to n_items - 1."""
    index = np.asarray(item_index)
    if index.ndim != 2 or len(index) != n_rows:
        raise errors.scoring.wrong_dimensions("item_index", index.shape, f"the shape ({n_rows}, any)")
    if index.dtype.kind not in "iu":
        raise errors.wrong_kind("item_index", str(index.dtype), "integers")
    outside = (index < -1) | (index >= n_items)
    if outside.any():
        row, column = np.unravel_index(int(np.argmax(outside)), index.shape)
        position = (int(row), int(column))
        raise errors.scoring.bad_index("item_index", position, int(index[row, column]), -1, n_items - 1)
    return cast(IndexArray, index)


def check_ranking(ranking: npt.ArrayLike, n_items: int) -> IndexArray:
    """Read item indices in which each item stands at most once."""
    index = index_line(ranking, "ranking")
    outside = (index < 0) | (index >= n_items)
    if outside.any():
        at = int(np.argmax(outside))
        raise errors.scoring.bad_index("ranking", (at,), int(index[at]), 0, n_items - 1)
    first = np.empty(n_items, np.int64)
    # The last write to a place wins: written backwards, that is the first time the item is named.
    first[index[::-1]] = np.arange(len(index) - 1, -1, -1)
    again = first[index] != np.arange(len(index))
    if again.any():
        at = int(np.argmax(again))
        raise errors.scoring.ranking_repeats("ranking", at, int(index[at]))
    return index


def index_line(values: npt.ArrayLike, name: str) -> IndexArray:
    """Read a one-dimensional array of integers."""
    index = np.asarray(values)
    if index.ndim != 1:
        raise errors.scoring.wrong_dimensions(name, index.shape, "one dimension")
    if index.size == 0:
        return np.empty(0, np.int32)
    if index.dtype.kind not in "iu":
        raise errors.wrong_kind(name, str(index.dtype), "integers")
    return cast(IndexArray, index)
