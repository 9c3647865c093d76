"""The schema's history: from empty to the newest on both databases, from a checkout and a wheel."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from tuner.errors import SchemaOutdated
from tuner.storage import schema
from tuner.storage.postgres import sqlalchemy_url
from tuner.storage.tables import metadata

ROOT = Path(__file__).parents[2]
NEXT = '''
"""add nothing."""

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
'''


def tables(url: str) -> set[str]:
    engine = create_engine(sqlalchemy_url(url))
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


@pytest.fixture
def alembic(database_url: str) -> Config:
    """Alembic as a developer runs it in a checkout."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("sqlalchemy.url", database_url.replace("%", "%%"))
    return config


def test_an_empty_database_becomes_what_the_code_expects(database_url):
    assert schema.upgrade(database_url) == schema.expected()
    assert schema.differences(database_url) == []
    assert tables(database_url) == set(metadata.tables)
    schema.ensure(database_url)
    assert schema.inspect_schema(database_url).status == "current"


def test_up_check_down_and_up_again_from_a_checkout(alembic, database_url):
    command.upgrade(alembic, "head")
    command.check(alembic)
    command.downgrade(alembic, "base")
    assert tables(database_url) == set()
    command.upgrade(alembic, "head")
    assert schema.differences(database_url) == []


def test_trials_of_a_database_from_before_confirmation_stay_and_are_of_the_search(
    alembic, database_url
):
    command.upgrade(alembic, "0001")
    engine = create_engine(sqlalchemy_url(database_url))
    study = (
        "INSERT INTO studies (id, name, spec, expanded, state, paused, stopped, created_at,"
        " updated_at) VALUES (1, 's', '{}', '{}', 'active', false, false, 0, 0)"
    )
    trial = (
        "INSERT INTO trials (study_id, number, state, diverged, feasible, created_at)"
        " VALUES (1, 0, 'waiting', false, true, 0)"
    )
    with engine.begin() as connection:
        connection.execute(text(study))
        connection.execute(text(trial))
    for revision in ("head", "0001", "head"):
        move = command.downgrade if revision == "0001" else command.upgrade
        move(alembic, revision)
        columns = {column["name"] for column in inspect(engine).get_columns("trials")}
        assert ("confirms" in columns) is (revision == "head")
    with engine.connect() as connection:
        assert list(connection.execute(text("SELECT number, confirms FROM trials"))) == [(0, None)]
    engine.dispose()


def test_revisions_are_one_line():
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


def test_two_servers_that_start_together_make_one_schema(postgres_url):
    with ThreadPoolExecutor(4) as pool:
        for call in [pool.submit(schema.ensure, postgres_url) for _ in range(4)]:
            call.result()
    assert schema.differences(postgres_url) == []


def test_an_outdated_schema_is_refused_with_the_command_and_upgrades(
    database_url, tmp_path, monkeypatch
):
    schema.ensure(database_url)
    folder = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", folder)
    (folder / "versions" / "9999_add_nothing.py").write_text(NEXT.format(head=schema.expected()))

    def config() -> Config:
        made = Config()
        made.set_main_option("script_location", str(folder))
        made.set_main_option("path_separator", "os")
        return made

    monkeypatch.setattr(schema, "_config", config)
    with pytest.raises(SchemaOutdated) as caught:
        schema.ensure(database_url)
    assert "tuner db upgrade --database-url" in caught.value.hint
    assert schema.inspect_schema(database_url).status == "outdated"
    assert schema.upgrade(database_url) == "9999"
    schema.ensure(database_url)


def test_an_installed_package_carries_its_migrations(tmp_path):
    package = tmp_path / "site"
    shutil.copytree(
        ROOT / "tuner", package / "tuner", ignore=shutil.ignore_patterns("__pycache__", ".*")
    )
    # as the wheel lays it out (see pyproject.toml)
    shutil.copytree(ROOT / "migrations", package / "tuner" / "storage" / "migrations")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tuner.storage import schema\n"
        "assert schema.__file__.startswith(sys.argv[1])\n"
        "print(schema.upgrade(sys.argv[2]), schema.differences(sys.argv[2]))\n"
    )
    url = f"sqlite:///{tmp_path / 'tuner.db'}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(package), url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == f"{schema.expected()} []\n"
