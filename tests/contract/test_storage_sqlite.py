"""The SQLite file: crashes, a full disk, and files that are not ours."""

from __future__ import annotations

import hashlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tuner.errors import DatabaseUnavailable, SchemaOutdated
from tuner.storage import idempotency, schema
from tuner.storage.clock import ManualClock
from tuner.storage.connect import connect
from tuner.storage.engine import Tx

WRITER = """
import sys
from tuner.storage import idempotency
from tuner.storage.connect import connect

database = connect(sys.argv[1])
print("ready", flush=True)
for i in range(10**9):
    key = f"{sys.argv[2]}-{i}"
    database.write(lambda tx: idempotency.add(tx, key, "f", 200, "{}")).result()
    print(key, flush=True)
"""


def keys(url: str) -> set[str]:
    database = connect(url)

    def work(tx: Tx) -> set[str]:
        return {row.key for row in tx.all(idempotency._FIND)}

    try:
        return database.read(work).result()
    finally:
        database.close()


def test_killing_the_writer_loses_no_acknowledged_write(sqlite_url):
    schema.ensure(sqlite_url)
    rng = random.Random(7)
    acknowledged: set[str] = set()
    for life in range(15):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, sqlite_url, str(life)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        told = "".join(process.stdout.readline() for _ in range(rng.randrange(8)))
        process.send_signal(signal.SIGKILL)
        told += process.communicate()[0]
        # the last line may be cut short: then it was not acknowledged
        acknowledged.update(
            line[:-1] for line in told.splitlines(keepends=True) if line[-1] == "\n"
        )
    found = keys(sqlite_url)
    assert acknowledged <= found
    assert len(found) <= len(acknowledged) + 15
    assert len(acknowledged) > 15
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_call_has_its_own_time_behind_a_slow_one_of_its_group(sqlite_url):
    schema.ensure(sqlite_url)
    clock = ManualClock()
    database = connect(sqlite_url, clock)
    gate = threading.Event()
    try:
        database.write(lambda tx: gate.wait(60))
        database.write(lambda tx: clock.advance(30))
        last = database.write(lambda tx: tx.now)
        gate.set()
        assert last.result() == clock.time
    finally:
        database.close()


def test_a_full_disk_is_a_typed_error_reads_go_on_and_writes_resume(sqlite_url):
    schema.ensure(sqlite_url)
    database = connect(sqlite_url)

    def pages(tx: Tx, most: int | None) -> int:
        sql = "PRAGMA page_count" if most is None else f"PRAGMA max_page_count={most}"
        return int(tx.connection.exec_driver_sql(sql).scalar_one())

    def add(tx: Tx, key: str) -> None:
        idempotency.add(tx, key, "f", 200, "x" * 100_000)

    size = database.write(lambda tx: pages(tx, None)).result()
    database.write(lambda tx: pages(tx, size + 5)).result()
    with pytest.raises(DatabaseUnavailable, match="No space is left"):
        database.write(lambda tx: add(tx, "big")).result()
    assert database.read(lambda tx: len(tx.all(idempotency._FIND))).result() == 0
    database.write(lambda tx: pages(tx, 2**30)).result()
    database.write(lambda tx: add(tx, "big")).result()
    assert database.read(lambda tx: len(tx.all(idempotency._FIND))).result() == 1
    database.close()


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, it is a text of some length" * 100)


def _truncated(path: Path) -> None:
    schema.ensure(f"sqlite:///{path}")
    path.write_bytes(path.read_bytes()[:5000])


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()


def _newer(path: Path) -> None:
    schema.ensure(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num='9999'")
    connection.close()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (_garbage, DatabaseUnavailable, "not a database"),
        (_truncated, DatabaseUnavailable, "malformed"),
        (_foreign, SchemaOutdated, "no tuner schema"),
        (_newer, SchemaOutdated, "newer"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_untouched(tmp_path, make, error, words):
    path = tmp_path / "tuner.db"
    make(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    for call in (schema.ensure, schema.upgrade):
        with pytest.raises(error, match=words) as caught:
            call(f"sqlite:///{path}")
        assert "\n" not in str(caught.value)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_what_cannot_be_opened_is_a_typed_error(tmp_path):
    with pytest.raises(DatabaseUnavailable):
        schema.ensure(f"sqlite:///{tmp_path}/no/such/folder/tuner.db")
    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        connect(f"sqlite:///{tmp_path}/no/such/folder/tuner.db")
    with pytest.raises(DatabaseUnavailable, match="names no file"):
        connect("sqlite://")


def test_looking_at_a_missing_file_does_not_make_it(tmp_path):
    with pytest.raises(DatabaseUnavailable, match="no database file"):
        schema.inspect_schema(f"sqlite:///{tmp_path}/tuner.db")
    assert list(tmp_path.iterdir()) == []
