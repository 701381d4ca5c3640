"""Arguments: what an update is told, checked and brought to built-in values."""

from collections.abc import Iterable
from typing import Any
from unicodedata import normalize

import numpy as np

from engagelib import errors
from engagelib.availability.scopes import exact
from engagelib.vocabulary import Id, check_one_kind


def read_ids(item_ids: Any) -> list[Id]:
    """Return ids of one type as built-in values, strings in NFC."""
    if isinstance(item_ids, str | bytes) or not isinstance(item_ids, Iterable):
        raise errors.bad_argument("item_ids", item_ids, "a list of ids", "put a single id into a list.")
    ids = _listed(item_ids)
    check_one_kind(ids)
    if None in ids:
        raise errors.availability.null_items(ids.count(None), ids.index(None))
    if not ids or not isinstance(ids[0], str):
        if not all(-(2**63) <= int(id_) < 2**63 for id_ in ids):
            raise errors.log.large_ids()
        return [int(id_) for id_ in ids]
    text = "".join(ids)
    if text.isascii():
        return list(map(str, ids))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise errors.log.unencodable() from error
    return [normalize("NFC", str(id_)) for id_ in ids]


def read_flags(available: Any, n_items: int) -> list[bool]:
    """Return for each of some items whether it may be shown."""
    if isinstance(available, bool | np.bool_):
        return [bool(available)] * n_items
    if isinstance(available, str | bytes) or not isinstance(available, Iterable):
        raise errors.availability.bad_flags(available, n_items)
    flags = _listed(available)
    if not set(map(type, flags)) <= {bool, np.bool_}:
        raise errors.availability.bad_flags(flags, n_items)
    if len(flags) != n_items:
        raise errors.availability.flags_of_other_length(len(flags), n_items)
    return list(map(bool, flags))


def read_name(side: str, name: Any) -> Id | None:
    """Return the id of a channel or location, None for every one."""
    if name is None:
        return None
    found = exact(name)
    if found is None or found == "":
        raise errors.availability.bad_name(side, name)
    return read_ids([found])[0]


def check_kind(name: str, given: Id, known: Id | None) -> None:
    """Refuse an id whose type is not that of the ids known so far, where there are any."""
    if known is not None and isinstance(given, str) != isinstance(known, str):
        raise errors.availability.other_kind(name, given)


def _listed(values: Any) -> list[Any]:
    # Arrow and NumPy hand out scalars of their own.
    for convert in ("to_pylist", "tolist"):
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)
