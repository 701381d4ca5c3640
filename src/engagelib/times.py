"""Moments as the library keeps them: microseconds since 1970 in UTC, from whatever a caller passes."""

from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from engagelib.errors import bad_argument

Moment = datetime | date | np.datetime64 | str
"""What `at=` accepts; a moment without a zone is UTC, a string is in ISO 8601."""

DAY: Final = 86_400_000_000
"""Microseconds in a day."""

EARLIEST: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
LATEST: Final = int(datetime(2201, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""Event times from `EARLIEST` up to, not including, `LATEST` are believed."""


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
