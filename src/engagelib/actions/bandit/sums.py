"""Sums: what a bandit keeps of rows, exactly, so that rows can be taken back."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from engagelib import errors

_STEPS: Final = 4096.0
"""Standardised features are whole multiples of 1/4096 of a standard deviation ..."""
_FURTHEST: Final = 8.0
"""... and no further than this from the mean."""
_RESIDUAL_STEPS: Final = 2.0**20
"""Residuals and forecasts are whole multiples of 2**-20."""


class Sums:
    """Sums over rows by action: of products of features, of features times residuals, of squares.

    `LinearBandit`, which concludes from them, says what the arguments are.
    """

    def __init__(
        self,
        actions: Sequence[str],
        mean: npt.ArrayLike,
        scale: npt.ArrayLike,
        *,
        prior_sd: float = 0.05,
        noise_sd: float | None = None,
        features_version: str | None = None,
        outcome: str = "success",
    ) -> None:
        names = tuple(actions)
        if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
            raise errors.bad_argument("actions", names, "distinct names")
        centre, width = np.array(mean, np.float64), np.array(scale, np.float64)
        if centre.ndim != 1 or centre.shape != width.shape:
            given = f"of shapes {centre.shape} and {width.shape}"
            raise errors.bad_argument("mean and scale", given, "one number a feature in each")
        _check_sd("prior_sd", prior_sd)
        if noise_sd is not None:
            _check_sd("noise_sd", noise_sd)
        self.actions = names
        self.prior_sd, self.noise_sd = float(prior_sd), None if noise_sd is None else float(noise_sd)
        self.features_version, self.outcome = features_version, outcome
        self.mean, self.scale = centre, width
        says = np.isfinite(centre) & np.isfinite(width) & (width > 0)
        self._centre = np.where(says, centre, 0.0)
        self._per_scale = np.divide(1.0, width, out=np.zeros(len(width)), where=says)
        k, d = len(names), len(centre) + 1
        self.n_rows_ = np.zeros(k, np.int64)
        self.products_ = np.zeros((k, d, d))
        self.targets_ = np.zeros((k, d))
        self.squares_ = np.zeros(k)
        self.starts_ = np.zeros(k, np.int64)
        self.watermark_ = self.outcome_watermark_ = 0
        self.immature_ = self.immature_at_ = self.withdrawn_ = np.zeros(0, np.int64)
        self.forecasts_ = np.zeros((k, 2))
        self._stale = np.ones(k, bool)

    def __repr__(self) -> str:
        sizes = f"{len(self.actions)} actions, {len(self.mean)} features, {int(self.n_rows_.sum()):,} rows"
        return f"{type(self).__name__}({sizes})"

    def design(self, features: npt.ArrayLike) -> np.ndarray:
        """Return features as they enter the sums, (n, 1 + n_features): an intercept, then standardised."""
        raw = np.asarray(features, np.float64)
        if raw.ndim != 2 or raw.shape[1] != len(self.mean):
            raise errors.bad_argument(
                "features", f"of shape {raw.shape}", f"shape (n, {len(self.mean)}), a column a feature"
            )
        rows = np.empty((len(raw), raw.shape[1] + 1))
        rows[:, 0] = 1.0
        self._standardise(raw, rows[:, 1:])
        return rows

    def _standardise(self, raw: np.ndarray, out: np.ndarray) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(raw, self._centre, out=out)
            out *= self._per_scale * _STEPS
        np.maximum(out, -_FURTHEST * _STEPS, out=out)
        np.minimum(out, _FURTHEST * _STEPS, out=out)
        np.rint(out, out=out)
        out[np.isnan(out)] = 0.0
        out /= _STEPS

    def update(
        self,
        features: npt.ArrayLike,
        action: npt.ArrayLike,
        residual: npt.ArrayLike,
        *,
        expected: npt.ArrayLike | None = None,
    ) -> Self:
        """Learn from rows.

        Parameters
        ----------
        features
            As given at construction, float64, shape (n, n_features); NaN is missing.
        action
            Which action was taken: places in `actions`, or names; shape (n,).
        residual
            What came about less what was expected, finite, shape (n,).
        expected
            What was expected, shape (n,), for `mean_forecasts`; None where that is not asked.

        Raises
        ------
        ArgumentError
            If shapes differ, an action is unknown or a residual is not finite.
        """
        rows = self._rows(features, action, residual)
        self._add(*rows, sign=1)
        self._count_forecasts(rows[1], expected, 1)
        return self

    def remove(
        self,
        features: npt.ArrayLike,
        action: npt.ArrayLike,
        residual: npt.ArrayLike,
        *,
        expected: npt.ArrayLike | None = None,
    ) -> Self:
        """Take rows back that `update` was given before: the state is then what it is without them.

        Arguments and errors are those of `update`. Rows that were never given make a state that no rows
        could have; only an action with fewer rows than are taken back is refused.
        """
        rows = self._rows(features, action, residual)
        count = np.bincount(rows[1], minlength=len(self.actions))
        short = np.flatnonzero(count > self.n_rows_)
        if len(short):
            given = f"{count[short[0]]:,} rows of {self.actions[short[0]]!r}"
            raise errors.bad_argument(
                "action", given, f"at most the {self.n_rows_[short[0]]:,} it learned from"
            )
        self._add(*rows, sign=-1)
        self._count_forecasts(rows[1], expected, -1)
        return self

    def _count_forecasts(self, codes: np.ndarray, expected: npt.ArrayLike | None, sign: int) -> None:
        if expected is None:
            return
        forecast = np.asarray(expected, np.float64)
        if forecast.shape != codes.shape or not np.isfinite(forecast).all():
            raise errors.bad_argument("expected", f"of shape {forecast.shape}", "one finite number a row")
        k = len(self.actions)
        self.forecasts_[:, 0] += sign * np.bincount(codes, _on_grid(forecast), k)
        self.forecasts_[:, 1] += sign * np.bincount(codes, minlength=k)

    def begin_after(self, number: int) -> Self:
        """Learn nothing of the decisions of a log up to a number, nor of what comes of them later."""
        self.starts_ = np.full(len(self.actions), number, np.int64)
        self.watermark_ = number
        return self

    def mean_forecasts(self) -> np.ndarray:
        """Return what was expected of each action on average, where it was taken; NaN where it never was."""
        total, count = self.forecasts_.T
        mean: np.ndarray = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        return mean

    def _rows(
        self, features: npt.ArrayLike, action: npt.ArrayLike, residual: npt.ArrayLike
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        design, codes = self.design(features), self._codes(action)
        left = np.asarray(residual, np.float64)
        if codes.shape != (len(design),) or left.shape != codes.shape:
            given = f"of {len(design):,} rows, {codes.shape} and {left.shape}"
            raise errors.bad_argument("features, action and residual", given, "one action and residual a row")
        if not np.isfinite(left).all():
            raise errors.bad_argument("residual", "a NaN or an infinity", "finite numbers")
        return design, codes, _on_grid(left)

    def _codes(self, action: npt.ArrayLike) -> np.ndarray:
        given = np.asarray(action)
        if given.dtype.kind in "iu" or not given.size:
            codes = given.astype(np.int64)
            if codes.size and not (codes.min() >= 0 and codes.max() < len(self.actions)):
                bad = codes[(codes < 0) | (codes >= len(self.actions))][0]
                raise errors.decisions.unknown_actions(int(bad), self.actions)
            return codes
        places = {name: place for place, name in enumerate(self.actions)}
        try:
            return np.array([places[name] for name in given.tolist()], np.int64)
        except (KeyError, TypeError):
            bad = next(name for name in given.tolist() if name not in self.actions)
            raise errors.decisions.unknown_actions(bad, self.actions) from None

    def _add(self, design: np.ndarray, codes: np.ndarray, left: np.ndarray, *, sign: int) -> None:
        """Add rows to the sums, or take them away; residuals are on the grid."""
        if len(codes) > 1:
            order = np.argsort(codes, kind="stable")
            design, codes, left = design[order], codes[order], left[order]
        starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
        for first, last in pairwise(starts):
            if first == last:
                continue
            place, rows, target = int(codes[first]), design[first:last], left[first:last]
            self.products_[place] += sign * (rows.T @ rows)
            self.targets_[place] += sign * (target @ rows)
            self.squares_[place] += sign * float(target @ target)
            self.n_rows_[place] += sign * (last - first)
            self._stale[place] = True

    def correct(
        self, features: npt.ArrayLike, action: npt.ArrayLike, old: npt.ArrayLike, new: npt.ArrayLike
    ) -> Self:
        """Replace the residuals of rows that were learned from: `old` is taken back, `new` put in.

        Arguments and errors are those of `update`.
        """
        design, codes, before = self._rows(features, action, old)
        after = self._rows(features, action, new)[2]
        for place in np.unique(codes).tolist():
            mine = codes == place
            self.targets_[place] += (after[mine] - before[mine]) @ design[mine]
            self.squares_[place] += float(after[mine] @ after[mine]) - float(before[mine] @ before[mine])
            self._stale[place] = True
        return self

    def add_action(self, name: str) -> Self:
        """Add an action without evidence; it learns from decisions logged after those looked at so far."""
        if not isinstance(name, str) or not name or name in self.actions:
            raise errors.bad_argument("name", name, "a name that is not among the actions yet")
        d = self.targets_.shape[1]
        self.n_rows_ = np.append(self.n_rows_, 0)
        self.products_ = np.concatenate([self.products_, np.zeros((1, d, d))])
        self.targets_ = np.concatenate([self.targets_, np.zeros((1, d))])
        self.squares_ = np.append(self.squares_, 0.0)
        self.starts_ = np.append(self.starts_, self.watermark_)
        self.forecasts_ = np.concatenate([self.forecasts_, np.zeros((1, 2))])
        self.actions = (*self.actions, name)
        self._stale = np.ones(len(self.actions), bool)
        return self

    def remove_action(self, name: str) -> Self:
        """Remove an action with all that it learned; later actions move up by one place."""
        place = int(self._codes([name])[0])
        for part in ("n_rows_", "products_", "targets_", "squares_", "starts_", "forecasts_"):
            setattr(self, part, np.delete(getattr(self, part), place, axis=0))
        self.actions = self.actions[:place] + self.actions[place + 1 :]
        self._stale = np.ones(len(self.actions), bool)
        return self


def _on_grid(residual: np.ndarray) -> np.ndarray:
    """Round residuals to the grid on which sums are exact."""
    rounded: np.ndarray = np.rint(residual * _RESIDUAL_STEPS) / _RESIDUAL_STEPS
    return rounded


def _check_sd(name: str, given: object) -> None:
    if not isinstance(given, int | float | np.floating) or not 0 < given < np.inf:
        raise errors.bad_argument(name, given, "a finite number above 0")
