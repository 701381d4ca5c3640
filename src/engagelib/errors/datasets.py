"""Wording of what published files are refused for."""

from collections.abc import Iterable

from engagelib.errors._classes import SchemaError
from engagelib.errors._common import listed


def missing_columns(what: str, missing: Iterable[str], found: Iterable[str]) -> SchemaError:
    """Word a file that is not the published one; `what` names the data set."""
    names = list(missing)
    return SchemaError(
        f"{what}: columns missing: {listed(names)}. Found: {listed(found)}. Hint: expected the file as it "
        "was published; was another one meant, or were its columns renamed?",
        column=names[0],
    )


def no_files(what: str, folder: object, expected: str) -> FileNotFoundError:
    """Word a folder without the published files."""
    return FileNotFoundError(f"{what}: {folder} holds no {expected}.")


def bad_values(what: str, column: str, count: int, row: int, given: object, expected: str) -> SchemaError:
    """Word values that the published file has not; `row` is the first, counted from 0."""
    plural = "row" if count == 1 else "rows"
    return SchemaError(
        f"{what}: column {column!r} holds {given!r} in row {row} ({count:,} {plural}): expected {expected}. "
        "Hint: the file may be damaged, or altered since it was published.",
        column=column,
        row=row,
    )
