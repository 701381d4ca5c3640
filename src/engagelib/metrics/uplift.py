"""How well scores put first those whom a treatment moves: curves of uplift, and numbers drawn from them."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engagelib import errors
from engagelib.metrics._hits import Floats, Ints
from engagelib.tables import Table

__all__ = ["UpliftCurve", "auuc_score", "qini_curve", "qini_score", "uplift_at_k", "uplift_curve"]


@dataclass(frozen=True, eq=False, repr=False)
class UpliftCurve:
    """What treating the first n by score would bring, for growing n; prints as a table.

    Attributes
    ----------
    n
        How many are treated: from 0 up to all, a point after each group of equal scores.
    value
        What that brings, in units of the outcome; 0 for nobody.
    """

    n: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.n)

    @property
    def area(self) -> float:
        """The area under the curve, by trapezoids."""
        return float((np.diff(self.n) * (self.value[1:] + self.value[:-1])).sum() / 2)

    @property
    def random_area(self) -> float:
        """The area under the straight line to the last point: what a random order would give."""
        return float(self.n[-1] * self.value[-1] / 2)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the points as mappings, of built-in types alone."""
        return self._table().to_records()

    def __str__(self) -> str:
        return str(self._table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def _table(self) -> Table:
        return Table(("n", "value"), tuple(zip(self.n.tolist(), self.value.tolist(), strict=True)))


def qini_curve(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    p_treated: npt.ArrayLike | None = None,
) -> UpliftCurve:
    """Return the extra outcomes of the treated among the first n by score: y_t - y_c n_t / n_c.

    Parameters
    ----------
    outcome
        What came about, finite, shape (n,); 1 or 0 for a success or none.
    score
        Predicted uplift, finite, shape (n,): the higher, the sooner treated. Equal scores are taken together.
    treated
        1 or True where treated, 0 or False for the control group, shape (n,).
    p_treated
        Chance of being treated, above 0 and below 1: one number, or one a row where it differs from row to
        row. Rows then weigh 1 / p where treated and 1 / (1 - p) where not, and the curve is that of treating
        all of the first n. None for arms drawn alike for all.

    Raises
    ------
    NoSupportError
        If everybody or nobody is treated.
    ArgumentError
        If an array does not fit, or holds what it can't.

    References
    ----------
    N. J. Radcliffe, Using control groups to target on predicted lift, Direct Marketing Analytics Journal,
    2007.
    """
    return _qini(*_checked(outcome, score, treated, p_treated))


def uplift_curve(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    p_treated: npt.ArrayLike | None = None,
) -> UpliftCurve:
    """Return the mean uplift of the first n by score, times n: (y_t / n_t - y_c / n_c) n.

    Arguments and errors are those of `qini_curve`. A mean over nobody counts as 0.

    References
    ----------
    F. Devriendt, T. Guns, W. Verbeke, Learning to rank for uplift modeling, IEEE TKDE 34(10), 2022.
    """
    return _uplift(*_checked(outcome, score, treated, p_treated))


def qini_score(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    p_treated: npt.ArrayLike | None = None,
    normalized: bool = True,
    negative_effect: bool = True,
) -> float:
    """Return the area between the Qini curve and that of a random order: above 0 is better than chance.

    Parameters
    ----------
    outcome, score, treated, p_treated
        As in `qini_curve`; `p_treated` weighs rows, also those of the best order.
    normalized
        Divide by the area of the best possible order, which puts treated successes first and successes of
        the control group last, so that 1 is best. It needs outcomes of 0 and 1. Without, the area is
        given per customer and per share treated, in units of the outcome: area / n^2.
    negative_effect
        Whether the best possible order gains from leaving alone those whom treatment harms; without, it
        reaches the effect of treating all at once, and stays there.

    Returns
    -------
    The score: 0 for a random or constant one, below 0 where the order is upside down. NaN where the best
    order is no better than a random one. Equal to `qini_auc_score` of scikit-uplift without `p_treated`,
    also with ties.

    Raises
    ------
    NoSupportError, ArgumentError
        As in `qini_curve`; also for other outcomes than 0 and 1 where the score is normalised.
    """
    arrays = _checked(outcome, score, treated, p_treated)
    y, _, is_treated, weight = arrays
    curve = _qini(*arrays)
    if not normalized:
        return (curve.area - curve.random_area) / float(curve.n[-1]) ** 2
    _check_binary(y)
    if negative_effect:
        best = _qini(y, np.where(is_treated, y, -y), is_treated, weight)
        area = best.area - best.random_area
    else:
        total = float(curve.value[-1])
        # Up by one for each customer to the effect of treating all, then level.
        area = total * (curve.n[-1] - total / 2) - curve.random_area
    return _ratio(curve.area - curve.random_area, area)


def auuc_score(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    p_treated: npt.ArrayLike | None = None,
    normalized: bool = True,
) -> float:
    """Return the area between the uplift curve and that of a random order: above 0 is better than chance.

    Arguments and errors are those of `qini_score`. The best possible order here puts treated successes and
    failures of the control group first; which of these two goes ahead is decided as scikit-uplift does.

    Returns
    -------
    The score, 1 at best where normalised: equal to `uplift_auc_score` of scikit-uplift without `p_treated`.
    """
    arrays = _checked(outcome, score, treated, p_treated)
    y, _, is_treated, weight = arrays
    curve = _uplift(*arrays)
    if not normalized:
        return (curve.area - curve.random_area) / float(curve.n[-1]) ** 2
    _check_binary(y)
    n_responders = int(((y == 1) & ~is_treated).sum())
    n_failures = int(((y == 0) & is_treated).sum())
    first = y if n_responders > n_failures else is_treated
    best = _uplift(y, 2.0 * (y == is_treated) + first, is_treated, weight)
    return _ratio(curve.area - curve.random_area, best.area - best.random_area)


def uplift_at_k(
    outcome: npt.ArrayLike,
    score: npt.ArrayLike,
    treated: npt.ArrayLike,
    *,
    k: float = 0.3,
    by: Literal["overall", "arm"] = "overall",
    p_treated: npt.ArrayLike | None = None,
) -> float:
    """Return the mean outcome of the treated less that of the others, among the first k by score.

    Parameters
    ----------
    outcome, score, treated, p_treated
        As in `qini_curve`.
    k
        A share above 0 and up to 1, or a whole number of rows. floor(n k) rows are taken; those that tie at
        the last place count by the share of them that finds room, so that the order of rows does not matter.
    by
        "overall" takes the first k of all; "arm" those of each arm, as scikit-uplift's "by_group".

    Returns
    -------
    The difference, in units of the outcome; NaN where the first k hold nobody of an arm.
    """
    y, s, is_treated, weight = _checked(outcome, score, treated, p_treated)
    if by not in ("overall", "arm"):
        raise errors.bad_argument("by", by, "'overall' or 'arm'")
    share = isinstance(k, float | np.floating)
    if isinstance(k, bool) or not (0 < k <= 1 if share else isinstance(k, int | np.integer) and k >= 1):
        raise errors.bad_argument("k", k, "a share above 0 and up to 1, or a number of rows of at least 1")
    means = []
    everybody = np.ones(len(y), bool)
    for arm in (is_treated, ~is_treated):
        among = arm if by == "arm" else everybody
        size = int(among.sum())
        taken = _first(s, among, min(int(size * k) if share else int(k), size)) * weight * arm
        total = float(taken.sum())
        means.append(float(taken @ y) / total if total > 0 else np.nan)
    return means[0] - means[1]


def _first(score: Floats, among: npt.NDArray[np.bool_], k: int) -> Floats:
    """Return how much of each row belongs to the first k of some: 1, 0, or a share where scores tie."""
    taken = np.zeros(len(score))
    if k < 1:
        return taken
    last = np.sort(score[among])[::-1][k - 1]
    above, tied = among & (score > last), among & (score == last)
    taken[above] = 1.0
    taken[tied] = (k - above.sum()) / tied.sum()
    return taken


Arrays = tuple[Floats, Floats, npt.NDArray[np.bool_], Floats]
Sums = tuple[Floats, Floats]


def _checked(
    outcome: npt.ArrayLike, score: npt.ArrayLike, treated: npt.ArrayLike, p_treated: npt.ArrayLike | None
) -> Arrays:
    given = {"outcome": np.asarray(outcome), "score": np.asarray(score), "treated": np.asarray(treated)}
    n = len(given["outcome"]) if given["outcome"].ndim else 0
    for name, values in given.items():
        if values.shape != (n,) or values.dtype.kind not in "buif":
            raise errors.policies.wrong_shape(name, values.shape, f"({n},), numbers")
        for row in np.flatnonzero(~np.isfinite(values.astype(np.float64)))[:1]:
            raise errors.policies.unfit_value(name, int(row), float(values[row]), "a finite number")
    y, s, arm = (values.astype(np.float64) for values in given.values())
    for row in np.flatnonzero((arm != 0) & (arm != 1))[:1]:
        raise errors.policies.unfit_value("treated", int(row), float(arm[row]), "0 or 1")
    is_treated = arm == 1
    if is_treated.all() or not is_treated.any():
        raise errors.policies.one_arm_only(int(is_treated.sum()), n)
    weight = np.ones(n)
    if p_treated is not None:
        chance = np.asarray(p_treated, np.float64)
        if chance.shape not in ((), (n,)):
            raise errors.policies.wrong_shape("p_treated", chance.shape, f"({n},), or one number")
        chance = np.broadcast_to(chance, (n,))
        for row in np.flatnonzero(~((chance > 0) & (chance < 1)))[:1]:
            raise errors.policies.unfit_value(
                "p_treated", int(row), float(chance[row]), "a number above 0 and below 1"
            )
        weight = 1 / np.where(is_treated, chance, 1 - chance)
    return y, s, is_treated, weight


def _sums(
    y: Floats, score: Floats, is_treated: npt.NDArray[np.bool_], weight: Floats
) -> tuple[Ints, Sums, Sums]:
    """Return the depth of each point, and how many and how much each arm has down to it."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    arms = []
    for arm in (is_treated, ~is_treated):
        counted = (weight * arm)[order]
        arms.append((np.cumsum(counted)[ends], np.cumsum(counted * y[order])[ends]))
    return np.append(0, ends + 1).astype(np.int64), arms[0], arms[1]


def _qini(y: Floats, score: Floats, is_treated: npt.NDArray[np.bool_], weight: Floats) -> UpliftCurve:
    n, (n_treated, y_treated), (n_control, y_control) = _sums(y, score, is_treated, weight)
    return UpliftCurve(n, np.append(0.0, y_treated - y_control * _divided(n_treated, n_control)))


def _uplift(y: Floats, score: Floats, is_treated: npt.NDArray[np.bool_], weight: Floats) -> UpliftCurve:
    n, (n_treated, y_treated), (n_control, y_control) = _sums(y, score, is_treated, weight)
    value = (_divided(y_treated, n_treated) - _divided(y_control, n_control)) * n[1:]
    return UpliftCurve(n, np.append(0.0, value))


def _divided(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 1e-12 else float("nan")


def _check_binary(y: Floats) -> None:
    for row in np.flatnonzero((y != 0) & (y != 1))[:1]:
        raise errors.policies.not_binary_for_score(int(row), float(y[row]))
