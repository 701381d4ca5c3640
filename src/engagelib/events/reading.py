"""Reading: any table of events becomes typed columns, and the rows that are refused carry a reason."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.events.opening import index_names
from engagelib.events.refusals import Refused
from engagelib.strings import decoded, is_text, to_nfc
from engagelib.times import EARLIEST, LATEST, spell

ID_COLUMNS: Final = ("customer_id", "item_id", "channel", "location", "order_id", "session_id")
NUMBER_COLUMNS: Final = ("quantity", "value", "rating")
KNOWN_COLUMNS: Final = (*ID_COLUMNS, "event_type", "timestamp", "position", *NUMBER_COLUMNS)

_LONGEST_ID: Final = 1024
_MOST_EVENT_TYPES: Final = 1000
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

# What other shops and data sets call these columns, in small letters and digits; only used for a hint.
_LIKELY_NAMES: Final = {
    "customer_id": ("customerid", "userid", "user", "customer", "visitorid", "householdid", "clientid"),
    "item_id": ("itemid", "productid", "product", "sku", "item", "articleid", "stockcode", "asin"),
}

# A date that exists, and a time of day with or without its zone.
_LONG_MONTHS = r"(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
_SHORT_MONTHS = r"(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
_FEBRUARY = r"02-(?:0[1-9]|1\d|2[0-8])"
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_DATE = rf"(?:\d{{4}}-(?:{_LONG_MONTHS}|{_SHORT_MONTHS}|{_FEBRUARY})|{_LEAP_YEAR}-02-29)"
_ZONE = r"(?:Z| ?UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)"
_TIME_OF_DAY = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?"
_ISO_8601 = rf"^{_DATE}(?:[ T]{_TIME_OF_DAY}{_ZONE}?)?$"
_ZONED = rf":\d\d.*{_ZONE}$"


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


def read_events(
    table: pa.Table,
    *,
    columns: Mapping[str, str] | None,
    unit: str | None,
    at: int | None,
    event_types: Mapping[str, str] | None,
    itemless: Collection[str],
    text_ids: bool,
) -> Reading:
    """Check a table of events column by column; see `EventLog` for what is accepted."""
    if table.num_rows == 0:
        raise errors.log.no_rows("the log")
    table, ignored = _rename(table, columns or {})
    if text_ids:
        table = ids_as_text(table)
    refused = Refused(np.zeros(table.num_rows, np.uint8))
    codes: dict[str, np.ndarray] = {}
    dictionaries: dict[str, pa.Array] = {}
    for column in ID_COLUMNS:
        if column in table.column_names:
            with _naming(column):
                codes[column], dictionaries[column] = encode_ids(table[column], column, refused)
    if "event_type" in table.column_names:
        with _naming("event_type"):
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
            with _naming(name):
                numbers[name] = _read_numbers(table[name], name, refused)
    relabelled = _relabel_returns(codes, dictionaries, numbers)
    time_kind: Literal["timestamp", "position", "set"] = "set"
    if "timestamp" in table.column_names:
        time_kind = "timestamp"
        with _naming("timestamp"):
            numbers["time"] = _read_times(table["timestamp"], unit, refused)
    elif "position" in table.column_names:
        time_kind = "position"
        with _naming("position"):
            numbers["time"] = _read_positions(table["position"], refused)
    if at is not None and time_kind == "timestamp":
        refused.add(numbers["time"] > at, "timestamp", f"after {spell(at)}, the `at` that was given")
    return Reading(table, codes, dictionaries, numbers, time_kind, relabelled, refused, ignored)


@contextmanager
def _naming(column: str) -> Iterator[None]:
    """Name the column in what Arrow itself refuses, such as text that is not UTF-8."""
    try:
        yield
    except pa.ArrowException as error:
        raise errors.log.arrow_refused(str(error), column) from error


def ids_as_text(table: pa.Table) -> pa.Table:
    """Write integer ids as text, so that a log's ids have one type whatever a file happens to hold."""
    for place, name in enumerate(table.column_names):
        if name in ID_COLUMNS and pa.types.is_integer(table[name].type):
            table = table.set_column(place, name, table[name].cast(pa.large_string()))
    return table


def encode_ids(array: pa.ChunkedArray, column: str, refused: Refused) -> tuple[np.ndarray, pa.Array]:
    """Turn a column of ids into codes, int32 with -1 for null, and distinct int64 or NFC strings."""
    kind = array.type.value_type if pa.types.is_dictionary(array.type) else array.type
    expected = "ids as integers or strings"
    if pa.types.is_null(kind):
        return np.full(len(array), -1, np.int32), pa.array([], pa.large_string())
    if pa.types.is_floating(kind):
        raise errors.log.float_ids(column)
    if not is_text(kind) and not pa.types.is_integer(kind):
        hint = "True and False are no ids; was another column meant?" if pa.types.is_boolean(kind) else ""
        raise errors.log.wrong_type(column, kind, expected, hint)
    if not pa.types.is_dictionary(array.type):
        array = decoded(array).dictionary_encode()
    chunks = array.chunks or [pa.array([], array.type)]
    # Unifying goes through the whole dictionary once a chunk, and is mostly not needed: what Arrow encodes
    # itself shares one dictionary already.
    if not all(chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks):
        chunks = array.unify_dictionaries().chunks
    dictionary = chunks[0].dictionary
    indices = pa.chunked_array([chunk.indices.cast(pa.int32()) for chunk in chunks])
    codes = pc.fill_null(indices, -1).to_numpy()
    if is_text(kind):
        dictionary = to_nfc(dictionary)
    else:
        try:
            dictionary = dictionary.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise errors.log.large_ids(column) from error
    distinct = pc.drop_null(pc.unique(dictionary))
    if is_text(kind):
        # An empty id is a missing id: as an id it would make one customer of all who have none.
        distinct = distinct.filter(pc.not_equal(distinct, ""))
    if len(distinct) < len(dictionary):  # two spellings of one id, or a missing one
        places = pc.fill_null(pc.index_in(dictionary, value_set=distinct), -1).to_numpy(zero_copy_only=False)
        codes = np.append(places, np.int32(-1))[codes]
    if is_text(kind):
        too_long = pc.greater(pc.binary_length(distinct), _LONGEST_ID).to_numpy(zero_copy_only=False)
        if too_long.any():
            mask = np.append(too_long, False)[codes]
            refused.add(mask, column, f"an id of more than {_LONGEST_ID:,} bytes")
    return codes, distinct


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


def _read_numbers(array: pa.ChunkedArray, column: str, refused: Refused) -> np.ndarray:
    array = decoded(array)
    if is_text(array.type):
        array = _parse_numbers(array.cast(pa.large_string()), column, refused)
    kind = array.type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_null(kind)
    ):
        raise errors.log.wrong_type(column, kind, "numbers")
    values: np.ndarray = pc.fill_null(array.cast(pa.float64(), safe=False), np.nan).to_numpy()
    refused.add(np.isinf(values), column, "infinite")
    return values


def _parse_numbers(array: pa.ChunkedArray, column: str, refused: Refused) -> pa.ChunkedArray:
    """Read numbers written as text, where at least half of a column is; refuse what is no number.

    A single bad cell makes text of a whole column in a CSV file, and should cost its own row alone.
    """
    text = pc.utf8_trim_whitespace(array)
    text = pc.if_else(pc.equal(text, ""), None, text)
    is_number = pc.fill_null(
        pc.match_substring_regex(text, r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"), False
    )
    n_numbers = pc.sum(is_number).as_py() or 0
    if 2 * n_numbers < len(text) - text.null_count or not n_numbers:
        raise errors.log.wrong_type(column, "string", "numbers")
    refused.add(text.is_valid().to_numpy() & ~is_number.to_numpy(), column, "no number")
    return pc.if_else(is_number, text, None).cast(pa.float64())


def _read_positions(array: pa.ChunkedArray, refused: Refused) -> np.ndarray:
    array = decoded(array)
    if pa.types.is_null(array.type):
        array = array.cast(pa.int64())
    if not pa.types.is_integer(array.type):
        hint = 'times go into a column named "timestamp".' if pa.types.is_temporal(array.type) else ""
        raise errors.log.wrong_type("position", array.type, "integers that order a customer's events", hint)
    refused.add(array.is_null().to_numpy(), "position", "null")
    values = pc.fill_null(array, 0).to_numpy()
    if array.type == pa.uint64():
        refused.add(values >= 2**63, "position", "beyond 64 bits with a sign")
    return np.asarray(values.astype(np.int64))


def _read_times(array: pa.ChunkedArray, unit: str | None, refused: Refused) -> np.ndarray:
    """Read times of any kind as microseconds since 1970; refused ones come back as 0."""
    column = "timestamp"
    array = decoded(array)
    if is_text(array.type):
        array = _parse_times(array.cast(pa.large_string()), refused)
    kind = array.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if pa.types.is_timestamp(kind):
        read = kind.unit
    elif pa.types.is_date(kind) or pa.types.is_null(kind):
        array, read = array.cast(pa.timestamp("ms")), "ms"
    elif numeric:
        read = unit or "s"
    else:
        raise errors.log.wrong_type(column, kind, "times, dates, text in ISO 8601 or numbers with unit=")
    refused.add(array.is_null().to_numpy(), column, "null")
    if pa.types.is_floating(kind):
        raw = pc.fill_null(array.cast(pa.float64()), np.nan).to_numpy()
        refused.add(~np.isfinite(raw), column, "not a number")
    else:
        raw = pc.fill_null(array if kind == pa.uint64() else array.cast(pa.int64()), 0).to_numpy()
    scale = _PER_SECOND[read]
    with np.errstate(invalid="ignore"):
        bad = (refused.code == 0) & ~((raw >= EARLIEST // 10**6 * scale) & (raw < LATEST // 10**6 * scale))
    if bad.any():
        _refuse_times(raw[bad], bad, read, refused, numeric=numeric)
    raw = np.where(refused.code == 0, raw, 0)
    if pa.types.is_floating(kind):
        return np.rint(raw * (1_000_000 / scale)).astype(np.int64)
    raw = raw.astype(np.int64, copy=False)
    return raw // (scale // 1_000_000) if scale > 1_000_000 else raw * (1_000_000 // scale)


def _refuse_times(raw: np.ndarray, bad: np.ndarray, read: str, refused: Refused, *, numeric: bool) -> None:
    seconds = np.array([raw.min(), raw.max()], np.float64) / _PER_SECOND[read]
    # Calendar years where the calendar reaches, years of the mean length beyond.
    near = (
        np.clip(seconds, -1e11, 1e11).astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    )
    far = np.floor(1970 + seconds / 31_556_952)
    first, last = (int(year) for year in np.where(np.abs(seconds) < 1e11, near, far))

    def plausible(unit: str) -> bool:
        seconds = raw.astype(np.float64) / _PER_SECOND[unit]
        return bool(((seconds >= EARLIEST / 10**6) & (seconds < LATEST / 10**6)).mean() > 0.5)

    fitting = next((unit for unit in _PER_SECOND if unit != read and plausible(unit)), None)
    refused.add(
        bad,
        "timestamp",
        "outside the years 1990 to 2200",
        lambda rows, count, _hint: errors.log.implausible_times(
            "timestamp", (first, last), rows, count, (read, fitting), numeric=numeric
        ),
    )


def _parse_times(array: pa.ChunkedArray, refused: Refused) -> pa.ChunkedArray:
    """Read ISO 8601 text, with or without zones, row by row apart; what is no time is refused."""
    text = pc.utf8_trim_whitespace(array)
    valid = pc.fill_null(pc.match_substring_regex(text, _ISO_8601), False)
    refused.add(array.is_valid().to_numpy() & ~valid.to_numpy(), "timestamp", "no time in ISO 8601")
    text = pc.if_else(valid, text, None)
    text = pc.replace_substring_regex(text, pattern=r"(\.\d{1,6})\d*", replacement=r"\1")
    text = pc.replace_substring_regex(text, pattern=" ?UTC$", replacement="Z")
    zoned = pc.match_substring_regex(text, _ZONED)
    with_zone = pc.if_else(zoned, text, None).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pc.coalesce(with_zone, pc.if_else(zoned, None, text).cast(pa.timestamp("us")))
