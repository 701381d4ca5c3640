"""The file under a decision log: its layout, and connections that survive threads and forks."""

import ctypes
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar
from weakref import WeakSet

from engagelib import errors

Answer = TypeVar("Answer")
Durability = Literal["process", "power"]

LAYOUT: Final = 1
_APPLICATION: Final = 0x454E4744  # "ENGD", which the file's header carries

_COUNT_TABLES: Final = "SELECT count(*) FROM sqlite_master"
_ATTEMPTS: Final = 200

# AUTOINCREMENT: a number is never given twice, not even when the newest decision was erased, so that whoever
# reads on from the last number seen misses nothing. A column without a type keeps each id as it came.
_TABLES: Final = (
    """CREATE TABLE decisions (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        decision_id TEXT NOT NULL UNIQUE,
        customer_id NOT NULL CHECK (typeof(customer_id) IN ('integer', 'text')),
        at INTEGER NOT NULL,
        channel TEXT,
        location TEXT,
        action TEXT NOT NULL,
        p_logged REAL,
        p_success REAL,
        is_control INTEGER NOT NULL,
        policy_version TEXT,
        terms TEXT,
        features BLOB,
        features_width INTEGER,
        features_version TEXT,
        eligible TEXT
    )""",
    "CREATE INDEX by_customer ON decisions (customer_id, at, action, channel)",
    "CREATE INDEX by_action ON decisions (action, at, channel)",
    """CREATE TABLE outcomes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        decision INTEGER NOT NULL REFERENCES decisions (number),
        name TEXT NOT NULL,
        value REAL NOT NULL,
        at INTEGER
    )""",
    "CREATE INDEX by_decision ON outcomes (decision, name, number)",
)


class Connections:
    """The connections of one process to one log: one that writes, one that reads.

    Readers see what was committed, and never wait for a writer. Every call into SQLite is made under a lock.

    SQLite keeps one record of a file's locks for all connections of a process. A child would inherit the
    record but not the locks, and could do harm even with connections of its own. So a fork waits until no
    thread writes or reads, and closes the connections first; parent and child open new ones when they need
    them. Where a step is open across the fork, the log can't be used in the child.
    """

    def __init__(self, path: str, durability: Durability, timeout_seconds: float) -> None:
        self.path = path
        self.durability = durability
        self.timeout_seconds = timeout_seconds
        self.is_closed = False
        self._is_inherited = False
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._free_locks()
        _EVERY.add(self)

    def _free_locks(self) -> None:
        self.step: object | None = None
        self._owner = 0
        self._turn = threading.Lock()
        self.writing = threading.RLock()
        self._reading = threading.RLock()

    def open(self) -> None:
        """Open the file, or make it."""
        with self.writing:
            self._open_writer()

    def begin(self, step: object) -> sqlite3.Connection:
        """Wait for the turn to write; return a connection in a transaction that no other writer shares."""
        if self._owner == threading.get_ident() and self.step is not None:
            raise errors.decisions.step_open(self.path)
        deadline = time.monotonic() + self.timeout_seconds
        if not self._turn.acquire(timeout=self.timeout_seconds):
            raise errors.decisions.busy(self.path, self.timeout_seconds)
        try:
            with self.writing:
                connection = self._writer or self._open_writer()
            self._begin_immediate(connection, deadline)
        except BaseException:
            self._turn.release()
            raise
        self._owner, self.step = threading.get_ident(), step
        return connection

    def _begin_immediate(self, connection: sqlite3.Connection, deadline: float) -> None:
        # Waiting happens here rather than in SQLite, so that a fork need not wait along.
        pause = 0.0002
        while True:
            try:
                with self.writing:
                    connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
            except sqlite3.DatabaseError as error:
                raise errors.decisions.damaged_log(self.path, str(error)) from error
            if time.monotonic() >= deadline:
                raise errors.decisions.busy(self.path, self.timeout_seconds)
            time.sleep(pause)
            pause = min(1.5 * pause, 0.02)

    def end(self, step: object, *, commit: bool) -> None:
        """Commit what a step wrote, or take it back; in a child forked inside the step, do nothing."""
        if self.step is not step:
            return
        connection = self._writer
        try:
            if connection is not None:
                with self.writing:
                    try:
                        connection.execute("COMMIT" if commit else "ROLLBACK")
                    except sqlite3.Error:
                        if connection.in_transaction:
                            connection.execute("ROLLBACK")
                        raise
        finally:
            self.step, self._owner = None, 0
            self._turn.release()

    def read(self, sql: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows that a query finds among what was committed."""
        with self._reading:
            connection = self._reader or self._open_reader()
            try:
                return connection.execute(sql, parameters).fetchall()  # type: ignore[arg-type]
            except sqlite3.DatabaseError as error:
                raise self._worded(error) from error

    def snapshot(self, use: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Let several queries of `use` see one and the same state of the log."""
        with self._reading:
            connection = self._reader or self._open_reader()
            is_inner = connection.in_transaction
            try:
                if not is_inner:
                    connection.execute("BEGIN")
                return use(connection)
            except sqlite3.DatabaseError as error:
                raise self._worded(error) from error
            finally:
                if connection.in_transaction and not is_inner:
                    connection.execute("ROLLBACK")

    def scrub(self) -> None:
        """Write the whole file anew and cut the journal to nothing.

        What is deleted is overwritten with zeros at once. But a page that was split or joined with another
        one keeps copies, behind its end, of rows that moved; only a page written anew is free of them.
        """
        deadline = time.monotonic() + self.timeout_seconds
        with self.writing:
            connection = self._writer or self._open_writer()
        if not self._turn.acquire(timeout=self.timeout_seconds):
            raise errors.decisions.traces_left(self.path, self.timeout_seconds)
        try:
            for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                while not self._scrubbed(connection, statement):
                    if time.monotonic() >= deadline:
                        raise errors.decisions.traces_left(self.path, self.timeout_seconds)
                    time.sleep(0.01)
        finally:
            self._turn.release()

    def _scrubbed(self, connection: sqlite3.Connection, statement: str) -> bool:
        with self._reading, self.writing:
            try:
                found = connection.execute(statement).fetchone()
            except sqlite3.OperationalError as error:
                if not _is_busy(error):
                    raise
                return False
        return found is None or not found[0]

    def close(self) -> None:
        """Close both connections for good."""
        self.is_closed = True
        self._shut()

    def _shut(self) -> None:
        with self._reading, self.writing:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def before_fork(self) -> bool:
        """Wait until no thread is inside SQLite, and close; return whether the turn to write was got."""
        is_mine = self.step is not None and self._owner == threading.get_ident()
        got = not is_mine and self._turn.acquire(timeout=self.timeout_seconds)
        self._reading.acquire()
        self.writing.acquire()
        if got:
            self._shut()
        return got

    def after_in_parent(self, *, got: bool) -> None:
        """Let threads go on."""
        self.writing.release()
        self._reading.release()
        if got:
            self._turn.release()

    def after_in_child(self) -> None:
        """Begin anew; connections that could not be closed are neither used nor closed, as SQLite asks."""
        for connection in (self._writer, self._reader):
            if connection is not None:
                # Not even the interpreter's end may close it: one count more, and it is never freed.
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
                self._is_inherited = True
        self._writer = self._reader = None
        self._free_locks()

    def _worded(self, error: sqlite3.DatabaseError) -> Exception:
        if _is_busy(error):
            return errors.decisions.busy(self.path, self.timeout_seconds)
        plain = isinstance(error, sqlite3.OperationalError | sqlite3.IntegrityError)
        return error if plain else errors.decisions.damaged_log(self.path, str(error))

    def _open_writer(self) -> sqlite3.Connection:
        if self.is_closed:
            raise errors.decisions.closed(self.path)
        if self._is_inherited:
            raise errors.decisions.inherited(self.path)
        is_new = not Path(self.path).exists()
        connection = self._connect()
        try:
            _lay_out(connection, self.path)
            level = "FULL" if self.durability == "power" else "NORMAL"
            connection.execute(f"PRAGMA synchronous={level}")
            connection.execute("PRAGMA fullfsync=ON")  # where a plain sync leaves the disk's own cache
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("PRAGMA busy_timeout=0")
        except sqlite3.DatabaseError as error:
            connection.close()
            if _is_busy(error):
                raise errors.decisions.busy(self.path, self.timeout_seconds) from error
            raise errors.decisions.foreign_log(self.path, str(error)) from error
        except BaseException:
            connection.close()
            raise
        if is_new and self.durability == "power":
            _sync_folder(Path(self.path).parent)
        self._writer = connection
        return connection

    def _open_reader(self) -> sqlite3.Connection:
        with self.writing:
            if self._writer is None:
                self._open_writer()
        connection = self._connect()
        connection.execute("PRAGMA query_only=ON")
        self._reader = connection
        return connection

    def _connect(self) -> sqlite3.Connection:
        if not Path(self.path).parent.is_dir():
            raise errors.decisions.no_folder(self.path)
        # Threads take turns under the locks above.
        return sqlite3.connect(
            self.path, timeout=self.timeout_seconds, isolation_level=None, check_same_thread=False
        )


def _lay_out(connection: sqlite3.Connection, path: str) -> None:
    """Check that the file is a decision log, or make one of an empty file."""
    # In this order: another process may make the log meanwhile, its tables and its mark in one transaction.
    n_tables = connection.execute(_COUNT_TABLES).fetchone()[0]
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    if not n_tables and not mark:
        _use_journal(connection)
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute(_COUNT_TABLES).fetchone()[0]:
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={LAYOUT}")
        connection.execute("COMMIT")
        mark = connection.execute("PRAGMA application_id").fetchone()[0]
    if mark != _APPLICATION:
        raise errors.decisions.foreign_log(path, "it is a database of another program")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > LAYOUT:
        raise errors.decisions.newer_log(path, version, LAYOUT)
    _use_journal(connection)


def _use_journal(connection: sqlite3.Connection) -> None:
    """Switch the write-ahead log on; SQLite does not itself wait for others who do the same."""
    for attempt in range(_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.01)


def _sync_folder(folder: Path) -> None:
    """Make sure that a new file's name outlives a power cut, where folders can be synced."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_busy(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


_EVERY: "WeakSet[Connections]" = WeakSet()
_HELD: list[tuple[Connections, bool]] = []


def _before_fork() -> None:
    _HELD[:] = [(connections, connections.before_fork()) for connections in list(_EVERY)]


def _after_in_parent() -> None:
    for connections, got in _HELD:
        connections.after_in_parent(got=got)
    _HELD.clear()


def _after_in_child() -> None:
    for connections in list(_EVERY):
        connections.after_in_child()
    _HELD.clear()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
