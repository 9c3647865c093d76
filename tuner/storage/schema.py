"""The schema's version: creating, upgrading and checking it. Alembic is the only writer of schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, pool, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseUnavailable, NotAvailable, SchemaOutdated
from tuner.storage.postgres import sqlalchemy_url
from tuner.storage.tables import metadata

_HERE: Final = Path(__file__).resolve().parent
# one server creates or upgrades at a time
_LOCK: Final = 7_205_759_403
Status = Literal["empty", "current", "outdated", "newer", "foreign"]


@dataclass(frozen=True)
class SchemaStatus:
    """What stands in a database and what this version of tuner expects."""

    status: Status
    found: str | None
    expected: str


def expected() -> str:
    """The newest revision that this version knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaOutdated("The migrations folder has no revision.", hint="Reinstall tuner.")
    return head


def inspect_schema(url: str) -> SchemaStatus:
    """Compare a database with what is expected; changes nothing.

    Raises:
        DatabaseUnavailable: If it cannot be opened or is corrupt.
    """
    with _connection(url, create=False) as connection:
        return _status(connection)


def ensure(url: str) -> None:
    """Give an empty database its schema; refuse one that does not match.

    Raises:
        SchemaOutdated: Naming the command that upgrades it, or the version that it needs.
        DatabaseUnavailable: If it cannot be opened, is corrupt or is not tuner's.
    """
    with _connection(url, create=True) as connection:
        state = _status(connection)
        if state.status == "empty":
            _upgrade(connection)
            return
        refuse(state, url)


def refuse(state: SchemaStatus, url: str) -> None:
    """Raise for every status but `current`."""
    where = make_url(url).render_as_string(hide_password=True)
    if state.status == "outdated":
        raise SchemaOutdated(
            f"The database {where} has schema {state.found}, this tuner needs {state.expected}.",
            hint=f"Back it up, then run: tuner db upgrade --database-url {where}",
        )
    if state.status == "newer":
        raise SchemaOutdated(
            f"The database {where} has schema {state.found}, which is newer than this tuner knows"
            f" ({state.expected}).",
            hint="Install the newer tuner that wrote it; nothing was changed.",
        )
    if state.status == "foreign":
        raise SchemaOutdated(
            f"The database {where} has tables but no tuner schema.",
            hint="Name an empty database; nothing was changed.",
        )


def upgrade(url: str) -> str:
    """Bring a database to the expected schema and return the revision.

    Raises:
        SchemaOutdated: If it is newer than this version or not tuner's.
        DatabaseUnavailable: If it cannot be opened.
    """
    with _connection(url, create=True) as connection:
        state = _status(connection)
        if state.status in ("newer", "foreign"):
            refuse(state, url)
        _upgrade(connection)
        return expected()


def differences(url: str) -> list[str]:
    """How the tables differ from what the code expects (empty when they match)."""
    with _connection(url, create=False) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        if _status(connection).status == "current":
            return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _status(connection: Connection) -> SchemaStatus:
    wanted = expected()
    try:
        found = MigrationContext.configure(connection).get_current_revision()
        if found is None:
            tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
            return SchemaStatus("foreign" if tables else "empty", None, wanted)
    except DBAPIError as error:
        where = connection.engine.url.render_as_string(hide_password=True)
        raise DatabaseUnavailable(
            f"The database {where} cannot be read: {str(error.orig).strip().splitlines()[0]}.",
            hint="Is it a tuner database? Nothing was changed.",
        ) from error
    if found == wanted:
        return SchemaStatus("current", found, wanted)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return SchemaStatus("outdated" if found in known else "newer", found, wanted)


def _config() -> Config:
    """Alembic's configuration, in a checkout as in an installed wheel."""
    packaged = _HERE / "migrations"
    folder = packaged if packaged.is_dir() else _HERE.parents[1] / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connection(url: str, *, create: bool) -> Iterator[Connection]:
    engine = _engine(url, create=create)
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()
        where = make_url(url).render_as_string(hide_password=True)
        raise DatabaseUnavailable(
            f"The database {where} cannot be used: {reason[0] if reason else 'no answer'}.",
            hint="Check that it exists, runs and is a tuner database; nothing was changed.",
        ) from error
    finally:
        engine.dispose()


def _engine(url: str, *, create: bool) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if not create and parsed.database and not Path(parsed.database).exists():
            raise DatabaseUnavailable(
                f"There is no database file {parsed.database}.", hint="Create a study first."
            )
        return create_engine(url, poolclass=pool.NullPool, connect_args={"timeout": 5.0})
    try:
        return create_engine(
            sqlalchemy_url(url), poolclass=pool.NullPool, connect_args={"connect_timeout": 5}
        )
    except ImportError as error:
        raise NotAvailable(
            "PostgreSQL needs psycopg.", hint="Install it with: pip install 'tuner[postgres]'"
        ) from error
