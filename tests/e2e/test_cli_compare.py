"""A comparison of optimizers and a confirmation as a user meets them: real processes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
IRIS = """
name: iris
objective: {metric: val_loss, direction: minimize, from: best}
compare: {optimizers: [adamw, nesterov, lbfgs], trials: 2, seeds: 1}
sampler: {name: gp, n_startup: 2}
trial: {task: {dataset: iris, model: mlp, epochs: 2}}
"""
SEEDED = """
import os, sys
print('tuner: {"step": 1, "loss": %s}' % (float(sys.argv[1]) + int(os.environ["TUNER_REPLICATE"])))
"""


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "train.py").write_text(SEEDED)
    return folder


@pytest.fixture
def tuner(tuner: Callable[..., Any]) -> Callable[..., Any]:
    """Runs a command line that must succeed."""

    def run(*args: str) -> Any:
        done = tuner(*args)
        assert done.code == 0, done.err
        return done

    return run


def trials_of(tuner, name):
    return tuner("study", "trials", name, "--json", "--limit", "1000").json["items"]


def test_a_comparison_is_searched_confirmed_and_printed_by_optimizer(tuner, folder):
    (folder / "iris.yaml").write_text(IRIS)
    _, out, err = tuner("study", "run", "iris.yaml", "--workers", "2")
    header, *rows = out.splitlines()
    assert "CONFIRMED" in header
    assert sorted(row.split()[0] for row in rows) == ["adamw", "lbfgs", "nesterov"]
    assert all("(1 seed)" in row for row in rows)
    assert "searching 0/6" in err
    trials = trials_of(tuner, "iris")
    assert {t["state"] for t in trials} == {"complete"}
    optimizers = [t["params"]["optimizer"] for t in trials]
    assert optimizers == ["adamw", "nesterov", "lbfgs"] * 3
    for trial in trials[6:]:
        confirmed = trials[trial["user_attrs"]["confirms"]]
        assert confirmed["number"] < 6
        assert trial["params"] == confirmed["params"]
    # the same file again: nothing is left
    assert "comparison complete" in tuner("study", "run", "iris.yaml").err


def test_confirm_queues_fresh_seeds_that_study_run_then_runs(tuner, folder):
    study = {
        "name": "s",
        "objective": "loss",
        "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
        "sampler": "random",
        "budget": {"trials": 2},
        "trial": {"command": [sys.executable, "train.py", "{x}"]},
    }
    (folder / "s.json").write_text(json.dumps(study))
    tuner("study", "run", "s.json")
    best = tuner("study", "best", "s", "--json").json
    _, out, err = tuner("study", "confirm", "s", "--seeds", "2")
    assert out.split() == ["2", "3"]
    assert f"trial {best['number']} on 2 fresh seeds" in err
    err = tuner("study", "run", "s.json").err
    assert "Changed budget" not in err
    assert "On fresh seeds the median is" in err
    values = [t["values"]["loss"] - best["values"]["loss"] for t in trials_of(tuner, "s")[2:]]
    assert values == pytest.approx([1.0, 2.0])
    assert tuner("study", "best", "s", "--json").json["number"] == best["number"]


def test_a_dry_run_prints_a_file_that_makes_the_same_study(tuner, folder):
    flags = ("--compare", "adamw,sgd", "--trials", "30", "--seeds", "3", "--task", "iris/mlp")
    flags += (
        "--param",
        "dropout=float:0:0.5:when=optimizer=adamw",
        "--param",
        "adamw.lr=1e-4:1e-2",
    )
    dry = tuner("study", "create", "a", *flags, "--dry-run")
    (folder / "dry.yaml").write_text(dry.out)
    tuner("study", "create", "b", "--file", "dry.yaml")
    tuner("study", "create", "a", *flags)
    a, b = (tuner("study", "show", name, "--json").json for name in "ab")
    assert a["compare"] == b["compare"] == {"trials": 12, "seeds": 3}
    assert a["expanded_space"] == b["expanded_space"]
    assert (a["budget"], a["size"]) == (b["budget"], b["size"]) == ({"trials": 30}, 24)
