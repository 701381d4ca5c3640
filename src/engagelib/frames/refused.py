"""Refused: the rows of a table that are set aside, each with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from engagelib import errors
from engagelib.strings import decoded


@dataclass
class Refused:
    """The rows that are set aside: a code for each row, 0 where it is kept, and what each code means."""

    code: np.ndarray
    wordings: list[Callable[[Sequence[int], int, str], errors.SchemaError]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def add(
        self,
        mask: np.ndarray,
        column: str,
        reason: str,
        error: Callable[[Sequence[int], int, str], errors.SchemaError] | None = None,
    ) -> None:
        """Set aside the rows of a mask that are not set aside already."""
        mask = mask & (self.code == 0)
        if not mask.any():
            return
        self.wordings.append(
            error or (lambda rows, count, hint: errors.log.bad_rows(column, reason, rows, count, hint))
        )
        self.reasons.append(f"{column}: {reason}")
        self.code[mask] = len(self.reasons)

    def raise_first(self, hint: str = "") -> None:
        """Raise the error of the first reason found, if there is one, with a hint of one's own."""
        if self.wordings:
            rows = np.flatnonzero(self.code == 1)
            raise self.wordings[0](rows[:6].tolist(), len(rows), hint)

    def table(self, table: pa.Table) -> pa.Table:
        """Return the refused rows as they came, each with its row number and reason."""
        rows = np.flatnonzero(self.code)
        reasons = pa.array(self.reasons, pa.string()).take(pa.array(self.code[rows] - 1))
        # A dictionary would carry along the ids of everyone else.
        plain = pa.table({name: _pick(table[name], rows) for name in table.column_names})
        return plain.append_column("row", pa.array(rows, pa.int64())).append_column("reason", reasons)


def _pick(column: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
    if not len(rows):
        return decoded(column.slice(0, 0))
    if str(column.type) == "string_view":  # Arrow can't take rows of these
        column = decoded(column)
    return decoded(column.take(pa.array(rows)))
