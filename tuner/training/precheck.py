"""A look at a task's files and code before its first trial, in a process of its own.

`python -m tuner.training.precheck FILE` reads a task from stdin as JSON and writes what is wrong
with it into FILE: a pickled error of tuner, or nothing. It reads files as a trial would, and
imports entrypoints without calling them: what they do may depend on a trial's parameters.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuner.core.allow import entrypoints
from tuner.core.entrypoint import load
from tuner.errors import BadData, ObjectiveNotFound, TunerError
from tuner.tasks import source
from tuner.training.loop import effective_options
from tuner.training.own import Params
from tuner.training.sources import load_data


def check(task: Mapping[str, Any]) -> None:
    """Refuse a task whose files no trial can be trained on, or whose code does not import.

    Args:
        task: A checked task.

    Raises:
        BadData: With the path of the file or entrypoint.
    """
    for key, entrypoint in entrypoints(task).items():
        path = f"trial.task.{key}"
        try:
            load(entrypoint)
        except ObjectiveNotFound as error:
            raise BadData.at(path, error.message, found=entrypoint, hint=error.hint) from error
        except Exception as error:
            said = f"{entrypoint} does not import: {type(error).__name__}: {error}."
            raise BadData.at(path, said, found=entrypoint) from error
    if source.origin(task) not in ("registry", "own"):
        options = effective_options(task, {})
        load_data(options, Params(options), "cpu")


def main() -> None:
    """Check the task of stdin; the answer goes into the file that the first argument names."""
    try:
        check(json.load(sys.stdin))
    except TunerError as error:
        Path(sys.argv[1]).write_bytes(pickle.dumps(error))


if __name__ == "__main__":
    main()
