"""The client against real owners of real files: nothing is replaced."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuner
from tuner.client.client import Client
from tuner.client.study import Study
from tuner.errors import (
    BudgetSpent,
    Conflict,
    DatabaseUnavailable,
    InvalidParameter,
    NotFound,
    ObjectiveFailed,
    StudyExists,
    StudyNotFound,
)
from tuner.settings import child_environment

SPACE = {"x": tuner.Float(0, 1), "n": tuner.Int(1, 5)}


def owner_pid(file: Path) -> int | None:
    try:
        return json.loads(file.with_name(f"{file.name}.owner.json").read_text())["pid"]
    except (OSError, ValueError):
        return None


def end(pid: int, how: int) -> None:
    """Send a signal and wait until the process is gone."""
    os.kill(pid, how)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat")
            if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} did not end")


def end_owner(file: Path) -> None:
    pid = owner_pid(file)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            end(pid, signal.SIGTERM)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One owner for all tests that leave it alone: starting one takes seconds."""
    file = tmp_path_factory.mktemp("shared") / "tuner.db"
    yield file
    end_owner(file)


@pytest.fixture
def client(shared: Path) -> Iterator[Client]:
    with Client(database_url=f"sqlite:///{shared}") as made:
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A file of the test's own."""
    file = tmp_path / "tuner.db"
    yield file
    end_owner(file)


@pytest.fixture
def connect(store: Path) -> Iterator[Callable[..., Client]]:
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            Client(database_url=f"sqlite:///{store}", **options)
        )


def new_study(client: Client, name: str = "digits", **changes: Any) -> Study:
    keys = {
        "space": SPACE,
        "objective": ("loss", "minimize"),
        "sampler": {"name": "random", "seed": 3},
        "budget": {"trials": 8},
        **changes,
    }
    return client.create_study(name, **keys)


def objective(trial) -> float:
    for step in (1, 2, 3):
        trial.report(step, loss=trial.params["x"] + 1 / step)
    return trial.params["x"]


def test_ask_report_tell_and_what_can_be_read_after(client, name, tmp_path):
    pandas = pytest.importorskip("pandas")
    study = new_study(client, name)
    assert study.best is None
    seen = []
    while (trial := study.ask()) is not None:
        assert set(trial.params) == {"x", "n"}
        trial.report(1, loss=trial.params["x"], epoch_s=0.5)
        trial.log("one line")
        seen.append(trial.tell(trial.params["x"]))
    assert [told["number"] for told in seen] == list(range(8))
    best = min(seen, key=lambda told: told["values"]["loss"])
    assert study.best == best
    assert study.state == "finished"
    assert study.trials(states=["complete"]) == seen
    assert study.trials(states="fail") == []
    assert study.measurements(0) == [
        {"attempt": 1, "step": 1, "values": {"loss": seen[0]["params"]["x"], "epoch_s": 0.5}}
    ]
    assert client.rest.trial_log(name, 0)["items"][0]["text"] == "one line\n"
    frame = study.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["values.loss"]) == [told["values"]["loss"] for told in seen]
    assert len(study.export("jsonl", tmp_path / "t.jsonl").splitlines()) == 8
    assert (tmp_path / "t.jsonl").read_text().count("\n") == 8
    assert name in [each.name for each in client.studies()]


def test_optimize_here_runs_to_the_number_asked_for_then_to_the_budget(client, name):
    study = new_study(client, name)
    ended = []
    study.optimize(objective, trials=3, progress=ended.append)
    assert [trial["number"] for trial in ended] == [0, 1, 2]
    assert study.state == "active"
    study.optimize(objective, trials=3)
    assert study.counts["complete"] == 3
    study.optimize(objective)
    assert study.counts["complete"] == 8
    assert study.state == "finished"


def test_a_pruner_stops_trials_through_the_client(client, name):
    study = new_study(
        client, name, pruner={"name": "median", "n_startup": 2}, budget={"trials": 12}
    )

    def stopping(trial):
        for step in range(1, 6):
            trial.report(step, loss=trial.params["x"])
            if trial.should_stop():
                return None
        return trial.params["x"]

    study.optimize(stopping)
    assert study.counts["pruned"] > 0
    assert study.counts["pruned"] + study.counts["complete"] == 12


def test_what_an_objective_does_ends_its_trial_as_promised(client, name):
    study = new_study(client, name)

    def unruly(trial):
        match trial.number:
            case 0:
                return float("nan")
            case 1:
                raise ValueError("no")
            case 2:
                raise tuner.TrialStopped
            case 3:
                return None
            case 4:
                trial.report(1, loss=0.25)
                return None
            case 5:
                raise MemoryError
            case _:
                return {"loss": 1.0, "other": 2.0}

    study.optimize(unruly, trials=8)
    trials = study.trials()
    ends = [(trial["state"], trial["reason"], trial["diverged"]) for trial in trials]
    assert ends[:5] == [
        ("complete", None, True),
        ("fail", "error", False),
        ("pruned", None, False),
        ("fail", "no-result", False),
        ("complete", None, False),
    ]
    assert trials[0]["values"] == {"loss": "NaN"}
    assert trials[4]["values"] == {"loss": 0.25}
    assert (trials[5]["state"], trials[5]["reason"]) == ("fail", "oom")
    assert trials[7]["values"] == {"loss": 1.0, "other": 2.0}
    log = study.client.rest.trial_log(name, 1)["items"]
    assert "ValueError: no" in log[-1]["text"]


def test_errors_can_be_raised_for_debugging_after_they_were_told(client, name):
    study = new_study(client, name)

    def broken(trial):
        raise ZeroDivisionError("x")

    with pytest.raises(ObjectiveFailed, match="ZeroDivisionError: x"):
        study.optimize(broken, trials=3, raise_errors=True)
    assert study.refresh().counts["fail"] == 1


def test_the_same_name_again_is_a_conflict_unless_it_is_the_same_study(client, name):
    new_study(client, name)
    with pytest.raises(StudyExists, match="exist_ok"):
        new_study(client, name)
    assert new_study(client, name, exist_ok=True).name == name
    with pytest.raises(StudyExists):
        new_study(client, name, exist_ok=True, sampler="qmc")


def test_enqueued_trials_come_first_and_imported_ones_count_as_history(client, name):
    study = new_study(client, name, budget={"trials": 2})
    (imported,) = study.import_trials([{"params": {"x": 0.125, "n": 2}, "values": {"loss": 0.5}}])
    assert imported["state"] == "complete"
    study.enqueue({"x": 0.25}, note="mine")
    trial = study.ask()
    assert (trial.params["x"], trial.user_attrs) == (0.25, {"note": "mine"})
    trial.tell(0.75)
    study.ask().tell(0.9)
    assert study.best["number"] == imported["number"]
    with pytest.raises(BudgetSpent):
        study.enqueue({"x": 0.5})
    with pytest.raises(InvalidParameter, match="params"):
        study.import_trials([{"params": {"x": 2}, "values": {"loss": 0.5}}])


def test_pause_resume_stop_and_delete(client, name):
    study = new_study(client, name)
    running = study.ask()
    study.pause(now=True)
    assert study.ask() is None
    running.report(1, loss=0.5)
    running.flush()
    assert running.should_stop() == "paused"
    running.release()
    assert study.resume().state == "active"
    again = study.ask()
    assert (again.number, again.attempt) == (0, 2)
    study.stop()
    again.tell(0.5)
    assert study.state == "finished"
    study.delete()
    with pytest.raises(StudyNotFound):
        client.get_study(name)


def test_watch_yields_what_happens_and_ends_with_the_study(connect):
    client = connect()
    study = new_study(client, budget={"trials": 2})
    events: list[str] = []
    opened = threading.Event()

    def look() -> None:
        watching = connect().get_study("digits")
        opened.set()
        events.extend(event["event"] for event in watching.watch())

    thread = threading.Thread(target=look)
    thread.start()
    opened.wait(20)
    study.optimize(objective)
    thread.join(30)
    assert not thread.is_alive()
    assert events == [] or events[-1] == "study.finished"
    assert list(study.watch()) == []


def test_an_owner_that_was_killed_is_replaced_and_nothing_is_lost(connect, store):
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


def test_the_kill_of_an_owner_during_optimize_goes_unnoticed(connect, store):
    study = new_study(connect(), budget={"trials": 6})

    def killing(trial):
        if trial.number in (1, 3):
            end(owner_pid(store), signal.SIGKILL)
        return trial.params["x"]

    study.optimize(killing)
    trials = study.trials()
    assert [trial["state"] for trial in trials] == ["complete"] * 6
    assert {trial["attempt"] for trial in trials} == {1}


def test_a_watcher_follows_to_the_next_owner(connect, store):
    study = new_study(connect(), budget={"trials": 2})
    watching = connect().get_study("digits").watch()
    trial = study.ask()
    got = []
    thread = threading.Thread(target=lambda: got.extend(watching))
    thread.start()
    end(owner_pid(store), signal.SIGKILL)
    trial.tell(0.5)
    study.optimize(objective)
    thread.join(60)
    assert not thread.is_alive()


RACER = """
import sys, tuner
with tuner.Client(database_url=sys.argv[1]) as client:
    study = client.create_study("race", space={"x": tuner.Float(0, 1)}, objective="loss",
                                sampler="random", budget={"trials": 8}, exist_ok=True)
    study.optimize(lambda trial: trial.params["x"])
    print(sum(study.refresh().counts.values()))
"""


def test_clients_that_start_at_once_share_one_owner(store):
    command = [sys.executable, "-c", RACER, f"sqlite:///{store}"]
    racers = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=child_environment()
        )
        for _ in range(3)
    ]
    results = [racer.communicate(timeout=100) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], results
    with Client(database_url=f"sqlite:///{store}") as client:
        trials = client.get_study("race").trials()
    assert [trial["number"] for trial in trials] == list(range(8))
    assert {trial["state"] for trial in trials} == {"complete"}
    assert {trial["attempt"] for trial in trials} == {1}


INTERRUPTED = """
import sys, time, tuner
client = tuner.Client(database_url=sys.argv[1])
study = client.create_study("long", space={"x": tuner.Float(0, 1)}, objective="loss",
                            sampler="random", budget={"trials": 4})
def objective(trial):
    print("running", flush=True)
    time.sleep(60)
study.optimize(objective)
"""


def test_ctrl_c_gives_the_running_trial_back(store, connect):
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, f"sqlite:///{store}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    assert process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=60)
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert b"KeyboardInterrupt" in talk
    study = connect().get_study("long")
    assert study.counts == {"waiting": 1, "running": 0, "complete": 0, "pruned": 0, "fail": 0}
    assert study.state == "active"
    again = study.ask()
    assert (again.number, again.attempt) == (0, 2)
    again.tell(0.5)


SCRIPT = """
import tuner
trial = tuner.current_trial()
assert tuner.current_trial() is trial
state = trial.load_checkpoint() or {"epoch": 0}
for epoch in range(state["epoch"] + 1, 4):
    trial.save_checkpoint({"epoch": epoch}, epoch)
    trial.report(epoch, loss=trial.params["x"] / epoch)
"""


def test_a_script_reports_as_the_trial_that_its_worker_says(client, name, tmp_path):
    study = new_study(client, name)
    trial = study.ask()
    params = tmp_path / "params.json"
    params.write_text(json.dumps(trial.params))
    said = {
        "TUNER_URL": client.url,
        "TUNER_TOKEN": client.token,
        "TUNER_STUDY": name,
        "TUNER_TRIAL": str(trial.number),
        "TUNER_LEASE": trial.lease,
        "TUNER_PARAMS": str(params),
        "TUNER_CHECKPOINT_DIR": str(tmp_path / "ck"),
    }
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, env=child_environment(said))
    assert [row["step"] for row in study.measurements(0)] == [1, 2, 3]
    assert trial.tell()["values"] == {"loss": trial.params["x"] / 3}


def test_a_checkpoint_travels_to_the_next_attempt(client, name, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    study = new_study(client, name)
    first = study.ask()
    assert first.load_checkpoint() is None
    first.save_checkpoint({"epoch": 2}, 2)
    first.report(2, loss=0.5)
    first.release()
    second = study.ask()
    assert (second.number, second.attempt) == (0, 2)
    assert second.load_checkpoint() == {"epoch": 2}
    with pytest.raises(Conflict):
        first.tell(0.5)
    second.tell(0.25)


def test_reading_makes_no_file(connect, store):
    client = connect(create=False)
    with pytest.raises(NotFound, match=r"no store at .*tuner\.db"):
        client.get_study("digits")
    assert list(store.parent.iterdir()) == []


def test_a_file_that_is_no_database_is_refused_with_the_owners_words(connect, store):
    store.write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseUnavailable, match="ended at its start") as caught:
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


def test_the_async_client_does_the_same_calls(store):
    async def work() -> list[int]:
        async with tuner.AsyncClient(database_url=f"sqlite:///{store}") as client:
            data = {"name": "a", "objective": "loss", "space": {"x": {"type": "float", "low": 0,
                    "high": 1}}, "sampler": "random", "budget": {"trials": 6}}  # fmt: skip
            await client.create_study(data)
            answers = await asyncio.gather(*(client.ask("a") for _ in range(8)))
            trials = [trial for answer in answers for trial in answer["trials"]]
            for trial in trials:
                await client.tell("a", trial["number"], trial["lease"], values={"loss": 0.5})
            async for event in client.events("a", last_event_id=0):
                if event["event"] == "study.finished":
                    break
            with pytest.raises(Conflict):
                await client.retry_trial("a", 0)
            return sorted(trial["number"] for trial in trials)

    assert asyncio.run(work()) == list(range(6))
