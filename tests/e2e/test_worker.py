"""Workers against a real server: real processes, real signals, nothing replaced."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuner
from tuner.errors import LeaseLost, TrialNotFound
from tuner.settings import child_environment

WAIT_S = 60.0
OBJECTIVES = """
import json, os, subprocess, sys, time
from pathlib import Path


def note(name, text):
    Path(name + ".draft").write_text(str(text))
    Path(name + ".draft").rename(name)


def square(trial):
    return (trial.params["x"] - 1) ** 2


def hang(trial):
    note(f"pid-{trial.number}-{trial.attempt}", os.getpid())
    while not Path("go").exists():
        time.sleep(0.02)
    return 1.0


def hang_once(trial):
    note(f"pid-{trial.number}-{trial.attempt}", os.getpid())
    if trial.attempt == 1:
        time.sleep(600)
    return 1.0


def counting(trial):
    state = trial.load_checkpoint() or {"step": 0}
    note(f"began-{trial.number}-{trial.attempt}", state["step"])
    for step in range(state["step"] + 1, 200):
        trial.report(step, loss=1 / step)
        note(f"step-{trial.number}-{trial.attempt}", step)
        if trial.should_stop():
            trial.save_checkpoint({"step": step}, step)
            return None
        if trial.attempt > 1:
            return step
        time.sleep(0.05)


def greedy(trial):
    grandchild = subprocess.Popen(["sleep", "600"], start_new_session=True)
    note(f"pid-{trial.number}-{trial.attempt}", grandchild.pid)
    time.sleep(600)
"""
SCRIPT = """
import json, os, sys, tuner
params = json.load(open(os.environ["TUNER_PARAMS"]))
assert os.environ["TUNER_STUDY"] and os.environ["TUNER_LEASE"] and os.environ["TUNER_CHECKPOINT_DIR"]
print("learning rate", sys.argv[1])
for step in (1, 2):
    print("tuner: " + json.dumps({"step": step, "loss": params["x"] ** 2 / step}), flush=True)
if "--also" in sys.argv:
    tuner.current_trial().report(3, loss=0.0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(OBJECTIVES)
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `tuner` commands in the folder."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*args: str) -> subprocess.Popen[bytes]:
        state = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder)}
        command = [sys.executable, "-m", "tuner", *args]
        started.append(
            subprocess.Popen(
                command, cwd=folder, env=child_environment(state), start_new_session=True
            )
        )
        return started[-1]

    yield run
    for process in reversed(started):
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def serve(start: Any, port: int, folder: Path) -> Callable[[], subprocess.Popen[bytes]]:
    """Starts the server of this test, again after its end."""

    def run() -> subprocess.Popen[bytes]:
        database = f"sqlite:///{folder / 'server.db'}"
        process: subprocess.Popen[bytes] = start(
            "server", "start", "--port", str(port), "--database-url", database
        )
        return process

    return run


@pytest.fixture
def server(serve: Any, port: int) -> subprocess.Popen[bytes]:
    process: subprocess.Popen[bytes] = serve()
    until(lambda: is_up(port))
    return process


@pytest.fixture
def client(server: Any, port: int) -> Iterator[tuner.Client]:
    with tuner.Client(f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def work(start: Any, client: tuner.Client) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a worker that may run everything."""

    def run(*args: str) -> subprocess.Popen[bytes]:
        given = ["--allow", "*", *args] if "--allow" not in args else list(args)
        return start("--url", client.url, "worker", "start", "--devices", "cpu", *given)

    return run


def is_up(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], Any], seconds: float = WAIT_S) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.03)
    raise AssertionError("it did not happen in time")


def read(file: Path) -> str:
    return until(lambda: file.exists()) and file.read_text()


def is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def study_of(client: tuner.Client, function: str, **changes: Any) -> Any:
    trial = {"python": f"jobs:{function}", "grace": 2, **changes.pop("trial", {})}
    data: dict[str, Any] = {"sampler": "random", "budget": {"trials": 1}, **changes}
    space = data.pop("space", {"x": tuner.Float(0, 2)})
    return client.create_study(function, space=space, objective="loss", trial=trial, **data)


def trial_of(client: tuner.Client, study: str, number: int = 0) -> dict[str, Any]:
    return client.rest.get_trial(study, number)


def finished(client: tuner.Client, study: str, number: int = 0) -> dict[str, Any] | None:
    try:
        trial = trial_of(client, study, number)
    except TrialNotFound:
        return None
    return trial if trial["state"] not in ("waiting", "running") else None


def test_a_built_in_task_runs_to_its_end_without_any_right(client, work):
    trial = {"task": {"dataset": "digits", "model": "mlp", "epochs": 2}}
    client.create_study(
        "digits",
        space=tuner.space.optimizers("sgd", "adam"),
        objective="val_loss",
        sampler="random",
        budget={"trials": 2},
        trial=trial,
    )
    worker = work("--until-idle", "--allow", "no:such")
    assert worker.wait(WAIT_S) == 0
    study = client.get_study("digits")
    assert study.state == "finished"
    assert study.counts["complete"] == 2
    assert [row["step"] for row in client.rest.measurements("digits", 0)["items"]] == [1, 2]
    assert "training on cpu" in client.rest.trial_log("digits", 0)["items"][0]["text"]


def test_what_is_not_allowed_is_not_run(client, work):
    study_of(client, "square")
    worker = work("--allow", "jobs:other", "--until-idle")
    assert worker.wait(WAIT_S) == 0
    assert client.get_study("square").counts["complete"] == 0
    assert "no live worker may run" in client.rest.get_study("square")["state_reason"]


def test_many_short_trials_in_several_slots(client, work):
    study = study_of(client, "square", budget={"trials": 30})
    assert work("--slots", "3", "--until-idle").wait(WAIT_S) == 0
    assert study.refresh().counts["complete"] == 30
    assert study.best["values"]["loss"] < 0.5


def test_the_trial_of_a_killed_worker_is_finished_by_another(client, work, folder):
    study_of(client, "hang_once")
    first = work("--lease-seconds", "2")
    pid = int(read(folder / "pid-0-1"))
    first.kill()
    until(lambda: is_gone(pid))
    work("--lease-seconds", "2")
    trial = until(lambda: finished(client, "hang_once"))
    assert (trial["state"], trial["attempt"]) == ("complete", 2)


def test_a_killed_trial_is_tried_again(client, work, folder):
    study_of(client, "hang_once")
    work()
    os.kill(int(read(folder / "pid-0-1")), signal.SIGKILL)
    trial = until(lambda: finished(client, "hang_once"))
    assert (trial["state"], trial["attempt"]) == ("complete", 2)


def test_a_worker_that_was_frozen_past_its_lease_ends_its_trial_and_says_nothing(
    client, work, folder
):
    study_of(client, "hang")
    worker = work("--lease-seconds", "2")
    pid = int(read(folder / "pid-0-1"))
    worker.send_signal(signal.SIGSTOP)
    until(lambda: trial_of(client, "hang")["state"] == "waiting")
    (again,) = client.rest.ask("hang", lease_seconds=600)["trials"]
    worker.send_signal(signal.SIGCONT)
    until(lambda: is_gone(pid))
    trial = trial_of(client, "hang")
    assert (trial["state"], trial["attempt"]) == ("running", 2)
    told = client.rest.tell("hang", 0, again["lease"], "complete", {"loss": 3.0})
    assert told["values"] == {"loss": 3.0}


def test_sigterm_gives_trials_back_with_their_checkpoint_and_counts_no_attempt(
    client, work, folder
):
    study_of(client, "counting", trial={"max_attempts": 1})
    first = work()
    until(lambda: int(read(folder / "step-0-1")) >= 3)
    first.terminate()
    assert first.wait(WAIT_S) == 0
    trial = trial_of(client, "counting")
    assert (trial["state"], trial["reason"]) == ("waiting", "preempted")
    assert work("--until-idle").wait(WAIT_S) == 0
    assert int(read(folder / "began-0-2")) == int(read(folder / "step-0-1"))
    assert trial_of(client, "counting")["state"] == "complete"
    assert list((folder / "state").rglob("checkpoint-*")) == []


def test_a_second_signal_ends_trials_at_once_and_still_gives_them_back(client, work, folder):
    study_of(client, "hang", trial={"grace": 600})
    worker = work()
    pid = int(read(folder / "pid-0-1"))
    worker.send_signal(signal.SIGINT)
    time.sleep(0.5)
    worker.send_signal(signal.SIGINT)
    worker.wait(WAIT_S)
    assert is_gone(pid)
    trial = trial_of(client, "hang")
    assert (trial["state"], trial["reason"]) == ("waiting", "preempted")


def test_stopping_a_hanging_trial_ends_its_grandchildren(client, work, folder):
    study_of(client, "greedy", trial={"grace": 0.2})
    work("--lease-seconds", "3")
    pid = int(read(folder / "pid-0-1"))
    client.rest.stop_trial("greedy", 0)
    trial = until(lambda: finished(client, "greedy"))
    assert (trial["state"], trial["reason"]) == ("fail", "cancelled")
    until(lambda: is_gone(pid))


def test_a_trial_that_takes_too_long_fails(client, work):
    study_of(client, "hang", trial={"timeout": 0.5, "grace": 0.2})
    work()
    trial = until(lambda: finished(client, "hang"))
    assert (trial["state"], trial["reason"]) == ("fail", "timeout")


def test_a_result_outlives_an_outage_of_the_server(server, client, work, serve, folder):
    study_of(client, "hang")
    work("--lease-seconds", "60")
    pid = int(read(folder / "pid-0-1"))
    server.kill()
    server.wait()
    (folder / "go").touch()
    until(lambda: is_gone(pid))
    serve()
    trial = until(lambda: finished(client, "hang"))
    assert (trial["state"], trial["attempt"]) == ("complete", 1)


def test_a_drained_worker_finishes_its_trial_and_ends(client, work, folder):
    study_of(client, "hang", budget={"trials": 5})
    worker = work("--slots", "1", "--lease-seconds", "3")
    read(folder / "pid-0-1")
    (item,) = client.rest.list_workers()["items"]
    client.rest.drain_worker(item["id"])
    (folder / "go").touch()
    assert worker.wait(WAIT_S) == 0
    study = client.get_study("hang")
    assert study.counts["running"] == 0
    assert 1 <= study.counts["complete"] < 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_ended_is_listed_no_more(client, work, how):
    worker = work("--lease-seconds", "3")
    until(lambda: client.rest.list_workers()["items"])
    worker.send_signal(how)
    worker.wait(WAIT_S)
    assert client.rest.list_workers()["items"] == []


@pytest.mark.parametrize("also", [[], ["--also"]])
def test_a_command_reports_by_lines_and_by_the_client(client, work, also):
    command = [sys.executable, "train.py", "{x}", *also]
    study_of(client, "script", trial={"python": None, "command": command})
    assert work("--until-idle").wait(WAIT_S) == 0
    trial = trial_of(client, "script")
    x = trial["params"]["x"]
    assert trial["state"] == "complete"
    assert trial["values"]["loss"] == (0.0 if also else x**2 / 2)
    (log,) = [item["text"] for item in client.rest.trial_log("script", 0)["items"]]
    assert f"learning rate {x!r}" in log


def test_a_command_that_reports_nothing_has_no_result(client, work):
    study_of(client, "silent", trial={"python": None, "command": [sys.executable, "-c", "1"]})
    assert work("--until-idle").wait(WAIT_S) == 0
    trial = trial_of(client, "silent")
    assert (trial["state"], trial["reason"]) == ("fail", "no-result")


def test_a_lease_that_was_given_on_takes_no_report(client):
    study_of(client, "square")
    (first,) = client.rest.ask("square", lease_seconds=1)["trials"]
    until(lambda: trial_of(client, "square")["state"] == "waiting")
    client.rest.ask("square")
    with pytest.raises(LeaseLost):
        client.rest.tell("square", 0, first["lease"], "complete", {"loss": 1.0})


def test_optimize_with_workers_stops_at_the_number_of_trials(client):
    study = client.create_study("opt", space={"x": tuner.Float(0, 1)}, objective="loss")
    factor = 2.0
    study.optimize(lambda trial: factor * trial.params["x"], trials=5, workers=2)
    assert study.counts == {"waiting": 0, "running": 0, "complete": 5, "pruned": 0, "fail": 0}
    for trial in study.trials():
        assert trial["values"]["loss"] == factor * trial["params"]["x"]
