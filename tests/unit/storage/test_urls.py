"""Database URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuner.errors import DatabaseUnavailable
from tuner.storage.postgres import sqlalchemy_url
from tuner.storage.sqlite import path_of


@pytest.mark.parametrize(
    ("url", "path"),
    [("sqlite:///a.db", "a.db"), ("sqlite:////x/a b.db", "/x/a b.db")],
)
def test_an_sqlite_url_names_a_file(url, path):
    assert path_of(url) == Path(path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url):
    with pytest.raises(DatabaseUnavailable, match="names no file"):
        path_of(url)


@pytest.mark.parametrize(
    "url", ["postgresql://u:p@h/d", "postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d"]
)
def test_a_postgresql_url_gets_its_driver(url):
    assert sqlalchemy_url(url) == "postgresql+psycopg://u:p@h/d"
