"""SQLite: one process opens the file, one thread writes, waiting calls share one durable commit.

SQLite before 3.51.3 can corrupt a WAL when several connections checkpoint at once; here only the
writer's connection ever writes or checkpoints.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from tuner.errors import DatabaseUnavailable
from tuner.storage.clock import Clock, ProcessClock
from tuner.storage.engine import Database, Dialect, Tx
from tuner.storage.events import flush

T = TypeVar("T")
logger = logging.getLogger(__name__)
_GROUP: Final = 256
_READERS: Final = 4
_SAFE_VERSION: Final = (3, 51, 3)
_Job = tuple[Callable[[Tx], Any], Future[Any]]


class SqliteDatabase(Database):
    """The embedded database.

    Args:
        url: `sqlite:///path`.
        clock: Replaces the process clock in tests.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.url = url
        self.path = path_of(url)
        self._clock = clock or ProcessClock()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        self._engine = _engine(self.path, readonly=False)
        self._read_engine = _engine(self.path, readonly=True)
        self._local = threading.local()
        self._reading: list[Connection] = []
        self._writer_connection = _connect(self._engine, self.path)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="tuner-read")
        self._writer = threading.Thread(target=self._write_loop, name="tuner-write", daemon=True)
        self._writer.start()
        if sqlite3.sqlite_version_info < _SAFE_VERSION:
            logger.info(
                "SQLite %s: one writer connection does all writes and checkpoints (versions before"
                " 3.51.3 can corrupt a WAL that several connections checkpoint).",
                sqlite3.sqlite_version,
            )

    def write(self, work: Callable[[Tx], T]) -> Future[T]:
        """Queue `work` for the writer; answered after the group's commit."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise DatabaseUnavailable(f"The database {self.path} is closed.")
            self._jobs.put((work, future))
        return future

    def read(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` on a reader's snapshot."""
        return self._readers.submit(self._read, work)

    def close(self) -> None:
        """Commit what is queued, checkpoint and close."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._writer.join()
        self._readers.shutdown(wait=True)
        for connection in self._reading:
            connection.close()
        self._writer_connection.close()
        self._engine.dispose()
        self._read_engine.dispose()

    def _read(self, work: Callable[[Tx], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connect(self._read_engine, self.path)
            self._local.connection = connection
            self._reading.append(connection)
        try:
            connection.exec_driver_sql("BEGIN")
            try:
                return work(Tx(connection, "sqlite", self._clock.now(connection)))
            finally:
                connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            raise _translate(error, self.path) from error

    def _write_loop(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group = [job]
            stop = False
            while len(group) < _GROUP:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._run_group(group)
            if stop:
                return

    def _run_group(self, group: list[_Job]) -> None:
        """One transaction for all; each call in a savepoint, so an error leaves its neighbours."""
        connection = self._writer_connection
        live = [job for job in group if job[1].set_running_or_notify_cancel()]
        done: list[tuple[Future[Any], Any]] = []
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            for work, future in live:
                connection.exec_driver_sql("SAVEPOINT call")
                try:
                    # its own time: a lease renewed after a slow neighbour runs from then on
                    tx = Tx(connection, "sqlite", self._clock.now(connection))
                    result = work(tx)
                    flush(tx)
                except OperationalError:
                    raise
                except BaseException as error:  # noqa: BLE001 - it belongs to the caller
                    connection.exec_driver_sql("ROLLBACK TO call")
                    connection.exec_driver_sql("RELEASE call")
                    future.set_exception(error)
                else:
                    connection.exec_driver_sql("RELEASE call")
                    done.append((future, result))
            connection.exec_driver_sql("COMMIT")
        except Exception as error:  # noqa: BLE001 - nothing of the group is committed: tell all
            _rollback(connection)
            for _, future in live:
                if not future.done():
                    future.set_exception(_translate(error, self.path))
            return
        for future, result in done:
            future.set_result(result)


def path_of(url: str) -> Path:
    """The file of an SQLite URL."""
    database = make_url(url).database
    if not database or database == ":memory:":
        raise DatabaseUnavailable(
            f"{url!r} names no file; an SQLite URL looks like sqlite:///tuner.db."
        )
    return Path(database)


def _engine(path: Path, *, readonly: bool) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={"check_same_thread": False, "timeout": 5.0},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA cache_size=-32768")
        if readonly:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL")

    return engine


def _connect(engine: Engine, path: Path) -> Connection:
    try:
        return engine.connect()
    except DBAPIError as error:
        raise _translate(error, path) from error


def _rollback(connection: Connection) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK")
    except DBAPIError:
        logger.debug("nothing to roll back")


# What SQLite says, and what we say: (words in its message, message, hint).
_MESSAGES: Final = (
    (
        ("readonly", "read-only"),
        "The database {path} cannot be written.",
        "Check the permissions of the file and its folder.",
    ),
    (
        ("malformed", "not a database"),
        "The database {path} is corrupt or no SQLite database ({text}).",
        "Nothing was changed; restore a backup or name another file.",
    ),
    (("full",), "No space is left for the database {path}.", "Free some space and try again."),
    (
        ("locked", "busy"),
        "The database {path} is locked by another program.",
        "Close it there; only one process may open the file.",
    ),
    (
        ("unable to open",),
        "The database {path} cannot be opened.",
        "Does its folder exist, and may you write there?",
    ),
)


def _translate(error: Exception, path: Path) -> Exception:
    """The typed error for what SQLite said; anything else as it is."""
    if not isinstance(error, DBAPIError):
        return error
    text = str(error.orig)
    for words, message, hint in _MESSAGES:
        if any(word in text for word in words):
            return DatabaseUnavailable(message.format(path=path, text=text), hint=hint)
    if isinstance(error.orig, sqlite3.OperationalError) and "no such" not in text:
        return DatabaseUnavailable(f"The database {path} failed: {text}.")
    return error
