"""What trials of a task may choose: the values of its keys, by the space or the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.tasks.registry import OPTIONS


def extremes(parameter: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The values that bound a parameter, each with its key."""
    kind = parameter.get("type")
    if kind == "fixed":
        return [("value", parameter.get("value"))]
    if kind == "categorical":
        return [(f"choices[{i}]", choice) for i, choice in enumerate(parameter["choices"])]
    return [(key, parameter[key]) for key in ("low", "high") if key in parameter]


def values_of(
    task: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], name: str
) -> list[str]:
    """The values of a key that trials may have: by the space, else the task's own."""
    if name in parameters:
        return [value for _, value in extremes(parameters[name])]
    return [task.get(name, OPTIONS[name].default)]


def title(task: Mapping[str, Any]) -> str:
    """Data and model of a task in short, as `digits/mlp`."""
    data = task.get("dataset", task.get("data"))
    return f"{data}/{task.get('model', OPTIONS['model'].default)}"
