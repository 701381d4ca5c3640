"""What the readers of published files share: columns by name, each checked and brought to one type."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engagelib import errors
from engagelib.frames import Refused, read_numbers
from engagelib.strings import decoded, is_text


class Published:
    """A table of a published data set, from which columns are taken one by one."""

    def __init__(self, table: pa.Table, what: str, needed: Sequence[str]) -> None:
        self.table, self.what = table, what
        missing = [name for name in needed if name not in table.column_names]
        if missing:
            raise errors.datasets.missing_columns(
                what, missing, [name for name in table.column_names if name]
            )

    def numbers(self, name: str, good: Callable[[np.ndarray], np.ndarray], expected: str) -> np.ndarray:
        """Return a column as float64; refuse it with its first value that is not good."""
        refused = Refused(np.zeros(len(self.table), np.int32))
        values = read_numbers(self.table[name], name, refused)
        refused.raise_first("expected the file as it was published.")
        self._check(name, np.asarray(good(values)), expected)
        return values

    def whole(self, name: str, least: int, most: int, expected: str) -> np.ndarray:
        """Return a column as int64, of whole numbers within bounds."""

        def good(values: np.ndarray) -> np.ndarray:
            return np.asarray((values >= least) & (values <= most) & (values == np.floor(values)))

        return self.numbers(name, good, expected).astype(np.int64)

    def texts(self, name: str, among: Collection[str] = ()) -> pa.ChunkedArray:
        """Return a column as text without nulls, of these values where they are told."""
        column = decoded(self.table[name])
        if not is_text(column.type) and not pa.types.is_null(column.type):
            raise errors.log.wrong_type(name, column.type, "text")
        column = column.cast(pa.large_string())
        good = column.is_valid()
        if among:
            good = pc.is_in(column, value_set=pa.array(sorted(among), pa.large_string()))
        self._check(name, good.to_numpy(), f"one of {', '.join(sorted(among))}" if among else "a text")
        return column

    def _check(self, name: str, good: np.ndarray, expected: str) -> None:
        rows = np.flatnonzero(~good)
        if len(rows):
            row = int(rows[0])
            given = self.table[name][row].as_py()
            raise errors.datasets.bad_values(self.what, name, len(rows), row, given, expected)
