"""Clients of real owners of real files."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuner
from tuner.client.client import Client
from tuner.client.study import Study
from tuner.client.trial import Trial

SPACE = {"x": tuner.Float(0, 1), "n": tuner.Int(1, 5)}


@pytest.fixture
def client(shared_folder: Path) -> Iterator[Client]:
    """A client of the one owner of all tests that leave it alone."""
    with Client(database_url=f"sqlite:///{shared_folder / 'tuner.db'}") as made:
        yield made


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return request.node.name


@pytest.fixture
def store(folder: Path) -> Path:
    """A file of the test's own."""
    return folder / "tuner.db"


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
