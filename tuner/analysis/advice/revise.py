"""The next study: the specification of this one with a change, under a name of its own."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Mapping
from typing import Any, Final

from ruamel.yaml import YAML

from tuner.core.study import StudySpec
from tuner.errors import TunerError

_LONGEST: Final = 128


def revised(study: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """A copy of the study's specification as a study file, named `<name>-<suffix>`.

    Args:
        study: A Study object.
        suffix: A word; of a name that ends with it already the number grows.
    """
    known = StudySpec.model_fields
    data = {
        key: copy.deepcopy(study[key]) for key in known if study.get(key) not in (None, [], {})
    }
    data["name"] = _renamed(str(study["name"]), suffix)
    return data


def override(data: dict[str, Any], name: str, **changes: Any) -> None:
    """Change keys of a parameter, whether the file writes it out or the shorthand makes it."""
    space = data.setdefault("space", {})
    if "parameters" not in space and "optimizers" not in space:
        space = data["space"] = {"parameters": space}
    entries = space["parameters"] = dict(space.get("parameters") or {})
    entries[name] = {**entries.get(name, {}), **changes}


def checked(data: dict[str, Any]) -> dict[str, Any] | None:
    """The file if it reads as a study, else None: advice never offers a file that is refused."""
    try:
        StudySpec.read(data)
    except TunerError:
        return None
    return data


def to_yaml(data: Mapping[str, Any], comment: str = "") -> str:
    """A study file as YAML 1.2 text, with a comment on top."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 99
    stream = io.StringIO()
    yaml.dump(dict(data), stream)
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + stream.getvalue()


def _renamed(name: str, suffix: str) -> str:
    found = re.fullmatch(rf"(.*)-{re.escape(suffix)}(?:-(\d{{1,6}}))?", name)
    if found is None:
        end = f"-{suffix}"
        return name[: _LONGEST - len(end)] + end
    end = f"-{suffix}-{int(found[2] or 1) + 1}"
    return found[1][: _LONGEST - len(end)] + end
