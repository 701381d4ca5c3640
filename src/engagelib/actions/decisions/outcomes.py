"""Outcomes: what came of decisions, one at a time or a table at once."""

from typing import Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.decisions.files import Connections
from engagelib.actions.decisions.rows import Recorded, outcome_name, outcome_value
from engagelib.actions.decisions.steps import Step

SUCCESS: Final = "success"

_RECORD: Final = (
    "INSERT INTO outcomes (decision, name, value, at) "
    "SELECT number, ?, ?, ? FROM decisions WHERE decision_id = ?"
)
_BLOCK: Final = 20_000
_UNREAD: Final = -(2**63)


def record(connections: Connections, decision_id: str, value: float, name: str, at: int | None) -> None:
    """Append one outcome."""
    values = (outcome_name(name), outcome_value(value), at, decision_id)
    with Step(connections, None) as step:
        if not isinstance(decision_id, str) or not step.execute(_RECORD, values).rowcount:
            raise errors.decisions.unknown_decision(decision_id)


def record_many(connections: Connections, table: Any) -> Recorded:
    """Append a table of outcomes; what can't be is set aside."""
    from engagelib.frames import Refused, open_table, read_numbers, read_times

    opened = open_table(table, "the outcomes", ids=(), texts=("decision_id", "name"))
    for column in ("decision_id", "value"):
        if column not in opened.column_names:
            raise errors.log.missing_column(column, opened.column_names, renames=False)
    refused = Refused(np.zeros(opened.num_rows, np.int32))
    ids = read_texts(opened["decision_id"], "decision_id")
    refused.add(np.array([id_ is None for id_ in ids], bool), "decision_id", "null or empty")
    value = read_numbers(opened["value"], "value", refused).astype(np.float64)
    refused.add(np.isnan(value), "value", "null")
    names: list[str | None] = [SUCCESS] * opened.num_rows
    if "name" in opened.column_names:
        names = [name or SUCCESS for name in read_texts(opened["name"], "name")]
    at = np.full(opened.num_rows, _UNREAD)
    if "at" in opened.column_names:
        at = read_times(opened["at"], None, refused, column="at", null=_UNREAD)
    _insert(connections, refused, ids, names, value, at)
    kept = int(np.count_nonzero(refused.code == 0))
    return Recorded(kept, refused.table(opened))


def _insert(
    connections: Connections,
    refused: Any,
    ids: list[str | None],
    names: list[str | None],
    value: np.ndarray,
    at: np.ndarray,
) -> None:
    """Insert rows block by block, so that other writers get a turn; mark those of unknown decisions."""
    unknown = np.zeros(len(ids), bool)
    rows = np.flatnonzero(refused.code == 0)
    values, moments = value.tolist(), [None if micros == _UNREAD else micros for micros in at.tolist()]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].tolist()
        with Step(connections, None) as step:
            step.execute(
                "CREATE TEMP TABLE incoming (row INTEGER PRIMARY KEY, decision_id TEXT, name TEXT, "
                "value REAL, at INTEGER)"
            )
            step.execute(
                "INSERT INTO incoming VALUES (?, ?, ?, ?, ?)",
                [(row, ids[row], names[row], values[row], moments[row]) for row in block],
                many=True,
            )
            step.execute(
                "INSERT INTO outcomes (decision, name, value, at) "
                "SELECT number, name, value, incoming.at FROM incoming CROSS JOIN decisions "
                "USING (decision_id) ORDER BY row"
            )
            found = step.execute(
                "SELECT row FROM incoming WHERE decision_id NOT IN (SELECT decision_id FROM decisions)"
            ).fetchall()
            unknown[[row for (row,) in found]] = True
            step.execute("DROP TABLE incoming")
    refused.add(unknown, "decision_id", "not in the decision log")


def read_texts(array: Any, column: str) -> list[str | None]:
    """Read a column of texts, in NFC; null and the empty text are None."""
    import pyarrow as pa

    from engagelib.frames import naming
    from engagelib.strings import decoded, is_text, to_nfc

    with naming(column):
        array = decoded(array)
        if pa.types.is_null(array.type):
            return [None] * len(array)
        if not is_text(array.type):
            raise errors.log.wrong_type(column, array.type, "text")
        return [text or None for text in to_nfc(array).to_pylist()]
