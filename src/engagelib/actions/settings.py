"""Settings: what `NextBestAction` is told, and the places that its calls name, checked at its edge."""

import math
from typing import Any

import numpy as np

from engagelib import errors
from engagelib.vocabulary import Id


def place_id(name: str, given: Any) -> Id | None:
    """Return a channel or a location, or refuse what can be no id."""
    if given is None or (isinstance(given, str | int | np.integer) and not isinstance(given, bool)):
        return int(given) if isinstance(given, np.integer) else given
    raise errors.bad_argument(name, given, "a text, an integer, or None for any")


def check_kind(name: str, given: Any, has: str, expected: str) -> None:
    """Refuse an object that lacks what its kind has."""
    if isinstance(given, type) or not hasattr(given, has):
        raise errors.wrong_kind(name, type(given).__name__, expected)


def seed_of(given: Any) -> int:
    """Return a seed that gives the same draws again, or refuse it."""
    if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 0:
        raise errors.bad_argument("rng", given, "an integer of at least 0, as draws must be the same again")
    return int(given)


def bounds_of(given: Any) -> tuple[float, float]:
    """Return the least and the largest lever, or refuse them."""
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high < math.inf:
        raise errors.bad_argument("lever_bounds", given, "a lowest and a highest finite number, at least 0")
    return low, high


def share_of(name: str, given: Any, *, below_one: bool = False, above_zero: bool = False) -> float:
    """Return a share in [0, 1], with 0 or 1 left out where asked, or refuse it."""
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not 0 <= given <= 1 or (below_one and given == 1) or (above_zero and given == 0):
        low, high = ("above 0" if above_zero else "from 0"), ("to below 1" if below_one else "to 1")
        raise errors.bad_argument(name, given, f"a number {low} {high}")
    return float(given)
