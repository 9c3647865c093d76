"""Every example runs as its first lines say, in a folder of its own, with a store of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import tuner
from tuner.settings import child_environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WAIT_S = 100.0
Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that has the examples as the project has them; its store's owner is ended."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    yield tmp_path
    owner = tmp_path / "tuner.db.owner.json"
    if owner.exists():
        os.kill(json.loads(owner.read_text())["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 20
        while owner.exists():
            assert time.monotonic() < deadline, "the store's owner does not end"
            time.sleep(0.05)


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs `python …` in the folder and gives its output; it must end well and say nothing bad."""

    def call(*args: str) -> str:
        programs = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
        done = subprocess.run(
            [sys.executable, *args],
            cwd=folder,
            env=child_environment(
                {
                    "PATH": programs,
                    "OMP_NUM_THREADS": "1",
                    "XDG_STATE_HOME": str(folder / "state"),
                    "XDG_CONFIG_HOME": str(folder / "config"),
                }
            ),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return call


def trials(folder: Path, study: str) -> list[dict[str, Any]]:
    with tuner.Client(database_url=f"sqlite:///{folder / 'tuner.db'}", create=False) as client:
        return client.get_study(study).trials()


def test_ask_and_tell_runs_and_a_second_run_starts_nothing(folder, run):
    first = run("examples/ask_and_tell.py")
    assert first.startswith("20 trials, best is number")
    assert run("examples/ask_and_tell.py") == first
    assert [trial["number"] for trial in trials(folder, "ask-and-tell")] == list(range(20))


def test_conditional_space_has_active_parameters_only(folder, run):
    lines = run("examples/conditional_space.py").splitlines()
    assert len(lines) == 3
    assert all(line.startswith("trial ") for line in lines)
    found = trials(folder, "conditional-space")
    assert {trial["state"] for trial in found} == {"complete"}
    assert found[0]["params"] == {"model": "tree", "depth": 3}
    for trial in found:
        params = trial["params"]
        assert ("depth" in params) == (params["model"] == "tree")
        assert ("ratio" in params) == (params.get("penalty") == "l1")


def test_the_torch_loop_prunes_and_leaves_no_checkpoints(folder, run):
    text = run("examples/optimize_torch.py")
    assert "best: trial" in text
    found = trials(folder, "torch-loop")
    assert len(found) == 14
    assert {trial["state"] for trial in found} == {"complete", "pruned"}
    assert {trial["params"]["optimizer"] for trial in found} == {"momentum", "adam"}
    assert list((folder / "state" / "tuner" / "checkpoints").rglob("*.pt")) == []


def test_the_lightning_module_is_followed_by_its_trials(folder, run):
    pytest.importorskip("lightning", reason="the extra 'lightning' is not installed")
    assert "best: trial" in run("examples/lightning_module.py")
    found = trials(folder, "lightning")
    assert len(found) == 6
    assert {trial["state"] for trial in found} == {"complete", "pruned"}
    assert {trial["params"]["optimizer"] for trial in found} == {"momentum", "adamw", "sam"}


def test_the_hugging_face_trainer_is_followed_by_its_trials(folder, run):
    pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")
    assert "best: trial" in run("examples/huggingface_trainer.py")
    found = trials(folder, "huggingface")
    assert len(found) == 6
    assert {trial["state"] for trial in found} == {"complete", "pruned"}
    assert {trial["params"]["optimizer"] for trial in found} == {"momentum", "adamw", "muon"}


def test_the_sklearn_objective_runs_in_this_process_and_in_two(folder, run):
    assert "best of 12: accuracy 0.9" in run("examples/sklearn_objective.py", "2")
    found = trials(folder, "sklearn")
    assert [trial["state"] for trial in found] == ["complete"] * 12
    assert "best of 12: accuracy 0.9" in run("examples/sklearn_objective.py")


def test_the_command_is_run_with_its_optional_group(folder, run):
    text = run("-m", "tuner", "study", "run", "examples/command.yaml", "--workers", "2")
    assert text.splitlines()[0].split()[:3] == ["OPTIMIZER", "TRIAL", "VAL_LOSS"]
    found = trials(folder, "command")
    assert len(found) == 12
    assert {trial["state"] for trial in found} <= {"complete", "pruned"}
    assert {trial["params"]["optimizer"] for trial in found} == {"sgd", "momentum"}


def test_own_code_is_trained_by_every_kind_of_optimizer(folder, run):
    assert "wrote" in run("examples/own_model.py")
    text = run("-m", "tuner", "study", "run", "examples/own_model.yaml", "--workers", "2")
    assert text.splitlines()[0].split()[:3] == ["OPTIMIZER", "TRIAL", "VAL_BRIER"]
    found = trials(folder, "own-model")
    assert {trial["state"] for trial in found} <= {"complete", "pruned"}
    assert {trial["params"]["optimizer"] for trial in found} == {"lbfgs", "adam", "nesterov"}


def test_the_comparison_of_optimizers_makes_its_reports(folder):
    """The whole of it takes half an hour, so here three optimizers have two trials each."""
    place = folder / "examples" / "which_optimizer"
    for file in place.glob("*.yaml"):
        text = re.sub(r"optimizers: .*", "optimizers: [sgd, adam, lion]", file.read_text())
        text = text.replace("trials: 16, seeds: 8", "trials: 2, seeds: 2")
        file.write_text(text.replace("epochs: 20", "epochs: 1"))
    for report in place.glob("*.md"):
        report.unlink()
    (place / "report.html").unlink()
    programs = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    store = f"sqlite:///{folder / 'tuner.db'}"
    env = child_environment({"PATH": programs, "TUNER_DATABASE_URL": store})
    subprocess.run(["sh", str(place / "run.sh")], check=True, timeout=WAIT_S, env=env)
    made = {file.name for file in place.iterdir()} - {"README.md"}
    assert made == {
        *("mlp.yaml", "cnn.yaml", "rnn.yaml", "run.sh", "report.html", "report.md"),
        *("which-mlp.md", "which-cnn.md", "which-rnn.md"),
    }
    assert "Comparison of 3 optimizers" in (place / "report.md").read_text()


def test_every_example_has_a_test():
    """A file that is not named here is run by nobody."""
    others = {"demo.yaml", "demo.sh", "serve.sh", "digits.yaml", "train.py"}
    named = Path(__file__).read_text(encoding="utf-8")
    files = {file.name for file in EXAMPLES.iterdir() if file.is_file()}
    assert sorted(name for name in files - others if f"examples/{name}" not in named) == []
