"""Whether the options of a task go together, whatever its space chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.errors import Invalid
from tuner.tasks import source
from tuner.tasks.choices import extremes, values_of
from tuner.tasks.datasets import SIZES
from tuner.tasks.registry import DATASETS, MODELS, OPTIONS

Parameters = Mapping[str, Mapping[str, Any]]

_SMOOTHING: Final = "label_smoothing"
_HELD_OUT: Final = ("validation", "test")
MOST_HELD_OUT: Final = 0.9


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
        for model in values_of(task, parameters, "model"):
            _check_pair(variant, model, path if "model" in parameters else at)
    _check_smoothing(task, parameters, at, path)
    _check_shares(task, parameters, at, path)


def training_rows(task: Mapping[str, Any], parameters: Parameters) -> int | None:
    """Examples of the largest training set that trials may have; None: not known."""
    held_out = sum(min(_numbers(task, parameters, name)) for name in _HELD_OUT)
    sizes = {name: max(_numbers(task, parameters, name)) for name in SIZES}
    found = [DATASETS.get(name) for name in values_of(task, parameters, "dataset")]
    known = [dataset.sized(sizes).rows for dataset in found if dataset is not None]
    return round(max(known) * (1 - held_out)) if len(known) == len(found) else None


def _numbers(task: Mapping[str, Any], parameters: Parameters, name: str) -> list[float]:
    """The numbers that a key may be; of a range its ends."""
    given = [value for _, value in _given(task, parameters, name, "", "")]
    return given or [OPTIONS[name].default]


def variants(task: Mapping[str, Any], parameters: Parameters) -> list[dict[str, Any]]:
    """The task with each data set that it may have: by the space, else its own."""
    if "data" in task:
        return [dict(task)]
    return [{**task, "dataset": name} for name in values_of(task, parameters, "dataset")]


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


def without_classes(task: Mapping[str, Any], parameters: Parameters) -> list[str]:
    """The data sets and models of the task that are known to have no classes."""
    found = [
        str(variant.get("dataset") or variant.get("data"))
        for variant in variants(task, parameters)
        if source.kind(variant) == "regression"
    ]
    models = [MODELS.get(name) for name in values_of(task, parameters, "model")]
    return found + [model.name for model in models if model is not None and model.reconstructs]


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
    without = without_classes(task, parameters)
    if given and without:
        raise Invalid.at(
            given[0],
            f"label smoothing needs classes, and {without[0]!r} has none.",
            found=without[0],
        )


def _given(
    task: Mapping[str, Any], parameters: Parameters, name: str, at: str, path: str
) -> list[tuple[str, Any]]:
    """The values that the task and the space give a key, each with its path."""
    found = [(f"{at}.{name}", task[name])] if name in task else []
    for own, parameter in parameters.items():
        if own.rsplit(".", 1)[-1] == name:
            found += [(f"{path}.{own}", value) for _, value in extremes(parameter)]
    return found


def _check_shares(task: Mapping[str, Any], parameters: Parameters, at: str, path: str) -> None:
    """Refuse to hold out so much that next to nothing is left to train on."""
    given = {name: _given(task, parameters, name, at, path) for name in _HELD_OUT}
    largest = {name: max(_numbers(task, parameters, name)) for name in _HELD_OUT}
    total = sum(largest.values())
    if total > MOST_HELD_OUT:
        where = next(place for found in given.values() for place, _ in found)
        raise Invalid.at(
            where,
            f"validation {largest['validation']:g} and test {largest['test']:g} together hold "
            f"out more than {MOST_HELD_OUT:g} of the examples.",
            found=total,
            allowed=f"validation and test of at most {MOST_HELD_OUT:g} together",
        )
