"""Vocabulary: external ids and their dense indices, exact about types, ready to be mapped from a file."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from engagelib.errors.log import large_ids, mixed_ids, unencodable
from engagelib.strings import StringColumn, as_view, decoded, hash_bytes, is_text, to_nfc

if TYPE_CHECKING:
    import pyarrow as pa

Id = int | str

# 2**64 divided by the golden ratio: its product's upper bits spread any regular pattern of hashes
# (Knuth, The Art of Computer Programming 3, section 6.4).
_GOLDEN = 0x9E37_79B9_7F4A_7C15
_WORD = 2**64 - 1


class Vocabulary:
    """The distinct ids of one namespace in sorted order: integers by value, strings by code point.

    An id is compared by type and value, so `1` and `"1"` are two ids; strings are brought to Unicode's
    NFC first, and never folded in any other way. All that a lookup needs lies in arrays: opening a
    vocabulary of ten million ids reads nothing, and finding one id takes a few microseconds.

    Use `Vocabulary.from_values`; the constructor trusts what it is given.

    Parameters
    ----------
    values
        Sorted and distinct: int64 of shape (n,), or a `StringColumn`.
    bucket_starts, bucket_order
        Places of the ids, grouped by the upper bits of their hash: bucket `b` holds
        `bucket_order[bucket_starts[b]:bucket_starts[b + 1]]`. Built where not given.
    """

    __slots__ = (
        "_length",
        "_numbers",
        "_order",
        "_shift",
        "_starts",
        "_texts",
        "bucket_order",
        "bucket_starts",
        "values",
    )

    def __init__(
        self,
        values: "np.ndarray | StringColumn",
        bucket_starts: np.ndarray | None = None,
        bucket_order: np.ndarray | None = None,
    ) -> None:
        self.values = values
        self._length = len(values)
        if bucket_starts is None or bucket_order is None:
            bucket_starts, bucket_order = _buckets(_hashes(values))
        self.bucket_starts = bucket_starts
        self.bucket_order = bucket_order
        self._shift = 64 - ((len(bucket_starts) - 1).bit_length() - 1)
        # A memoryview gives plain integers about three times as fast as indexing an array.
        self._starts = as_view(bucket_starts)
        self._order = as_view(bucket_order)
        self._texts = values if isinstance(values, StringColumn) else None
        self._numbers = as_view(values) if isinstance(values, np.ndarray) else None

    @classmethod
    def from_values(cls, values: Any) -> Self:
        """Collect distinct ids from a list, an array or an Arrow array; nulls are left out.

        Raises
        ------
        SchemaError
            If integers and strings are mixed, an id is neither, or one does not fit 64 bits or UTF-8.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = list(values)
            check_one_kind(values)
            try:
                values = pa.array(values)
            except OverflowError as error:
                raise large_ids() from error
            except UnicodeEncodeError as error:
                raise unencodable() from error
        values = decoded(values)
        if not (is_text(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
            raise mixed_ids([str(values.type)])
        if pa.types.is_integer(values.type):
            try:
                return cls(np.sort(pc.drop_null(pc.unique(values)).cast(pa.int64()).to_numpy()))
            except pa.ArrowInvalid as error:
                raise large_ids() from error
        values = pc.drop_null(pc.unique(values.cast(pa.large_string())))
        normal = pc.unique(to_nfc(values))
        return cls(StringColumn.from_arrow(normal.take(pc.sort_indices(normal))))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Take back what `to_arrays` gave, mapped or in memory, without a copy."""
        values = arrays["values"] if "values" in arrays else StringColumn.from_arrays(arrays)
        return cls(values, arrays["bucket_starts"], arrays["bucket_order"])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return everything that a lookup needs, by name, for the store."""
        values = self.values
        stored = {"values": values} if isinstance(values, np.ndarray) else values.to_arrays()
        return {**stored, "bucket_starts": self.bucket_starts, "bucket_order": self.bucket_order}

    def to_arrow(self) -> "pa.Array":
        """Return the ids as an Arrow array, int64 or large_string, in index order."""
        import pyarrow as pa

        values = self.values
        return pa.array(values) if isinstance(values, np.ndarray) else values.to_arrow()

    @property
    def kind(self) -> Literal["int", "str"]:
        """The type of the ids."""
        return "str" if self._numbers is None else "int"

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Id:
        if index < 0 or index >= len(self):
            raise IndexError(f"index {index} is outside a vocabulary of {len(self):,} ids")
        return self.ids([index])[0]

    def __iter__(self) -> Iterator[Id]:
        return map(self.__getitem__, range(len(self)))

    def __contains__(self, id_: object) -> bool:
        return self.find(id_) >= 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary) or self.kind != other.kind or len(self) != len(other):
            return False
        mine, theirs = self.to_arrays(), other.to_arrays()
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(repr(self[index]) for index in range(min(3, len(self))))
        return f"Vocabulary({len(self):,} ids: {shown}{', ...' if len(self) > 3 else ''})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process as arrays; its views of them are made anew there."""
        return type(self), (self.values, self.bucket_starts, self.bucket_order)

    def subset(self, keep: np.ndarray) -> "Vocabulary":
        """Return the ids of a mask, bool of shape (n,), as a vocabulary of their own."""
        if isinstance(self.values, np.ndarray):
            return Vocabulary(self.values[keep])
        import pyarrow as pa

        return Vocabulary(StringColumn.from_arrow(self.values.to_arrow().filter(pa.array(keep))))

    def find(self, id_: object) -> int:
        """Return the index of one id, or -1 where it is unknown or of another type."""
        if self._texts is not None:
            return self._find_text(self._texts, id_) if isinstance(id_, str) else -1
        if isinstance(id_, bool) or not isinstance(id_, int | np.integer):
            return -1
        numbers, number = self._numbers, int(id_)
        assert numbers is not None  # a vocabulary holds one or the other
        for place in self._bucket(number):
            if numbers[place] == number:
                return place
        return -1

    def _find_text(self, texts: StringColumn, text: str) -> int:
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        try:
            raw = text.encode()
        except UnicodeEncodeError:  # a lone surrogate stands in no UTF-8 file
            return -1
        for place in self._bucket(hash_bytes(raw)):
            if texts.bytes_at(place) == raw:
                return place
        return -1

    def _bucket(self, hashed: int) -> Iterable[int]:
        bucket = ((hashed * _GOLDEN) & _WORD) >> self._shift
        return self._order[self._starts[bucket] : self._starts[bucket + 1]]

    def indices(self, ids: Any) -> np.ndarray:
        """Return the index of each id, int32, -1 where it is unknown or of another type.

        Parameters
        ----------
        ids
            Another `Vocabulary`, a sequence, an array or an Arrow array.
        """
        if type(ids).__module__.startswith("pyarrow"):
            ids = decoded(ids)
            if ids.null_count:
                result = np.full(len(ids), -1, np.int32)
                result[ids.is_valid().to_numpy(zero_copy_only=False)] = self.indices(ids.drop_null())
                return result
        elif not hasattr(ids, "__len__"):
            ids = list(ids)
        column = _id_column(ids)
        if column is None:  # types differ from id to id: exact, one by one
            each = ids.to_pylist() if hasattr(ids, "to_pylist") else ids
            return np.fromiter(map(self.find, each), np.int32, len(ids))
        result = np.full(len(column), -1, np.int32)
        if not len(self) or not len(column) or isinstance(column, np.ndarray) != (self.kind == "int"):
            return result
        bucket = _bucket_of(_hashes(column), self._shift)
        low, high = self.bucket_starts[bucket], self.bucket_starts[bucket + 1]
        active = np.flatnonzero(low < high)
        while len(active):
            place = self.bucket_order[low[active]]
            if isinstance(column, np.ndarray):
                same = np.asarray(self.values)[place] == column[active]
            else:
                assert self._texts is not None  # the kinds are the same
                same = self._texts.equal(place, column, active)
            result[active[same]] = place[same]
            low[active] += 1
            active = active[~same & (low[active] < high[active])]
        return result

    def ids(self, index: Iterable[int]) -> list[Id]:
        """Return the ids at these indices, as built-in integers or strings."""
        if self._texts is not None:
            return list(self._texts.take(index))
        assert self._numbers is not None  # a vocabulary holds one or the other
        return [self._numbers[place] for place in index]


def check_one_kind(ids: Sequence[object], column: str = "") -> None:
    """Refuse ids of more than one type, or of a type that no id can have; None is left out."""
    kinds = set(map(type, ids)) - {type(None)}
    texts = {kind for kind in kinds if issubclass(kind, str)}
    numbers = {kind for kind in kinds if issubclass(kind, int | np.integer) and kind is not bool}
    if (texts and numbers) or kinds - texts - numbers:
        raise mixed_ids(sorted(kind.__name__ for kind in kinds), column)


def _id_column(ids: Any) -> "np.ndarray | StringColumn | None":
    """Bring ids into one of the two storage forms, or return None where that would lose their types."""
    if isinstance(ids, Vocabulary):
        return ids.values
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        return ids.astype(np.int64) if ids.dtype != np.uint64 or ids.max(initial=0) < 2**63 else None
    if isinstance(ids, np.ndarray) and ids.dtype.kind not in "OU":  # `tolist` turns some dates into integers
        return None
    if type(ids).__module__.startswith("pyarrow"):
        return _arrow_column(ids)
    values: list[Any] = ids.tolist() if hasattr(ids, "tolist") else list(ids)
    kinds = set(map(type, values))
    if kinds == {str}:
        if not "".join(values).isascii():
            values = list(map(partial(unicodedata.normalize, "NFC"), values))
        try:
            return StringColumn.from_strings(values)
        except UnicodeEncodeError:  # a lone surrogate stands in no UTF-8 file
            return None
    if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        return np.array(values, np.int64)
    return None


def _arrow_column(ids: Any) -> "np.ndarray | StringColumn | None":
    import pyarrow as pa

    if is_text(ids.type):
        return StringColumn.from_arrow(to_nfc(ids))
    if pa.types.is_integer(ids.type) and ids.type != pa.uint64():
        numbers: np.ndarray = ids.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return numbers
    return None


def _hashes(values: "np.ndarray | StringColumn") -> np.ndarray:
    return values.astype(np.uint64) if isinstance(values, np.ndarray) else values.hashes()


def _bucket_of(hashes: np.ndarray, shift: int) -> np.ndarray:
    return (hashes * np.uint64(_GOLDEN) >> np.uint64(shift)).astype(np.int64)


def _buckets(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group places by hash: about one id in a bucket, the number of buckets a power of two."""
    bits = max(1, (len(hashes) - 1).bit_length())
    bucket = _bucket_of(hashes, 64 - bits)
    starts = np.zeros(2**bits + 1, np.int32)
    np.cumsum(np.bincount(bucket, minlength=2**bits), out=starts[1:])
    return starts, np.argsort(bucket, kind="stable").astype(np.int32)
