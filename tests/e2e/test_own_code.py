"""Tasks with code and files of the user's own, by the command line and by workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
CODE = """
import numpy as np
from torch import nn

def load(params):
    random = np.random.default_rng(0)
    x = random.normal(size=(params["rows"], 4)).astype("float32")
    return x, (x[:, 0] > 0).astype(int)

def build(params, data):
    return nn.Sequential(nn.Linear(data.features, params["width2"]), nn.ReLU(),
                         nn.Linear(params["width2"], data.outputs))

def wrong_for_some(params, data):
    return nn.Linear(data.features, data.outputs if params["width2"] < 8 else 7)

def missed(outputs, targets):
    return float((outputs.argmax(1) != targets).float().mean())
"""
TASK = {
    "data": "mine:load",
    "model": "mine:build",
    "metric": "mine:missed",
    "reads": {"width2": 4, "rows": 90},
    "epochs": 2,
}
WIDTH = {"type": "int", "low": 2, "high": 12, "points": [4, 12]}


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "mine.py").write_text(CODE)
    return folder


def write(folder: Path, task, **changes):
    study = {
        "name": "mine",
        "objective": ["val_missed", "minimize"],
        "space": {"optimizers": ["adam", "nesterov", "lbfgs"], "parameters": {"width2": WIDTH}},
        "sampler": "random",
        "budget": {"trials": 4},
        "trial": {"task": task},
        **changes,
    }
    (folder / "s.json").write_text(json.dumps(study))


def test_a_study_of_own_code_runs_by_the_command_line(folder, tuner):
    write(folder, TASK)
    code, out, err = tuner("study", "run", "s.json", "--workers", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["best"]["values"]["val_missed"] < 0.6


@pytest.mark.parametrize(
    ("module", "said"), [("mine", "mine has no 'biuld'"), ("broken", "ZeroDivisionError")]
)
def test_code_that_does_not_import_is_refused_before_anything_is_made(folder, tuner, module, said):
    (folder / "broken.py").write_text("1 / 0")
    write(folder, {**TASK, "model": f"{module}:biuld"})
    code, out, err = tuner("study", "run", "s.json", "--workers", "1")
    assert (code, out) == (2, "")
    assert "trial.task.model" in err
    assert said in err
    assert not (folder / "tuner.db").exists()


def test_code_that_does_not_import_ends_a_worker_of_that_study_and_costs_no_trial(folder, tuner):
    write(folder, {**TASK, "model": "mine:biuld"})
    assert tuner("study", "create", "--file", "s.json").code == 0
    code, _, err = tuner("worker", "start", "--slots", "1", "--studies", "mine")
    assert code == 1
    assert "Did you mean 'build'?" in err
    counts = tuner("study", "show", "mine", "--json").json["counts"]
    assert (counts["fail"], counts["waiting"], counts["running"]) == (0, 1, 0)


def test_a_file_that_is_not_there_is_refused_before_anything_is_made(folder, tuner):
    write(folder, {"dataset": "gone.csv"}, objective="val_loss", space={"optimizers": ["adam"]})
    code, out, err = tuner("study", "run", "s.json")
    assert (code, out) == (2, "")
    assert "there is no gone.csv" in err
    assert not (folder / "tuner.db").exists()
    code, out, err = tuner("study", "create", "--file", "s.json", "--dry-run")
    assert code == 0
    assert "there is no gone.csv here" in err


def test_a_file_that_cannot_be_used_costs_no_trial(folder, tuner):
    (folder / "bad.csv").write_text("a,b\n1,x\n,y\n")
    write(folder, {"dataset": "bad.csv"}, objective="val_loss", space={"optimizers": ["adam"]})
    code, _, err = tuner("study", "run", "s.json", "--workers", "1")
    assert code == 2
    assert "bad.csv: line 3, column 'a', is empty" in err
    assert not (folder / "tuner.db").exists()
    assert tuner("study", "create", "--file", "s.json").code == 0
    code, _, err = tuner("worker", "start", "--slots", "1", "--until-idle")
    assert code == 1
    assert "bad.csv: line 3, column 'a', is empty" in err
    assert tuner("study", "show", "mine", "--json").json["counts"]["fail"] == 0


def test_a_model_that_is_wrong_for_some_parameters_fails_those_trials_only(folder, tuner):
    space = {"optimizer": {"type": "fixed", "value": "adam"}, "width2": WIDTH}
    task = {**TASK, "model": "mine:wrong_for_some"}
    write(folder, task, space=space, sampler="grid", budget={})
    assert tuner("study", "run", "s.json", "--workers", "1").code == 0
    items = tuner("study", "trials", "mine", "--json").json["items"]
    ends = {trial["params"]["width2"]: trial["state"] for trial in items}
    assert ends == {4: "complete", 12: "fail"}
    assert "shape (2, 7) for 2 examples" in tuner("trial", "log", "mine", "1").out


def test_a_worker_runs_own_code_only_if_it_allows_all_of_it(folder, tuner):
    write(folder, TASK, budget={"trials": 1})
    assert tuner("study", "create", "--file", "s.json").code == 0
    some = ("--allow", "mine:load", "--allow", "mine:build")
    assert tuner("worker", "start", "--until-idle", *some).code == 0
    study = tuner("study", "show", "mine", "--json").json
    assert study["counts"]["complete"] == 0
    assert "--allow mine:missed" in study["state_reason"]
    code, _, err = tuner("worker", "start", "--until-idle", *some, "--allow", "mine:missed")
    assert code == 0, err
    assert tuner("study", "show", "mine", "--json").json["counts"]["complete"] == 1
