"""Item attributes: titles, categories, prices and what is for sale, one row an item."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.frames import Refused, encode_ids, ids_as_text, index_names, open_table
from engagelib.strings import StringColumn, decoded
from engagelib.vocabulary import Vocabulary

_TEXT: Final = ("title", "category")


def read_items(source: Any, *, text_ids: bool = False) -> pa.Table:
    """Read a table of item attributes from a path, a frame or records.

    `item_id` is required and unique; `title` and `category` become text, `price` a float64, `for_sale` a
    boolean (true where missing); other columns stay as they are.

    Raises
    ------
    SchemaError
        If `item_id` is missing, null, repeated, too long or of a wrong type, or another known column is of
        a wrong type.
    """
    table = open_table(source, "items", ids=("item_id",), texts=_TEXT)
    if text_ids:
        table = ids_as_text(table, ("item_id",))
    if "item_id" not in table.column_names:
        in_index = "item_id" in index_names(table)
        raise errors.log.missing_column("item_id", table.column_names, renames=False, in_index=in_index)
    for name in table.column_names:
        if table.column_names.count(name) > 1:
            raise errors.log.repeated_column(name)
    refused = Refused(np.zeros(len(table), np.uint8))
    codes, dictionary = encode_ids(table["item_id"], "item_id", refused)
    refused.add(codes < 0, "item_id", "null in the item table")
    refused.raise_first("give each item an id of its own.")
    ids = dictionary.take(pa.array(codes))
    distinct = pc.unique(ids)
    if len(distinct) < len(ids):
        counts = pc.value_counts(ids)
        repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
        raise errors.log.repeated_items(len(repeated), repeated[0].as_py())
    columns: dict[str, Any] = {"item_id": ids}
    for name in table.column_names:
        if name != "item_id" and not name.startswith("__index_level_"):
            columns[name] = _attribute(name, table[name])
    return pa.table(columns)


def no_items() -> pa.Table:
    """Return the table of a log that came without item attributes."""
    return pa.table({"item_id": pa.array([], pa.large_string())})


def join_items(old: pa.Table, new: pa.Table) -> pa.Table:
    """Join two item tables; of an item in both, the row of the new one stays."""
    if not len(old) or not len(new):
        return new if len(new) else old
    if old["item_id"].type != new["item_id"].type:
        given, expected = (Vocabulary.from_values(table["item_id"]).kind for table in (new, old))
        raise errors.log.other_id_type("item_id", given, expected, "items")
    stays = pc.invert(pc.is_in(old["item_id"], value_set=new["item_id"].combine_chunks()))
    try:
        return pa.concat_tables([old.filter(stays), new], promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise errors.log.arrow_refused(str(error)) from error


def item_texts(table: pa.Table, items: Vocabulary, name: str) -> StringColumn:
    """Return one text attribute in the order of a vocabulary, empty where unknown."""
    if name not in table.column_names:
        return StringColumn.from_strings([""] * len(items))
    return StringColumn.from_arrow(table[name].take(_places(table, items)))


def item_for_sale(table: pa.Table, items: Vocabulary) -> np.ndarray:
    """Say of each item of a vocabulary whether it may be shown at all, bool."""
    if "for_sale" not in table.column_names:
        return np.ones(len(items), bool)
    values = pc.fill_null(table["for_sale"].take(_places(table, items)), True)
    return np.asarray(values.to_numpy(), bool)


def _places(table: pa.Table, items: Vocabulary) -> pa.Array:
    """Return the row of each item of a vocabulary in the table, null where it has none."""
    place = np.full(len(items), -1, np.int64)
    index = items.indices(table["item_id"].combine_chunks())
    place[index[index >= 0]] = np.flatnonzero(index >= 0)
    return pa.array(place, mask=place < 0)


def _attribute(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        values = decoded(values)
        kind = values.type
        if name in _TEXT:
            return values.cast(pa.large_string())
        if name == "price":
            if (
                pa.types.is_integer(kind)
                or pa.types.is_floating(kind)
                or pa.types.is_decimal(kind)
                or pa.types.is_null(kind)
            ):
                return values.cast(pa.float64(), safe=False)
            raise errors.log.wrong_type("price", kind, "numbers")
        if name == "for_sale":
            if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind):
                return values.cast(pa.bool_())
            raise errors.log.wrong_type("for_sale", kind, "true and false, or 1 and 0")
    except pa.ArrowException as error:
        raise errors.log.arrow_refused(str(error), name) from error
    return values
