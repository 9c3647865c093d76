"""PostgreSQL: a thread pool runs the transactions; conflicts between servers are retried."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tuner.errors import DatabaseUnavailable, NotAvailable
from tuner.storage.clock import Clock, DatabaseClock
from tuner.storage.engine import Database, Dialect, Tx
from tuner.storage.events import flush

T = TypeVar("T")
_THREADS: Final = 12
_TRIES: Final = 6
# The last is a row that another transaction has just inserted: the second time it is found.
_CONFLICTS: Final = frozenset({"40001", "40P01", "23505"})
_GONE: Final = frozenset({"57P01", "57P02", "57P03", "08000", "08003", "08006", "53300"})


class PostgresDatabase(Database):
    """A PostgreSQL database, shared by any number of server processes.

    Args:
        url: `postgresql://user:password@host:port/database`.
        clock: Replaces the database's clock in tests.

    Raises:
        NotAvailable: If the extra `postgres` is not installed.
    """

    dialect: Dialect = "postgresql"

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.url = url
        self._clock = clock or DatabaseClock()
        try:
            self._engine = create_engine(
                sqlalchemy_url(url),
                pool_size=_THREADS,
                max_overflow=0,
                pool_timeout=30,
                pool_pre_ping=True,
                connect_args={"connect_timeout": 5},
            )
        except ImportError as error:
            raise NotAvailable(
                "PostgreSQL needs psycopg.", hint="Install it with: pip install 'tuner[postgres]'"
            ) from error
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="tuner-db")

    def write(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` in a read-committed transaction, again after a serialization conflict."""
        return self._submit(work)

    def read(self, work: Callable[[Tx], T]) -> Future[T]:
        """Run `work` on one snapshot."""
        return self._submit(work, isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def close(self) -> None:
        """Wait for what runs and close the pool."""
        self._threads.shutdown(wait=True)
        self._engine.dispose()

    def _submit(self, work: Callable[[Tx], T], **options: Any) -> Future[T]:
        try:
            return self._threads.submit(self._run, work, options)
        except RuntimeError as error:
            raise DatabaseUnavailable("The database is closed.") from error

    def _run(self, work: Callable[[Tx], T], options: dict[str, Any]) -> T:
        attempt = 1
        while True:
            try:
                return self._once(work, options)
            except DBAPIError as error:
                state = getattr(error.orig, "sqlstate", None)
                if state not in _CONFLICTS or attempt == _TRIES:
                    raise self._translate(error) from error
                time.sleep(random.uniform(0.001, 0.02 * attempt))  # noqa: S311 - back-off only
                attempt += 1

    def _once(self, work: Callable[[Tx], T], options: dict[str, Any]) -> T:
        with self._engine.connect() as connection:
            if options:
                connection.execution_options(**options)
            with connection.begin():
                tx = Tx(connection, "postgresql", self._clock.now(connection))
                result = work(tx)
                flush(tx)
                return result

    def _translate(self, error: DBAPIError) -> Exception:
        state = getattr(error.orig, "sqlstate", None)
        unreachable = isinstance(error, OperationalError | InterfaceError) and state is None
        if unreachable or error.connection_invalidated or state in _GONE or state in _CONFLICTS:
            where = make_url(self.url).render_as_string(hide_password=True)
            first = str(error.orig).strip().splitlines()
            return DatabaseUnavailable(
                f"The database {where} cannot be reached: {first[0] if first else 'no answer'}",
                hint="Check that it runs and that the URL is right; the call can be repeated.",
            )
        return error


def sqlalchemy_url(url: str) -> str:
    """`url` with the psycopg 3 driver named."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url
