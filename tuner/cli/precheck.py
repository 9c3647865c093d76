"""What a study's trials need, looked for where they are to run, before the study is made."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tuner.cli import studyfile
from tuner.cli.output import Output
from tuner.core.allow import entrypoints
from tuner.core.study import StudySpec
from tuner.errors import Invalid, TunerError
from tuner.settings import child_environment
from tuner.tasks import source

_MODULE: Final = "tuner.cli.tryout"
_QUIET_S: Final = 5.0


def require(spec: StudySpec, out: Output) -> None:
    """Refuse a study whose trials cannot run here, whatever their parameters.

    A process of its own reads the files, imports the code and prepares a trial, so that neither
    torch nor the user's modules come into this one.

    Raises:
        Invalid: For a file, code or a program that is not here, or what no trial could train.
        BadData: For a file that cannot be used, or a task's code that does not import.
    """
    for key, path in studyfile.missing_paths(spec):
        raise Invalid.at(
            key,
            f"there is no {path} in {Path.cwd()}.",
            found=path,
            hint="Paths are relative to the folder that the command is run in.",
        )
    if not _needs_a_look(spec):
        return
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        with subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(answer)],
            stdin=subprocess.PIPE,
            text=True,
            stdout=subprocess.DEVNULL,
            env=child_environment(),
        ) as looking:
            text = json.dumps(spec.to_json())
            try:
                looking.communicate(text, _QUIET_S)
            except subprocess.TimeoutExpired:
                out.say("Trying out what the trials need …")
                looking.communicate()
            except BaseException:
                looking.kill()
                raise
        if not answer.exists():
            return
        error = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own process
    if isinstance(error, TunerError):
        raise error


def _needs_a_look(spec: StudySpec) -> bool:
    """Whether something of the user's own decides whether trials can run."""
    if spec.trial is None:
        return False
    if spec.trial.kind != "task":
        return True
    task = spec.trial.task
    if not isinstance(task, dict) or not ("dataset" in task or "data" in task):
        return False
    if entrypoints(task) or "groups" in task:
        return True
    return source.origin(task) not in ("registry", "own")
