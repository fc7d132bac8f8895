"""The engine: SQLite in one private directory, every commit on the disk before it is said to be.

Write-ahead log, ``synchronous=FULL``, foreign keys on, ``BEGIN IMMEDIATE``: a transaction has the write lock
from its first statement, so that what it read is still true when it commits. One connection for each thread;
a connection never crosses a fork.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from assay.errors import StoreError
from assay.store import migrations as schema
from assay.store.failures import explain, translated
from assay.store.files import create_empty, prepare_directory
from assay.store.migrations import Migration
from assay.store.paths import DATABASE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    Clock = Callable[[], float]

APPLICATION_ID = 0x41534159
"""``ASAY``, in the header of the database file (offset 68, 4 bytes big-endian)."""

PAGE_BYTES = 2048
"""Of a new database. A commit writes whole pages, and most commits change a few hundred bytes: at half of
SQLite's usual size they are some seven percent faster."""

BUSY_SECONDS = 15.0

OWN_MIGRATIONS = (
    Migration(
        "store",
        1,
        (
            "CREATE TABLE installation (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL) STRICT",
            "INSERT INTO installation VALUES (1, lower(hex(randomblob(16))))",
            """
            CREATE TABLE fences (
                name TEXT PRIMARY KEY,
                token TEXT,
                holder TEXT NOT NULL,
                generation INTEGER NOT NULL,
                until REAL NOT NULL
            ) STRICT, WITHOUT ROWID
            """,
        ),
    ),
)


class Reader:
    """A consistent view of the database, alive inside one ``with`` block."""

    __slots__ = ("_connection", "_db", "_ended", "_path")
    _begin = "BEGIN"

    def __init__(self, db: Database, connection: sqlite3.Connection) -> None:
        self._db = db
        self._connection = connection
        self._path = db.path
        self._ended = True

    def __enter__(self) -> Self:
        if self._connection.in_transaction:
            raise StoreError("store.transaction.nested", "A transaction was asked for inside another one.")
        try:
            self._connection.execute(self._begin)
        except sqlite3.Error as error:
            self._undo()
            raise explain(error, self._path) from error
        self._ended = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._undo()
        if isinstance(error, sqlite3.Error):  # from a cursor that the caller iterated
            raise explain(error, self._path) from error

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        """Run one statement; rows answer to column names and to positions.

        Raises:
            StoreError: ``store.constraint`` when a row is refused (the transaction lives on);
                ``store.transaction.closed`` after the block, or after a failure that undid everything;
                the other codes of ``assay.store.failures``.
        """
        self._check_alive()
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def one(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Any:
        """Return the first row, or None. Raises as ``execute``."""
        cursor = self.execute(sql, parameters)
        try:
            return cursor.fetchone()
        except sqlite3.Error as error:
            raise explain(error, self._path) from error
        finally:
            cursor.close()

    def now(self) -> float:
        """Return the database's clock: seconds since 1970-01-01 UTC."""
        return self._db.now()

    def _check_alive(self) -> None:
        # SQLite ends a transaction by itself on a full disk: what came after would be committed statement by
        # statement.
        if self._ended or not self._connection.in_transaction:
            raise StoreError(
                "store.transaction.closed", "This transaction has ended; nothing more can be done in it."
            )

    def _undo(self) -> None:
        self._ended = True
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
        if self._connection.in_transaction:
            self._db.discard(
                self._connection
            )  # closing it undoes what ROLLBACK could not, and frees the lock


class Transaction(Reader):
    """A change: all of it is durable when the ``with`` block ends, or none of it ever was."""

    __slots__ = ("_hooks",)
    _begin = "BEGIN IMMEDIATE"

    def __init__(self, db: Database, connection: sqlite3.Connection) -> None:
        super().__init__(db, connection)
        self._hooks: dict[object, Callable[[], None]] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            super().__exit__(kind, error, trace)
            return
        try:
            self._check_alive()
            self._connection.execute("COMMIT")
        except sqlite3.Error as failure:
            raise explain(failure, self._path) from failure
        finally:
            self._undo()
        self._run_hooks()

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row. Raises as ``execute``."""
        self._check_alive()
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise explain(error, self._path) from error

    def after_commit(self, hook: Callable[[], None], *, instead_of: object = None) -> None:
        """Call ``hook`` once the change is durable and the lock is free; never when it was undone.

        Hooks run in order, each of them even when one before it raised; the first exception is then raised.
        The change stands whatever a hook does.

        Args:
            hook: What to call, without arguments.
            instead_of: A key; of several hooks with the same key only the newest is called.
        """
        self._check_alive()
        self._hooks[hook if instead_of is None else instead_of] = hook

    def _run_hooks(self) -> None:
        failures: list[Exception] = []
        for hook in self._hooks.values():
            try:
                hook()
            except Exception as error:  # noqa: BLE001 - no hook may keep the next one from running
                failures.append(error)
        if failures:
            raise failures[0]


class Database:
    """The state database of one user; safe to share between threads, not across a fork.

    Attributes:
        directory: The private directory that holds the database.
        path: The database file.
        installation: 32 hexadecimal digits, drawn when the database was created.
    """

    def __init__(self, directory: Path, busy_seconds: float, clock: Clock) -> None:
        self.directory = directory
        self.path = directory / DATABASE_NAME
        self._busy_seconds = busy_seconds
        self._clock = clock
        self._pid = os.getpid()
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._connections_lock = threading.Lock()
        self.installation = ""

    @classmethod
    def open(
        cls,
        state_dir: Path,
        *,
        migrations: Sequence[Migration],
        busy_seconds: float = BUSY_SECONDS,
        clock: Clock = time.time,
    ) -> Self:
        """Open the database in ``state_dir``; directory, file and tables are made when they are missing.

        Args:
            state_dir: Absolute path; created 0700, or checked (``assay.store.files.prepare_directory``).
            migrations: The steps of every room that will use it; this room's own come first by themselves.
            busy_seconds: How long to wait for another process's transaction.
            clock: The database's clock, seconds since 1970-01-01 UTC. SQLite has none but the host's.

        Raises:
            StoreError: ``store.directory.*``, ``store.file.*``, ``store.schema.*``, ``store.database.*``,
                ``store.disk.full``.
        """
        prepare_directory(state_dir)
        database = cls(state_dir, busy_seconds, clock)
        create_empty(database.path)
        try:
            database._prepare_schema(migrations)
            with database.read() as view:
                database.installation = str(view.one("SELECT id FROM installation")["id"])
        except BaseException:
            database.close()
            raise
        return database

    def transaction(self) -> Transaction:
        """Return a change, for a ``with`` block: committed when the block ends, undone when the block raises.

        Raises:
            StoreError: ``store.database.locked`` when the lock was not had in time;
                ``store.transaction.nested`` inside another block of the same thread; ``store.disk.full`` and
                the other codes of ``assay.store.failures``: nothing was changed then, and the next one works.
        """
        return Transaction(self, self._connection())

    def read(self) -> Reader:
        """Return a view, for a ``with`` block: everything read in it is of one moment. Raises as above."""
        return Reader(self, self._connection())

    def now(self) -> float:
        """Return the database's clock: seconds since 1970-01-01 UTC."""
        return self._clock()

    def flush(self) -> None:
        """Empty the write-ahead log into the database file: bytes that were deleted are then in neither.

        Raises:
            StoreError: ``store.database.locked`` while another process still reads an older state.
        """
        with translated(self.path):
            busy = self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreError("store.database.locked", "Another process still reads the state database.")

    def discard(self, connection: sqlite3.Connection) -> None:
        """Close a connection of this thread that cannot be used any more; the next use opens another."""
        self._local.connection = None
        with self._connections_lock:
            self._connections.remove(connection)
        connection.close()

    def close(self) -> None:
        """Close the connections of all threads; the object is of no use afterwards."""
        with self._connections_lock:
            connections, self._connections = self._connections, []
        if os.getpid() == self._pid:
            for connection in connections:
                connection.close()
        self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        if os.getpid() != self._pid:
            raise StoreError(
                "store.database.forked",
                "The state database was opened by the parent process; open it again here.",
            )
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            with translated(self.path):
                found = self._connect()
            self._local.connection = found
            with self._connections_lock:
                self._connections.append(found)
        return found

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA secure_delete = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare_schema(self, migrations: Sequence[Migration]) -> None:
        steps = schema.ordered((*OWN_MIGRATIONS, *migrations))
        with translated(self.path):
            found = self._connection().execute("PRAGMA application_id").fetchone()[0]
            mode = self._connection().execute("PRAGMA journal_mode").fetchone()[0]
        if found == APPLICATION_ID and mode == "wal":
            with self.read() as view:
                due = schema.pending(view, steps)
            if not due:
                return
        with self._creation_lock():
            self._enter_wal_mode()
            with self.transaction() as tx:
                tx.execute(schema.VERSIONS)
                schema.apply(tx, schema.pending(tx, steps))
                tx.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _enter_wal_mode(self) -> None:
        with translated(self.path):
            connection = self._connection()
            found = connection.execute("PRAGMA application_id").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if found != APPLICATION_ID and (found or tables):
                raise StoreError(
                    "store.database.foreign",
                    f"{str(self.path)!r} is a database of another program; it was not touched.",
                    action="Move it away, or choose another state directory (ASSAY_STATE_DIR).",
                )
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                "store.database.journal",
                f"The file system of {str(self.directory)!r} cannot keep a write-ahead log.",
                action="Put the state directory on a local file system.",
            )

    @contextmanager
    def _creation_lock(self) -> Iterator[None]:
        # Two processes that turn a new file to WAL at once get "database is locked" without any wait.
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
