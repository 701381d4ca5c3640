"""FeatureEncoding: how columns of a table become features, kept so that later tables become the same ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from engagelib import errors

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_VALUES: Final = 256
"""Texts that one column may hold: each becomes a feature."""


@dataclass(frozen=True)
class FeatureEncoding:
    """What each column of a table becomes: numbers stay, booleans are 0 or 1, a text is one feature a value.

    Attributes
    ----------
    columns
        Names of the columns read, in order.
    values
        For a text column, its values in sorted order; an empty tuple for one of numbers or booleans. The
        features of a text column are called "column=value".
    """

    columns: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        found: list[str] = []
        for column, values in zip(self.columns, self.values, strict=True):
            found += [f"{column}={value}" for value in values] or [column]
        return tuple(found)

    @classmethod
    def learn(cls, frame: Any, columns: Iterable[str]) -> Self:
        """Learn the values of text columns from a table.

        Parameters
        ----------
        frame
            Any table that `LoggedDecisions.from_frame` takes.
        columns
            Names of the columns to read.

        Raises
        ------
        SchemaError
            If a column is missing, of a type that is no feature, or a text column of more than 256 values.
        """
        from engagelib.frames import open_table

        chosen = checked_names(columns)
        return cls.from_table(open_table(frame, "frame", ids=()), chosen)

    @classmethod
    def from_table(cls, table: "pa.Table", columns: Sequence[str]) -> Self:
        """Learn the same from an Arrow table."""
        import pyarrow.compute as pc

        values: list[tuple[str, ...]] = []
        for name in columns:
            column = column_of(table, name, "features")
            if not _is_text(column):
                values.append(())
                continue
            distinct = sorted(filter(None, pc.unique(_as_text(column)).to_pylist()))
            if len(distinct) > _MOST_VALUES:
                raise errors.policies.too_many_values(name, len(distinct), _MOST_VALUES)
            # A column without a single text still has to be known as one of texts.
            values.append(tuple(distinct) or ("",))
        return cls(tuple(columns), tuple(values))

    def encode(self, frame: Any) -> np.ndarray:
        """Return the features of each row of a table, float64, shape (n, n_features); NaN is missing.

        A text that was not there when the encoding was learned, an empty one or none, is 0 in all features of
        its column.

        Raises
        ------
        SchemaError
            If a column is missing or of another type than it was, or a number is infinite.
        """
        from engagelib.frames import open_table

        texts = [name for name, values in zip(self.columns, self.values, strict=True) if values]
        return self.encode_table(open_table(frame, "frame", ids=(), texts=texts))

    def encode_table(self, table: "pa.Table") -> np.ndarray:
        """Return the same of an Arrow table."""
        encoded = np.empty((table.num_rows, len(self.names)))
        start = 0
        for name, values in zip(self.columns, self.values, strict=True):
            column = column_of(table, name, "features")
            stop = start + max(len(values), 1)
            if values:
                encoded[:, start:stop] = _one_hot(column, name, values)
            else:
                encoded[:, start] = _numbers(column, name)
            start = stop
        return encoded

    def facts(self) -> dict[str, Any]:
        """Return all that the encoding knows, as JSON holds it."""
        return {"columns": list(self.columns), "values": [list(values) for values in self.values]}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return the encoding of which these are the facts."""
        return cls(tuple(facts["columns"]), tuple(tuple(values) for values in facts["values"]))


def checked_names(columns: Iterable[str]) -> list[str]:
    """Return names of columns to read as features, each once."""
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise errors.bad_argument("features", columns, "a sequence of names of columns")
    chosen = list(columns)
    if len(set(chosen)) < len(chosen):
        raise errors.bad_argument("features", chosen, "each column once")
    return chosen


def column_of(table: "pa.Table", name: str, asked_by: str) -> "pa.ChunkedArray":
    """Return a column that an argument names."""
    n_found = table.column_names.count(name)
    if n_found > 1:
        raise errors.log.repeated_column(name)
    if not n_found:
        raise errors.policies.missing_column(name, asked_by, table.column_names)
    return table[name]


def _is_text(column: "pa.ChunkedArray") -> bool:
    from engagelib.strings import decoded, is_text

    return is_text(decoded(column).type)


def _as_text(column: "pa.ChunkedArray") -> "pa.Array":
    from engagelib.strings import decoded, to_nfc

    return to_nfc(decoded(column))


def _one_hot(column: "pa.ChunkedArray", name: str, values: tuple[str, ...]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_null(column.type):
        return np.zeros((len(column), len(values)))
    if not _is_text(column):
        raise errors.log.wrong_type(name, column.type, "text, as when the encoding was learned")
    place = pc.index_in(_as_text(column), value_set=pa.array(values, pa.large_string()), skip_nulls=True)
    # An empty text is none, as files write it.
    place = pc.if_else(pc.equal(_as_text(column), ""), None, place)
    code = pc.fill_null(place, -1).to_numpy(zero_copy_only=False)
    return np.asarray(code[:, None] == np.arange(len(values)), np.float64)


def _numbers(column: "pa.ChunkedArray", name: str) -> np.ndarray:
    import pyarrow as pa

    from engagelib.frames import Refused, read_numbers

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    refused = Refused(np.zeros(len(column), np.int32))
    if _is_text(column):
        raise errors.log.wrong_type(name, column.type, "numbers, as when the encoding was learned")
    numbers = read_numbers(column, name, refused)
    refused.raise_first("leave out such rows, or put null where a number is unknown.")
    return numbers
