"""Importing: decisions that were taken elsewhere, from any table."""

import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engagelib import errors
from engagelib.actions.decisions.files import Connections
from engagelib.actions.decisions.outcomes import SUCCESS, read_texts
from engagelib.actions.decisions.rows import COLUMNS, Recorded, to_json
from engagelib.actions.decisions.steps import INSERT, Step
from engagelib.actions.decisions.tables import OUTCOME

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK: Final = 50_000
_TEXTS: Final = ("decision_id", "channel", "location", "action", "policy_version", "features_version")


def import_table(connections: Connections, table: Any, *, strict: bool = False) -> Recorded:
    """Append decisions of a table; what can't be is set aside, or raised where `strict`."""
    from engagelib.frames import Refused, open_table, read_numbers, read_times

    opened = open_table(table, "the decisions", ids=("customer_id",), texts=_TEXTS)
    names = opened.column_names
    for column in ("decision_id", "customer_id", "at", "action"):
        if column not in names:
            raise errors.log.missing_column(column, names, renames=False)
    refused = Refused(np.zeros(opened.num_rows, np.int32))
    n = opened.num_rows
    fields: dict[str, list[Any]] = {name: [None] * n for name in COLUMNS}
    for column in _TEXTS:
        if column in names:
            fields[column] = read_texts(opened[column], column)
    for column in ("decision_id", "action"):
        refused.add(np.array([text is None for text in fields[column]], bool), column, "null or empty")
    fields["customer_id"] = _read_ids(opened, refused)
    fields["at"] = read_times(opened["at"], None, refused, column="at").tolist()
    for column in ("p_logged", "p_success"):
        if column in names:
            values = read_numbers(opened[column], column, refused).astype(np.float64)
            if column == "p_logged":
                refused.add((values <= 0) | (values > 1), column, "outside (0, 1]")
            fields[column] = [None if math.isnan(value) else value for value in values.tolist()]
    fields["is_control"] = [0] * n
    if "is_control" in names:
        fields["is_control"] = [1 if value else 0 for value in opened["is_control"].to_pylist()]
    fields["terms"] = _read_json(opened, "terms", refused)
    fields["eligible"] = _read_json(opened, "eligible", refused)
    fields["features"], fields["features_width"] = _read_features(opened, refused)
    outcomes = {
        SUCCESS if name == OUTCOME else name.partition(":")[2]: read_numbers(opened[name], name, refused)
        for name in names
        if name == OUTCOME or name.startswith(f"{OUTCOME}:")
    }
    if strict:
        refused.raise_first("import_table(...) sets such rows aside and reports them.")
    _append_new(connections, refused, fields, outcomes)
    return Recorded(int(np.count_nonzero(refused.code == 0)), refused.table(opened))


def _append_new(
    connections: Connections,
    refused: Any,
    fields: dict[str, list[Any]],
    outcomes: dict[str, np.ndarray],
) -> None:
    """Append the rows whose decisions are not in the log yet, block by block, with their outcomes."""
    repeated = np.zeros(len(refused.code), bool)
    rows = np.flatnonzero(refused.code == 0)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].tolist()
        with Step(connections, None) as step:
            ids = [fields["decision_id"][row] for row in block]
            known = step.known(ids)
            values = []
            for row, id_ in zip(block, ids, strict=True):
                if id_ in known:
                    repeated[row] = True
                    continue
                known.add(id_)
                values.append(tuple(fields[name][row] for name in COLUMNS))
            step.execute(INSERT, values, many=True)
            for name, value in outcomes.items():
                step.execute(
                    "INSERT INTO outcomes (decision, name, value) "
                    "SELECT number, ?, ? FROM decisions WHERE decision_id = ?",
                    [
                        (name, float(value[row]), id_)
                        for row, id_ in zip(block, ids, strict=True)
                        if not repeated[row] and not math.isnan(value[row])
                    ],
                    many=True,
                )
    refused.add(repeated, "decision_id", "in the decision log already")


def _read_ids(table: "pa.Table", refused: Any) -> list[Any]:
    from engagelib.frames import encode_ids

    codes, distinct = encode_ids(table["customer_id"], "customer_id", refused)
    refused.add(codes < 0, "customer_id", "null or empty")
    if not len(distinct):
        return [None] * len(codes)
    known = distinct.to_pylist()
    ids = [known[code] for code in codes.tolist()]
    if "customer_id_type" not in table.column_names:
        return ids
    is_number = [kind == "int" for kind in table["customer_id_type"].to_pylist()]
    bad = [is_int and not _is_whole(id_) for id_, is_int in zip(ids, is_number, strict=True)]
    refused.add(np.array(bad, bool), "customer_id", "no integer, though its type says so")
    return [
        int(id_) if is_int and not is_bad else id_
        for id_, is_int, is_bad in zip(ids, is_number, bad, strict=True)
    ]


def _is_whole(text: object) -> bool:
    """Say whether a text is how Python writes an integer of 64 bits."""
    try:
        number = int(str(text))
    except ValueError:
        return False
    return str(number) == str(text) and -(2**63) <= number < 2**63


def _read_json(table: "pa.Table", column: str, refused: Any) -> list[str | None]:
    """Read a column of JSON texts, or of structures that JSON can hold."""
    from engagelib.strings import is_text

    if column not in table.column_names:
        return [None] * table.num_rows
    values = table[column].to_pylist()
    bad = np.zeros(len(values), bool)
    texts: list[str | None] = [None] * len(values)
    as_text = is_text(table[column].type)
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            texts[row] = value if as_text and json.loads(value) is not None else to_json(column, value)
        except ValueError:
            bad[row] = True
    refused.add(bad, column, "no JSON")
    return texts


def _read_features(table: "pa.Table", refused: Any) -> tuple[list[bytes | None], list[int | None]]:
    """Read lists of numbers as the bytes that lie in the file, and how many bytes a number takes."""
    import pyarrow as pa

    if "features" not in table.column_names or pa.types.is_null(table["features"].type):
        return [None] * table.num_rows, [None] * table.num_rows
    column = table["features"]
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise errors.log.wrong_type("features", kind, "lists of numbers")
    each = kind.value_type
    narrow = pa.types.is_float32(each)
    if not (pa.types.is_floating(each) or pa.types.is_integer(each) or pa.types.is_null(each)):
        raise errors.log.wrong_type("features", kind, "lists of numbers")
    widths: list[Any] = [4 if narrow else 8] * len(column)
    if "features_width" in table.column_names:
        widths = table["features_width"].to_pylist()
        refused.add(
            np.array([width not in (4, 8, None) for width in widths], bool), "features_width", "not 4 or 8"
        )
    values = column.to_pylist()
    blobs: list[bytes | None] = [
        None if value is None else np.array(value, "<f4" if width == 4 else "<f8").tobytes()
        for value, width in zip(values, widths, strict=True)
    ]
    return blobs, [None if blob is None else width or 8 for blob, width in zip(blobs, widths, strict=True)]
