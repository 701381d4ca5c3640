"""Observing: live events, one mapping each, checked in a few microseconds and brought to one form."""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.identity import Identity, spelled
from engagelib.times import DAY, spell, to_microseconds
from engagelib.vocabulary import Id
from engagelib.weights import ITEMLESS

_NUMBERS: Final = ("quantity", "value", "rating")
_NAMES: Final = ("channel", "location", "order_id", "session_id")
_KNOWN: Final = frozenset(
    {"customer_id", "item_id", "event_type", "timestamp", "position", *_NUMBERS, *_NAMES}
)
_LARGEST: Final = float(np.finfo(np.float32).max)
_LAST_POSITION: Final = 2**62
_FARTHEST: Final = 2 * 366 * DAY
"""An event far ahead of all others is a mistyped year, and would make all others old."""

_NOTHING: Final[Mapping[str, Any]] = {}


class Observed(NamedTuple):
    """One event, observed since fitting.

    Attributes
    ----------
    number
        Place among all events that the process observed.
    item_id
        The item, known to the models or not; None where the event has none.
    event_type
        Its type.
    time
        Microseconds since 1970, or a position; None is after all that came before.
    numbers, names
        `quantity`, `value` and `rating`, and `channel`, `location`, `order_id` and `session_id`, where given.
    """

    number: int
    item_id: Id | None
    event_type: str
    time: int | None
    numbers: Mapping[str, float]
    names: Mapping[str, Id]

    def visit(self) -> tuple[str, Id]:
        """Return the column and the id of the visit that an event without a customer belongs to."""
        column = "session_id" if "session_id" in self.names else "order_id"
        return column, self.names[column]


def check_events(
    events: Any, *, number: int, time_kind: str, newest: int | None, namespace: str | None
) -> list[tuple[Identity | None, Observed]]:
    """Check live events; either all of them are good, or none is taken.

    Parameters
    ----------
    events
        One mapping or several, in the columns of `EventLog`.
    number
        Number of the first.
    time_kind
        How the log tells the order of events.
    newest
        The newest moment known, in microseconds; what lies more than two years after it is refused.
    namespace
        The column that names the namespace of a customer, as in `IdentityMap(column=)`.

    Returns
    -------
    For each event the customer, None where it is an anonymous visit's, and the event.

    Raises
    ------
    ArgumentError, SchemaError
        If `events` is something else, or a field is missing, unknown or of a wrong type; the message names
        the event's place, from 0, and the field.
    """
    if isinstance(events, Mapping):
        events = (events,)
    elif isinstance(events, str | bytes) or not isinstance(events, Iterable):
        raise errors.wrong_kind("events", type(events).__name__, "a mapping, or a list of mappings")
    return [
        _check(event, place, number + place, (time_kind, newest), namespace)
        for place, event in enumerate(events)
    ]


def _check(
    event: Any, place: int, number: int, order: tuple[str, int | None], namespace: str | None
) -> tuple[Identity | None, Observed]:
    if not isinstance(event, Mapping):
        raise errors.wrong_kind(f"events[{place}]", type(event).__name__, "a mapping, such as a dict")
    unknown = event.keys() - _KNOWN
    if unknown - {namespace}:
        raise errors.live.unknown_field(place, sorted(map(str, unknown))[0], sorted(_KNOWN))
    names = {name: _id(event[name], name, place) for name in _NAMES if event.get(name) is not None}
    event_type = event.get("event_type")
    event_type = "purchase" if event_type is None else event_type
    if not isinstance(event_type, str) or not event_type:
        raise errors.live.bad_field(place, "event_type", event_type, "a text, such as view or purchase")
    if not event_type.isascii():
        event_type = normalize("NFC", event_type)
    numbers: Mapping[str, float] = _NOTHING
    if any(event.get(name) is not None for name in _NUMBERS):
        numbers = {
            name: _number(event[name], name, place) for name in _NUMBERS if event.get(name) is not None
        }
        if event_type == "purchase" and _is_return(numbers):
            event_type = "return"
    item_id = event.get("item_id")
    if item_id is not None:
        item_id = _id(item_id, "item_id", place)
    elif event_type not in ITEMLESS:
        raise errors.live.bad_field(place, "item_id", None, f"an id: a {event_type} is about an item")
    customer = event.get("customer_id")
    if customer is not None:
        if namespace is not None and not isinstance(customer, tuple) and event.get(namespace) is not None:
            customer = (event[namespace], customer)
        try:
            customer = spelled(customer)
            str(customer).encode()
        except (errors.ArgumentError, UnicodeEncodeError) as error:
            expected = "an integer, a text or a pair of a namespace and one of these"
            raise errors.live.bad_field(place, "customer_id", customer, expected) from error
    elif "session_id" not in names and "order_id" not in names:
        raise errors.live.bad_field(place, "customer_id", None, "an id, or else a session_id or order_id")
    time = _time(event, place, *order)
    return customer, Observed(number, item_id, event_type, time, numbers, names)


def _id(value: Any, name: str, place: int) -> Id:
    if isinstance(value, str) and value:
        if value.isascii():
            return value
        with suppress(UnicodeEncodeError):  # a lone surrogate stands in no UTF-8 file
            value.encode()
            return normalize("NFC", value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    raise errors.live.bad_field(place, name, value, "an integer or a text")


def _number(value: Any, name: str, place: int) -> float:
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer beyond all floats
            number = float(value)
            if not abs(number) > _LARGEST:
                return number
    raise errors.live.bad_field(place, name, value, "a finite number")


def _is_return(numbers: Mapping[str, float]) -> bool:
    quantity = numbers.get("quantity", math.nan)
    return quantity < 0 or (math.isnan(quantity) and numbers.get("value", math.nan) < 0)


def _time(event: Mapping[str, Any], place: int, time_kind: str, newest: int | None) -> int | None:
    if time_kind == "timestamp":
        moment = event.get("timestamp")
        if moment is None:
            return None
        try:
            time = to_microseconds(moment, "timestamp")
        except errors.ArgumentError as error:
            expected = "a datetime, a date, a numpy.datetime64 or a text in ISO 8601, from 1990 to 2200"
            raise errors.live.bad_field(place, "timestamp", moment, expected) from error
        if newest is not None and time > newest + _FARTHEST:
            expected = f"a moment at most two years after the newest one known, {spell(newest)} UTC"
            raise errors.live.bad_field(place, "timestamp", moment, expected)
        return time
    if time_kind == "position":
        position = event.get("position")
        if position is None:
            return None
        is_whole = isinstance(position, int | np.integer) and not isinstance(position, bool)
        if is_whole and abs(int(position)) <= _LAST_POSITION:
            return int(position)
        raise errors.live.bad_field(place, "position", position, "an integer of at most 2**62, or None")
    return None
