"""One worker, several studies, and one of them cannot run on its machine."""

from __future__ import annotations

import os
import re
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
from tuner.settings import child_environment

WAIT_S = 60.0
SPACE = {"x": tuner.Float(0, 2)}


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `tuner` commands in a folder; what they say goes to a file."""
    (tmp_path / "jobs.py").write_text("def square(trial):\n    return trial.params['x'] ** 2\n")
    started: list[subprocess.Popen[str]] = []
    env = child_environment({"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})

    def run(said: str, *args: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tuner", *args]
        with (tmp_path / said).open("w") as file:
            started.append(
                subprocess.Popen(command, cwd=tmp_path, env=env, stderr=file, text=True)
            )
        return started[-1]

    yield run
    for process in reversed(started):
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def client(start: Any, tmp_path: Path) -> Iterator[tuner.Client]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = f"sqlite:///{tmp_path / 'server.db'}"
    start("server", "server", "start", "--port", str(port), "--database-url", database)

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    until(is_up)
    with tuner.Client(f"http://127.0.0.1:{port}") as client:
        yield client


def test_a_study_whose_file_is_missing_does_not_hold_up_the_others(client, start, tmp_path):
    common = {"sampler": "random", "objective": "val_loss"}
    bad = client.create_study(
        "bad",
        space=tuner.space.optimizers("adam"),
        trial={"task": {"dataset": "gone.csv", "model": "mlp", "epochs": 1}},
        budget={"trials": 50},
        **common,
    )
    python = {"python": "jobs:square"}
    good = client.create_study("good", space=SPACE, trial=python, budget={"trials": 8}, **common)
    options = ("--url", client.url, "worker", "start", "--devices", "cpu", "--slots", "2")
    worker = start("first", *options, "--allow", "*")

    until(lambda: good.refresh().state == "finished")
    assert good.counts["complete"] == 8
    leaves = re.compile("the live workers that may run it leave it alone for now: .*gone.csv")
    until(lambda: leaves.search(client.rest.get_study("bad")["state_reason"] or ""))
    (item,) = client.rest.list_workers()["items"]
    assert item["labels"]["left_alone"] == "bad"
    worker.terminate()
    assert worker.wait(WAIT_S) == 0
    said = (tmp_path / "first").read_text()
    assert said.count("study bad is left alone: ") == 1
    assert said.count("study bad was left alone: ") == 1

    # a late study is served although nothing else is left
    more = client.create_study("more", space=SPACE, trial=python, budget={"trials": 2}, **common)
    worker = start("second", *options, "--allow", "*", "--until-idle")
    assert worker.wait(WAIT_S) == 1
    assert "Study bad is left alone: " in (tmp_path / "second").read_text()
    assert more.refresh().counts["complete"] == 2

    counts = bad.refresh().counts
    assert (counts["fail"], counts["running"], counts["complete"]) == (0, 0, 0)
    attempts = [trial["attempt"] for trial in bad.trials()]
    assert 2 <= sum(attempts) <= 6, "two workers with two slots have tried, and not again"


def test_a_file_that_comes_is_found_by_the_worker_that_is_started_then(client, start, tmp_path):
    client.create_study(
        "cars",
        space=tuner.space.optimizers("adam"),
        trial={"task": {"dataset": "cars.csv", "model": "mlp", "epochs": 1}},
        budget={"trials": 1},
        sampler="random",
        objective="val_loss",
    )
    options = ("--url", client.url, "worker", "start", "--devices", "cpu", "--studies", "cars")
    assert start("first", *options).wait(WAIT_S) == 1
    assert re.search("Error: The worker ended: .*cars.csv", (tmp_path / "first").read_text())
    rows = "".join(f"{n},{n % 7},{n % 2}\n" for n in range(40))
    (tmp_path / "cars.csv").write_text(f"a,b,target\n{rows}")
    assert start("second", *options, "--until-idle").wait(WAIT_S) == 0
    assert client.get_study("cars").counts["complete"] == 1


def test_optimize_with_workers_tries_its_last_trials_again(client):
    def killed_once(trial: Any) -> float:
        if trial.attempt == 1:
            time.sleep(1)  # meanwhile the third worker finds that no number is left
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    study = client.create_study("opt", space=SPACE, objective="loss")
    study.optimize(killed_once, trials=2, workers=3)
    assert study.counts["complete"] == 2
