"""Moments as the library keeps them: microseconds since 1970 in UTC, from whatever a caller passes."""

from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np

from engagelib.errors import bad_argument

Moment = datetime | date | np.datetime64 | str
"""What `at=` accepts; a moment without a zone is UTC, a string is in ISO 8601."""

DAY: Final = 86_400_000_000
"""Microseconds in a day."""

EARLIEST: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
LATEST: Final = int(datetime(2201, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""Event times from `EARLIEST` up to, not including, `LATEST` are believed."""


def as_microseconds(at: "Moment | int", name: str = "at") -> int:
    """Return a moment as microseconds since 1970; integers are taken for these already."""
    if isinstance(at, int | np.integer):
        return int(at)
    return to_microseconds(at, name)


def all_as_microseconds(moments: Any, name: str) -> np.ndarray:
    """Return moments as an array: integers as they are, datetime64 and a list of moments as microseconds."""
    found = np.asarray(moments)
    if found.ndim == 1 and found.dtype.kind == "M":
        years = found.astype("datetime64[Y]").astype(np.int64) + 1970
        for place in np.flatnonzero((years < 1990) | (years > 2199))[:1]:  # NaT is a year long ago
            raise bad_argument(f"{name}[{place}]", str(found[place]), "a moment from 1990 to 2200")
        return found.astype("datetime64[us]").astype(np.int64)
    if found.ndim == 1 and found.dtype.kind in "OU" and found.size:
        every = [to_microseconds(at, f"{name}[{place}]") for place, at in enumerate(found.tolist())]
        return np.array(every, np.int64)
    return found


def to_microseconds(at: Moment, name: str = "at") -> int:
    """Turn a moment into microseconds since 1970, UTC.

    Raises
    ------
    ArgumentError
        If `at` is no moment or no ISO 8601 text, or lies outside the years 1990 to 2200. Bare numbers are
        refused, because their unit can't be known.
    """
    expected = "a datetime, a date, a numpy.datetime64 or a text in ISO 8601, from 1990 to 2200"
    try:
        if isinstance(at, str):
            at = datetime.fromisoformat(at)
        if isinstance(at, np.datetime64):
            # Years far away, and NaT, would wrap around on the way to microseconds.
            if not 1990 <= int(at.astype("datetime64[Y]").astype(np.int64)) + 1970 <= 2200:
                raise bad_argument(name, at, expected)
            micros = int(at.astype("datetime64[us]").astype(np.int64))
        elif isinstance(at, datetime):
            aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            micros = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
        elif isinstance(at, date):
            micros = (at - date(1970, 1, 1)).days * DAY
        else:
            raise bad_argument(name, at, expected)
    except ValueError as error:
        raise bad_argument(name, at, expected) from error
    if not EARLIEST <= micros < LATEST:
        raise bad_argument(name, at, expected)
    return micros


def to_datetime(micros: int) -> datetime:
    """Turn microseconds since 1970 into an aware datetime in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + int(micros) * _MICROSECOND


def spell(micros: int) -> str:
    """Write a moment for people: to the minute, in UTC."""
    return to_datetime(micros).strftime("%Y-%m-%d %H:%M")


_MICROSECOND = datetime.resolution
