"""Workers against a real server: real processes, real signals, nothing replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import tuner
from tuner.errors import LeaseLost, TrialNotFound

WAIT_S = 100.0
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
    for step in range(state["step"] + 1, 100_000):
        trial.report(step, loss=1 / step)
        note(f"step-{trial.number}-{trial.attempt}", step)
        if trial.should_stop():
            trial.save_checkpoint({"step": step}, step)
            return None
        if trial.attempt > 1:
            return step
        time.sleep(0.05)


def stubborn(trial):
    note(f"pid-{trial.number}-{trial.attempt}", os.getpid())
    while not trial.should_stop():
        time.sleep(0.02)
    note(f"asked-{trial.number}-{trial.attempt}", trial.should_stop())
    time.sleep(600)


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


class Server(NamedTuple):
    process: subprocess.Popen[str]
    url: str


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "jobs.py").write_text(OBJECTIVES)
    (folder / "train.py").write_text(SCRIPT)
    return folder


@pytest.fixture
def serve(start: Any, folder: Path, until: Any) -> Callable[..., Server]:
    """Starts a server, again after its end if its port is given."""

    def run(port: str = "0") -> Server:
        database = f"sqlite:///{folder / 'server.db'}"
        command = ("server", "start", "--port", port, "--database-url", database)
        log = folder / "server.log"
        with log.open("w") as out:
            process = start(*command, stderr=out)
        until(lambda: "\n" in log.read_text())
        return Server(process, log.read_text().splitlines()[0].split()[-1])

    return run


@pytest.fixture
def server(serve: Any) -> Server:
    return serve()


@pytest.fixture
def client(server: Server) -> Iterator[tuner.Client]:
    with tuner.Client(server.url) as client:
        yield client


@pytest.fixture
def work(start: Any, client: tuner.Client) -> Callable[..., subprocess.Popen[str]]:
    """Starts a worker that may run everything."""

    def run(*args: str) -> subprocess.Popen[str]:
        given = ["--allow", "*", *args] if "--allow" not in args else list(args)
        command = ("--url", client.url, "worker", "start", "--devices", "cpu", *given)
        return start(*command, stdout=None, stderr=None)

    return run


@pytest.fixture
def read(folder: Path, until: Any) -> Callable[[str], str]:
    """What a trial has noted under a name, once it has."""

    def text(name: str) -> str:
        until((folder / name).exists)
        return (folder / name).read_text()

    return text


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


def test_the_trial_of_a_killed_worker_is_finished_by_another(client, work, read, until, is_gone):
    study_of(client, "hang_once")
    first = work("--lease-seconds", "2")
    pid = int(read("pid-0-1"))
    first.kill()
    until(lambda: is_gone(pid))
    work()
    trial = until(lambda: finished(client, "hang_once"))
    assert (trial["state"], trial["attempt"]) == ("complete", 2)


def test_a_killed_trial_is_tried_again(client, work, read, until):
    study_of(client, "hang_once")
    work()
    os.kill(int(read("pid-0-1")), signal.SIGKILL)
    trial = until(lambda: finished(client, "hang_once"))
    assert (trial["state"], trial["attempt"]) == ("complete", 2)


def test_a_worker_that_was_frozen_past_its_lease_ends_its_trial_and_says_nothing(
    client, work, read, until, is_gone
):
    study_of(client, "hang")
    worker = work("--lease-seconds", "5")
    pid = int(read("pid-0-1"))
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
    client, work, folder, read, until
):
    study_of(client, "counting", trial={"max_attempts": 1})
    first = work()
    until(lambda: int(read("step-0-1")) >= 3)
    first.terminate()
    assert first.wait(WAIT_S) == 0
    trial = trial_of(client, "counting")
    assert (trial["state"], trial["reason"]) == ("waiting", "preempted")
    assert work("--until-idle").wait(WAIT_S) == 0
    assert int(read("began-0-2")) == int(read("step-0-1"))
    assert trial_of(client, "counting")["state"] == "complete"
    assert list((folder / "state").rglob("checkpoint-*")) == []


def test_a_second_signal_ends_trials_at_once_and_still_gives_them_back(
    client, work, read, is_gone
):
    study_of(client, "stubborn", trial={"grace": 600})
    worker = work()
    pid = int(read("pid-0-1"))
    worker.send_signal(signal.SIGINT)
    read("asked-0-1")
    worker.send_signal(signal.SIGINT)
    worker.wait(WAIT_S)
    assert is_gone(pid)
    trial = trial_of(client, "stubborn")
    assert (trial["state"], trial["reason"]) == ("waiting", "preempted")


def test_stopping_a_hanging_trial_ends_its_grandchildren(client, work, read, until, is_gone):
    study_of(client, "greedy", trial={"grace": 0.2})
    work("--lease-seconds", "3")
    pid = int(read("pid-0-1"))
    client.rest.stop_trial("greedy", 0)
    trial = until(lambda: finished(client, "greedy"))
    assert (trial["state"], trial["reason"]) == ("fail", "cancelled")
    until(lambda: is_gone(pid))


def test_a_trial_that_takes_too_long_fails(client, work, until):
    study_of(client, "hang", trial={"timeout": 0.5, "grace": 0.2})
    work()
    trial = until(lambda: finished(client, "hang"))
    assert (trial["state"], trial["reason"]) == ("fail", "timeout")


def test_a_result_outlives_an_outage_of_the_server(
    server, client, work, serve, folder, read, until, is_gone
):
    study_of(client, "hang")
    work("--lease-seconds", "60")
    pid = int(read("pid-0-1"))
    server.process.kill()
    server.process.wait()
    (folder / "go").touch()
    until(lambda: is_gone(pid))
    assert serve(server.url.rpartition(":")[2]).url == server.url
    trial = until(lambda: finished(client, "hang"))
    assert (trial["state"], trial["attempt"]) == ("complete", 1)


def test_a_drained_worker_finishes_its_trial_and_ends(client, work, folder, read):
    study_of(client, "hang", budget={"trials": 5})
    worker = work("--slots", "1", "--lease-seconds", "3")
    read("pid-0-1")
    (item,) = client.rest.list_workers()["items"]
    client.rest.drain_worker(item["id"])
    (folder / "go").touch()
    assert worker.wait(WAIT_S) == 0
    study = client.get_study("hang")
    assert study.counts["running"] == 0
    assert 1 <= study.counts["complete"] < 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_ended_is_listed_no_more(client, work, how, until):
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


def test_a_lease_that_was_given_on_takes_no_report(client, until):
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
