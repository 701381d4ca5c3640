"""Reading decisions: a decision log, or a table of one, becomes arrays to learn from and to judge by."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from engagelib import errors
from engagelib.actions.logged import LoggedDecisions
from engagelib.times import Moment, to_microseconds

if TYPE_CHECKING:
    import pyarrow as pa


def read_decisions(
    source: Any, *, outcome: str = "success", until: Moment | None = None, horizon: int | None = None
) -> LoggedDecisions:
    """Read the decisions of a log, or of a table as `DecisionLog.to_table` makes it.

    A decision without an outcome brought nothing. Where some have none, the youngest are better left out:
    successes come in as they come about, and failures only by waiting.

    Parameters
    ----------
    source
        A `DecisionLog`; or a table, from whatever `EventLog` reads, with `customer_id`, `at`, `action` and,
        where known, `outcome`, `p_logged`, `is_control`, `eligible`, `features`.
    outcome
        Which outcome counts. Of others than "success", which are in columns `outcome:NAME`, only decisions
        that have one are read: who gave no answer gave no low one.
    until
        Decisions from this moment on are left out; None keeps all.
    horizon
        Where outcomes are missing, and `until` is None: how long they may take, in microseconds. Decisions
        less than that before the newest one are left out. None keeps all.

    Returns
    -------
    Decisions in the order of the log. Chances are known where all rows have one; `allowed` where all rows
    say what they were drawn from; features where all rows have as many.

    Raises
    ------
    SchemaError
        If a column is missing or of a wrong type.
    NotEnoughDataError
        If no decision is left.
    """
    import pyarrow.compute as pc

    from engagelib.frames import Refused, open_table, read_times

    table = source.to_table() if hasattr(source, "deciding") else source
    table = open_table(table, "decisions", ids=("customer_id", "action"))
    column = "outcome" if outcome == "success" else f"outcome:{outcome}"
    if column not in table.column_names:
        raise errors.log.missing_column(column, table.column_names, renames=False, in_index=False)
    if until is not None and "at" not in table.column_names:
        raise errors.log.missing_column("at", table.column_names, renames=False, in_index=False)
    if outcome != "success":
        table = table.filter(pc.is_valid(table[column]))
    if "at" in table.column_names:
        at = read_times(table["at"], None, Refused(np.zeros(len(table), np.int32)), column="at")
        last = None if until is None else to_microseconds(until, "until")
        if last is None and horizon is not None and len(at) and table[column].null_count:
            last = int(at.max()) - horizon + 1
        if last is not None:
            table = table.filter(at < last)
    if not len(table):
        raise errors.actions.no_decisions_left()
    known = _filled(table, column)
    found = LoggedDecisions.from_frame(
        known,
        reward=column,
        p_logged="p_logged" if "p_logged" in known.column_names else None,
        customer_id="customer_id",
        at="at" if "at" in known.column_names else None,
        is_control="is_control" if "is_control" in known.column_names else None,
    )
    features = _features(known)
    allowed = _allowed(known, found.actions, found.action)
    return found.with_known(features=features, allowed=allowed)


def column_names(source: Any) -> list[str]:
    """Return the names of the columns of a table of decisions."""
    from engagelib.frames import open_table

    return list(open_table(source, "decisions", ids=("customer_id", "action")).column_names)


def _filled(table: "pa.Table", column: str) -> "pa.Table":
    """Return the table with failures where outcomes are missing, and without chances that are not whole."""
    import pyarrow.compute as pc

    place = table.column_names.index(column)
    table = table.set_column(place, column, pc.fill_null(pc.cast(table[column], "double"), 0.0))
    for name in ("p_logged", "is_control"):
        if name in table.column_names and table[name].null_count:
            table = table.drop_columns([name])
    return table


def _features(table: "pa.Table") -> np.ndarray | None:
    """Return the features that were logged, float64 of shape (n, n_features), None where rows differ."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "features" not in table.column_names or table["features"].null_count:
        return None
    lists = table["features"].combine_chunks()
    if not (pa.types.is_list(lists.type) or pa.types.is_large_list(lists.type)):
        return None
    width = pc.unique(pc.list_value_length(lists))
    versions = pc.unique(table["features_version"]) if "features_version" in table.column_names else width
    if len(width) != 1 or len(versions) != 1 or not width[0].as_py():
        return None
    values = pc.list_flatten(lists).to_numpy(zero_copy_only=False).astype(np.float64)
    return np.asarray(values.reshape(len(lists), width[0].as_py()))


def _allowed(table: "pa.Table", names: tuple[str, ...], action: np.ndarray) -> np.ndarray | None:
    """Return which actions each decision was drawn from, None where the table does not say of all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if "eligible" not in table.column_names or table["eligible"].null_count:
        return None
    column = table["eligible"]
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return None
    # The log writes pairs of a name and a chance as JSON: a name begins behind its bracket.
    drawn_from = [
        pc.match_substring(column, f"[{json.dumps(name, ensure_ascii=False)},").to_numpy(zero_copy_only=False)
        for name in names
    ]
    allowed = np.stack(drawn_from, axis=1).astype(bool)
    allowed[np.arange(len(action)), action] = True
    return allowed
