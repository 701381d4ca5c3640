"""Reading: any table of events becomes typed columns, and the rows that are refused carry a reason."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.refusals import Refused
from engagelib.times import EARLIEST, LATEST, spell

ID_COLUMNS: Final = ("customer_id", "item_id", "channel", "location", "order_id", "session_id")
NUMBER_COLUMNS: Final = ("quantity", "value", "rating")
KNOWN_COLUMNS: Final = (*ID_COLUMNS, "event_type", "timestamp", "position", *NUMBER_COLUMNS)

_LONGEST_ID: Final = 1024
_MOST_EVENT_TYPES: Final = 1000
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

# What other shops and data sets call these columns; only ever used for a hint.
_LIKELY_NAMES: Final = {
    "customer_id": (
        "user_id",
        "user",
        "userid",
        "customer",
        "customerid",
        "visitorid",
        "visitor_id",
        "household_id",
    ),
    "item_id": ("product_id", "product", "sku", "item", "itemid", "article_id", "stockcode", "asin"),
}


@dataclass(frozen=True)
class Reading:
    """A table of events as typed columns; `refused` rows are still among them."""

    table: pa.Table
    codes: dict[str, np.ndarray]
    dictionaries: dict[str, pa.Array]
    numbers: dict[str, np.ndarray]
    time_kind: Literal["timestamp", "position", "set"]
    refused: Refused
    ignored: tuple[str, ...]


def read_events(
    table: pa.Table,
    *,
    columns: Mapping[str, str] | None,
    unit: str | None,
    at: int | None,
    event_types: Mapping[str, str] | None,
    itemless: Collection[str],
) -> Reading:
    """Check a table of events column by column; see `EventLog` for what is accepted."""
    if table.num_rows == 0:
        raise errors.no_rows("the log")
    table, ignored = _rename(table, columns or {})
    refused = Refused(np.zeros(table.num_rows, np.uint8))
    codes: dict[str, np.ndarray] = {}
    dictionaries: dict[str, pa.Array] = {}
    for column in ID_COLUMNS:
        if column in table.column_names:
            codes[column], dictionaries[column] = encode_ids(table[column], column, refused)
    if "event_type" in table.column_names:
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
    numbers = {
        name: _read_numbers(table[name], name, refused)
        for name in NUMBER_COLUMNS
        if name in table.column_names
    }
    time_kind: Literal["timestamp", "position", "set"] = "set"
    if "timestamp" in table.column_names:
        time_kind = "timestamp"
        numbers["time"] = _read_times(table["timestamp"], unit, refused)
        if at is not None:
            refused.add(numbers["time"] > at, "timestamp", f"after {spell(at)}, the `at` that was given")
    elif "position" in table.column_names:
        time_kind = "position"
        numbers["time"] = _read_positions(table["position"], refused)
    return Reading(table, codes, dictionaries, numbers, time_kind, refused, ignored)


def open_table(source: Any, what: str = "the log", ids: Collection[str] = ID_COLUMNS) -> pa.Table:
    """Take a table from a Parquet or CSV path, a frame, a mapping of columns or a list of records.

    In CSV files the columns named by `ids` become integers only where every value is written as one
    would write an integer, so that `007` stays a string.
    """
    if isinstance(source, str | Path):
        return _open_path(Path(source), ids)
    try:
        if isinstance(source, pa.Table):
            return source
        if isinstance(source, pa.RecordBatch):
            return pa.Table.from_batches([source])
        if hasattr(source, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(source).read_all()
        if isinstance(source, Mapping):
            return pa.table({name: _column(name, list(values)) for name, values in source.items()})
        if isinstance(source, Sequence) and all(isinstance(record, Mapping) for record in source):
            names = dict.fromkeys(name for record in source for name in record)
            return pa.table({name: _column(name, [record.get(name) for record in source]) for name in names})
    except (pa.ArrowException, TypeError, OverflowError) as error:
        text = " ".join(str(part) for part in error.args)
        marker = "Conversion failed for column "
        column = text.partition(marker)[2].split(" ")[0] if marker in text else None
        raise errors.arrow_refused(text, column) from error
    expected = "a path, a frame with the Arrow stream protocol, a mapping of columns or a list of records"
    raise errors.bad_argument(what, type(source).__name__, expected)


def encode_ids(array: pa.ChunkedArray, column: str, refused: Refused | None) -> tuple[np.ndarray, pa.Array]:
    """Turn a column of ids into codes, int32 with -1 for null, and a dictionary of int64 or NFC strings."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    expected = "ids as integers or strings"
    if pa.types.is_null(kind):
        return np.full(len(array), -1, np.int32), pa.array([], pa.large_string())
    if pa.types.is_floating(kind):
        raise errors.float_ids(column)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view"
    if not is_text and not pa.types.is_integer(kind):
        hint = "True and False are no ids; was another column meant?" if pa.types.is_boolean(kind) else ""
        raise errors.wrong_type(column, kind, expected, hint)
    if not pa.types.is_dictionary(array.type):
        array = (array.cast(pa.large_string()) if str(kind) == "string_view" else array).dictionary_encode()
    encoded = array.unify_dictionaries().combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = pc.fill_null(encoded.indices.cast(pa.int32()), -1).to_numpy(zero_copy_only=False)
    dictionary = encoded.dictionary
    if not is_text:
        try:
            return codes, dictionary.cast(pa.int64())
        except pa.ArrowInvalid as error:
            hint = "an integer id must be below 2**63; read such ids as strings."
            raise errors.wrong_type(column, kind, expected, hint) from error
    dictionary = pc.utf8_normalize(dictionary.cast(pa.large_string()), form="NFC")
    length = pc.fill_null(pc.binary_length(dictionary), 0).to_numpy(zero_copy_only=False)
    length = np.append(length, 0)[codes]
    # An empty id is a missing id: as an id it would make one customer of all who have none.
    codes = np.where(length > 0, codes, -1).astype(np.int32, copy=False)
    if refused is not None:
        refused.add(length > _LONGEST_ID, column, f"an id of more than {_LONGEST_ID:,} bytes")
    return codes, dictionary


def _rename(table: pa.Table, columns: Mapping[str, str]) -> tuple[pa.Table, tuple[str, ...]]:
    """Bring the known columns under their own names; return the names of the others."""
    for ours, theirs in columns.items():
        if ours not in KNOWN_COLUMNS:
            raise errors.bad_argument("columns", ours, f"one of {', '.join(KNOWN_COLUMNS)} as a key")
        if theirs not in table.column_names:
            raise errors.missing_column(theirs, table.column_names, asked_for=ours)
    taken = {ours: columns.get(ours, ours) for ours in KNOWN_COLUMNS}
    taken = {ours: theirs for ours, theirs in taken.items() if theirs in table.column_names}
    for ours in ("customer_id", "item_id"):
        if ours not in taken:
            lower = {name.lower(): name for name in table.column_names}
            likely = next((lower[name] for name in _LIKELY_NAMES[ours] if name in lower), None)
            raise errors.missing_column(ours, table.column_names, likely)
    if "timestamp" in taken and "position" in taken:
        del taken["position"]
    ignored = (name for name in table.column_names if name not in taken.values())
    renamed = pa.table([table[theirs] for theirs in taken.values()], names=list(taken))
    return renamed, tuple(name for name in ignored if not name.startswith("__index_level_"))


def _encode_types(
    array: pa.ChunkedArray, event_types: Mapping[str, str], refused: Refused
) -> tuple[np.ndarray, pa.Array]:
    if pa.types.is_integer(array.type):
        hint = "name the types, as in view, cart, purchase."
        raise errors.wrong_type("event_type", array.type, "names of event types", hint)
    codes, dictionary = encode_ids(array, "event_type", refused)
    if len(dictionary) > _MOST_EVENT_TYPES:
        given = f"text with {len(dictionary):,} distinct values"
        raise errors.wrong_type("event_type", given, f"at most {_MOST_EVENT_TYPES:,} event types")
    refused.add(codes < 0, "event_type", "null")
    renamed = [event_types.get(name, name) for name in dictionary.to_pylist()]
    return codes, pa.array(renamed, pa.large_string())


def _read_numbers(array: pa.ChunkedArray, column: str, refused: Refused) -> np.ndarray:
    kind = array.type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise errors.wrong_type(column, kind, "numbers")
    values: np.ndarray = pc.fill_null(array.cast(pa.float64(), safe=False), np.nan).to_numpy()
    refused.add(np.isinf(values), column, "infinite")
    return values


def _read_positions(array: pa.ChunkedArray, refused: Refused) -> np.ndarray:
    if not pa.types.is_integer(array.type):
        hint = 'times go into a column named "timestamp".' if pa.types.is_temporal(array.type) else ""
        raise errors.wrong_type("position", array.type, "integers that order a customer's events", hint)
    missing = array.is_null().to_numpy()
    refused.add(missing, "position", "null")
    return np.asarray(pc.fill_null(array.cast(pa.int64()), 0).to_numpy())


def _read_times(array: pa.ChunkedArray, unit: str | None, refused: Refused) -> np.ndarray:
    """Read times of any kind as microseconds since 1970; refused ones come back as 0."""
    column, kind = "timestamp", array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        array = _parse_times(array.cast(pa.large_string()), refused)
        kind = array.type
    if pa.types.is_timestamp(kind):
        read = kind.unit
    elif pa.types.is_date(kind):
        array, read = array.cast(pa.timestamp("ms")), "ms"
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        read = unit or "s"
    else:
        raise errors.wrong_type(column, kind, "times, dates, text in ISO 8601 or numbers with unit=")
    refused.add(array.is_null().to_numpy(), column, "null")
    if pa.types.is_floating(kind):
        raw = pc.fill_null(array.cast(pa.float64()), np.nan).to_numpy()
        refused.add(~np.isfinite(raw), column, "not a number")
    else:
        raw = pc.fill_null(array.cast(pa.int64()), 0).to_numpy()
    scale = _PER_SECOND[read]
    with np.errstate(invalid="ignore"):
        bad = (refused.code == 0) & ~((raw >= EARLIEST // 10**6 * scale) & (raw < LATEST // 10**6 * scale))
    if bad.any():
        _refuse_times(raw[bad], bad, read, refused)
    raw = np.where(refused.code == 0, raw, 0)
    if pa.types.is_floating(kind):
        return np.rint(raw * (1_000_000 / scale)).astype(np.int64)
    return raw // (scale // 1_000_000) if scale > 1_000_000 else raw * (1_000_000 // scale)


def _refuse_times(raw: np.ndarray, bad: np.ndarray, read: str, refused: Refused) -> None:
    seconds = raw.astype(np.float64) / _PER_SECOND[read]
    year = np.floor(1970 + seconds / 31_556_952)
    years = int(year.min()), int(year.max())

    def plausible(unit: str) -> bool:
        seconds = raw.astype(np.float64) / _PER_SECOND[unit]
        return bool(((seconds >= EARLIEST / 10**6) & (seconds < LATEST / 10**6)).all())

    fitting = next((unit for unit in _PER_SECOND if unit != read and plausible(unit)), None)
    refused.add(
        bad,
        "timestamp",
        "outside the years 1990 to 2200",
        lambda rows, count: errors.implausible_times("timestamp", years, rows, count, (read, fitting)),
    )


def _parse_times(array: pa.ChunkedArray, refused: Refused) -> pa.ChunkedArray:
    """Read ISO 8601 text, with or without zones, row by row apart; what is no time is refused."""
    pattern = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
    text = pc.utf8_trim_whitespace(array)
    valid = pc.fill_null(pc.match_substring_regex(text, pattern), False)
    refused.add(array.is_valid().to_numpy() & ~valid.to_numpy(), "timestamp", "no time in ISO 8601")
    text = pc.if_else(valid, text, None)
    text = pc.replace_substring_regex(text, pattern=r"(\.\d{1,6})\d*", replacement=r"\1")
    zoned = pc.match_substring_regex(text, r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$")
    try:
        with_zone = pc.if_else(zoned, text, None).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        without = pc.if_else(zoned, None, text).cast(pa.timestamp("us"))
    except pa.ArrowInvalid as error:
        raise errors.arrow_refused(str(error), "timestamp") from error
    return pc.coalesce(with_zone, without)


def _open_path(path: Path, ids: Collection[str]) -> pa.Table:
    suffixes = path.suffixes[-2:]
    try:
        if path.is_dir() or path.suffix in {".parquet", ".pq"}:
            import pyarrow.parquet as pq

            return pq.read_table(path)
        if ".csv" in suffixes or ".tsv" in suffixes or ".txt" in suffixes:
            from pyarrow import csv

            delimiter = "\t" if ".tsv" in suffixes else ","
            parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
            with csv.open_csv(path, parse_options=parse) as peek:
                names = peek.schema.names
            as_text = [name for name in names if name in ids]
            convert = csv.ConvertOptions(column_types=dict.fromkeys(as_text, pa.string()))
            table = csv.read_csv(path, parse_options=parse, convert_options=convert)
            return _integers_where_written(table, as_text)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise errors.arrow_refused(str(error)) from error
    raise errors.bad_argument(
        "path", str(path), "a .parquet, .csv or .tsv file, or a folder of Parquet files"
    )


def _integers_where_written(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Turn text ids into integers where not a single one would change by it; refuse those of floats."""
    for name in names:
        place = table.column_names.index(name)
        distinct = pc.unique(table[name])
        distinct = distinct.filter(pc.not_equal(distinct, ""))
        if not len(distinct):
            continue
        if pc.all(pc.match_substring_regex(distinct, r"^-?\d+\.0*$")).as_py():
            raise errors.float_ids(name)
        if pc.all(pc.match_substring_regex(distinct, r"^(0|-?[1-9]\d{0,17})$")).as_py():
            filled = pc.if_else(pc.equal(table[name], ""), None, table[name])
            table = table.set_column(place, name, filled.cast(pa.int64()))
    return table


def _column(name: str, values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) > 1 and name in ID_COLUMNS and not kinds <= {int, float}:
        raise errors.mixed_ids(sorted(kind.__name__ for kind in kinds), name)
    try:
        return pa.array(values)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise errors.arrow_refused(str(error), name) from error
