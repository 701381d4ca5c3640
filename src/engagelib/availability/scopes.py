"""Scopes: channels and locations as codes, and the single places that a call stands for."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import Final

import numpy as np

from engagelib.vocabulary import Id

Scope = tuple[int, int]
"""Codes of a channel and a location: those that the table names count from 0, those of updates follow."""

EVERY: Final = -1
"""In a row or an update: it holds for every channel. In a call: no channel is named."""

OTHER: Final = -2
"""In a call: a channel that neither the table nor an update names."""


def exact(id_: object) -> Id | None:
    """Return an id as a built-in value, a string in NFC; None for what can be no id."""
    if isinstance(id_, str):
        return unicodedata.normalize("NFC", str(id_))
    if isinstance(id_, int | np.integer) and not isinstance(id_, bool):
        return int(id_)
    return None


def code_of(codes: Mapping[Id, int], name: object) -> int:
    """Return the code of the channel or location that a call names."""
    if name is None:
        return EVERY
    if type(name) is str or type(name) is int:  # True equals 1, and is no id
        code = codes.get(name)
        if code is not None:
            return code
    found = exact(name)
    return OTHER if found is None else codes.get(found, OTHER)


def overlap(one: Scope, other: Scope) -> bool:
    """Say whether two scopes have a place in common."""
    return (one[0] == other[0] or EVERY in (one[0], other[0])) and (
        one[1] == other[1] or EVERY in (one[1], other[1])
    )


def places_of(
    scope: Scope, said_of: Collection[Scope], n_named: tuple[int, int]
) -> Iterator[tuple[Scope, tuple[bool, bool]]]:
    """Yield the places, each one channel and one location, that count for a call's scope.

    Parameters
    ----------
    scope
        What the call names.
    said_of
        The scopes that anything is said of. Places that nothing names are all alike: `OTHER` speaks for them.
    n_named
        How many channels and locations the table names.

    Yields
    ------
    Codes, and whether each of them is there only because an update names it where the call names none.
    """
    for channel, is_named, is_added in _each(scope[0], {said[0] for said in said_of}, n_named[0]):
        here = {said[1] for said in said_of if said[0] in (EVERY, channel)}
        for location, is_named_too, is_added_too in _each(scope[1], here, n_named[1]):
            if (is_named and is_named_too) or is_added or is_added_too:
                yield (channel, location), (is_added, is_added_too)


def _each(asked: int, said: Collection[int], n_named: int) -> list[tuple[int, bool, bool]]:
    """Return codes, whether each stands for what the call or the table names, and whether it is added."""
    if asked != EVERY:
        return [(asked, True, False)]
    met = sorted(code for code in said if code >= 0)
    n_met = sum(code < n_named for code in met)
    codes = [(code, code < n_named, code >= n_named) for code in met]
    return [*codes, (OTHER, n_met < n_named or not n_named, False)]
