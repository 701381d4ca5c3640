"""Wording of what an availability refuses to be told, or to answer."""

from engagelib.errors._classes import ArgumentError
from engagelib.errors._common import bad_argument, shown


def needs_moment() -> ArgumentError:
    """Word a question without a moment to a table with windows of time."""
    return bad_argument(
        "at",
        None,
        "a moment, because the availability has windows of time",
        "nothing here reads the clock; pass the moment of the call, as in at=datetime.now(UTC).",
    )


def bad_name(side: str, given: object) -> ArgumentError:
    """Word a channel or location of an update that can be no id."""
    return bad_argument(side, given, f"the id of a {side}, an integer or a text, or None for every {side}")


def other_kind(name: str, given: int | str) -> ArgumentError:
    """Word an id of an update whose type is not that of the table's: the update would change nothing."""
    spelled, expected = ("strings", "integers") if isinstance(given, str) else ("integers", "strings")
    return ArgumentError(
        f"{name} has {shown(given)}: this update would change nothing, because ids are {expected} there, "
        f"and never {spelled}. Hint: 1 and '1' are two ids; bring the update to the type of the table."
    )


def null_items(count: int, first: int) -> ArgumentError:
    """Word an update with items that have no id."""
    return ArgumentError(
        f"item_ids: {count:,} of the ids {'is' if count == 1 else 'are'} null, the first at {first:,}: "
        "expected an id for each item."
    )


def bad_flags(given: object, n_items: int) -> ArgumentError:
    """Word what says of updated items neither that they may be shown nor that they may not."""
    return bad_argument(
        "available", given, f"True or False, or a list with one of them for each of {n_items:,} items"
    )


def flags_of_other_length(n_given: int, n_items: int) -> ArgumentError:
    """Word an update that says of more or fewer items whether they may be shown than it names."""
    return ArgumentError(
        f"available has {n_given:,} values for {n_items:,} item ids: expected one for each, or a single one."
    )
