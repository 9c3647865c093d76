"""Databases: transactions, group commits, order of events, claims by many; both kinds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from types import SimpleNamespace

import pytest

from tuner.errors import DatabaseUnavailable, Invalid
from tuner.service.asking import Wanted, reserve
from tuner.service.specification import define
from tuner.service.state import study_of
from tuner.service.studies import create
from tuner.storage import events, idempotency, schema, trials
from tuner.storage.clock import ManualClock, ProcessClock, rfc3339
from tuner.storage.connect import connect
from tuner.storage.engine import Database, Tx

STUDY = SimpleNamespace(id=1, name="s")
SPEC = {
    "name": "s",
    "objective": "loss",
    "sampler": "random",
    "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    schema.ensure(database_url)
    made = connect(database_url)
    yield made
    made.close()


def write_key(key: str):
    def work(tx: Tx) -> str:
        idempotency.add(tx, key, "f", 200, "{}")
        return key

    return work


def keys(database: Database) -> list[str]:
    def work(tx: Tx) -> list[str]:
        return [row.key for row in tx.all(idempotency._FIND)]

    return sorted(database.read(work).result())


def test_a_failing_call_leaves_its_neighbours(database):
    gate = threading.Event()

    def fail(tx: Tx) -> None:
        write_key("lost")(tx)
        raise ValueError("mine")

    def clash(tx: Tx) -> None:
        write_key("lost, too")(tx)
        tx.execute(events._ADD, {"event": "it lacks the study"})

    first = database.write(lambda tx: gate.wait(60) and write_key("first")(tx))
    calls = [database.write(work) for work in (write_key("a"), fail, clash, write_key("b"))]
    gate.set()
    wait([first, *calls])
    assert [type(call.exception()).__name__ for call in (first, *calls)] == [
        "NoneType",
        "NoneType",
        "ValueError",
        "IntegrityError",
        "NoneType",
    ]
    assert keys(database) == ["a", "b", "first"]


def test_an_answer_comes_after_the_commit(database):
    for i in range(20):
        assert database.write(write_key(f"k{i}")).result() in keys(database)


def test_a_reader_sees_one_snapshot(database):
    def look_twice(tx: Tx) -> tuple[int, int]:
        before = len(tx.all(idempotency._FIND))
        database.write(write_key("meanwhile")).result()
        return before, len(tx.all(idempotency._FIND))

    assert database.read(look_twice).result() == (0, 0)
    assert keys(database) == ["meanwhile"]


def test_readers_cannot_write(database):
    with pytest.raises(Exception, match=r"(?i)read-?only|cannot be written"):
        database.read(write_key("x")).result()
    assert keys(database) == []


def test_closing_finishes_what_was_accepted_and_takes_nothing_more(database_url):
    schema.ensure(database_url)
    database = connect(database_url)
    calls = [database.write(write_key(f"k{i:03}")) for i in range(100)]
    database.close()
    assert [call.result(0) for call in calls] == [f"k{i:03}" for i in range(100)]
    with pytest.raises(DatabaseUnavailable):
        database.write(write_key("late")).result()
    again = connect(database_url)
    assert len(keys(again)) == 100
    again.close()


def test_a_row_that_another_has_just_inserted_is_found_the_second_time(database):
    found = []

    def work(tx: Tx) -> None:
        there = idempotency.find(tx, "one")
        found.append(there is not None)
        time.sleep(0.05)
        if there is None:
            write_key("one")(tx)

    wait([database.write(work) for _ in range(4)])
    assert keys(database) == ["one"]
    assert found.count(False) >= 1
    assert found.count(True) >= 3


def test_a_reader_of_events_never_misses_one(database):
    stop = threading.Event()
    seen: list[int] = []

    def ids(tx: Tx, after: int) -> list[int]:
        return [row.id for row in events.after(tx, after, study_id=None, limit=7)]

    def follow() -> None:
        last = False
        while not last:
            last = stop.is_set()
            after = seen[-1] if seen else 0
            page = database.read(lambda tx, after=after: ids(tx, after)).result()
            seen.extend(page)
            last = last and not page

    def work(tx: Tx, number: int, pause: float) -> None:
        write_key(f"{number}")(tx)
        events.add(tx, STUDY, "first", number)
        time.sleep(pause)
        events.add(tx, STUDY, "second", number)

    reader = threading.Thread(target=follow)
    reader.start()
    rng = random.Random(1)
    pauses = [rng.choice([0, 0, 0.001, 0.01]) for _ in range(150)]
    wait(
        [
            database.write(lambda tx, i=i, pause=pause: work(tx, i, pause))
            for i, pause in enumerate(pauses)
        ]
    )
    stop.set()
    reader.join()
    rows = database.read(lambda tx: events.after(tx, 0, study_id=None, limit=1000)).result()
    assert len(rows) == 300
    assert seen == [row.id for row in rows]
    assert [row.event for row in rows] == ["first", "second"] * 150


def test_sixteen_callers_claim_five_hundred_trials_once_each(database):
    definition = define(SPEC)
    database.write(lambda tx: create(tx, definition)).result()

    def fill(tx: Tx) -> None:
        study = study_of(tx, "s", lock=True)
        row = {
            "study_id": study.id,
            "state": "waiting",
            "params": '{"x":0.5}',
            "diverged": False,
            "feasible": True,
            "created_at": 0.0,
        }
        trials.add(tx, [{**row, "number": i} for i in range(500)])
        tx.execute(study_counters(), {"n": 500})

    database.write(fill).result()

    def claim(tx: Tx) -> dict[int, str]:
        return reserve(tx, study_of(tx, "s", lock=True), Wanted(1, None, 60.0)).leases

    def worker() -> list[int]:
        return [trial for _ in range(40) for trial in database.write(claim).result()]

    with ThreadPoolExecutor(16) as pool:
        claimed = [t for call in [pool.submit(worker) for _ in range(16)] for t in call.result()]

    def numbers(tx: Tx) -> list[int]:
        return [trials.get(tx, trial_id).number for trial_id in claimed]

    assert len(claimed) == len(set(claimed)) == 640
    assert sorted(database.read(numbers).result()) == list(range(640))


def study_counters():
    from sqlalchemy import bindparam, update

    from tuner.storage.tables import studies

    return update(studies).values(
        n_waiting=bindparam("n"), next_number=bindparam("n"), numbers_made=bindparam("n")
    )


def test_clocks_tell_seconds_since_1970():
    before = time.time()
    assert before - 1 < ProcessClock().now(None) < time.time() + 1
    clock = ManualClock(10.0)
    clock.advance(5)
    assert clock.now(None) == 15.0
    assert rfc3339(1.5) == "1970-01-01T00:00:01.500000Z"
    assert rfc3339(None) is None


def test_the_time_of_a_transaction_is_the_databases(database):
    assert abs(database.write(lambda tx: tx.now).result() - time.time()) < 60


@pytest.mark.parametrize("url", ["mysql://h/d", "tuner.db", ""])
def test_only_sqlite_and_postgresql_urls_are_taken(url):
    with pytest.raises(Invalid, match="neither SQLite nor PostgreSQL"):
        connect(url)


def test_an_unreachable_server_is_a_typed_error_without_the_password():
    database = connect("postgresql://me:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable) as caught:
        database.read(lambda tx: None).result()
    assert "secret" not in str(caught.value)
    database.close()
