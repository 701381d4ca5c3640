"""Small tables for people: aligned text for terminals, HTML for notebooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from numbers import Integral, Real
from textwrap import wrap
from typing import Any, Final

Cell = str | int | float | None

_WIDEST: Final = 100


@dataclass(frozen=True, repr=False)
class Table:
    """Rows under headings: `str()` aligns them as text, a notebook shows them as HTML."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""

    def __str__(self) -> str:
        return text_table(self.columns, self.rows, title=self.title)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.columns, self.rows, title=self.title)

    def to_records(self) -> list[dict[str, Any]]:
        """Return the rows as mappings of built-in types."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, title: str = "") -> str:
    """Align rows under their headings; numbers stand to the right, empty cells are blank.

    Text of more than 100 characters goes on in lines below.
    """
    shown = [line for row in rows for line in _folded(row)]
    right = [_is_numeric(rows, place) for place in range(len(columns))]
    widths = [
        max(len(heading), *(len(row[place]) for row in shown)) if shown else len(heading)
        for place, heading in enumerate(columns)
    ]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(padded).rstrip()

    lines = [title] if title else []
    if any(columns):
        lines += [line(columns), "  ".join("-" * width for width in widths)]
    return "\n".join(lines + [line(row) for row in shown])


def _folded(row: Sequence[Cell]) -> list[list[str]]:
    """Return the lines that the cells of a row take: texts are folded, numbers never."""
    cells = [_spell(cell) for cell in row]
    if not any(isinstance(cell, str) and len(cell) > _WIDEST for cell in row):
        return [cells]
    columns = [
        wrap(cell, _WIDEST, break_on_hyphens=False) if isinstance(given, str) and cell else [cell]
        for cell, given in zip(cells, row, strict=True)
    ]
    # A folded text reads from the left even in a column of numbers.
    columns = [[piece.ljust(max(map(len, pieces))) for piece in pieces] for pieces in columns]
    return [list(line) for line in zip_longest(*columns, fillvalue="")]


def html_table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, title: str = "") -> str:
    """Write the same table as HTML; every cell is escaped."""
    right = [_is_numeric(rows, place) for place in range(len(columns))]
    style = ['style="text-align:right"' if is_right else 'style="text-align:left"' for is_right in right]
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    head = "".join(f"<th {look}>{escape(name)}</th>" for look, name in zip(style, columns, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td {look}>{escape(_spell(cell))}</td>" for look, cell in zip(style, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _is_numeric(rows: Sequence[Sequence[Cell]], place: int) -> bool:
    return any(isinstance(row[place], Real) and not isinstance(row[place], bool) for row in rows)


def _spell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool | str):
        return " ".join(str(cell).splitlines())
    if isinstance(cell, Integral):
        return f"{cell:,}"
    # Four places say nothing of a number that begins behind them.
    return f"{cell:.2e}" if 0 < abs(cell) < 1e-4 else f"{cell:,.4f}"
