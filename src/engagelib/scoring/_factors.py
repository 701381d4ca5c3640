"""Item factors as the kernel takes them: checked once, and in the order in which a search looks at them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.scoring._checks import FloatArray, dense_rows, index_line, row_norms


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
        Items by falling norm, ties to the lower index, int32, shape (n_items,). Where they came from
        `from_arrays`, asking for it the first time checks that all are in range.
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

    __slots__ = ("_checked", "_permutation", "array", "by_norm", "norms_by_norm", "place")

    array: FloatArray
    by_norm: FloatArray
    norms_by_norm: npt.NDArray[np.float64]
    place: npt.NDArray[np.int32]
    _permutation: npt.NDArray[np.int32]
    _checked: bool  # whether the permutation was found to be in range

    def __init__(self, array: npt.ArrayLike) -> None:
        self.array = np.ascontiguousarray(dense_rows(array, "factors"))
        norms = row_norms(self.array)
        self._permutation = np.argsort(-norms, kind="stable").astype(np.int32)
        self._checked = True
        self.by_norm = self.array[self._permutation]
        self.norms_by_norm = norms[self._permutation]
        self.place = np.empty(len(self.array), np.int32)
        self.place[self._permutation] = np.arange(len(self.array), dtype=np.int32)

    @classmethod
    def from_arrays(
        cls,
        array: npt.ArrayLike,
        by_norm: npt.ArrayLike,
        norms_by_norm: npt.ArrayLike,
        permutation: npt.ArrayLike,
        place: npt.ArrayLike,
    ) -> Factors:
        """Wrap the arrays of factors that were checked and put in order before they were saved.

        The arrays may be read-only and memory-mapped. Wrapping reads none of them, and copies none of the
        types that `Factors` has. The permutation is checked when it is first used, so that an altered file
        gives an error or a wrong list, and no search leads outside the catalogue.

        Parameters
        ----------
        array, by_norm, norms_by_norm, permutation, place
            The attributes of these names.

        Raises
        ------
        ArgumentError
            If the shapes do not fit each other, or an array is not of the right kind. A permutation that
            leads outside the catalogue raises an `ArtifactError` when it is used.
        """
        self = cls.__new__(cls)
        self.array, self.by_norm = (
            _stored_numbers(part, name, 2, np.float32)
            for part, name in ((array, "array"), (by_norm, "by_norm"))
        )
        self.norms_by_norm = _stored_numbers(norms_by_norm, "norms_by_norm", 1, np.float64)
        self._permutation, self.place = (
            index_line(part, name).astype(np.int32, copy=False)
            for part, name in ((permutation, "permutation"), (place, "place"))
        )
        self._checked = False
        n_items = len(self.array)
        for name, given, expected in (
            ("by_norm", self.by_norm, self.array.shape),
            ("norms_by_norm", self.norms_by_norm, (n_items,)),
            ("permutation", self._permutation, (n_items,)),
            ("place", self.place, (n_items,)),
        ):
            if given.shape != expected:
                raise errors.scoring.wrong_shape(name, given.shape, expected, "one row an item")
        return self

    @property
    def permutation(self) -> npt.NDArray[np.int32]:
        """Items by falling norm.

        Raises
        ------
        ArtifactError
            If one is out of range, as only a damaged or altered file can have it.
        """
        order = self._permutation
        if not self._checked:
            outside = (order < 0) | (order >= len(order))
            if outside.any():
                at = int(np.argmax(outside))
                raise errors.scoring.altered_ranking(at, int(order[at]), len(order) - 1)
            self._checked = True
        return order

    @property
    def norms(self) -> npt.NDArray[np.float64]:
        """Length of each item's row."""
        norms = np.empty(len(self.array))
        norms[self.permutation] = self.norms_by_norm
        return norms

    @property
    def shape(self) -> tuple[int, int]:
        """(n_items, n_factors)."""
        return cast("tuple[int, int]", self.array.shape)

    def __repr__(self) -> str:
        return f"Factors({self.shape[0]:,} items x {self.shape[1]:,})"


def _stored_numbers(values: npt.ArrayLike, name: str, n_dimensions: int, dtype: type) -> npt.NDArray[Any]:
    """Read an array of real numbers of one type, without looking at them."""
    array = np.asarray(values)
    if array.ndim != n_dimensions:
        expected = "one dimension" if n_dimensions == 1 else "two dimensions"
        raise errors.scoring.wrong_dimensions(name, array.shape, expected)
    if array.dtype.kind not in "biuf":
        raise errors.wrong_kind(name, str(array.dtype), "real numbers")
    return array.astype(dtype, copy=False)
