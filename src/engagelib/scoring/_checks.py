"""Reading the arguments of the kernel: shapes, types and ranges, each refused with its position."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from engagelib import errors

if TYPE_CHECKING:
    from scipy.sparse import csr_array, sparray, spmatrix

    from engagelib.scoring._operands import TopK

FloatArray: TypeAlias = npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.integer[Any]]
MaskArray: TypeAlias = npt.NDArray[np.bool_]
Sparse: TypeAlias = "sparray | spmatrix"


class Rows(NamedTuple):
    """CSR arrays without SciPy around them, which are quick to make and to check for a single row.

    Rows may be empty, and their indices stand in any order and more than once, as those of a SciPy matrix.

    Attributes
    ----------
    indptr
        Where each row begins and the last one ends, rising from 0, integers, shape (n_rows + 1,).
    indices
        Column of each entry, integers from 0 to n_columns - 1, shape (n_entries,).
    data
        Value of each entry, numbers, shape (n_entries,). None where only the positions matter, as in
        `exclude`.
    shape
        (n_rows, n_columns).

    Notes
    -----
    int32 or int64 indices and float32 values are used as they are; others are converted at each call.
    """

    indptr: IndexArray
    indices: IndexArray
    data: Any  # an array or None, which only the caller knows
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return len(self.indices)

    @classmethod
    def from_matrix(cls, matrix: Sparse) -> Rows:
        """Take the arrays of a SciPy sparse matrix; those of a CSR matrix are shared, not copied."""
        return arrays_of(matrix, "matrix")

    def to_matrix(self) -> csr_array:
        """Wrap the arrays for SciPy, ones where there are no values; raises what SciPy raises."""
        from scipy.sparse import csr_array

        data = np.ones(len(self.indices), np.float32) if self.data is None else self.data
        indptr, narrow = self.indptr, self.indices.dtype
        if indptr.dtype != narrow and len(self.indices) <= np.iinfo(narrow).max:
            indptr = indptr.astype(narrow)  # of two types SciPy would make the larger one, in a copy of all
        return csr_array((data, self.indices, indptr), shape=self.shape)


def arrays_of(matrix: Sparse | Rows, name: str, expected: str = "a SciPy sparse matrix") -> Rows:
    """Take the arrays of a matrix, which are still to be checked."""
    if isinstance(matrix, Rows):
        return matrix
    from scipy.sparse import issparse  # not before: who serves has rows

    if not issparse(matrix):
        raise errors.wrong_kind(name, type(matrix).__name__, expected)
    if len(matrix.shape) != 2:
        raise errors.scoring.wrong_dimensions(name, matrix.shape, "two dimensions")
    if matrix.format != "csr":
        matrix = matrix.tocsr()
    return Rows(matrix.indptr, matrix.indices, matrix.data, matrix.shape)


def checked_rows(rows: Rows, name: str) -> Rows:
    """Make sure that the indices of rows are safe to follow."""
    indptr, indices, data, shape = rows
    if len(shape) != 2:
        raise errors.scoring.wrong_dimensions(name, shape, "two dimensions")
    values = None if data is None else np.asarray(data)
    rows = framed_rows(Rows(np.asarray(indptr), np.asarray(indices), values, shape), name, "")
    indices, n_columns = rows.indices, rows.shape[1]
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_columns):
        at = int(np.argmax((indices < 0) | (indices >= n_columns)))
        raise errors.scoring.broken_rows(
            name, f"entry {at:,} is in column {indices[at]} of {n_columns:,}", ""
        )
    return rows


def finite_rows(rows: Rows, name: str) -> Rows:
    """Make sure that rows are safe to follow and their values finite, and cast those to float32."""
    rows = checked_rows(rows, name)
    if rows.data is None:
        raise errors.scoring.broken_rows(name, "it has no values", "")
    rows = rows._replace(data=as_float32(rows.data))
    check_finite_entries(rows, name)
    return rows


def framed_rows(rows: Rows, name: str, hint: str) -> Rows:
    """Check all of a CSR matrix but its columns, which are most of what there is to read."""
    indptr, indices, data, shape = rows
    n_rows, n_columns = shape
    if data is None:
        data = indices
    if indptr.ndim != 1 or indices.ndim != 1 or data.ndim != 1:
        raise errors.scoring.broken_rows(name, "its arrays are not all one-dimensional", hint)
    if len(indptr) != n_rows + 1 or n_rows < 0:
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
    values = None if rows.data is None else data[:end]
    return Rows(indptr, indices[:end], values, (int(n_rows), int(n_columns)))


def is_canonical(rows: Rows) -> bool:
    """Tell whether the columns of every row rise strictly."""
    rises = rows.indices[1:] > rows.indices[:-1]
    row_starts = rows.indptr[1:-1]
    rises[row_starts[(row_starts > 0) & (row_starts < len(rows.indices))] - 1] = True
    return bool(rises.all())


def as_float32(values: npt.NDArray[Any]) -> FloatArray:
    """Cast numbers to float32; what is too large becomes infinite, which the caller's check then names."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)


def check_finite_entries(rows: Rows, name: str) -> None:
    """Refuse the first entry that is not finite."""
    values = cast(FloatArray, rows.data)
    finite = np.isfinite(values)
    if not finite.all():
        at = int(np.argmin(finite))
        row = int(np.searchsorted(rows.indptr, at, side="right")) - 1
        raise errors.scoring.not_finite(name, (row, int(rows.indices[at])), float(values[at]))


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
    if type(value) is int and value >= minimum:
        return value
    if not isinstance(value, bool | np.bool_):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if number >= minimum:
                return number
    raise errors.bad_argument(name, value, f"an integer of at least {minimum}")


def check_available(
    available: npt.ArrayLike | None, n_items: int, name: str = "available"
) -> MaskArray | None:
    """Read the mask of items that may be shown, or None where all may."""
    if available is None:
        return None
    mask = np.asarray(available)
    if mask.dtype != np.bool_ or mask.shape != (n_items,):
        raise errors.scoring.wrong_mask(name, mask.dtype, mask.shape, n_items)
    return mask


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


def check_lists(
    found: Sequence[TopK], n_items: int, factor: FloatArray | None, among: MaskArray | None
) -> None:
    """Refuse lists that are not of the same rows or name an item that there is not, and what does not fit."""
    n_rows = len(found[0].item_index)
    for place, best in enumerate(found):
        item_index = check_item_index(best.item_index, n_rows, n_items)
        if best.score.shape != item_index.shape:
            raise errors.scoring.wrong_shape(
                f"found[{place}].score", best.score.shape, item_index.shape, "that of its item_index"
            )
    if factor is not None and factor.shape != (n_items,):
        raise errors.scoring.wrong_shape("factor", factor.shape, (n_items,), "one number an item")
    check_available(among, n_items, "among")


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
