"""Conditions: what may be asked of an attribute, checked, and brought to the form that its array has."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

import numpy as np

from engagelib import errors
from engagelib.times import to_datetime

Scalar = bool | int | float | str | None
Condition = Scalar | list[Scalar] | dict[str, Scalar]

NumberKind = Literal["number", "integer", "boolean", "date", "time"]
Kind = NumberKind | Literal["text", "unknown"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = datetime.resolution

FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
"""The moments that Python's calendar can spell, years 1 to 9999, lie from `FIRST` to `LAST`."""


def check_where(where: Mapping[str, Any]) -> dict[str, Condition]:
    """Return conditions as built-in types that JSON gives back as they were; see `ItemAttributes.matches`.

    Raises
    ------
    ArgumentError
        If `where` is no mapping from texts to values, lists of values or ranges.
    """
    if not isinstance(where, Mapping) or not all(isinstance(name, str) for name in where):
        expected = 'a mapping from names of attributes to conditions, such as {"category": "lamps"}'
        raise errors.bad_argument("where", where, expected)
    return {str(name): _condition(name, given) for name, given in where.items()}


def _condition(name: str, given: Any) -> Condition:
    """Bring one condition to built-in types."""
    if isinstance(given, Mapping):
        if not given or not set(given) <= {"min", "max"}:
            raise errors.bad_argument(f"where[{name!r}]", given, 'a range with "min", "max" or both')
        bounds = {end: _scalar(name, given, value) for end, value in given.items()}
        if any(bound is None or isinstance(bound, bool) for bound in bounds.values()):
            hint = "leave out a bound where there is none."
            raise errors.bad_argument(f"where[{name!r}]", given, "numbers or moments as bounds", hint)
        return bounds
    is_array = isinstance(given, np.ndarray) and given.ndim
    if is_array or (isinstance(given, Sequence) and not isinstance(given, str | bytes)):
        return [_scalar(name, given, value) for value in given]
    return _scalar(name, given, given)


def _scalar(name: str, given: Any, value: Any) -> Scalar:
    """Bring one value to a built-in type; `given` is the condition that it stands in."""
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # `str` would spell out the name of an Enum
    if isinstance(value, int) and abs(value) < 2**1023:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    expected = "texts, finite numbers, True, False, moments or None, alone, in a list or as a range"
    raise errors.bad_argument(
        f"where[{name!r}]", given, expected, "None asks for missing values, NaN included."
    )


_RANGE: Final = 'a range such as {"min": 10, "max": 50}'
_MOMENTS: Final = 'a moment in ISO 8601, a list of them, a range such as {"min": "2024-05-01"}'
_EXPECTED: Final[Mapping[str, str]] = {
    "text": "a text, a list of texts or None, as this attribute holds texts",
    "number": f"a number, a list of numbers, {_RANGE} or None, as this attribute holds numbers",
    "integer": f"a number, a list of numbers, {_RANGE} or None, as this attribute holds integers",
    "boolean": "True, False or None, as this attribute holds nothing else",
    "date": f"{_MOMENTS} or None, as this attribute holds dates",
    "time": f"{_MOMENTS} or None, as this attribute holds times",
}

TO_BUILTIN: Final[Mapping[str, Callable[[Any], Scalar]]] = {
    "number": float,
    "integer": int,
    "boolean": bool,
    "date": lambda micros: to_datetime(int(micros)).date().isoformat(),
    "time": lambda micros: to_datetime(min(int(micros), LAST)).isoformat(),
}


def read_value(name: str, kind: Kind, condition: Condition, value: Scalar) -> Any:
    """Return a value as the attribute holds it, a moment in microseconds; refuse what it can't hold."""
    hint = ""
    if kind == "unknown":
        return value
    if kind in ("date", "time"):
        moment = _moment(value) if isinstance(value, str) else None
        if moment is not None:
            return moment
    elif kind == "text":
        if isinstance(value, str) and value:
            return value
        hint = (
            "1 and '1' are two values." if value != "" else "an empty text counts as missing; ask for None."
        )
    elif kind == "boolean":
        if isinstance(value, bool):
            return value
        hint = "write True for 1 and False for 0." if value in (0, 1) else ""
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return value
    else:
        hint = "1 and '1' are two values." if isinstance(value, str) else "write 1 for True and 0 for False."
    raise errors.bad_argument(f"where[{name!r}]", condition, _EXPECTED[kind], hint)


def read_range(name: str, kind: Kind, bounds: dict[str, Scalar]) -> tuple[Any, Any]:
    """Return both bounds of a range as the attribute holds them, infinite where one is left out."""
    if kind in ("text", "boolean"):
        hint = "only numbers and times have ranges."
        raise errors.bad_argument(f"where[{name!r}]", bounds, _EXPECTED[kind], hint)
    low = read_value(name, kind, bounds, bounds["min"]) if "min" in bounds else -math.inf
    high = read_value(name, kind, bounds, bounds["max"]) if "max" in bounds else math.inf
    if low > high:
        raise errors.bad_argument(f"where[{name!r}]", bounds, '"min" to be at most "max"')
    return low, high


def _moment(text: str) -> float | None:
    """Turn ISO 8601 into microseconds since 1970, UTC where it names no zone; None where it is none.

    They are rounded to float64 as those of the items are: exact from the year 1685 to 2254.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return float((aware - _EPOCH) // _MICROSECOND)


def whole(value: Any) -> Any:
    """Return 3 for 3.0, and any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
