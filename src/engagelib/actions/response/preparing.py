"""Preparing: raw features become numbers of one scale, in the same way when learning and when answering."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.response.checking import check_shape

_LIMIT: Final = 5.0
"""How many standard deviations from the mean a feature may go; what lies beyond counts as much."""
_RARELY_MISSING: Final = 0.005
"""Below this share a missing value tells too little for a column of its own."""
_SKEWED: Final = 1.5


@dataclass(frozen=True, eq=False)
class Preparation:
    """How raw features become a design: filled, bent, scaled and cut; learned once, then fixed.

    A missing value becomes the median of its column, and has an indicator of its own where that happens often
    enough. A column without negative values and with a long tail is replaced by log(1 + x / m), m the median
    of what is above 0: the unit of a feature makes no difference. Then columns have mean 0 and standard
    deviation 1, and end 5 of these from the mean.

    Attributes
    ----------
    fill
        What a missing value becomes, float64, shape (n_features,).
    unit
        What a bent column is divided by before, float64, shape (n_features,); 1 for others.
    bent
        The columns that are bent, int64.
    flagged
        The columns whose missing values have an indicator, int64.
    mean, scale
        Of the columns, filled and bent, and of the indicators behind them, float64,
        shape (n_features + n_flagged,). A column that never varies has scale inf, and becomes 0.
    """

    fill: np.ndarray
    unit: np.ndarray
    bent: np.ndarray
    flagged: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @property
    def n_features(self) -> int:
        """Number of raw features."""
        return len(self.fill)

    @property
    def n_columns(self) -> int:
        """Width of the design."""
        return len(self.mean)

    @classmethod
    def learn(cls, features: np.ndarray) -> Self:
        """Learn from raw features, float64 of shape (n, n_features) with NaN for what is missing."""
        n, n_features = features.shape
        missing = np.isnan(features)
        share = missing.mean(axis=0) if n else np.zeros(n_features)
        fill, unit = np.zeros(n_features), np.ones(n_features)
        bent = []
        for place in range(n_features):
            held = features[~missing[:, place], place]
            if len(held):
                fill[place] = np.median(held)
            if _has_long_tail(held):
                bent.append(place)
                unit[place] = np.median(held[held > 0])
        never = np.zeros(n_features + n_features)
        draft = cls(fill, unit, np.array(bent, np.int64), np.arange(n_features), never, np.ones(len(never)))
        columns = draft.apply(features, limit=np.inf)
        # Of two columns that are missing together one indicator says all.
        often = np.flatnonzero((share >= _RARELY_MISSING) & (share <= 1.0 - _RARELY_MISSING))
        if len(often):
            _, first = np.unique(missing[:, often], axis=1, return_index=True)
            often = often[np.sort(first)]
        columns = columns[:, np.append(np.arange(n_features), n_features + often)]
        mean = columns.mean(axis=0) if n else np.zeros(columns.shape[1])
        scale = columns.std(axis=0) if n else np.zeros(columns.shape[1])
        # A constant has, by rounding alone, a deviation just above 0.
        scale[scale <= 1e-9 * np.abs(mean)] = np.inf
        scale[scale == 0] = np.inf
        return cls(fill, unit, np.array(bent, np.int64), often.astype(np.int64), mean, scale)

    def apply(self, features: np.ndarray, *, limit: float = _LIMIT) -> np.ndarray:
        """Return the design, float64 of shape (n, n_columns), of raw features; these are not altered."""
        missing = np.isnan(features)
        columns = np.where(missing, self.fill, features)
        if len(self.bent):
            ratio = columns[:, self.bent] / self.unit[self.bent]
            columns[:, self.bent] = np.log1p(np.maximum(ratio, 0.0))
        if len(self.flagged):
            columns = np.concatenate([columns, missing[:, self.flagged]], axis=1)
        columns -= self.mean
        columns /= self.scale
        if limit < np.inf:
            # A tenth of the time of np.clip, which counts for a single row.
            np.minimum(columns, limit, out=columns)
            np.maximum(columns, -limit, out=columns)
        return columns

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return every array by name, for the store."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave; arrays that do not belong together are refused."""
        n_features, n_flagged = len(arrays["fill"]), len(arrays["flagged"])
        width = {"fill": n_features, "unit": n_features, "bent": len(arrays["bent"]), "flagged": n_flagged}
        names = [field.name for field in fields(cls)]
        given = {
            name: check_shape(name, arrays[name], (width.get(name, n_features + n_flagged),))
            for name in names
        }
        for name in ("bent", "flagged"):
            part = given[name]
            if part.dtype.kind != "i" or (len(part) and (part.min() < 0 or part.max() >= n_features)):
                raise errors.response.unfit_arrays(f"{name} names a column outside the {n_features} features")
        return cls(**given)


def _has_long_tail(held: np.ndarray) -> bool:
    """Tell whether a logarithm makes a column of numbers, none missing, more even."""
    if not len(held) or held.min() < 0 or not np.isfinite(held).all():
        return False
    above = held[held > 0]
    if not len(above) or above.min() == above.max():
        return False
    plain, bent = _skewness(held), _skewness(np.log1p(held / np.median(above)))
    return plain > _SKEWED and abs(bent) < plain


def _skewness(values: np.ndarray) -> float:
    away = values - values.mean()
    spread = away.std()
    return float((away**3).mean() / spread**3) if spread > 0 else 0.0
