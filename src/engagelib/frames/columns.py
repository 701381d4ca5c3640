"""Columns: ids, numbers and times of any table, checked and brought to one form each."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.frames.refused import Refused
from engagelib.strings import decoded, is_text, to_nfc
from engagelib.times import EARLIEST, LATEST

_LONGEST_ID: Final = 1024
_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

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


@contextmanager
def naming(column: str) -> Iterator[None]:
    """Name the column in what Arrow itself refuses, such as text that is not UTF-8."""
    try:
        yield
    except pa.ArrowException as error:
        raise errors.log.arrow_refused(str(error), column) from error


def ids_as_text(table: pa.Table, names: Collection[str]) -> pa.Table:
    """Write integer ids as text, so that a log's ids have one type whatever a file happens to hold."""
    for place, name in enumerate(table.column_names):
        if name in names and pa.types.is_integer(table[name].type):
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


def read_numbers(array: pa.ChunkedArray, column: str, refused: Refused) -> np.ndarray:
    """Read numbers, or text that is mostly numbers, as float64 with NaN for null; infinity is refused."""
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


def read_positions(array: pa.ChunkedArray, refused: Refused) -> np.ndarray:
    """Read a column of positions as int64; null is refused."""
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


def read_times(
    array: pa.ChunkedArray,
    unit: str | None,
    refused: Refused,
    *,
    column: str = "timestamp",
    null: int | None = None,
) -> np.ndarray:
    """Read times of any kind as microseconds since 1970; refused ones come back as 0.

    `unit` is that of numbers, seconds where it is None. A null is refused, or becomes what `null` says.
    """
    array = decoded(array)
    if is_text(array.type):
        array = _parse_times(array.cast(pa.large_string()), column, refused)
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
    is_null = array.is_null().to_numpy()
    if null is None:
        refused.add(is_null, column, "null")
    if pa.types.is_floating(kind):
        raw = pc.fill_null(array.cast(pa.float64()), np.nan).to_numpy()
        is_null |= np.isnan(raw) & (null is not None)
        refused.add(~np.isfinite(raw) & ~is_null, column, "not a number")
    else:
        raw = pc.fill_null(array if kind == pa.uint64() else array.cast(pa.int64()), 0).to_numpy()
    scale = _PER_SECOND[read]
    with np.errstate(invalid="ignore"):
        bad = (
            ~is_null
            & (refused.code == 0)
            & ~((raw >= EARLIEST // 10**6 * scale) & (raw < LATEST // 10**6 * scale))
        )
    if bad.any():
        _refuse_times(raw[bad], bad, read, column, refused, numeric=numeric)
    raw = np.where((refused.code == 0) & ~is_null, raw, 0)
    if pa.types.is_floating(kind):
        micros = np.rint(raw * (1_000_000 / scale)).astype(np.int64)
    else:
        raw = raw.astype(np.int64, copy=False)
        micros = raw // (scale // 1_000_000) if scale > 1_000_000 else raw * (1_000_000 // scale)
    return micros if null is None else np.where(is_null, null, micros)


def _refuse_times(
    raw: np.ndarray, bad: np.ndarray, read: str, column: str, refused: Refused, *, numeric: bool
) -> None:
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
        column,
        "outside the years 1990 to 2200",
        lambda rows, count, hint: errors.log.implausible_times(
            column, (first, last), rows, count, (read, fitting), numeric=numeric, hint=hint
        ),
    )


def _parse_times(array: pa.ChunkedArray, column: str, refused: Refused) -> pa.ChunkedArray:
    """Read ISO 8601 text, with or without zones, row by row apart; what is no time is refused."""
    text = pc.utf8_trim_whitespace(array)
    valid = pc.fill_null(pc.match_substring_regex(text, _ISO_8601), False)
    refused.add(array.is_valid().to_numpy() & ~valid.to_numpy(), column, "no time in ISO 8601")
    text = pc.if_else(valid, text, None)
    text = pc.replace_substring_regex(text, pattern=r"(\.\d{1,6})\d*", replacement=r"\1")
    text = pc.replace_substring_regex(text, pattern=" ?UTC$", replacement="Z")
    zoned = pc.match_substring_regex(text, _ZONED)
    with_zone = pc.if_else(zoned, text, None).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return pc.coalesce(with_zone, pc.if_else(zoned, None, text).cast(pa.timestamp("us")))
