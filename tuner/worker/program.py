"""The program of a command: whether it is there, and what was meant if it is not."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tuner.core.names import nearest

PATH: Final = "trial.command[0]"


@dataclass(frozen=True)
class Obstacle:
    """Why a program cannot be started.

    Args:
        said: In a sentence.
        nearest: What may have been meant.
        hint: What to do.
    """

    said: str
    nearest: str | None
    hint: str


def obstacle(program: str) -> Obstacle | None:
    """Why a program cannot be started in this folder; None if it is there.

    It is looked for as the system does: by `PATH`, or where a slash says.
    """
    if shutil.which(program) is not None:
        return None
    file = Path(program)
    if file.is_file():
        runs = "[python, " if file.suffix == ".py" else "[sh, " if file.suffix == ".sh" else "["
        if "/" in program and runs == "[":
            return Obstacle(
                f"{program} is not executable.", None, f"Make it so: chmod +x {program}"
            )
        word = program if runs != "[" else f"./{program}"
        meant = f"Write {runs}{word}, …] to run the file of this folder."
        return Obstacle(f"there is no program {program!r}.", None, meant)
    if "/" in program:
        said = f"there is no program {program} in {Path.cwd()}."
        near = nearest(file.name, _names(file.parent))
        found = None if near is None else os.path.join(os.path.dirname(program), near)  # noqa: PTH118,PTH120  keeps ./
        return Obstacle(said, found, "Paths are relative to the folder that it is started in.")
    near = nearest(program, [name for place in os.get_exec_path() for name in _names(Path(place))])
    hint = "Install it, or put its folder into PATH where the trials run."
    return Obstacle(f"there is no program {program!r} in PATH.", near, hint)


def _names(folder: Path) -> list[str]:
    """What can be run of a folder."""
    try:
        return sorted(file.name for file in folder.iterdir() if os.access(file, os.X_OK))
    except OSError:
        return []
