"""Checking: decisions are looked at once, before anything is learned from them."""

from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions

_PARTS: Final = ("action", "reward", "p_logged", "customer", "time", "is_control")


def check_decisions(decisions: LoggedDecisions, what: str) -> None:
    """Refuse decisions that nothing can be learned from; `what` is to be learned.

    Raises
    ------
    NotEnoughDataError
        If there is none.
    ArgumentError
        If arrays do not fit each other, or a code, a reward or a chance is outside its range; the message
        names the first such row.
    """
    n = len(decisions)
    if not n:
        raise errors.response.no_decisions(what)
    expected: dict[str, tuple[int, ...]] = dict.fromkeys(_PARTS, (n,))
    expected["features"] = (n, len(decisions.feature_names))
    expected["allowed"] = (n, len(decisions.actions))
    for name, shape in expected.items():
        part: Any = getattr(decisions, name)
        if part is not None and part.shape != shape:
            raise errors.response.unlike_parts(name, part.shape, shape)
    n_actions = len(decisions.actions)
    for row in np.flatnonzero((decisions.action < 0) | (decisions.action >= n_actions))[:1]:
        raise errors.response.unknown_code(int(row), int(decisions.action[row]), n_actions)
    for row in np.flatnonzero(~np.isfinite(decisions.reward))[:1]:
        raise errors.response.bad_reward(int(row), float(decisions.reward[row]))
    if decisions.p_logged is not None:
        p = decisions.p_logged
        for row in np.flatnonzero(~((p > 0) & (p <= 1)))[:1]:
            raise errors.response.bad_chance(int(row), float(p[row]))


def checked_features(features: np.ndarray, n_features: int) -> np.ndarray:
    """Return features as float64; another width than the one learned from is refused."""
    given = np.asarray(features, np.float64)
    if given.ndim != 2 or given.shape[1] != n_features:
        raise errors.response.wrong_width(given.shape, n_features)
    return given


def unpacked(arrays: Any, prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def check_shape(name: str, part: np.ndarray, expected: tuple[int, ...]) -> np.ndarray:
    """Return a saved array; one of another shape, or that is no number, is refused."""
    if part.shape != expected or part.dtype.kind not in "fiub":
        raise errors.response.unfit_arrays(f"{name} has shape {part.shape}, not {expected}")
    return part
