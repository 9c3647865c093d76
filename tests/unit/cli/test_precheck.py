"""What `study run` looks for before it makes a study."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULES = {
    "train": "import other\nfrom pathlib import Path\n\n\ndef objective(trial):\n"
    "    Path('called').touch()\n    return trial.params['x']\n",
    "other": "",
    "broken": "1 / 0\n",
    "leaving": "raise SystemExit(3)\n",
}
SPACE = {"x": {"type": "float", "low": 0, "high": 1}}


@pytest.fixture
def refused(folder: Path, tuner: Callable[..., Any]) -> Callable[..., str]:
    """Runs a study of this trial, which must be refused with nothing made; what was said."""
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)

    def run(trial: dict[str, Any], **changes: Any) -> str:
        study = {"name": "s", "objective": "loss", "space": SPACE, "trial": trial, **changes}
        (folder / "s.json").write_text(json.dumps(study))
        ran = tuner("study", "run", "s.json")
        assert (ran.code, ran.out) == (2, "")
        assert len(ran.err.splitlines()) <= 3
        assert not (folder / "tuner.db").exists()
        assert not (folder / "called").exists()
        return str(ran.err)

    return run


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("trian:objective", "Did you mean 'train'?"),
        ("train:objectiv", "Did you mean 'objective'?"),
        ("train.py:objective", "Write train:objective"),
        ("broken:objective", "ZeroDivisionError: division by zero (broken.py, line 1)"),
        ("leaving:objective", "SystemExit: 3"),
        ("train:Path.name", "not a callable"),
    ],
)
def test_an_entrypoint_that_does_not_import_is_refused(refused, entrypoint, said):
    text = refused({"python": entrypoint})
    assert "trial.python: " in text
    assert said in text


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("no-such-program-anywhere", "there is no program 'no-such-program-anywhere' in PATH."),
        ("train.py", "Write [python, train.py, …]"),
        ("./trian.py", "there is no program ./trian.py"),
        ("variant-{x}", "there is no program 'variant-"),
    ],
)
def test_a_command_whose_program_is_not_there_is_refused(refused, program, said):
    text = refused({"command": [program, "{x}"]})
    assert "trial.command[0]: " in text
    assert said in text


def test_a_group_that_describes_no_layer_of_a_built_in_model_is_refused(refused):
    task = {"dataset": "digits", "model": "mlp", "epochs": 1, "groups": [{"type": "Linaer"}]}
    space = {"optimizers": ["adam"]}
    text = refused({"task": task}, objective="val_loss", space=space)
    assert "trial.task.groups[0]: type 'Linaer' describes no layer" in text
    assert "Did you mean 'Linear'?" in text
