"""Steps: what was done so far and what is done now, with no other writer in between."""

import json
import sqlite3
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from engagelib import errors
from engagelib.actions.decisions.files import Connections
from engagelib.actions.decisions.rows import (
    COLUMNS,
    Contact,
    Contacts,
    DecisionRow,
    encode_row,
    exact_id,
    moment,
)
from engagelib.actions.nothing import NOTHING

INSERT: Final = f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
CONTACTS: Final = (
    "SELECT action, channel, at FROM decisions INDEXED BY by_customer "
    f"WHERE customer_id = ? AND at >= ? AND action <> '{NOTHING}' ORDER BY at"
)
_CONTACTS_OF_MANY: Final = (
    "SELECT asked.key, action, channel, at FROM json_each(?) AS asked "
    "CROSS JOIN decisions INDEXED BY by_customer "
    f"WHERE customer_id = asked.value AND at >= ? AND action <> '{NOTHING}' ORDER BY asked.key, at"
)
_BLOCK: Final = 20_000
_EVER: Final = -(2**63)


class Step:
    """An atomic step of a `DecisionLog`: look at what was done, decide, append.

    Made by `DecisionLog.deciding` and `deciding_many`, and used in a `with` block. What it reads stays true
    until the block ends: every other writer, in any thread or process, waits. What it appended is
    acknowledged once the block has ended; an exception takes all of it back.
    """

    __slots__ = ("_connection", "_connections", "_customer_id", "_log")

    def __init__(self, connections: Connections, customer_id: int | str | None, log: object = None) -> None:
        self._log = log  # which closes its connections when nobody holds it any more
        self._connections = connections
        self._customer_id = customer_id
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self._connection = self._connections.begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection = None
        self._connections.end(self, commit=kind is None)

    def contacts(self, since: int | None = None, customer_id: int | str | None = None) -> list[Contact]:
        """Return what was done for the customer, oldest first, this step's own decisions included.

        Parameters
        ----------
        since
            Contacts from this moment on, microseconds since 1970; None for all.
        customer_id
            Whose; that of `deciding(customer_id)` where None.

        Returns
        -------
        Every decision but those to do nothing.
        """
        first = _EVER if since is None else moment(since, "since")
        rows = self.execute(CONTACTS, (self._whose(customer_id), first)).fetchall()
        return list(map(Contact._make, rows))

    def contacts_many(self, customer_ids: Sequence[int | str], since: int | None = None) -> Contacts:
        """Return what was done for many customers, as arrays; see `DecisionLog.contacts_many`."""
        return contacts_of_many(
            lambda sql, parameters: self.execute(sql, parameters).fetchall(), customer_ids, since
        )

    def count(
        self,
        *,
        action: str | None = None,
        channel: str | None = None,
        since: int | None = None,
        everyone: bool = False,
        customer_id: int | str | None = None,
    ) -> int:
        """Count contacts, this step's own included.

        Parameters
        ----------
        action, channel
            Only these; None for all. "nothing" counts decisions to do nothing, which no other call counts.
        since
            From this moment on, microseconds since 1970; None for all.
        everyone
            Count those of all customers. It takes a few milliseconds for 100,000 contacts of an action, and
            longer where no action is named.
        customer_id
            Whose; that of `deciding(customer_id)` where None.
        """
        where, parameters = [f"action <> '{NOTHING}'"], list[Any]()
        if action is not None:
            where, parameters = ["action = ?"], [action]
        if channel is not None:
            where.append("channel = ?")
            parameters.append(channel)
        if since is not None:
            where.append("at >= ?")
            parameters.append(moment(since, "since"))
        if not everyone:
            where.append("customer_id = ?")
            parameters.append(self._whose(customer_id))
        sql = f"SELECT count(*) FROM decisions WHERE {' AND '.join(where)}"
        return int(self.execute(sql, parameters).fetchone()[0])

    def append(self, row: DecisionRow) -> str:
        """Append a decision and return its id; it is acknowledged when the block has ended.

        Raises
        ------
        ArgumentError
            If a value can't be logged, or the decision's id is taken.
        """
        values = encode_row(row)
        try:
            self.execute(INSERT, values)
        except sqlite3.IntegrityError as error:
            raise errors.decisions.repeated_decision(values[0]) from error
        return str(values[0])

    def append_many(self, rows: Iterable[DecisionRow]) -> list[str]:
        """Append decisions, all or none, and return their ids in order; errors are those of `append`."""
        values = list(map(encode_row, rows))
        self.execute("SAVEPOINT many")
        try:
            self.execute(INSERT, values, many=True)
        except sqlite3.IntegrityError as error:
            self.execute("ROLLBACK TO many")
            ids = [row[0] for row in values]
            taken = self.known(ids)
            last = {id_: place for place, id_ in enumerate(ids)}
            first = next(id_ for place, id_ in enumerate(ids) if id_ in taken or last[id_] != place)
            raise errors.decisions.repeated_decision(first) from error
        return [row[0] for row in values]

    def execute(self, sql: str, parameters: Any = (), *, many: bool = False) -> sqlite3.Cursor:
        """Run one statement of this step."""
        connection = self._connection
        if connection is None or self._connections.step is not self:
            raise errors.decisions.step_over()
        with self._connections.writing:
            try:
                return (connection.executemany if many else connection.execute)(sql, parameters)
            except (sqlite3.OperationalError, sqlite3.IntegrityError):
                raise
            except sqlite3.DatabaseError as error:
                raise errors.decisions.damaged_log(self._connections.path, str(error)) from error

    def known(self, decision_ids: list[str]) -> set[str]:
        """Return those of the ids that the log holds."""
        sql = "SELECT decision_id FROM decisions WHERE decision_id IN (SELECT value FROM json_each(?))"
        return {found for (found,) in self.execute(sql, (json.dumps(decision_ids),))}

    def _whose(self, customer_id: int | str | None) -> int | str:
        return exact_id(self._customer_id if customer_id is None else customer_id)


def contacts_of_many(
    read: Any, customer_ids: Sequence[int | str] | np.ndarray, since: int | None
) -> Contacts:
    """Read the contacts of many customers in a few queries; `read` runs one and returns its rows."""
    first = _EVER if since is None else moment(since, "since")
    ids = customer_ids.tolist() if isinstance(customer_ids, np.ndarray) else list(customer_ids)
    ids = list(map(exact_id, ids))
    rows: list[tuple[int, str, str | None, int]] = []
    for start in range(0, len(ids), _BLOCK):
        # JSON keeps apart what is an integer and what is a text.
        found = read(_CONTACTS_OF_MANY, (json.dumps(ids[start : start + _BLOCK]), first))
        rows += [(start + key, *rest) for key, *rest in found] if start else found
    places, actions, channels, at = zip(*rows, strict=True) if rows else ((), (), (), ())
    names = tuple(sorted(set(actions)))
    where = tuple(sorted(set(channels) - {None}))
    codes = {name: code for code, name in enumerate(names)}
    of_channel: dict[str | None, int] = {name: code for code, name in enumerate(where)} | {None: -1}
    n = len(rows)
    return Contacts(
        np.fromiter(places, np.int64, n),
        np.fromiter(map(codes.__getitem__, actions), np.int32, n),
        np.fromiter(map(of_channel.__getitem__, channels), np.int32, n),
        np.fromiter(at, np.int64, n),
        names,
        where,
    )
