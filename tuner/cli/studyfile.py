"""Study files for the command line: reading `--file`, writing what a dry run shows."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tuner.client.files import read_study_file
from tuner.core.study import StudySpec
from tuner.errors import Invalid
from tuner.optimizers.expand import expand
from tuner.tasks import source


def read(file: Path) -> dict[str, Any]:
    """A study file as plain data; `-` is stdin.

    Raises:
        Invalid: For a file that is not there or cannot be read, with line and column.
    """
    if str(file) != "-":
        return read_study_file(file)
    if sys.stdin.isatty():
        raise Invalid("--file - reads the study from stdin, which is a terminal here.")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stdin.yaml"
        copy.write_bytes(sys.stdin.buffer.read())
        try:
            return read_study_file(copy)
        except Invalid as error:
            message = error.message.replace(str(copy), "stdin")
            raise Invalid(message, hint=error.hint, errors=error.errors) from None


def missing_paths(spec: StudySpec) -> list[tuple[str, str]]:
    """Files and folders of the study's task that are not here, each with its path in the study.

    Here is the current folder, which is also that of workers started in it.
    """
    task = spec.trial.task if spec.trial is not None else None
    if not isinstance(task, dict) or not ("dataset" in task or "data" in task):
        return []
    given = source.paths(task)
    return [(f"trial.task.{key}", path) for key, path in given.items() if not Path(path).exists()]


def as_file(study: dict[str, Any]) -> dict[str, Any]:
    """A study of the server as a study file whose space is written out."""
    keys = StudySpec.model_fields
    data = {key: value for key, value in study.items() if key in keys and value is not None}
    expanded = study.get("expanded_space")
    if not expanded:
        return data
    if study.get("compare"):
        # what is compared stays named; the conditions of what the shorthand makes are its own
        chosen = data["space"]["optimizers"]
        made = expand(chosen["names"], chosen.get("size") or "large")
        parameters = {
            name: {key: value for key, value in entry.items() if key != "when" or name not in made}
            for name, entry in expanded["parameters"].items()
        }
        return {**data, "space": {"optimizers": chosen, "parameters": parameters}}
    return {**data, "space": expanded}


def to_yaml(data: Any) -> str:
    """Plain data as YAML 1.2."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 99
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()
