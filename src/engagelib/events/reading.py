"""Reading: any table of events becomes typed columns, and the rows that are refused carry a reason."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.customers import as_column, identify, resolve
from engagelib.frames import (
    Refused,
    encode_ids,
    ids_as_text,
    index_names,
    naming,
    read_numbers,
    read_positions,
    read_times,
)
from engagelib.identity import IdentityMap
from engagelib.strings import decoded
from engagelib.times import spell

ID_COLUMNS: Final = ("customer_id", "item_id", "channel", "location", "order_id", "session_id")
NUMBER_COLUMNS: Final = ("quantity", "value", "rating")
KNOWN_COLUMNS: Final = (*ID_COLUMNS, "event_type", "timestamp", "position", *NUMBER_COLUMNS)

_MOST_EVENT_TYPES: Final = 1000

# What other shops and data sets call these columns, in small letters and digits; only used for a hint.
_LIKELY_NAMES: Final = {
    "customer_id": ("customerid", "userid", "user", "customer", "visitorid", "householdid", "clientid"),
    "item_id": ("itemid", "productid", "product", "sku", "item", "articleid", "stockcode", "asin"),
}


@dataclass(frozen=True)
class Reading:
    """A table of events as typed columns; `refused` rows are still among them."""

    table: pa.Table
    codes: dict[str, np.ndarray]
    dictionaries: dict[str, pa.Array]
    numbers: dict[str, np.ndarray]
    time_kind: Literal["timestamp", "position", "set"]
    relabelled: np.ndarray
    refused: Refused
    ignored: tuple[str, ...]
    identity: tuple[np.ndarray, pa.Array] | None = None
    """The identity under which each row came, and the distinct ones, where a map resolved the customers."""


def read_events(
    table: pa.Table,
    *,
    columns: Mapping[str, str] | None,
    unit: str | None,
    at: int | None,
    event_types: Mapping[str, str] | None,
    itemless: Collection[str],
    text_ids: bool,
    identities: IdentityMap | None = None,
) -> Reading:
    """Check a table of events column by column; see `EventLog` for what is accepted."""
    if table.num_rows == 0:
        raise errors.log.no_rows("the log")
    namespace = None if identities is None else identities.column
    source = table
    table, ignored = _rename(table, columns or {})
    if text_ids:
        table = ids_as_text(table, ID_COLUMNS)
    refused = Refused(np.zeros(table.num_rows, np.uint8))
    codes: dict[str, np.ndarray] = {}
    dictionaries: dict[str, pa.Array] = {}
    for column in ID_COLUMNS:
        if column in table.column_names:
            with naming(column):
                codes[column], dictionaries[column] = encode_ids(table[column], column, refused)
    identity = None
    if identities is not None:
        identity = _came_under(identities, codes, dictionaries, (table, source), refused)
        codes["customer_id"], dictionaries["customer_id"] = resolve(*identity, identities)
    if "event_type" in table.column_names:
        with naming("event_type"):
            codes["event_type"], dictionaries["event_type"] = _encode_types(
                table["event_type"], event_types or {}, refused
            )
    else:
        codes["event_type"] = np.zeros(table.num_rows, np.int32)
        dictionaries["event_type"] = pa.array(["purchase"], pa.large_string())
    visits = np.zeros(table.num_rows, bool)
    for column in ("session_id", "order_id"):
        if column in codes:
            visits |= codes[column] >= 0
    refused.add((codes["customer_id"] < 0) & ~visits, "customer_id", "null, without a session_id or order_id")
    may_lack_item = np.isin(dictionaries["event_type"].to_numpy(zero_copy_only=False), list(itemless))
    lacks_item = (codes["item_id"] < 0) & ~np.append(may_lack_item, False)[codes["event_type"]]
    refused.add(lacks_item, "item_id", "null, for an event type that needs an item")
    numbers = {}
    for name in NUMBER_COLUMNS:
        if name in table.column_names:
            with naming(name):
                numbers[name] = read_numbers(table[name], name, refused)
    relabelled = _relabel_returns(codes, dictionaries, numbers)
    time_kind: Literal["timestamp", "position", "set"] = "set"
    if "timestamp" in table.column_names:
        time_kind = "timestamp"
        with naming("timestamp"):
            numbers["time"] = read_times(table["timestamp"], unit, refused)
    elif "position" in table.column_names:
        time_kind = "position"
        with naming("position"):
            numbers["time"] = read_positions(table["position"], refused)
    if at is not None and time_kind == "timestamp":
        refused.add(numbers["time"] > at, "timestamp", f"after {spell(at)}, the `at` that was given")
    ignored = tuple(name for name in ignored if name != namespace)
    return Reading(table, codes, dictionaries, numbers, time_kind, relabelled, refused, ignored, identity)


def _came_under(
    identities: IdentityMap,
    codes: Mapping[str, np.ndarray],
    dictionaries: Mapping[str, pa.Array],
    tables: tuple[pa.Table, pa.Table],
    refused: Refused,
) -> tuple[np.ndarray, pa.Array]:
    """Return the identity of each row; namespaces stand in a column of ours, or else of the input."""
    column = identities.column
    namespaces = None
    if column is not None and column in codes:
        namespaces = as_column(codes[column], dictionaries[column])
    elif column is not None:
        table = next((table for table in tables if column in table.column_names), None)
        if table is None:
            raise errors.identity.missing_namespaces(column, tables[-1].column_names)
        if table.column_names.count(column) > 1:
            raise errors.log.repeated_column(column)
        namespaces = table[column]
    return identify(codes["customer_id"], dictionaries["customer_id"], identities, namespaces, refused)


def _rename(table: pa.Table, columns: Mapping[str, str]) -> tuple[pa.Table, tuple[str, ...]]:
    """Bring the known columns under their own names; return the names of the others."""
    for ours, theirs in columns.items():
        if ours not in KNOWN_COLUMNS:
            raise errors.bad_argument("columns", ours, f"one of {', '.join(KNOWN_COLUMNS)} as a key")
        if theirs not in table.column_names:
            raise errors.log.missing_column(theirs, table.column_names, asked_for=ours)
    taken = {ours: ours for ours in KNOWN_COLUMNS if ours not in columns.values()} | dict(columns)
    taken = {ours: taken[ours] for ours in KNOWN_COLUMNS if taken.get(ours) in table.column_names}
    for ours in ("customer_id", "item_id"):
        if ours not in taken:
            plain = {re.sub("[^a-z0-9]", "", name.lower()): name for name in table.column_names}
            likely = next((plain[name] for name in _LIKELY_NAMES[ours] if name in plain), None)
            in_index = ours in index_names(table)
            raise errors.log.missing_column(ours, table.column_names, likely, in_index=in_index)
    for theirs in taken.values():
        if table.column_names.count(theirs) > 1:
            raise errors.log.repeated_column(theirs)
    if "timestamp" in taken and "position" in taken:
        del taken["position"]
    ignored = (name for name in table.column_names if name not in taken.values())
    renamed = pa.table([table[theirs] for theirs in taken.values()], names=list(taken))
    return renamed, tuple(name for name in ignored if not name.startswith("__index_level_"))


def _encode_types(
    array: pa.ChunkedArray, event_types: Mapping[str, str], refused: Refused
) -> tuple[np.ndarray, pa.Array]:
    if pa.types.is_integer(decoded(array).type):
        hint = "name the types, as in view, cart, purchase."
        raise errors.log.wrong_type("event_type", array.type, "names of event types", hint)
    codes, dictionary = encode_ids(array, "event_type", refused)
    if len(dictionary) > _MOST_EVENT_TYPES:
        given = f"text with {len(dictionary):,} distinct values"
        raise errors.log.wrong_type("event_type", given, f"at most {_MOST_EVENT_TYPES:,} event types")
    refused.add(codes < 0, "event_type", "null")
    ours = {normalize("NFC", name): normalize("NFC", to) for name, to in event_types.items()}
    renamed = pa.array([ours.get(name, name) for name in dictionary.to_pylist()], pa.large_string())
    distinct = pc.unique(renamed)
    places = pc.index_in(renamed, value_set=distinct).to_numpy(zero_copy_only=False)
    return np.append(places, np.int32(-1))[codes], distinct


def _relabel_returns(
    codes: dict[str, np.ndarray], dictionaries: dict[str, pa.Array], numbers: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Call a purchase with a negative quantity, or a negative value and no quantity, a return."""
    types = dictionaries["event_type"].to_pylist()
    nothing = np.broadcast_to(np.nan, codes["event_type"].shape)
    quantity, value = (numbers.get(name, nothing) for name in ("quantity", "value"))
    returned: np.ndarray = (quantity < 0) | (np.isnan(quantity) & (value < 0))
    returned &= codes["event_type"] == (types.index("purchase") if "purchase" in types else len(types))
    if returned.any():
        types = types if "return" in types else [*types, "return"]
        dictionaries["event_type"] = pa.array(types, pa.large_string())
        codes["event_type"] = np.where(returned, np.int32(types.index("return")), codes["event_type"])
    return returned
