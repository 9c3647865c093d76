"""The one clock: the database's in production, a hand-set one in tests."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection, text


class Clock(Protocol):
    """Tells the time of a transaction, in seconds since 1970 (UTC)."""

    def now(self, connection: Connection | None) -> float:
        """The time, by the clock of `connection`'s database where that has one."""
        ...


class ProcessClock:
    """The clock of the process that owns an SQLite file.

    It follows the monotonic clock from the moment it is made, so that a step of the wall clock
    expires no lease.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self, connection: Connection | None) -> float:
        """Seconds since 1970 as of the start, plus what has passed since."""
        del connection
        return self._offset + time.monotonic()


class DatabaseClock:
    """The clock of the PostgreSQL server, the same for all server processes."""

    _NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")

    def now(self, connection: Connection | None) -> float:
        """The database's time; one round trip."""
        if connection is None:
            return time.time()
        return float(connection.execute(self._NOW).scalar_one())


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start

    def now(self, connection: Connection | None) -> float:
        """The time that was set."""
        del connection
        return self.time

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`."""
        self.time += seconds


def rfc3339(seconds: float | None) -> str | None:
    """A time as the wire shows it, in UTC with microseconds."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
