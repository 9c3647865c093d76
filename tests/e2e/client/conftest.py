"""Real owners of real files, and how to end them."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuner
from tuner.client.client import Client
from tuner.client.study import Study
from tuner.client.trial import Trial

SPACE = {"x": tuner.Float(0, 1), "n": tuner.Int(1, 5)}


def read_owner_pid(file: Path) -> int | None:
    try:
        return json.loads(file.with_name(f"{file.name}.owner.json").read_text())["pid"]
    except (OSError, ValueError):
        return None


def end_process(pid: int, how: int) -> None:
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
    pid = read_owner_pid(file)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            end_process(pid, signal.SIGTERM)


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


def make_study(client: Client, name: str = "digits", **changes: Any) -> Study:
    keys = {
        "space": SPACE,
        "objective": ("loss", "minimize"),
        "sampler": {"name": "random", "seed": 3},
        "budget": {"trials": 8},
        **changes,
    }
    return client.create_study(name, **keys)


@pytest.fixture
def new_study() -> Callable[..., Study]:
    return make_study


@pytest.fixture
def objective() -> Callable[[Trial], float]:
    """A quick objective that reports."""

    def run(trial: Trial) -> float:
        for step in (1, 2, 3):
            trial.report(step, loss=trial.params["x"] + 1 / step)
        return trial.params["x"]

    return run


@pytest.fixture
def end() -> Callable[[int, int], None]:
    return end_process


@pytest.fixture
def owner_pid() -> Callable[[Path], int | None]:
    return read_owner_pid
