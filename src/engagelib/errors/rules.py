"""Wording of what is refused about item attributes, and about rules on them."""

from collections.abc import Collection, Iterable

from engagelib.errors._classes import ArgumentError, ArtifactError
from engagelib.errors._common import listed, sentence, shown


def unknown_attribute(name: str, known: Collection[str], skipped: Collection[str]) -> ArgumentError:
    """Word a condition on an attribute that the items do not have."""
    alike = [other for other in known if other.strip().casefold() == name.strip().casefold()]
    if name == "item_id":
        hint = "an id is no attribute; name items with items=[...]."
    elif name in skipped:
        hint = "that column is in the item table, and holds neither texts, numbers, booleans nor times."
    elif alike:
        hint = f"names are compared letter by letter; was {alike[0]!r} meant?"
    elif set(known) <= {"for_sale"}:
        hint = "the log was read without an item table; pass one as items=."
    else:
        hint = "attributes are the columns of the item table that was there at the last fit."
    return ArgumentError(sentence(f"no attribute {shown(name)}: expected one of {listed(known)}.", hint))


def altered_attributes(name: str, found: str, expected: str) -> ArtifactError:
    """Word attributes from a file whose arrays contradict each other; `name` is the one at fault."""
    return ArtifactError(
        f"the stored item attributes are broken: {name!r} {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )


def in_rule(place: int, error: ArgumentError) -> ArgumentError:
    """Say which of several rules an error is about."""
    return ArgumentError(f"rules[{place}]: {error}")


def not_one_of_two(effect: str, *, both: bool) -> ArgumentError:
    """Word a rule that says twice which items it is about, or not at all."""
    given = "both where= and items=" if both else "neither where= nor items="
    return ArgumentError(
        f"Rule.{effect} got {given}: expected one of them. "
        "Hint: where= names items by their attributes, items= by their ids."
    )


def unknown_fields(effect: str, unknown: Iterable[object], known: Iterable[str]) -> ArgumentError:
    """Word a record of a rule with names that such a rule does not have."""
    return ArgumentError(
        f"a {effect!r} rule has no {listed(map(shown, unknown))}: expected only {listed(known)}. "
        "Hint: a misspelt name would be ignored without a word."
    )


def too_many_factors(most: int) -> ArgumentError:
    """Word boosts that give the items of a catalogue too many different factors."""
    return ArgumentError(
        f"the boosts make more than {most} different factors: expected at most {most}. "
        "Hint: items are ranked apart for each factor, and an item's boosts multiply; use fewer different "
        "factors, or conditions that overlap less."
    )


def other_items(n_attributes: int, n_items: int) -> ArgumentError:
    """Word attributes of another catalogue than the one that rules are made for."""
    return ArgumentError(
        f"attributes are of {n_attributes:,} items, and items holds {n_items:,}: expected the same items."
    )
