"""What goes into the kernel and comes out of it, checked once so that the kernel can trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import (
    FloatArray,
    IndexArray,
    MaskArray,
    Rows,
    Sparse,
    arrays_of,
    as_float32,
    check_finite_entries,
    check_ranking,
    checked_rows,
    framed_rows,
    index_line,
    is_canonical,
    whole_number,
)
from engagelib.scoring._factors import Factors

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Factors", "ItemWeights", "Ranking", "TopK", "checked_ranking"]

_ALTERED = "the file may be damaged, or altered after it was written."

_CHECKED_ENTRIES = 1 << 20  # entries of stored weights that are checked at once


class ItemWeights:
    """Learned weights from item to item, `[from, to]`, checked once.

    Parameters
    ----------
    matrix
        Any SciPy sparse matrix of numbers, or `Rows`, shape (n_from, n_to); the two may differ. Unsorted rows
        duplicate entries are put in order (duplicates are added) in a copy, and the given matrix is never
        changed. One that is sorted float32 CSR with int32 indices already is shared, not copied. Stored
        zeros are allowed.

    Attributes
    ----------
    matrix
        The weights as a float32 `csr_array`, sorted and without duplicates. Where they came from
        `from_arrays`, asking for it reads and checks all of them; `rows` reads what it returns.
    indptr, indices, data
        The arrays of `matrix`, as they are. Indices are int32 wherever they fit.
    shape
        (n_from, n_to).

    Raises
    ------
    ArgumentError
        If the matrix is not sparse, not two-dimensional, not of numbers, points outside its shape, or holds
        a number that is not finite in float32; the message names the first such position.
    """

    __slots__ = ("_checked", "_matrix", "data", "indices", "indptr", "shape")

    indptr: IndexArray
    indices: IndexArray
    data: FloatArray
    shape: tuple[int, int]
    _matrix: csr_array | None  # made when it is first asked for
    _checked: MaskArray | None  # rows whose columns were found to be in range; None for all

    def __init__(self, matrix: Sparse | Rows) -> None:
        rows = checked_rows(arrays_of(matrix, "weights"), "weights")
        if rows.data is None:
            raise errors.scoring.broken_rows("weights", "it has no values", "")
        # Half the memory to read and to save; SciPy hands out int64 for small matrices too.
        fits = max(*rows.shape, len(rows.indices)) <= np.iinfo(np.int32).max
        index = np.int32 if fits else np.int64
        indptr: IndexArray = rows.indptr.astype(index, copy=False)
        indices: IndexArray = rows.indices.astype(index, copy=False)
        rows = Rows(indptr, indices, as_float32(cast(FloatArray, rows.data)), rows.shape)
        if not is_canonical(rows):
            built = rows.to_matrix().copy()
            built.sum_duplicates()
            rows = Rows(built.indptr, built.indices, built.data, rows.shape)
        check_finite_entries(rows, "weights")
        self._hold(rows, None)

    @classmethod
    def from_arrays(
        cls,
        indptr: npt.ArrayLike,
        indices: npt.ArrayLike,
        data: npt.ArrayLike,
        shape: tuple[int, int],
    ) -> ItemWeights:
        """Wrap the arrays of weights that were checked before they were saved.

        The arrays may be read-only and memory-mapped. Wrapping reads `indptr` alone; the columns of a row
        are checked when the row is first used, so that weights of any size open at once and an altered file
        still can't lead the kernel outside them. Nothing is copied where `data` is float32 and the indices
        are int32.

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
            If the arrays do not make a matrix of that shape; the message says which part is at fault. A
            column out of range raises an `ArtifactError` when its row is used.
        """
        starts, columns, values = (np.asarray(part) for part in (indptr, indices, data))
        rows = framed_rows(Rows(starts, columns, values, shape), "weights", _ALTERED)
        self = cls.__new__(cls)
        starts = rows.indptr
        if rows.indices.dtype.kind == "i" and len(rows.indices) <= np.iinfo(rows.indices.dtype).max:
            # Of two types SciPy would make the larger one, in a copy of all columns.
            starts = starts.astype(rows.indices.dtype, copy=False)
        values = as_float32(cast(FloatArray, rows.data))
        self._hold(Rows(starts, rows.indices, values, rows.shape), np.zeros(rows.shape[0], np.bool_))
        return self

    def _hold(self, rows: Rows, checked: MaskArray | None) -> None:
        self.indptr, self.indices, self.shape = rows.indptr, rows.indices, rows.shape
        self.data = cast(FloatArray, rows.data)
        self._matrix, self._checked = None, checked

    @property
    def matrix(self) -> csr_array:
        """The weights as a whole, every row of them checked."""
        if self._checked is not None:
            self.check_rows(np.arange(self.shape[0]))
            self._checked = None
        return self._wrapped()

    def _wrapped(self) -> csr_array:
        if self._matrix is None:
            self._matrix = Rows(self.indptr, self.indices, self.data, self.shape).to_matrix()
        return self._matrix

    def rows(self, index: IndexArray) -> csr_array:
        """Draw some rows, in the order asked for, shape (len(index), n_to); see `check_rows`."""
        self.check_rows(index)
        return self._wrapped()[index]

    def product(self, block: csr_array) -> csr_array:
        """Compute `block @ weights`, after checking the rows that it reads; see `check_rows`."""
        self.check_rows(block.indices)
        return block @ self._wrapped()

    def check_frame(self) -> None:
        """Make sure that the rows still begin and end within the entries, as they did at the start.

        Raises
        ------
        ArgumentError
            If they do not, as only a damaged or altered file can have it.
        """
        framed_rows(Rows(self.indptr, self.indices, self.data, self.shape), "weights", _ALTERED)

    def check_rows(self, index: IndexArray) -> None:
        """Make sure that the columns of some rows are in range, before compiled code follows them.

        Each row is read for this once. Threads that come at the same time do the same work twice and agree.

        Raises
        ------
        ArtifactError
            If a column is out of range, as only a damaged or altered file can have it.
        """
        checked = self._checked
        if checked is None:
            return
        seen = checked[index]
        if seen.all():
            return
        fresh = np.unique(index[~seen])
        starts = self.indptr[fresh].astype(np.int64)
        ends = np.cumsum(self.indptr[fresh + 1] - starts)
        first = 0
        while first < len(fresh):
            before = int(ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(ends, before + _CHECKED_ENTRIES, side="right")), first + 1)
            lengths = np.diff(ends[first:last], prepend=before)
            shift = starts[first:last] - (ends[first:last] - lengths)
            self._check_entries(np.arange(before, int(ends[last - 1])) + np.repeat(shift, lengths))
            checked[fresh[first:last]] = True
            first = last

    def _check_entries(self, at: npt.NDArray[np.int64]) -> None:
        columns, n_columns = self.indices[at], self.shape[1]
        if len(at) and (int(columns.min()) < 0 or int(columns.max()) >= n_columns):
            worst = int(np.argmax((columns < 0) | (columns >= n_columns)))
            raise errors.scoring.altered_weights(int(at[worst]), int(columns[worst]), n_columns)

    def __repr__(self) -> str:
        return f"ItemWeights({self.shape[0]:,} x {self.shape[1]:,}, {len(self.data):,} entries)"


class Ranking:
    """Item indices, best first, that all rows share; checked once.

    Parameters
    ----------
    order
        Item indices, best first, each at most once, shape (any,). It need not name every item.
    n_items
        Size of the catalogue.

    Attributes
    ----------
    order
        The indices as they were given, not copied.
    n_items
        Size of the catalogue.

    Raises
    ------
    ArgumentError
        If a number is not an integer in its range, or the order repeats an item or names one outside the
        catalogue; the message names the first such position.
    """

    __slots__ = ("_n_checked", "n_items", "order")

    order: IndexArray
    n_items: int
    _n_checked: int  # length of the part that was found to be in range

    def __init__(self, order: npt.ArrayLike, n_items: int) -> None:
        self.n_items = whole_number(n_items, "n_items", 0)
        self.order = check_ranking(order, self.n_items)
        self._n_checked = len(self.order)

    @classmethod
    def from_array(cls, order: npt.ArrayLike, n_items: int) -> Ranking:
        """Wrap a ranking that was made or checked before, such as one that was saved.

        The array may be read-only and memory-mapped. Wrapping reads none of it, and a list no more than it
        needs; what is read is checked to be in range.

        Raises
        ------
        ArgumentError
            If `order` is not one-dimensional and of integers, or `n_items` not an integer of at least 0. An
            index out of range raises an `ArtifactError` when it is read.
        """
        self = cls.__new__(cls)
        self.n_items = whole_number(n_items, "n_items", 0)
        self.order = index_line(order, "ranking")
        self._n_checked = 0
        return self

    def first(self, stop: int) -> IndexArray:
        """Return the first `stop` indices, or all where there are fewer.

        Raises
        ------
        ArtifactError
            If one is out of range, as only a damaged or altered file can have it.
        """
        head = self.order[:stop]
        if len(head) > self._n_checked:
            fresh = head[self._n_checked :]
            if int(fresh.min()) < 0 or int(fresh.max()) >= self.n_items:
                at = int(np.argmax((fresh < 0) | (fresh >= self.n_items)))
                position = self._n_checked + at
                raise errors.scoring.altered_ranking(position, int(fresh[at]), self.n_items - 1)
            self._n_checked = len(head)
        return head

    def __len__(self) -> int:
        return len(self.order)

    def __repr__(self) -> str:
        return f"Ranking({len(self):,} of {self.n_items:,} items)"


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


def checked_ranking(ranking: Ranking | npt.ArrayLike, n_items: int | None) -> Ranking:
    """Check a bare ranking, or that a checked one is of as many items as were named beside it."""
    if not isinstance(ranking, Ranking):
        return Ranking(ranking, cast(int, n_items))
    if n_items is not None and n_items != ranking.n_items:
        raise errors.bad_argument("n_items", n_items, f"{ranking.n_items}, as in the ranking, or None")
    return ranking
