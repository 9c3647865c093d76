"""The process that looks at a study's files and code before the study is made.

`python -m tuner.cli.tryout FILE` reads a study file from stdin as JSON and writes what is wrong
with its task into FILE: a pickled error of tuner, or nothing. Code is imported and never called, but for a task's data and model.
"""

from __future__ import annotations

import importlib
import json
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

from tuner.core import command, entrypoint
from tuner.core.names import OPTIMIZER
from tuner.core.parameter import CategoricalParameter, FixedParameter
from tuner.core.space import Space
from tuner.errors import Invalid, ObjectiveNotFound, TunerError
from tuner.service.specification import Definition, define
from tuner.tasks import source
from tuner.tasks.registry import OPTIONS
from tuner.worker import program


def settings(space: Space, names: list[str]) -> list[dict[str, Any]]:
    """The default setting, and those with `names` at one end of their ranges or the other."""
    found = [space.defaults()]
    for end in (0, -1):
        given = {name: _ends(space[name])[end] for name in names if name in space}
        setting = space.defaults(given)
        if setting not in found:
            found.append(setting)
    return found


def _ends(parameter: Any) -> tuple[Any, ...]:
    if isinstance(parameter, FixedParameter):
        return (parameter.value,)
    if isinstance(parameter, CategoricalParameter):
        return tuple(parameter.choices)
    points = parameter.points
    return points if isinstance(points, tuple) else (parameter.low, parameter.high)


def check(study: Definition) -> None:
    """Refuse a study whose trials could not begin here.

    Raises:
        BadData: For a file that cannot be used, or a task's code that does not import.
        Invalid: For what no trial could train, and for code or a program that is not there.
    """
    trial = study.spec.trial
    if trial is None:
        return
    if isinstance(trial.task, dict):
        # loads torch, which trials of other kinds may do without
        training = importlib.import_module("tuner.training.precheck")
        training.check(trial.task, settings(study.space, _tried(trial.task)))
    elif trial.python is not None:
        _check_python(trial.python)
    elif trial.command is not None:
        _check_program(str(trial.command[0]), study.space)


def _tried(task: dict[str, Any]) -> list[str]:
    """What shapes the model: what own code reads, and with groups the searched options too."""
    options = OPTIONS.values() if task.get("groups") else ()
    searched = [option.name for option in options if not option.is_fixed]
    return [*source.names_read(task), *(name for name in searched if name != OPTIMIZER)]


def _check_python(name: str) -> None:
    try:
        entrypoint.load(name)
    except ObjectiveNotFound as error:
        raise Invalid.at("trial.python", error.message, found=name, hint=error.hint) from error


def _check_program(word: str, space: Space) -> None:
    """Refuse a program that is not there, whichever of the parameters' values name it."""
    names = command.placeholders(word, program.PATH)
    tried = [command.render([word], params)[0] for params in settings(space, names)]
    found = [program.obstacle(name) for name in tried]
    if None in found:
        return
    first = found[0]
    if first is not None:
        near = first.nearest
        raise Invalid.at(program.PATH, first.said, found=word, nearest=near, hint=first.hint)


def main() -> None:
    """Check the study of stdin; the answer goes into the file that the first argument names."""
    logging.basicConfig(format="Note: %(message)s")
    text = sys.stdin.read()
    folder = str(Path.cwd())
    if folder not in sys.path:  # a trial finds the code here too
        sys.path.insert(0, folder)
    try:
        check(define(json.loads(text)))
    except TunerError as error:
        Path(sys.argv[1]).write_bytes(pickle.dumps(error))


if __name__ == "__main__":
    main()
