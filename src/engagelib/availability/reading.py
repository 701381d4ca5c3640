"""Reading: any table of what is offered becomes typed columns, or is refused."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from engagelib import errors
from engagelib.availability.offers import Offers
from engagelib.availability.rows import NEVER_AFTER, NEVER_BEFORE
from engagelib.frames import (
    Refused,
    encode_ids,
    ids_as_text,
    index_names,
    naming,
    open_table,
    read_numbers,
    read_times,
)
from engagelib.vocabulary import Vocabulary

_IDS: Final = ("item_id", "channel", "location")
_KNOWN: Final = (*_IDS, "starts", "ends", "quantity")


def read_offers(
    source: Any, *, columns: Mapping[str, str] | None, unit: str | None, text_ids: bool
) -> Offers:
    """Read a table of what is offered; see `Availability.from_frame` for what is accepted."""
    _check_options(columns, unit)
    names = columns or {}
    table = open_table(source, "the availability", ids={names.get(name, name) for name in _IDS})
    table, ignored = _rename(table, names)
    if text_ids:
        table = ids_as_text(table, _IDS)
    refused = Refused(np.zeros(table.num_rows, np.uint8))
    (items, item), (channels, channel), (locations, location) = (
        _read_ids(table, name, refused) for name in _IDS
    )
    refused.add(item < 0, "item_id", "null")
    starts = _read_bound(table, "starts", unit, NEVER_BEFORE, refused)
    ends = _read_bound(table, "ends", unit, NEVER_AFTER, refused)
    refused.add(ends <= starts, "ends", "not after starts")
    in_stock = np.ones(table.num_rows, bool)
    if "quantity" in table.column_names:
        with naming("quantity"):
            quantity = read_numbers(table["quantity"], "quantity", refused)
        refused.add(quantity < 0, "quantity", "negative")
        in_stock = quantity != 0  # NaN, which is null, is not counted
    refused.raise_first("correct these rows, or leave them out.")
    return Offers(
        items=items,
        channels=channels,
        locations=locations,
        item=item,
        channel=channel,
        location=location,
        starts=starts,
        ends=ends,
        in_stock=in_stock,
        ignored=ignored,
    )


def _check_options(columns: object, unit: object) -> None:
    if unit not in (None, "s", "ms", "us", "ns"):
        raise errors.bad_argument("unit", unit, 'one of "s", "ms", "us", "ns"')
    if columns is None:
        return
    if not isinstance(columns, Mapping) or not all(
        isinstance(text, str) and text for pair in columns.items() for text in pair
    ):
        expected = 'a mapping of names to names, such as {"item_id": "sku"}'
        raise errors.bad_argument("columns", columns, expected)
    for ours in columns:
        if ours not in _KNOWN:
            raise errors.bad_argument("columns", ours, f"one of {', '.join(_KNOWN)} as a key")


def _rename(table: pa.Table, columns: Mapping[str, str]) -> tuple[pa.Table, tuple[str, ...]]:
    """Bring the known columns under their own names; return the names of the others."""
    for ours, theirs in columns.items():
        if theirs not in table.column_names:
            raise errors.log.missing_column(theirs, table.column_names, asked_for=ours)
    taken = {ours: ours for ours in _KNOWN if ours not in columns.values()} | dict(columns)
    taken = {ours: taken[ours] for ours in _KNOWN if taken.get(ours) in table.column_names}
    if "item_id" not in taken:
        in_index = "item_id" in index_names(table)
        raise errors.log.missing_column("item_id", table.column_names, in_index=in_index)
    for theirs in taken.values():
        if table.column_names.count(theirs) > 1:
            raise errors.log.repeated_column(theirs)
    ignored = (name for name in table.column_names if name not in taken.values())
    renamed = pa.table([table[theirs] for theirs in taken.values()], names=list(taken))
    return renamed, tuple(name for name in ignored if not name.startswith("__index_level_"))


def _read_ids(table: pa.Table, column: str, refused: Refused) -> tuple[Vocabulary, np.ndarray]:
    """Read ids as a vocabulary of those in use and their codes, -1 for null and where there is no column."""
    if column not in table.column_names or not table.num_rows:
        return Vocabulary.from_values([]), np.full(table.num_rows, -1, np.int32)
    with naming(column):
        codes, dictionary = encode_ids(table[column], column, refused)
    # A dictionary may hold what no row has, such as the categories of a filtered pandas frame.
    used = np.zeros(len(dictionary) + 1, bool)
    used[codes] = True
    used = used[:-1]
    in_use = dictionary.filter(pa.array(used))
    vocabulary = Vocabulary.from_values(in_use)
    places = np.full(len(dictionary) + 1, -1, np.int32)
    places[:-1][used] = vocabulary.indices(in_use)
    return vocabulary, places[codes]


def _read_bound(table: pa.Table, column: str, unit: str | None, none: int, refused: Refused) -> np.ndarray:
    if column not in table.column_names:
        return np.full(table.num_rows, none, np.int64)
    with naming(column):
        return read_times(table[column], unit, refused, column=column, null=none)
