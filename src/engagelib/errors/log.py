"""Wording of what a log is refused for. `rows` are the first offending rows, counted from 0."""

from collections.abc import Iterable, Sequence

from engagelib.errors._classes import ArtifactError, NotEnoughDataError, SchemaError
from engagelib.errors._common import listed, sentence


def mixed_ids(kinds: Iterable[str], column: str = "") -> SchemaError:
    """Word ids of more than one type, or of a type that no id can have."""
    return SchemaError(
        f"{_holder(column)} values of type {listed(kinds)}: expected either integers or strings throughout. "
        "Hint: 1 and '1' are two ids; bring the column to one type before reading it.",
        column=column or None,
    )


def large_ids(column: str = "") -> SchemaError:
    """Word integer ids that 64 bits with a sign do not hold."""
    return SchemaError(
        f"{_holder(column)} integers beyond 64 bits: expected ids from -2**63 to 2**63 - 1. "
        "Hint: read such ids as strings.",
        column=column or None,
    )


def unencodable(column: str = "") -> SchemaError:
    """Word text with half a surrogate pair, which Python can hold and UTF-8 can't."""
    return SchemaError(
        f"{_holder(column)} text with a lone surrogate: expected text that UTF-8 can hold. "
        "Hint: it may come from a file decoded as something that it is not.",
        column=column or None,
    )


def _holder(column: str) -> str:
    return f"column {column!r} holds" if column else "the ids hold"


def missing_column(
    column: str,
    found: Iterable[str],
    likely: str | None = None,
    *,
    asked_for: str | None = None,
    renames: bool = True,
    in_index: bool = False,
) -> SchemaError:
    """Word a column that the table does not have: a required one, or one that `columns=` names."""
    if asked_for:
        message = (
            f"column {column!r}, which columns= names as {asked_for!r}, is missing. Found: {listed(found)}."
        )
        return SchemaError(message, column=column)
    hint = (
        f'pass columns={{"{column}": "{likely or "your name for it"}"}}.' if renames else "rename the column."
    )
    hint = "it is the frame's index, which is not read; pass frame.reset_index()." if in_index else hint
    return SchemaError(
        sentence(f"column {column!r} is missing. Found: {listed(found)}.", hint), column=column
    )


def wrong_type(column: str, given: object, expected: str, hint: str = "") -> SchemaError:
    """Word a column whose type can't be what it should hold."""
    return SchemaError(
        sentence(f"column {column!r} is of type {given}: expected {expected}.", hint), column=column
    )


def float_ids(column: str) -> SchemaError:
    """Word a column of ids that are floating-point numbers."""
    hint = (
        "a null among integers often turns them into floats, which are exact only up to 2**53; "
        'read the column as a nullable integer, such as pandas\' "Int64".'
    )
    return wrong_type(column, "float", "ids as integers or strings", hint)


def bad_rows(column: str, reason: str, rows: Sequence[int], count: int, hint: str = "") -> SchemaError:
    """Word rows of one column that are refused for one reason."""
    hint = hint or 'on_bad="quarantine" sets such rows aside in log.rejected.'
    plural = "row" if count == 1 else "rows"
    message = f"column {column!r}: {reason} ({count:,} {plural}, first at {listed(rows, 5)})."
    return SchemaError(sentence(message, hint), column=column, row=rows[0] if len(rows) else None)


def implausible_times(
    column: str,
    years: tuple[int, int],
    rows: Sequence[int],
    count: int,
    units: tuple[str, str | None],
    *,
    numeric: bool = True,
    hint: str = "",
) -> SchemaError:
    """Word times outside the years 1990 to 2200; `units` are the unit read and the one that would fit.

    Where the column was not `numeric`, the wrong unit was chosen before it came here. `hint` is for times
    that no other unit makes plausible.
    """
    read, fitting = (_UNITS.get(unit or "") for unit in units)
    remedy = "pass" if numeric else "pass the numbers themselves with"
    looks = f'these look like {fitting} read as {read}; {remedy} unit="{units[1]}".' if fitting else ""
    hint = looks or hint or 'check the column; on_bad="quarantine" sets such rows aside in log.rejected.'
    span = f"the years {years[0]} to {years[1]}" if years[0] != years[1] else f"the year {years[0]}"
    limit = "after the year 2200" if years[1] > 2200 else "before the year 1990"
    plural = "row" if count == 1 else "rows"
    message = f"column {column!r} spans {span} ({count:,} {plural}). Times {limit} are refused."
    return SchemaError(sentence(message, hint), column=column, row=rows[0] if len(rows) else None)


_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def no_rows(what: str) -> SchemaError:
    """Word a table without a single row."""
    return SchemaError(
        f"{what} has no rows: expected at least one event. "
        "Hint: check the path, query or filter that it came from."
    )


def arrow_refused(text: str, column: str | None = None) -> SchemaError:
    """Word a table that Arrow itself could not take over."""
    where = f"column {column!r}" if column else "the table"
    hint = "bring the values of each column to one type, and all columns to one length."
    return SchemaError(sentence(f"{where} could not be read: {text.rstrip('.')}.", hint), column=column)


def unreadable_file(path: object, text: str) -> SchemaError:
    """Word a file whose content is not what its name says."""
    return SchemaError(
        f"{path} could not be read: {text.rstrip('.')}. "
        "Hint: expected Parquet, or CSV in UTF-8 with one header line, as the file's name says."
    )


def repeated_column(column: str) -> SchemaError:
    """Word a table in which a name that is to be read stands twice."""
    return SchemaError(
        f"column {column!r} stands in the table more than once: expected each name once. "
        "Hint: rename or drop one of them.",
        column=column,
    )


def repeated_items(count: int, first: object) -> SchemaError:
    """Word an item table that names an item more than once."""
    return SchemaError(
        f"items: {count:,} item {'id stands' if count == 1 else 'ids stand'} more than once, "
        f"the first is {first!r}: "
        "expected one row for each item. Hint: keep the newest row of each item.",
        column="item_id",
    )


def other_id_type(column: str, given: str, expected: str, where: str) -> SchemaError:
    """Word ids whose type differs from those they are to be joined with."""
    spelled = {"int": "integers", "str": "strings"}
    return SchemaError(
        f"{where}: column {column!r} holds {spelled[given]}, the log holds {spelled[expected]}. "
        "Expected one type. Hint: 1 and '1' are two ids; bring both tables to one type.",
        column=column,
    )


def other_time_kind(given: str, expected: str) -> SchemaError:
    """Word logs to be joined whose order is told in different ways."""
    return SchemaError(
        f"the log to append tells order by {given!r}, this log by {expected!r}: expected the same. "
        "Hint: give both a 'timestamp', or both a 'position'."
    )


def needs_order(what: str) -> NotEnoughDataError:
    """Word something that needs the order of events on a log that has none."""
    return NotEnoughDataError(
        f"{what} needs events in order; this log has neither times nor positions. "
        "Hint: read the log with a 'timestamp' or a 'position' column."
    )


def needs_column(what: str, column: str) -> NotEnoughDataError:
    """Word something that needs a column which the log does not have."""
    return NotEnoughDataError(f"{what} needs the column {column!r}, which this log does not have.")


def needs_time(what: str, time_kind: str) -> NotEnoughDataError:
    """Word something that needs real times on a log that has none."""
    return NotEnoughDataError(
        f"{what} needs a timestamp for each event; this log tells order by {time_kind!r}. "
        "Hint: read the log with a 'timestamp' column."
    )


def altered_histories(name: str, found: str, expected: str) -> ArtifactError:
    """Word histories from a file whose numbers point nowhere; `name` is the array at fault."""
    return ArtifactError(
        f"the stored histories are broken: {name} {found}, expected {expected}. "
        "Hint: the file may be damaged, or altered after it was written; save or copy it again."
    )
