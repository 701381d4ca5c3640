"""Wording of what is refused as an identity, in a map of identities, and where a log is read with one."""

from collections.abc import Iterable

from engagelib.errors._classes import ArgumentError, ArtifactError, SchemaError
from engagelib.errors._common import bad_argument, listed, sentence, shown


def no_identity(given: object) -> ArgumentError:
    """Word what is neither an id nor a pair of a namespace and an id."""
    hint = ""
    if isinstance(given, list):
        hint = "write the pair as a tuple, in round brackets."
    elif isinstance(given, float):
        hint = "a null among integers often turns them into floats; read the ids as integers."
    expected = (
        "expected an id, an integer or a text, or a pair of a namespace and an id, such as ('web', 77)."
    )
    return ArgumentError(sentence(f"{shown(given)} is no identity: {expected}", hint))


def bad_namespace(given: object) -> ArgumentError:
    """Word the first part of a pair that can't be a namespace."""
    hint = "a pair is spelled 'namespace:id', so that the first ':' ends the namespace."
    return bad_argument("namespace", given, "a text that is not empty and holds no ':'", hint)


def empty_id(given: object) -> ArgumentError:
    """Word a link of an identity without an id."""
    return ArgumentError(
        f"{shown(given)} has an empty id: expected an id to link. "
        "Hint: a missing id, linked as if it were one, makes one customer of all who have none."
    )


def unstorable(given: object) -> ArgumentError:
    """Word a link of an id that no log can hold."""
    return ArgumentError(
        f"{shown(given)} can't be linked: expected an integer from -2**63 to 2**63 - 1, or text that UTF-8 "
        "can hold. Hint: no log holds such an id; where does it come from?"
    )


def not_a_map(given: object) -> ArgumentError:
    """Word what is passed as a map of identities and is none."""
    hint = 'IdentityMap.from_frame reads a table with the columns "customer_id" and "same_as".'
    return bad_argument("identities", given, "an IdentityMap", hint)


def bad_column(given: object) -> ArgumentError:
    """Word the name of the column with the namespaces, where it can't be one."""
    expected = 'None, or the name of the column that holds the namespace of each row, such as "channel"'
    return bad_argument("column", given, expected)


def settled_map() -> ArgumentError:
    """Word a link in the map of a log, which is never changed."""
    return ArgumentError(
        "this map belongs to a log that was read with it, and can't be changed: expected a map of one's own. "
        "Hint: link in log.identities.copy(), and pass that to log.link()."
    )


def two_columns(first: str, second: str) -> ArgumentError:
    """Word two maps to be joined that find the namespaces in different columns."""
    return ArgumentError(
        f"one map names column {first!r} for the namespaces, the other one {second!r}: expected the same. "
        "Hint: bring the namespaces of both logs under one name before they are read."
    )


def missing_namespaces(column: str, found: Iterable[str]) -> SchemaError:
    """Word a table without the column that a map names for the namespaces."""
    return SchemaError(
        f"column {column!r}, in which identities= looks for the namespaces, is missing. "
        f"Found: {listed(found)}. Hint: IdentityMap() without a column takes every id as it stands.",
        column=column,
    )


def late_namespaces(column: str) -> SchemaError:
    """Word a map with namespaces for a log whose customers were told apart without them."""
    return SchemaError(
        f"the customers of this log were linked without namespaces, and this map looks for them in column "
        f"{column!r}: expected a map without a column. Hint: read the log again with identities=.",
        column=column,
    )


def other_canonical(given: object, canonical: object) -> SchemaError:
    """Word a canonical id whose type is not that of the ids it would stand among."""
    spelled = {int: "an integer", str: "text"}
    return SchemaError(
        f"column 'customer_id': {shown(given)} is the same customer as {shown(canonical)}, whose id is "
        f"{spelled[type(canonical)]}: expected ids of one type. Hint: the identity that was linked first "
        "names the customer; link the log's own id first, or spell all ids as text with text_ids=True.",
        column="customer_id",
    )


def altered_map(found: str, expected: str) -> ArtifactError:
    """Word a map from a file whose numbers point nowhere."""
    return ArtifactError(
        f"the stored identities are broken: {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
