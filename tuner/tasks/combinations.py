"""Whether the options of a task go together, whatever its space chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.errors import Invalid
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
    for dataset in values_of(task, parameters, "dataset"):
        for model in values_of(task, parameters, "model"):
            _check_pair(dataset, model, path if "model" in parameters else at)
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


def _given(
    task: Mapping[str, Any], parameters: Parameters, name: str, at: str, path: str
) -> list[tuple[str, Any]]:
    """The values that the task and the space give a key, each with its path."""
    found = [(f"{at}.{name}", task[name])] if name in task else []
    for own, parameter in parameters.items():
        if own.rsplit(".", 1)[-1] == name:
            found += [(f"{path}.{own}", value) for _, value in extremes(parameter)]
    return found


def _check_pair(dataset: str, model: str, path: str) -> None:
    if MODELS[model].takes(DATASETS[dataset]):
        return
    fitting = [name for name, item in MODELS.items() if item.takes(DATASETS[dataset])]
    raise Invalid.at(
        f"{path}.model",
        f"the model {model!r} takes images only, and {dataset!r} has none.",
        found=model,
        allowed=fitting,
        nearest=fitting[0],
    )


def _check_smoothing(task: Mapping[str, Any], parameters: Parameters, at: str, path: str) -> None:
    """Refuse label smoothing, by the task or the space, where there are no classes."""
    given = [f"{at}.{_SMOOTHING}"] if task.get(_SMOOTHING) else []
    given += [f"{path}.{name}" for name in parameters if name.rsplit(".", 1)[-1] == _SMOOTHING]
    without = [
        name
        for name in values_of(task, parameters, "dataset")
        if DATASETS[name].kind != "classification"
    ]
    without += [name for name in values_of(task, parameters, "model") if MODELS[name].reconstructs]
    if given and without:
        raise Invalid.at(
            given[0],
            f"label smoothing needs classes, and {without[0]!r} has none.",
            found=without[0],
        )


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
