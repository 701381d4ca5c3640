"""What goes into the kernel and comes out of it, checked once so that the kernel can trust it."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse, sparray, spmatrix

from engagelib import errors

FloatArray: TypeAlias = npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.integer[Any]]
MaskArray: TypeAlias = npt.NDArray[np.bool_]
Sparse: TypeAlias = sparray | spmatrix

_ALTERED = "the file may be damaged, or altered after it was written."


class ItemWeights:
    """Learned weights from item to item, `[from, to]`, checked once.

    Parameters
    ----------
    matrix
        Any SciPy sparse matrix of numbers, shape (n_from, n_to); the two may differ. Unsorted rows and
        duplicate entries are put in order (duplicates are added) in a copy, and the given matrix is never
        changed. One that is sorted float32 CSR already is shared, not copied. Stored zeros are allowed.

    Attributes
    ----------
    matrix
        The weights as a float32 `csr_array`, sorted and without duplicates.
    indptr, indices, data
        The arrays of `matrix`. Indices are int32 wherever they fit.
    shape
        (n_from, n_to).

    Raises
    ------
    ArgumentError
        If the matrix is not sparse, not two-dimensional, not of numbers, points outside its shape, or holds
        a number that is not finite in float32; the message names the first such position.
    """

    __slots__ = ("matrix",)

    matrix: csr_array

    def __init__(self, matrix: Sparse) -> None:
        rows = sparse_rows(matrix, "weights")
        built = csr_array((as_float32(rows.data), rows.indices, rows.indptr), shape=rows.shape)
        if not _is_canonical(rows):
            built = built.copy()
            built.sum_duplicates()
        check_finite_entries(SparseRows(built.indptr, built.indices, built.data, rows.shape), "weights")
        self.matrix = built

    @classmethod
    def from_arrays(
        cls,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        data: npt.ArrayLike,
        shape: tuple[int, int],
    ) -> ItemWeights:
        """Wrap the arrays of weights that were checked before they were saved.

        The arrays may be read-only and memory-mapped. Only what could make the kernel read outside them is
        checked: lengths, order of `indptr`, range of `indices`. Nothing is copied where `data` is float32
        and the indices are int32.

        Parameters
        ----------
        indptr
            Where each row begins, shape (n_from + 1,).
        indices
            Column of each entry, shape (n_entries,).
        data
            Weight of each entry, shape (n_entries,).
        shape
            (n_from, n_to).

        Raises
        ------
        ArgumentError
            If the arrays do not make a matrix of that shape; the message says which part is at fault.
        """
        starts, columns, values = (np.asarray(part) for part in (indptr, indices, data))
        rows = _checked_rows(SparseRows(starts, columns, values, shape), "weights", _ALTERED)
        self = cls.__new__(cls)
        self.matrix = csr_array((as_float32(rows.data), rows.indices, rows.indptr), shape=rows.shape)
        return self

    @property
    def indptr(self) -> IndexArray:
        """Where each row begins, shape (n_from + 1,)."""
        return cast(IndexArray, self.matrix.indptr)

    @property
    def indices(self) -> IndexArray:
        """The item each entry leads to, shape (n_entries,)."""
        return cast(IndexArray, self.matrix.indices)

    @property
    def data(self) -> FloatArray:
        """The weight of each entry, shape (n_entries,)."""
        return cast(FloatArray, self.matrix.data)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_from, n_to)."""
        return cast("tuple[int, int]", self.matrix.shape)

    def __repr__(self) -> str:
        return f"ItemWeights({self.shape[0]:,} x {self.shape[1]:,}, {len(self.data):,} entries)"


class Factors:
    """Item factors, checked once, with the order in which a search looks at them.

    Parameters
    ----------
    array
        One row an item, shape (n_items, n_factors). Float32 in row order is shared; anything else is copied.

    Attributes
    ----------
    array
        The factors, float32, shape (n_items, n_factors).
    norms
        Length of each item's row, float64, shape (n_items,).
    permutation
        Items by falling norm, ties to the lower index, int32, shape (n_items,).
    by_norm, norms_by_norm
        The rows of `array` and their norms, in the order of `permutation`.
    place
        Where each item stands in `permutation`, int32, shape (n_items,).

    Raises
    ------
    ArgumentError
        If the array is not two-dimensional, not of numbers, or holds a number that is not finite in
        float32; the message names the first such position.
    """

    __slots__ = ("array", "by_norm", "norms", "norms_by_norm", "permutation", "place")

    def __init__(self, array: npt.ArrayLike) -> None:
        self.array: FloatArray = np.ascontiguousarray(dense_rows(array, "factors"))
        self.norms: npt.NDArray[np.float64] = row_norms(self.array)
        self.permutation: npt.NDArray[np.int32] = np.argsort(-self.norms, kind="stable").astype(np.int32)
        self.by_norm: FloatArray = self.array[self.permutation]
        self.norms_by_norm: npt.NDArray[np.float64] = self.norms[self.permutation]
        self.place: npt.NDArray[np.int32] = np.empty(len(self.array), np.int32)
        self.place[self.permutation] = np.arange(len(self.array), dtype=np.int32)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_items, n_factors)."""
        return cast("tuple[int, int]", self.array.shape)

    def __repr__(self) -> str:
        return f"Factors({self.shape[0]:,} items x {self.shape[1]:,})"


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """The best items of each row, best first.

    Attributes
    ----------
    item_index
        int32, shape (n_rows, k). A short row ends in -1.
    score
        float32, shape (n_rows, k). A short row ends in -inf.
    """

    item_index: npt.NDArray[np.int32]
    score: FloatArray

    def __len__(self) -> int:
        return len(self.item_index)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many items each row really lists, shape (n_rows,)."""
        counts: npt.NDArray[np.int64] = (self.item_index >= 0).sum(axis=1, dtype=np.int64)
        return counts

    def items(self, row: int) -> list[int]:
        """List the items of one row, best first, without the padding."""
        found = self.item_index[row]
        return cast("list[int]", found[found >= 0].tolist())

    def scores(self, row: int) -> list[float]:
        """List the scores of one row, falling, without the padding."""
        return cast("list[float]", self.score[row][self.item_index[row] >= 0].tolist())


class SparseRows(NamedTuple):
    """The arrays of a CSR matrix whose structure was checked; duplicates and any order are allowed."""

    indptr: IndexArray
    indices: IndexArray
    data: npt.NDArray[Any]
    shape: tuple[int, int]


def sparse_rows(matrix: Sparse, name: str) -> SparseRows:
    """Read any SciPy sparse matrix as rows whose indices are safe to follow."""
    if not issparse(matrix):
        raise errors.scoring.wrong_kind(name, type(matrix).__name__, "a SciPy sparse matrix")
    if len(matrix.shape) != 2:
        raise errors.scoring.wrong_dimensions(name, matrix.shape, "two dimensions")
    if matrix.format != "csr":
        matrix = matrix.tocsr()
    return _checked_rows(SparseRows(matrix.indptr, matrix.indices, matrix.data, matrix.shape), name, "")


def _checked_rows(rows: SparseRows, name: str, hint: str) -> SparseRows:
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
    indices, data = indices[:end], data[:end]
    if end and (int(indices.min()) < 0 or int(indices.max()) >= n_columns):
        at = int(np.argmax((indices < 0) | (indices >= n_columns)))
        raise errors.scoring.broken_rows(
            name, f"entry {at:,} is in column {indices[at]} of {n_columns:,}", hint
        )
    return SparseRows(indptr, indices, data, (int(n_rows), int(n_columns)))


def _is_canonical(rows: SparseRows) -> bool:
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
        raise errors.scoring.wrong_kind(name, str(given.dtype), "real numbers")
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
        raise errors.scoring.wrong_kind("item_index", str(index.dtype), "integers")
    outside = (index < -1) | (index >= n_items)
    if outside.any():
        row, column = np.unravel_index(int(np.argmax(outside)), index.shape)
        position = (int(row), int(column))
        raise errors.scoring.bad_index("item_index", position, int(index[row, column]), -1, n_items - 1)
    return cast(IndexArray, index)


def check_ranking(ranking: npt.ArrayLike, n_items: int) -> IndexArray:
    """Read item indices in which each item stands at most once."""
    index = np.asarray(ranking)
    if index.ndim != 1:
        raise errors.scoring.wrong_dimensions("ranking", index.shape, "one dimension")
    if index.size == 0:
        return np.empty(0, np.int32)
    if index.dtype.kind not in "iu":
        raise errors.scoring.wrong_kind("ranking", str(index.dtype), "integers")
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
    return cast(IndexArray, index)
