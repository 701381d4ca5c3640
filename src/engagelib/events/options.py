"""Options: what reading a log takes beside the data, checked before any of it is read."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, TypedDict

import numpy as np

from engagelib import errors
from engagelib.identity import IdentityMap
from engagelib.times import Moment

ITEMLESS: Final = frozenset({"complaint", "survey", "message_open", "message_click", "login", "referral"})
"""Event types that need not name an item."""

OnBad = Literal["raise", "quarantine"]
Duplicates = Literal["keep", "reject"]


class ReadOptions(TypedDict, total=False):
    """What `EventLog.read` and its like take beside the data; `EventLog` says what each does."""

    items: Any
    identities: IdentityMap | None
    columns: Mapping[str, str] | None
    event_types: Mapping[str, str] | None
    unit: str | None
    at: Moment | None
    on_bad: OnBad
    duplicates: Duplicates
    max_events_per_customer: int
    itemless: Collection[str]
    text_ids: bool


def check_options(unit: object, on_bad: object, duplicates: object, most: object) -> None:
    """Refuse options that are none of the words or numbers expected."""
    if unit not in (None, "s", "ms", "us", "ns"):
        raise errors.bad_argument("unit", unit, 'one of "s", "ms", "us", "ns"')
    if on_bad not in ("raise", "quarantine"):
        raise errors.bad_argument("on_bad", on_bad, '"raise" or "quarantine"')
    if duplicates not in ("keep", "reject"):
        raise errors.bad_argument("duplicates", duplicates, '"keep" or "reject"')
    if not isinstance(most, int | np.integer) or isinstance(most, bool) or most < 1:
        raise errors.bad_argument("max_events_per_customer", most, "an integer of at least 1")


def check_names(columns: object, event_types: object, itemless: object) -> None:
    """Refuse mappings of names that are none."""
    for name, given, example in (
        ("columns", columns, '{"customer_id": "user"}'),
        ("event_types", event_types, '{"addtocart": "cart"}'),
    ):
        if given is None:
            continue
        if not isinstance(given, Mapping) or not all(
            isinstance(text, str) and text for pair in given.items() for text in pair
        ):
            raise errors.bad_argument(name, given, f"a mapping of names to names, such as {example}")
    if isinstance(itemless, str) or not isinstance(itemless, Collection):
        raise errors.bad_argument("itemless", itemless, "a collection of event types")


def check_map(identities: object, *, text_ids: bool) -> IdentityMap | None:
    """Return a map of identities as a log keeps it, or None; refuse anything else."""
    if identities is None:
        return None
    if not isinstance(identities, IdentityMap):
        raise errors.identity.not_a_map(identities)
    return identities.settled(text_ids=text_ids)
