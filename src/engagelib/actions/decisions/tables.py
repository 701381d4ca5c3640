"""Tables of a decision log: every decision with its outcomes as they stand, and a summary."""

import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib.actions.decisions.files import Connections
from engagelib.actions.decisions.outcomes import SUCCESS
from engagelib.actions.decisions.rows import COLUMNS
from engagelib.tables import Table
from engagelib.times import spell

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK: Final = 50_000
OUTCOME: Final = "outcome"


@dataclass(frozen=True)
class Selection:
    """Which decisions to read: by time in microseconds, by number, and at most how many."""

    since: int | None = None
    until: int | None = None
    after_number: int = 0
    n_rows: int | None = None


def read_all(connection: sqlite3.Connection, where: Selection) -> "pa.Table":
    """Read decisions with their outcomes, block by block."""
    import pyarrow as pa

    low, high = connection.execute(
        "SELECT typeof(min(customer_id)), typeof(max(customer_id)) FROM decisions"
    ).fetchone()
    kind = low if low == high else "mixed"  # integers sort before texts
    number, left = where.after_number, where.n_rows
    parts: list[pa.Table] = []
    conditions = "number > ? AND at >= ? AND at < ?"
    span = (
        -(2**63) if where.since is None else where.since,
        2**63 - 1 if where.until is None else where.until,
    )
    while left is None or left > 0:
        wanted = _BLOCK if left is None else min(left, _BLOCK)
        rows = connection.execute(
            f"SELECT number, {', '.join(COLUMNS)} FROM decisions WHERE {conditions} ORDER BY number LIMIT ?",
            (number, *span, wanted),
        ).fetchall()
        if not rows and parts:
            break
        found = outcomes_of(connection, np.array([row[0] for row in rows], np.int64))
        parts.append(_as_table(rows, found, kind))
        if len(rows) < wanted:
            break
        number, left = rows[-1][0], None if left is None else left - len(rows)
    return pa.concat_tables(parts, promote_options="default")


def outcomes_of(
    connection: sqlite3.Connection, numbers: np.ndarray, up_to: int | None = None, name: str | None = None
) -> dict[str, np.ndarray]:
    """Return the outcome of each decision by name, NaN where there is none; `numbers` rise.

    `up_to` leaves out what was recorded later: outcomes with a larger number. `name` is the only one wanted.
    """
    if not len(numbers):
        return {}
    dense = int(numbers[-1]) - int(numbers[0]) < 4 * len(numbers) + 1_000
    which = "decision BETWEEN ? AND ?" if dense else "decision IN (SELECT value FROM json_each(?))"
    span = (int(numbers[0]), int(numbers[-1])) if dense else (json.dumps(numbers.tolist()),)
    # Of the rows of one decision and name, SQLite gives the value in the row that holds the largest number.
    found = connection.execute(
        "SELECT decision, name, value, max(number) FROM outcomes "
        f"WHERE {which} AND number <= ? {'' if name is None else 'AND name = ? '}GROUP BY decision, name",
        (*span, 2**63 - 1 if up_to is None else up_to, *(() if name is None else (name,))),
    ).fetchall()
    by_name: dict[str, np.ndarray] = {}
    if not found:
        return by_name
    decisions, names, values, _ = zip(*found, strict=True)
    decision, value = np.array(decisions, np.int64), np.array(values, np.float64)
    place = np.minimum(np.searchsorted(numbers, decision), len(numbers) - 1)
    asked = numbers[place] == decision
    of_name = np.array(names, object)
    for each in sorted(set(names)):
        mine = asked & (of_name == each)
        if mine.any():
            by_name[each] = np.full(len(numbers), np.nan)
            by_name[each][place[mine]] = value[mine]
    return by_name


def _as_table(rows: list[tuple[Any, ...]], outcomes: dict[str, np.ndarray], kind: str) -> "pa.Table":
    import pyarrow as pa

    names = ("number", *COLUMNS)
    lists = dict(zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True))
    columns: dict[str, Any] = {
        "number": pa.array(lists["number"], pa.int64()),
        "decision_id": pa.array(lists["decision_id"], pa.string()),
    }
    ids = lists["customer_id"]
    if kind == "integer":
        columns["customer_id"] = pa.array(ids, pa.int64())
    else:
        columns["customer_id"] = pa.array(list(map(str, ids)), pa.string())
    if kind == "mixed":
        columns["customer_id_type"] = pa.array([type(id_).__name__ for id_ in ids], pa.string())
    columns["at"] = pa.array(lists["at"], pa.int64()).cast(pa.timestamp("us", "UTC"))
    for name in ("channel", "location", "action"):
        columns[name] = pa.array(lists[name], pa.string())
    for name in ("p_logged", "p_success"):
        columns[name] = pa.array(lists[name], pa.float64())
    columns["is_control"] = pa.array(list(map(bool, lists["is_control"])), pa.bool_())
    for name in ("policy_version", "terms", "features_version", "eligible"):
        columns[name] = pa.array(lists[name], pa.string())
    columns["features"] = _features(lists["features"], lists["features_width"])
    columns["features_width"] = pa.array(lists["features_width"], pa.int8())
    none = np.full(len(rows), np.nan)
    columns[OUTCOME] = pa.array(outcomes.get(SUCCESS, none), pa.float64(), from_pandas=True)
    for name, values in outcomes.items():
        if name != SUCCESS:
            columns[f"{OUTCOME}:{name}"] = pa.array(values, pa.float64(), from_pandas=True)
    return pa.table(columns)


def _features(blobs: tuple[bytes | None, ...], widths: tuple[int | None, ...]) -> "pa.Array":
    """Read the features of many rows as lists of float64, whatever the width of each in the file."""
    import pyarrow as pa

    width = np.array([width or 8 for width in widths], np.int64)
    sizes = np.array([len(blob or b"") for blob in blobs], np.int64) // width if len(blobs) else width
    offsets = np.zeros(len(blobs) + 1, np.int64)
    np.cumsum(sizes, out=offsets[1:])
    values = np.zeros(offsets[-1])
    for bytes_each in (4, 8):
        mine = np.repeat(width == bytes_each, sizes)
        joined = b"".join(
            blob or b"" for blob, each in zip(blobs, width.tolist(), strict=True) if each == bytes_each
        )
        values[mine] = np.frombuffer(joined, f"<f{bytes_each}")
    missing = pa.array([blob is None for blob in blobs], pa.bool_())
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values), mask=missing)


def summary(connections: Connections) -> Table:
    """Count decisions by action, most frequent first, with a row for all of them."""
    rows = connections.read(
        "SELECT action, count(*), sum(is_control), count(value), avg(value), min(at), max(at) "
        "FROM decisions LEFT JOIN ("
        "  SELECT decision, value, max(outcomes.number) FROM outcomes WHERE name = ? GROUP BY decision"
        ") ON decision = decisions.number GROUP BY action ORDER BY count(*) DESC, action",
        (SUCCESS,),
    )
    if rows:
        n, control, known = (sum(row[place] for row in rows) for place in (1, 2, 3))
        total = sum(row[4] * row[3] for row in rows if row[3])
        first, last = min(row[5] for row in rows), max(row[6] for row in rows)
        rows.append(("all", n, control, known, total / known if known else None, first, last))
    shown = tuple(
        (action, n, control / n, known, mean if known else None, spell(first), spell(last))
        for action, n, control, known, mean, first, last in rows
    )
    columns = ("action", "decisions", "control share", "with outcome", "mean outcome", "first", "last")
    return Table(columns, shown, title="Decisions by action")
