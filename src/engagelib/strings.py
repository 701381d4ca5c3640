"""Many strings as two arrays, which can be mapped from a file: the storage under ids and titles."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

# Every column starts with this many zero bytes, so that reading one chunk before a string's first byte
# stays inside the buffer.
_CHUNK = 4

# A prime without structure just below 2**31: a remainder shifted by one chunk still fits in 63 bits.
_PRIME = 1_911_520_727

# Strings beyond this many bytes are taken one by one: a single one of a megabyte would otherwise need a
# quarter of a million passes over the column.
_LONG = 4096


class StringColumn:
    """Strings in UTF-8, one after the other, with the place where each begins.

    Parameters
    ----------
    offsets
        int64, shape (n + 1,), non-decreasing: string `i` is `data[offsets[i]:offsets[i + 1]]`.
    data
        uint8; the first four bytes belong to no string.
    """

    __slots__ = ("_data_view", "_offsets_view", "data", "offsets")

    def __init__(self, offsets: np.ndarray, data: np.ndarray) -> None:
        self.offsets = offsets
        self.data = data
        self._offsets_view = as_view(offsets)
        self._data_view = as_view(data)

    @classmethod
    def from_strings(cls, strings: Sequence[str]) -> Self:
        """Store a sequence of Python strings; `UnicodeEncodeError` where one holds a lone surrogate."""
        joined = "".join(strings)
        if joined.isascii():
            raw = joined.encode()
            lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        else:
            encoded = list(map(str.encode, strings))
            raw = b"".join(encoded)
            lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        data = np.zeros(_CHUNK + len(raw), np.uint8)
        data[_CHUNK:] = np.frombuffer(raw, np.uint8)
        offsets = np.full(len(lengths) + 1, _CHUNK, np.int64)
        offsets[1:] += np.cumsum(lengths)
        return cls(offsets, data)

    @classmethod
    def from_arrow(cls, array: "pa.Array | pa.ChunkedArray") -> Self:
        """Store an Arrow array of any string type; nulls become empty strings."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
            if isinstance(array, pa.ChunkedArray):  # no chunk at all, in older versions of Arrow
                array = (
                    pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.large_string())
                )
        array = array.cast(pa.large_string())
        if array.null_count:
            array = pc.fill_null(array, "")
        _, offset_buffer, data_buffer = array.buffers()
        if not len(array):
            return cls.from_strings([])
        found = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
        data = np.zeros(_CHUNK + int(found[-1] - found[0]), np.uint8)
        if data_buffer is not None:
            data[_CHUNK:] = np.frombuffer(data_buffer, np.uint8)[found[0] : found[-1]]
        return cls(found - (found[0] - _CHUNK), data)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave, mapped or in memory, without a copy."""
        return cls(arrays["offsets"], arrays["data"])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the two arrays by name, for the store."""
        return {"offsets": self.offsets, "data": self.data}

    def to_arrow(self) -> "pa.LargeStringArray":
        """Return an Arrow array over the same memory; `ArrowInvalid` where the two arrays contradict."""
        import pyarrow as pa

        buffers = (pa.py_buffer(np.ascontiguousarray(part)) for part in (self.offsets, self.data))
        array = pa.LargeStringArray.from_buffers(len(self), *buffers)
        array.validate(full=True)  # Arrow trusts its buffers, and would read beyond altered ones
        return array

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as arrays; its views of them are made anew there."""
        return type(self), (self.offsets, self.data)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return str(self.bytes_at(index), "utf-8")

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def bytes_at(self, index: int) -> memoryview:
        """Return the UTF-8 bytes of one string, without a copy."""
        return self._data_view[self._offsets_view[index] : self._offsets_view[index + 1]]

    def take(self, index: Iterable[int]) -> list[str]:
        """Return the strings at these places, as a list."""
        data, offsets = self._data_view, self._offsets_view
        return [str(data[offsets[place] : offsets[place + 1]], "utf-8") for place in index]

    def lengths(self) -> np.ndarray:
        """Return each string's length in bytes, int64."""
        return np.diff(self.offsets)

    def hashes(self) -> np.ndarray:
        """Hash each string as `hash_bytes` does one, uint64."""
        result = np.zeros(len(self), np.uint64)
        prime, power = np.uint64(_PRIME), 1
        left, ends = self.lengths(), self.offsets[1:]
        for long in np.flatnonzero(left > _LONG).tolist():
            result[long] = hash_bytes(self.bytes_at(long))
        active = np.flatnonzero(left <= _LONG)
        place = 0
        while len(active):
            chunk, more = self._chunks(ends[active], left[active], place)
            result[active] = (result[active] + chunk * np.uint64(power)) % prime
            power = power * 2**32 % _PRIME
            active = active[more]
            place += 1
        return result

    def equal(self, index: np.ndarray, other: "StringColumn", other_index: np.ndarray) -> np.ndarray:
        """Say for each pair of places whether the strings there are the same, byte for byte."""
        mine, theirs = self.lengths()[index], other.lengths()[other_index]
        result: np.ndarray = mine == theirs
        for long in np.flatnonzero(result & (mine > _LONG)).tolist():
            result[long] = self.bytes_at(index[long]) == other.bytes_at(other_index[long])
        active = np.flatnonzero(result & (mine <= _LONG))
        place = 0
        while len(active):
            left, left_more = self._chunks(self.offsets[index[active] + 1], mine[active], place)
            right, _ = other._chunks(other.offsets[other_index[active] + 1], theirs[active], place)
            same = left == right
            result[active[~same]] = False
            active = active[same & left_more]
            place += 1
        return result

    def _chunks(self, ends: np.ndarray, lengths: np.ndarray, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the four bytes that end `4 * place` before each end, as big-endian numbers.

        The chunk that holds a string's first byte carries a 1 before it, so that leading zero bytes
        count. Also returned: whether the string goes on beyond this chunk.
        """
        windows = np.ndarray((len(self.data) - _CHUNK + 1,), ">u4", self.data, strides=(1,))
        chunk = windows[ends - _CHUNK * (place + 1)].astype(np.uint64)
        left = lengths - _CHUNK * place
        more = left >= _CHUNK
        one = np.uint64(1) << (np.uint64(8) * np.clip(left, 0, _CHUNK - 1).astype(np.uint64))
        return np.where(more, chunk, (chunk & (one - np.uint64(1))) | one), more


def hash_bytes(text: bytes | memoryview) -> int:
    """Hash one UTF-8 string: its bytes behind a 1, read as a big-endian number, modulo a prime.

    One division of a long integer is the fastest hash that Python computes alike in every process and
    NumPy can repeat for many strings at once.
    """
    return int.from_bytes(b"\x01" + text, "big") % _PRIME


def to_nfc(values: "pa.Array | pa.ChunkedArray") -> "pa.Array":
    """Bring strings to Unicode's NFC, as one Arrow array of large_string; nulls stay.

    Python's own tables do it, for the strings that are not ASCII alone: a lookup uses the same tables, and
    Arrow's `utf8_normalize` left "e" and an accent apart up to version 22.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a string is not UTF-8.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = values.cast(pa.large_string())
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], pa.large_string())
    others = pc.invert(pc.fill_null(pc.string_is_ascii(values), fill_value=True))
    if not pc.any(others).as_py():
        return values
    try:
        texts = values.filter(others).to_pylist()
    except UnicodeDecodeError as error:
        raise pa.ArrowInvalid(f"Invalid UTF8 sequence ({error.reason})") from error
    normal = pa.array(list(map(partial(unicodedata.normalize, "NFC"), texts)), pa.large_string())
    return pc.replace_with_mask(values, others, normal)


def as_view(array: np.ndarray) -> memoryview:
    """Look at an array through Python's own eyes: one element is then a built-in number, and quick to get."""
    return memoryview(np.ascontiguousarray(array))  # type: ignore[arg-type]


def is_text(kind: "pa.DataType") -> bool:
    """Say whether an Arrow type is text in any of its layouts."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view")


def decoded(array: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    """Return an Arrow array without dictionaries and string views, which some of Arrow's functions lack."""
    import pyarrow as pa

    of_codes = pa.types.is_dictionary(array.type)
    kind = array.type.value_type if of_codes else array.type
    kind = pa.large_string() if str(kind) == "string_view" else kind
    if not of_codes:
        return array if array.type == kind else array.cast(kind)
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return pa.chunked_array([chunk.dictionary.cast(kind).take(chunk.indices) for chunk in chunks], kind)
