"""What the end of an owner, or its absence, means to clients."""

import json
import signal
import threading

import pytest

from tuner.errors import (
    DatabaseUnavailable,
    NotFound,
)


def test_an_owner_that_was_killed_is_replaced_and_nothing_is_lost(
    connect, store, new_study, objective, end, owner_pid
):
    study = new_study(connect())
    study.optimize(objective, trials=3)
    before = study.trials()
    trial = study.ask()
    trial.report(1, loss=0.5)
    end(owner_pid(store), signal.SIGKILL)
    told = trial.tell(0.125)
    assert (told["number"], told["state"]) == (3, "complete")
    end(owner_pid(store), signal.SIGKILL)
    assert study.trials()[:3] == before
    study.optimize(objective)
    assert study.counts["complete"] == 8
    assert [trial["number"] for trial in study.trials()] == list(range(8))


def test_the_kill_of_an_owner_during_optimize_goes_unnoticed(
    connect, store, new_study, end, owner_pid
):
    study = new_study(connect(), budget={"trials": 6})

    def killing(trial):
        if trial.number in (1, 3):
            end(owner_pid(store), signal.SIGKILL)
        return trial.params["x"]

    study.optimize(killing)
    trials = study.trials()
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert {trial["attempt"] for trial in trials} == {1}


def test_a_watcher_follows_to_the_next_owner(
    connect, store, new_study, objective, end, owner_pid, until
):
    study = new_study(connect(), budget={"trials": 2})
    watching = connect().get_study("digits").watch()
    trial = study.ask()
    got = []
    thread = threading.Thread(target=lambda: got.extend(watching), daemon=True)
    thread.start()
    until(lambda: study.change(tags={"seen": len(got)}) and got)
    end(owner_pid(store), signal.SIGKILL)
    trial.tell(0.5)
    study.optimize(objective)
    thread.join(60)
    assert not thread.is_alive()
    assert got[-1]["event"] == "study.finished"


def test_a_watcher_that_was_cut_off_gets_the_end_that_it_missed(
    connect, new_study, store, end, owner_pid
):
    study = new_study(connect(), budget={"trials": 1})
    events = connect().get_study("digits").watch()
    # the generator connects with its first step, which waits for an event
    first = threading.Thread(target=lambda: next(events), daemon=True)
    first.start()
    while first.is_alive():
        study.change(tags={"seen": "not yet"})
        first.join(0.1)
    end(owner_pid(store), signal.SIGKILL)
    study.ask().tell(0.5)
    assert study.state == "finished"
    names = [event["event"] for event in events]
    assert "trial.complete" in names
    assert names[-1] == "study.finished"


def test_reading_makes_no_file(connect, store):
    client = connect(create=False)
    with pytest.raises(NotFound, match=r"no store at .*tuner\.db"):
        client.get_study("digits")
    assert list(store.parent.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_with_the_owners_words(connect, store):
    store.write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database") as caught:
        connect().studies()
    assert "Traceback" not in str(caught.value)
    assert store.read_bytes() == b"this is not a database" * 100


def test_the_owners_files_are_for_the_user_only(connect, store):
    connect().studies()
    owner = store.with_name("tuner.db.owner.json")
    assert owner.stat().st_mode & 0o077 == 0
    log = store.with_name("tuner.db.owner.log")
    assert log.stat().st_mode & 0o077 == 0
    assert json.loads(owner.read_text())["token"] not in log.read_text()
