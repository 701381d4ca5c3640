"""FeatureTable: what is known of customers at moments, as a matrix with named columns."""

from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.exporting import frame_of


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of customers, a row for each customer and moment.

    Attributes
    ----------
    names
        What each column is, with the unit where it has one.
    values
        float64, shape (n_rows, n_features); NaN is missing.
    """

    names: tuple[str, ...]
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"FeatureTable({len(self):,} rows, {len(self.names)} features)"

    def column(self, name: str) -> np.ndarray:
        """Return one feature, float64 of shape (n_rows,).

        Raises
        ------
        ArgumentError
            If there is no such feature.
        """
        if name not in self.names:
            raise errors.customers.unknown_feature(name, self.names)
        return np.asarray(self.values[:, self.names.index(name)])

    def to_records(self) -> list[dict[str, float | None]]:
        """Return the rows as mappings of built-in types; None is missing."""
        rows = ([None if isnan(value) else value for value in row] for row in self.values.tolist())
        return [dict(zip(self.names, row, strict=True)) for row in rows]

    def to_frame(self) -> Any:
        """Return the same as a pandas frame, or as a pyarrow table where pandas is not installed."""
        return frame_of({name: self.values[:, place] for place, name in enumerate(self.names)})
