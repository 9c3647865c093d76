"""Files and code of a task, looked at where its trials are to run, before a study is made."""

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
    """Refuse a study whose task cannot be trained here, whatever its parameters.

    A process of its own reads the files, imports the code and prepares a trial, so that neither
    torch nor the user's modules come into this one.

    Raises:
        Invalid: For a file that is not here, or what no trial could train.
        BadData: For a file that cannot be used, or code that does not import.
    """
    for key, path in studyfile.missing_paths(spec):
        raise Invalid.at(
            key,
            f"there is no {path} in {Path.cwd()}.",
            found=path,
            hint="Paths are relative to the folder that the command is run in.",
        )
    task = None if spec.trial is None else spec.trial.task
    if not isinstance(task, dict) or not ("dataset" in task or "data" in task):
        return
    if not entrypoints(task) and source.origin(task) in ("registry", "own"):
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
                out.say("Trying out the task with its files and code …")
                looking.communicate()
            except BaseException:
                looking.kill()
                raise
        if not answer.exists():
            return
        error = pickle.loads(answer.read_bytes())  # noqa: S301  written by our own process
    if isinstance(error, TunerError):
        raise error
