"""Wording of live events, links and reloads that are refused."""

from collections.abc import Iterable

from engagelib.errors._classes import ArgumentError, SchemaError
from engagelib.errors._common import listed, shown


def bad_field(place: int, field: str, given: object, expected: str) -> SchemaError:
    """Word a field of a live event that is missing or of a wrong type; `place` is counted from 0."""
    return SchemaError(
        f"events[{place}] has {field}={shown(given)}: expected {expected}. No event of this call was taken.",
        column=field,
        row=place,
    )


def unknown_field(place: int, field: str, known: Iterable[str]) -> SchemaError:
    """Word a field of a live event that no log has."""
    return SchemaError(
        f"events[{place}] has a field {field!r}: expected some of {listed(known, 20)}. "
        "Hint: live events have the columns of the log; no event of this call was taken.",
        column=field,
        row=place,
    )


def other_id_type(customer_id: object, kind: str) -> SchemaError:
    """Word a customer id whose type the log's customers do not have; `kind` is that of those."""
    spelled = {"int": "integers", "str": "text"}[kind]
    return SchemaError(
        f"customer {shown(customer_id)} is of type {type(customer_id).__name__}: customers here are "
        f'{spelled}. Hint: link it behind an id of that type, as in link(17, ("web", "a1")), or fit on a '
        "log that was read with text_ids=True.",
        column="customer_id",
    )


def nowhere_to_reload(given: object) -> ArgumentError:
    """Word a reload of what was neither loaded nor saved."""
    return ArgumentError(
        f"path={shown(given)}: expected the folder of a saved recommender, because this one was neither "
        "loaded nor saved yet."
    )
