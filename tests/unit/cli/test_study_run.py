import threading
from typing import Any

import pytest

from tuner.cli.output import Output
from tuner.cli.study_create import Flags, from_flags
from tuner.cli.study_run import create_or_resume, differences, follow
from tuner.core.study import StudySpec
from tuner.errors import NotAvailable, StudyExists, StudyNotFound, WorkerError
from tuner.optimizers import extras


class Calls:
    """Answers the calls of the client that are used here, from one stored study."""

    def __init__(self, study: dict[str, Any] | None) -> None:
        self.rest = self
        self.study = study
        self.changes: list[dict[str, Any]] = []

    def create_study(self, data: dict[str, Any], dry_run: bool) -> dict[str, Any]:
        assert dry_run
        return dict(data)

    def ensure_study(self, data: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        self.study = {**data, "state": "active", "counts": {}}
        return True, self.study

    def get_study(self, name: str) -> dict[str, Any]:
        if self.study is None:
            raise StudyNotFound(f"There is no study {name!r}.")
        return self.study

    def change_study(self, name: str, **change: Any) -> dict[str, Any]:
        self.changes.append(change)
        self.study = {**(self.study or {}), **change}
        return self.study


FILE = {"name": "s", "budget": {"trials": 5}, "sampler": {"name": "gp", "seed": 7}, "tags": {}}
STORED = {**FILE, "state": "active", "counts": {"complete": 2}}


def test_a_new_study_is_created(capsys):
    calls = Calls(None)
    assert create_or_resume(Output(), calls, FILE)["state"] == "active"
    assert "Created study s." in capsys.readouterr().err


@pytest.fixture
def without_extra(monkeypatch):
    monkeypatch.setitem(extras.MODULES, "optimizers", "no_such_library")
    extras.is_installed.cache_clear()
    yield
    extras.is_installed.cache_clear()


def test_a_study_whose_optimizers_are_not_installed_is_refused_and_nothing_is_made(without_extra):
    task = {"dataset": "digits", "model": "mlp", "optimizer": "soap"}
    data = {**FILE, "trial": {"task": task}}
    calls = Calls(None)
    with pytest.raises(NotAvailable, match="soap needs no_such_library"):
        create_or_resume(Output(), calls, data)
    assert calls.study is None
    calls = Calls({**STORED, **data})
    with pytest.raises(NotAvailable):
        create_or_resume(Output(), calls, {**data, "budget": {"trials": 9}})
    assert calls.changes == []
    finished = Calls({**STORED, **data, "state": "finished"})
    assert create_or_resume(Output(), finished, data)["state"] == "finished"


def test_the_same_study_goes_on_unchanged(capsys):
    calls = Calls(STORED)
    create_or_resume(Output(), calls, {**FILE, "constraints": []})
    assert calls.changes == []
    assert "Going on with study s: complete=2." in capsys.readouterr().err


def test_a_changed_budget_and_tags_are_applied_and_said(capsys):
    calls = Calls(STORED)
    create_or_resume(Output(), calls, {**FILE, "budget": {"seconds": 9}, "tags": {"a": 1}})
    assert calls.changes == [
        {"budget": {"trials": None, "seconds": 9, "target": None}, "tags": {"a": 1}}
    ]
    err = capsys.readouterr().err
    assert "Changed budget of study s: trials=5 -> seconds=9." in err
    assert "Changed tags of study s: not set -> a=1." in err


def test_a_paused_study_is_resumed_and_said(capsys):
    calls = Calls({**STORED, "state": "paused"})
    create_or_resume(Output(), calls, FILE)
    assert calls.changes == [{"state": "active"}]
    assert "was paused" in capsys.readouterr().err


def test_any_other_difference_is_refused_by_name_and_nothing_changes():
    calls = Calls(STORED)
    data = {**FILE, "budget": {"trials": 9}, "sampler": {"name": "gp", "seed": 8}}
    with pytest.raises(StudyExists) as caught:
        create_or_resume(Output(), calls, data)
    assert "differs from the file in sampler" in caught.value.message
    assert "sampler.seed is 7, the file says 8" in caught.value.message
    assert "--name s-2" in caught.value.hint
    assert caught.value.exit_code == 5
    assert calls.changes == []


def test_differences_are_counted_beyond_the_first_three():
    old = {"sampler": {str(i): i for i in range(5)}}
    text = differences(old, {"sampler": {}}, ["sampler"])
    assert text.count(";") == 2
    assert text.endswith("(and 2 more)")
    assert "the file says not set" in text


def test_following_ends_when_the_study_is_finished():
    seen: list[str] = []
    calls = Calls({**STORED, "state": "finished"})
    follow(calls, "s", lambda study: seen.append(study["state"]), threading.Event(), lambda: None)
    assert seen == ["finished"]


def test_workers_that_end_before_the_study_are_an_error():
    calls = Calls(STORED)
    with pytest.raises(WorkerError, match="the disk is full"):
        follow(calls, "s", lambda _: None, threading.Event(), lambda: "the disk is full")


def make_flags(**given: Any) -> Flags:
    runner = dict.fromkeys(("task", "set", "python", "command", "gpus", "cpus", "timeout"))
    empty: dict[str, Any] = {
        "optimizers": None, "size": None, "params": [], "metrics": [], "directions": [],
        "sampler": None, "pruner": None, "budget": {}, "tags": [],
    }  # fmt: skip
    return Flags(**{**empty, "runner": {**runner, **given.pop("runner", {})}, **given})


def test_flags_and_file_say_the_same_thing():
    flags = make_flags(
        optimizers="adam, sgd",
        size="small",
        params=["dropout=float:0:0.6", "adam.lr=1e-5:1e-2"],
        metrics=["acc"],
        directions=["maximize"],
        sampler="gp:seed=7",
        pruner="asha",
        budget={"trials": 60, "seconds": None},
        tags=["team=vision"],
        runner={"task": "digits/mlp", "set": ["epochs=27"], "gpus": 0.5, "timeout": 60.0},
    )
    data = from_flags("d", flags)
    file = {
        "name": "d",
        "objective": ["acc", "maximize"],
        "space": {
            "optimizers": {"names": ["adam", "sgd"], "size": "small"},
            "parameters": {
                "dropout": {"type": "float", "low": 0, "high": 0.6},
                "adam.lr": {"low": 1e-5, "high": 1e-2},
            },
        },
        "sampler": {"name": "gp", "seed": 7},
        "pruner": "asha",
        "budget": {"trials": 60},
        "trial": {
            "task": {"dataset": "digits", "model": "mlp", "epochs": 27},
            "resources": {"gpus": 0.5},
            "timeout": 60.0,
        },
        "tags": {"team": "vision"},
    }
    assert StudySpec.read(data).to_json() == StudySpec.read(file).to_json()


def test_a_command_is_split_as_a_shell_would():
    flags = make_flags(params=["lr=float:0:1"], runner={"command": "python 'a b.py' --lr {lr}"})
    assert from_flags("d", flags)["trial"] == {"command": ["python", "a b.py", "--lr", "{lr}"]}
