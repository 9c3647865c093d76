"""The process that looks at a study's files and code before the study is made.

`python -m tuner.cli.tryout FILE` reads a study file from stdin as JSON and writes what is wrong
with its task into FILE: a pickled error of tuner, or nothing.
"""

from __future__ import annotations

import json
import logging
import pickle
import sys
from pathlib import Path
from typing import Any

from tuner.core.parameter import CategoricalParameter, FixedParameter
from tuner.core.space import Space
from tuner.errors import TunerError
from tuner.service.specification import define
from tuner.tasks import source
from tuner.training.precheck import check


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


def main() -> None:
    """Check the study of stdin; the answer goes into the file that the first argument names."""
    logging.basicConfig(format="Note: %(message)s")
    try:
        study = define(json.load(sys.stdin))
        task = study.spec.trial.task if study.spec.trial is not None else None
        if isinstance(task, dict):
            check(task, settings(study.space, source.names_read(task)))
    except TunerError as error:
        Path(sys.argv[1]).write_bytes(pickle.dumps(error))


if __name__ == "__main__":
    main()
