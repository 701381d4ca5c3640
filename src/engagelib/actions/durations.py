"""Spans of time as people write them: "30d", "12h", "2w", a timedelta, or days as a number."""

import math
import re
from datetime import timedelta
from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.times import DAY

Duration = str | int | float | timedelta

_UNITS: Final = {"m": DAY // 1440, "h": DAY // 24, "d": DAY, "w": 7 * DAY}
_TEXT: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([mhdw])\s*")
_LONGEST: Final = 36_525 * DAY


def to_span(given: Any, name: str) -> int:
    """Turn a span of time into microseconds, at least 1.

    Parameters
    ----------
    given
        A text of a number and one of m (minutes), h, d, w; a `timedelta`; or a number of days.
    name
        The argument that it is, for the message.

    Raises
    ------
    ArgumentError
        If it is none of these, not above 0, or longer than 100 years.
    """
    micros: float = math.nan
    if isinstance(given, str):
        found = _TEXT.fullmatch(given)
        micros = math.nan if found is None else float(found[1]) * _UNITS[found[2]]
    elif isinstance(given, timedelta):
        micros = given / timedelta.resolution
    elif isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        micros = float(given) * DAY
    if not 1 <= micros <= _LONGEST:
        expected = "a span of time above 0 and up to 100 years, such as '30d', '12h', a timedelta or days"
        raise errors.bad_argument(name, given, expected)
    return round(micros)


def spell_span(micros: int) -> str:
    """Write a span in the largest unit that it is a whole number of."""
    for unit in ("w", "d", "h", "m"):
        if micros % _UNITS[unit] == 0 and (unit != "w" or micros >= 8 * _UNITS["w"]):
            return f"{micros // _UNITS[unit]}{unit}"
    return f"{micros / DAY:.4g}d"
