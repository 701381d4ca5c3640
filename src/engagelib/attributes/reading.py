"""Reading: columns of an Arrow table become arrays in the order of the items."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.attributes.conditions import FIRST, LAST, NumberKind
from engagelib.strings import StringColumn, is_text, to_nfc
from engagelib.vocabulary import Vocabulary

_EXACT: Final = 2**53  # float64 holds every integer up to here, and none above for sure


@contextmanager
def naming(column: str) -> Iterator[None]:
    """Name the column in what Arrow itself refuses, such as text that is not UTF-8."""
    try:
        yield
    except pa.ArrowException as error:
        raise errors.log.arrow_refused(str(error), column) from error


def find_rows(table: pa.Table, items: Vocabulary) -> pa.Array:
    """Return the row of each item in the table, null where it has none."""
    place = np.full(len(items), -1, np.int64)
    index = items.indices(table["item_id"].combine_chunks())
    place[index[index >= 0]] = np.flatnonzero(index >= 0)
    return pa.array(place, mask=place < 0)


def kind_of(values: pa.ChunkedArray) -> NumberKind | Literal["coded"] | None:
    """Say how a column is kept: as numbers of a kind, as codes, or not at all."""
    kind = values.type
    if is_text(kind) or pa.types.is_null(kind):
        return "coded"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        low, high = (bound or 0 for bound in pc.min_max(values).as_py().values())
        if low >= -_EXACT and high <= _EXACT:
            return "integer"
        return "coded" if high < 2**63 else None
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "date" if pa.types.is_date(kind) else "time" if pa.types.is_timestamp(kind) else None


def read_titles(values: pa.ChunkedArray, rows: pa.Array) -> StringColumn:
    """Return the title of each item in Unicode's NFC, empty where there is none."""
    return StringColumn.from_arrow(to_nfc(values.cast(pa.large_string()).take(rows)))


def read_flags(values: pa.ChunkedArray, rows: pa.Array) -> np.ndarray:
    """Return what is true of each item, bool; true where nothing is said."""
    return np.asarray(pc.fill_null(values.cast(pa.bool_()).take(rows), True).to_numpy(), bool)


def encode(values: pa.ChunkedArray, rows: pa.Array) -> tuple[np.ndarray, Vocabulary]:
    """Turn texts, or integers, into a code for each item, int32, and the distinct values."""
    is_number = pa.types.is_integer(values.type)
    taken = values.cast(pa.int64() if is_number else pa.large_string()).take(rows)
    # The empty array is for a column without a chunk.
    encoded = pa.concat_arrays([*taken.chunks, pa.array([], taken.type)]).dictionary_encode()
    distinct = encoded.dictionary
    vocabulary = Vocabulary.from_values(
        distinct if is_number else distinct.filter(pc.not_equal(distinct, ""))
    )
    code_of = np.append(vocabulary.indices(distinct), np.int32(-1))
    return code_of[pc.fill_null(encoded.indices, -1).to_numpy()], vocabulary


def read_numbers(values: pa.ChunkedArray, rows: pa.Array, kind: NumberKind) -> np.ndarray:
    """Return the number of each item, float64, NaN for null and for what is not finite."""
    values = values.take(rows)
    if kind in ("date", "time"):
        to_micros = pc.CastOptions(pa.timestamp("us"), allow_time_truncate=True)
        values = values.cast(options=to_micros).cast(pa.int64())
        spelled = pc.and_(pc.greater_equal(values, FIRST), pc.less_equal(values, LAST))
        values = pc.if_else(spelled, values, None)
    elif kind == "boolean":
        values = values.cast(pa.int8())
    elif kind == "number" and values.type != pa.float64():
        # By way of its text, the 19.99 of a decimal or of a shorter float is the 19.99 of a condition.
        values = values.cast(pa.string())
    numbers = values.cast(pa.float64(), safe=False).to_numpy()  # null becomes NaN
    return np.where(np.isfinite(numbers), numbers, math.nan)
