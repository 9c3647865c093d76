"""Study files: YAML 1.2 or JSON, read strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tuner.core.wire import check_plain, loads
from tuner.errors import Invalid, NotFound


def read_study_file(path: Path | str) -> dict[str, Any]:
    """The mapping in a study file; what it means is checked by the server.

    `.json` is read as JSON, everything else as YAML 1.2 (`1e-5` is a number, `off` a string).

    Raises:
        NotFound: If there is no such file.
        Invalid: If it cannot be read, is not YAML or JSON, gives a key twice, holds something
            that JSON has no form for, or is no mapping; names the file and, where it can, line.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read: {error}.") from error
    data = _json(text, file) if file.suffix.lower() == ".json" else _yaml(text, file)
    if not isinstance(data, dict):
        raise Invalid(
            f"{file} holds {_kind(data)}, expected a mapping with the keys name, objectives,"
            " space, ….",
            hint="`tuner study schema` prints every key.",
        )
    try:
        check_plain(data)
    except Invalid as error:
        raise Invalid(f"{file}: {error.message}", hint=error.hint, errors=error.errors) from None
    return data


def _json(text: str, file: Path) -> Any:
    try:
        return loads(text)
    except Invalid as error:
        message = error.message.replace("The body", "The text")
        raise Invalid(f"{file}: {message}", hint=error.hint, errors=error.errors) from None


def _yaml(text: str, file: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = " ".join(str(error.problem or error.context or "not YAML").split())
        if isinstance(error, DuplicateKeyError):
            problem = (
                problem.partition(" with value ")[0].removeprefix("found duplicate ")
                + " is given twice"
            )
        raise Invalid(f"{file}{place}: {problem}.") from None
    except (YAMLError, ValueError) as error:
        raise Invalid(f"{file} is not YAML: {' '.join(str(error).split())}.") from None
    except RecursionError:
        raise Invalid(f"{file} is nested too deeply.") from None


def _kind(data: Any) -> str:
    if data is None:
        return "nothing"
    return "a list" if isinstance(data, list) else f"a {type(data).__name__}"
