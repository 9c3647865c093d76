"""Whether the options of a task go together, whatever its space chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.errors import Invalid
from tuner.tasks import source
from tuner.tasks.registry import MODELS, OPTIONS

Parameters = Mapping[str, Mapping[str, Any]]

_SMOOTHING: Final = "label_smoothing"


def check_combinations(
    task: Mapping[str, Any], parameters: Parameters, at: str, path: str
) -> None:
    """Refuse options that cannot be trained together.

    Args:
        task: A task whose keys are checked one by one.
        parameters: The expanded space in study-file form; none: the task alone.
        at: Where the task stands in the input, for errors.
        path: Where the parameters stand in the input.

    Raises:
        Invalid: With the path of one of the options.
    """
    for variant in variants(task, parameters):
        for model in values(task, parameters, "model"):
            _check_pair(variant, model, path if "model" in parameters else at)
    _check_smoothing(task, parameters, at, path)


def values(task: Mapping[str, Any], parameters: Parameters, name: str) -> list[str]:
    """The values that a key may take: by the space, else the task's own."""
    if name in parameters:
        return [value for _, value in extremes(parameters[name])]
    return [task.get(name, OPTIONS[name].default)]


def variants(task: Mapping[str, Any], parameters: Parameters) -> list[dict[str, Any]]:
    """The task with each data set that it may have: by the space, else its own."""
    if "data" in task:
        return [dict(task)]
    return [{**task, "dataset": name} for name in values(task, parameters, "dataset")]


def extremes(parameter: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The values that bound a parameter, each with its key."""
    kind = parameter.get("type")
    if kind == "fixed":
        return [("value", parameter.get("value"))]
    if kind == "categorical":
        return [(f"choices[{i}]", choice) for i, choice in enumerate(parameter["choices"])]
    return [(key, parameter[key]) for key in ("low", "high") if key in parameter]


def _check_pair(task: Mapping[str, Any], model: str, path: str) -> None:
    """Refuse a model for images where it is known that there are none."""
    if source.has_images(task) is not False or model not in MODELS:
        return
    if not MODELS[model].images_only:
        return
    fitting = [name for name, item in MODELS.items() if not item.images_only]
    raise Invalid.at(
        f"{path}.model",
        f"the model {model!r} takes images only, and {task['dataset']!r} has none.",
        found=model,
        allowed=fitting,
        nearest=fitting[0],
    )


def _check_smoothing(task: Mapping[str, Any], parameters: Parameters, at: str, path: str) -> None:
    """Refuse label smoothing, by the task or the space, where there are no classes."""
    given = [f"{at}.{_SMOOTHING}"] if task.get(_SMOOTHING) else []
    given += [f"{path}.{name}" for name in parameters if name.rsplit(".", 1)[-1] == _SMOOTHING]
    if given and "loss" in task:
        raise Invalid.at(
            given[0],
            f"label smoothing is of the built-in loss; {task['loss']} would not use it.",
            found=task["loss"],
        )
    for variant in variants(task, parameters):
        if given and source.kind(variant) == "regression":
            name = variant.get("dataset") or variant.get("data")
            raise Invalid.at(
                given[0], f"label smoothing needs classes, and {name!r} has none.", found=name
            )
