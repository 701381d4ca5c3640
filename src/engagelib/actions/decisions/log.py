"""DecisionLog: an append-only log of decisions and of what came of them, in one SQLite file."""

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from engagelib import errors
from engagelib.actions.decisions import importing, outcomes, tables
from engagelib.actions.decisions.files import Connections, Durability
from engagelib.actions.decisions.rows import Contact, Contacts, DecisionRow, Recorded, exact_id, moment
from engagelib.actions.decisions.steps import CONTACTS, Step, contacts_of_many
from engagelib.tables import Table
from engagelib.times import Moment, to_microseconds

if TYPE_CHECKING:
    import sqlite3

    import pyarrow as pa

Answer = TypeVar("Answer")


class DecisionLog:
    """Decisions and their outcomes: appended, never altered, and kept through crashes.

    Any number of processes and threads may use one file at once: readers never wait, writers take turns.
    An object may be shared by threads, pickled (its path and settings travel), and inherited by a fork.
    The file must lie on a disk of this machine: SQLite's journal does not work over a network.

    Parameters
    ----------
    path
        The file, made where there is none. Two more lie beside it while it is open, PATH-wal and PATH-shm;
        they belong to it.
    durability
        What keeps what was acknowledged. "process": it survives the death of any process, as by `kill -9`,
        but a power cut may take the last moments. "power": it survives a power cut as well; each commit
        waits for the disk.
    timeout_seconds
        How long a writer waits for its turn, at least 0.

    Raises
    ------
    ArgumentError
        If a setting is outside its range.
    ArtifactError
        If the file is something else, damaged, or of a newer layout; if its folder does not exist.
    DecisionLogBusyError
        From any method that writes, if other writers held the log for `timeout_seconds`.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        *,
        durability: Durability = "process",
        timeout_seconds: float = 5.0,
    ) -> None:
        if durability not in ("process", "power"):
            raise errors.bad_argument("durability", durability, "'process' or 'power'")
        if not isinstance(timeout_seconds, int | float) or not 0 <= timeout_seconds <= 86_400:
            expected = "seconds from 0 to 86,400"
            raise errors.bad_argument("timeout_seconds", timeout_seconds, expected)
        self.path = os.path.abspath(path)  # noqa: PTH100 -- text, and a later chdir changes nothing
        self.durability: Durability = durability
        self.timeout_seconds = timeout_seconds
        self._connections = Connections(self.path, durability, timeout_seconds)
        self._connections.open()
        weakref.finalize(self, self._connections.close)

    def deciding(self, customer_id: int | str) -> Step:
        """Open an atomic step for one customer: see what was done, decide, append.

        Use it in a `with` block, and keep that short: other writers wait. Two workers that both see the last
        contact allowed can't both spend it.
        """
        return Step(self._connections, exact_id(customer_id), self)

    def deciding_many(self) -> Step:
        """Open an atomic step for a batch of customers; its methods take `customer_id`."""
        return Step(self._connections, None, self)

    def append(self, row: DecisionRow) -> str:
        """Append one decision and return its id; it is acknowledged when this returns.

        Raises
        ------
        ArgumentError
            If a value can't be logged, or the decision's id is taken.
        """
        with Step(self._connections, None) as step:
            return step.append(row)

    def append_many(self, rows: Iterable[DecisionRow]) -> list[str]:
        """Append decisions in one transaction, all or none, and return their ids in order."""
        with Step(self._connections, None) as step:
            return step.append_many(rows)

    def contacts(self, customer_id: int | str, since: int | None = None) -> list[Contact]:
        """Return what was done for a customer, oldest first: all decisions but those to do nothing.

        Parameters
        ----------
        since
            Contacts from this moment on, microseconds since 1970; None for all.
        """
        first = -(2**63) if since is None else moment(since, "since")
        return list(map(Contact._make, self._connections.read(CONTACTS, (exact_id(customer_id), first))))

    def contacts_many(
        self, customer_ids: Sequence[int | str] | np.ndarray, since: int | None = None
    ) -> Contacts:
        """Return what was done for many customers, as arrays, by customer as given, then by time."""
        return contacts_of_many(self._connections.read, customer_ids, since)

    def record(
        self, decision_id: str, value: float = 1.0, *, name: str = "success", at: Moment | None = None
    ) -> None:
        """Append an outcome of a decision; it is acknowledged when this returns.

        Parameters
        ----------
        decision_id
            The decision.
        value
            What came of it, a finite number. The outcome of a name is the last one recorded: an outcome may
            come late, twice, or be put right.
        name
            What kind of outcome it is. "success" is what is learned from.
        at
            When it came about; None where nobody knows.

        Raises
        ------
        UnknownDecisionError
            If the log holds no such decision.
        ArgumentError
            If a value can't be logged.
        """
        micros = None if at is None else to_microseconds(at)
        outcomes.record(self._connections, decision_id, value, name, micros)

    def record_many(self, table: Any) -> Recorded:
        """Append many outcomes, in the order of the table.

        Parameters
        ----------
        table
            A frame, a mapping of columns, a list of records or the path of a file, with the columns
            `decision_id` and `value`, and optionally `name` ("success" where null or absent) and `at`.

        Returns
        -------
        How many were recorded; rows of unknown decisions, and rows that can't be read, are set aside with
        their reasons.

        Raises
        ------
        SchemaError
            If a column is missing or of a wrong type.
        """
        return outcomes.record_many(self._connections, table)

    def to_table(
        self, since: Moment | None = None, until: Moment | None = None, after_number: int | None = None
    ) -> "pa.Table":
        """Return decisions with their outcomes as they stand, in the order in which they were logged.

        Parameters
        ----------
        since, until
            Only decisions from `since` on, and before `until`.
        after_number
            Only decisions with a larger number.

        Returns
        -------
        A pyarrow Table with one row a decision. `number` counts decisions up, with gaps; `outcome` is that
        of "success", `outcome:NAME` that of NAME, null where there is none. `terms` and `eligible` are JSON.
        `customer_id` is of integers or of text; where the log holds both, it is text, and a column
        `customer_id_type` says "int" or "str".
        """
        where = tables.Selection(
            None if since is None else to_microseconds(since, "since"),
            None if until is None else to_microseconds(until, "until"),
            after_number or 0,
        )
        return self.read_state(lambda connection: tables.read_all(connection, where))

    def read_since(self, number: int, *, n_rows: int = 50_000) -> "Iterator[pa.Table]":
        """Return decisions with numbers above `number`, as `to_table` does, in tables of up to `n_rows`.

        A job that remembers the last number it saw misses none: SQLite has one writer at a time, a decision
        gets its number while its writer has the turn, and the turn ends with the commit. So numbers rise in
        the order in which decisions become visible, and none is used twice, erased ones included.
        """
        while True:
            where = tables.Selection(after_number=number, n_rows=n_rows)
            table = self.read_state(partial(tables.read_all, where=where))
            if not table.num_rows:
                return
            yield table
            number = table["number"][-1].as_py()

    def read_state(self, read: "Callable[[sqlite3.Connection], Answer]") -> "Answer":
        """Return what `read` returns, all of whose queries see one state of the log and can't alter it."""
        return self._connections.snapshot(read)

    def write_parquet(self, path: "str | os.PathLike[str]") -> None:
        """Write `to_table()` to a Parquet file."""
        import pyarrow.parquet as pq

        pq.write_table(self.to_table(), path)

    def import_table(self, table: Any) -> Recorded:
        """Append decisions that were taken elsewhere, with their outcomes where the table has them.

        Parameters
        ----------
        table
            A frame, a mapping of columns, a list of records or the path of a file, in the columns of
            `to_table`. `decision_id`, `customer_id`, `at` and `action` are required, all others optional,
            null where unknown; `number` is given anew. Unknown columns are left out.

        Returns
        -------
        How many were appended; rows that can't be read, or whose decision is in the log already, are set
        aside with their reasons. So importing a table twice changes nothing.

        Raises
        ------
        SchemaError
            If a column is missing or of a wrong type.
        """
        return importing.import_table(self._connections, table)

    @classmethod
    def from_parquet(
        cls,
        source: "str | os.PathLike[str]",
        path: "str | os.PathLike[str]",
        *,
        durability: Durability = "process",
        timeout_seconds: float = 5.0,
    ) -> Self:
        """Open a log at `path` and import `source`, a Parquet file; raises where a row can't be read."""
        log = cls(path, durability=durability, timeout_seconds=timeout_seconds)
        importing.import_table(log._connections, source, strict=True)
        return log

    def erase(self, *customer_ids: int | str) -> int:
        """Delete everything about one customer or several: decisions, outcomes, and every byte of them.

        The file is written anew without them, and its journal cut to nothing: about a second for each 100,000
        decisions in it, during which other writers wait. Numbers are not used again. What was learned from
        these decisions must be taken back first: see `LinearBandit.erase`.

        Returns
        -------
        The number of decisions that were deleted.

        Raises
        ------
        DecisionLogBusyError
            If the log can't be written in time; or if others kept it in use, so that traces stay in the file
            until the next call.
        """
        whose = [(exact_id(customer_id),) for customer_id in customer_ids]
        with Step(self._connections, None) as step:
            step.execute(
                "DELETE FROM outcomes WHERE decision IN (SELECT number FROM decisions WHERE customer_id = ?)",
                whose,
                many=True,
            )
            n_erased = step.execute("DELETE FROM decisions WHERE customer_id = ?", whose, many=True).rowcount
        self._connections.scrub()
        return max(int(n_erased), 0)

    @property
    def last_number(self) -> int:
        """The number of the newest decision; 0 where there is none."""
        return int(self._connections.read("SELECT ifnull(max(number), 0) FROM decisions")[0][0])

    def __len__(self) -> int:
        return int(self._connections.read("SELECT count(*) FROM decisions")[0][0])

    def __repr__(self) -> str:
        return f"DecisionLog({self.path!r}, durability={self.durability!r})"

    def summary(self) -> Table:
        """Return a table with a row for each action: how often, for whom, and with what success."""
        return tables.summary(self._connections)

    def close(self) -> None:
        """Close the file. The log can't be used afterwards; what was acknowledged is in it."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self.path, self.durability, self.timeout_seconds)


def _reopened(path: str, durability: Durability, timeout_seconds: float) -> DecisionLog:
    return DecisionLog(path, durability=durability, timeout_seconds=timeout_seconds)
