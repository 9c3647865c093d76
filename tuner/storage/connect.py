"""From a URL to a database."""

from __future__ import annotations

from tuner.errors import Invalid
from tuner.storage.clock import Clock
from tuner.storage.engine import Database
from tuner.storage.postgres import PostgresDatabase
from tuner.storage.sqlite import SqliteDatabase


def connect(url: str, clock: Clock | None = None) -> Database:
    """Open the database of `url` (its schema is not touched).

    Raises:
        Invalid: If the URL is for neither SQLite nor PostgreSQL.
        DatabaseUnavailable: If it cannot be opened.
    """
    if url.startswith("sqlite:"):
        return SqliteDatabase(url, clock)
    if url.startswith(("postgresql:", "postgresql+psycopg:", "postgres:")):
        return PostgresDatabase(url, clock)
    raise Invalid(
        f"The database URL {url.split('@')[-1]!r} is for neither SQLite nor PostgreSQL.",
        hint="Use sqlite:///tuner.db or postgresql://user:password@host/database.",
    )
