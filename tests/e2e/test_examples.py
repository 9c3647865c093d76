"""Every example runs as its first lines say, in a folder of its own, with a store of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tuner

pytestmark = pytest.mark.timeout(300)
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Run = Callable[..., str]


@pytest.fixture
def folder(folder: Path) -> Path:
    """A folder that has the examples as the project has them."""
    shutil.copytree(EXAMPLES, folder / "examples")
    return folder


@pytest.fixture
def run(python: Callable[..., Any]) -> Run:
    """Runs `python …` in the folder and gives its output; it must end well and say nothing bad."""

    def call(*args: str) -> str:
        done = python(*args)
        assert done.code == 0, done.err
        return done.out

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


@pytest.mark.timeout(600)
def test_the_comparison_of_optimizers_makes_its_reports(folder, run_command):
    """The whole of it takes half an hour, so here three optimizers have two trials each."""
    place = folder / "examples" / "which_optimizer"
    for file in place.glob("*.yaml"):
        text = re.sub(r"optimizers: .*", "optimizers: [sgd, adam, lion]", file.read_text())
        text = text.replace("trials: 16, seeds: 8", "trials: 2, seeds: 2")
        file.write_text(text.replace("epochs: 20", "epochs: 1"))
    for report in place.glob("*.md"):
        report.unlink()
    (place / "report.html").unlink()
    store = f"sqlite:///{folder / 'tuner.db'}"
    done = run_command(folder, "sh", str(place / "run.sh"), TUNER_DATABASE_URL=store)
    assert done.code == 0, done.err
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
