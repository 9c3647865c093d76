"""A comparison of optimizers and a confirmation as a user meets them: real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuner.settings import child_environment

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
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose store's owner is ended afterwards."""
    (tmp_path / "train.py").write_text(SEEDED)
    yield tmp_path
    owner = tmp_path / "tuner.db.owner.json"
    if owner.exists():
        os.kill(json.loads(owner.read_text())["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 30
        while owner.exists() and time.monotonic() < deadline:
            time.sleep(0.05)


@pytest.fixture
def tuner(folder: Path) -> Callable[..., tuple[str, str]]:
    """Runs a command line that must succeed: stdout, stderr."""

    def run(*args: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tuner", *args],
            cwd=folder,
            env=child_environment({"XDG_CONFIG_HOME": str(folder / "config")}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return run


def trials_of(tuner, name):
    return json.loads(tuner("study", "trials", name, "--json", "--limit", "1000")[0])["items"]


@pytest.mark.timeout(300)
def test_a_comparison_is_searched_confirmed_and_printed_by_optimizer(tuner, folder):
    (folder / "iris.yaml").write_text(IRIS)
    out, err = tuner("study", "run", "iris.yaml", "--workers", "2")
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
    assert "comparison complete" in tuner("study", "run", "iris.yaml")[1]


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
    best = json.loads(tuner("study", "best", "s", "--json")[0])
    out, err = tuner("study", "confirm", "s", "--seeds", "2")
    assert out.split() == ["2", "3"]
    assert f"trial {best['number']} on 2 fresh seeds" in err
    _, err = tuner("study", "run", "s.json")
    assert "Changed budget" not in err
    assert "On fresh seeds the median is" in err
    values = [t["values"]["loss"] - best["values"]["loss"] for t in trials_of(tuner, "s")[2:]]
    assert values == pytest.approx([1.0, 2.0])
    assert json.loads(tuner("study", "best", "s", "--json")[0])["number"] == best["number"]


def test_a_dry_run_prints_a_file_that_makes_the_same_study(tuner, folder):
    flags = ("--compare", "adamw,sgd", "--trials", "30", "--seeds", "3", "--task", "iris/mlp")
    flags += (
        "--param",
        "dropout=float:0:0.5:when=optimizer=adamw",
        "--param",
        "adamw.lr=1e-4:1e-2",
    )
    out, _ = tuner("study", "create", "a", *flags, "--dry-run")
    (folder / "dry.yaml").write_text(out)
    tuner("study", "create", "b", "--file", "dry.yaml")
    tuner("study", "create", "a", *flags)
    a, b = (json.loads(tuner("study", "show", name, "--json")[0]) for name in "ab")
    assert a["compare"] == b["compare"] == {"trials": 12, "seeds": 3}
    assert a["expanded_space"] == b["expanded_space"]
    assert (a["budget"], a["size"]) == (b["budget"], b["size"]) == ({"trials": 30}, 24)
