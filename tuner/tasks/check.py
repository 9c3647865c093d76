"""Whether a task, and the space that overrides its keys, can be trained: checked at creation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tuner.core.names import OPTIMIZER
from tuner.errors import Invalid
from tuner.tasks import source
from tuner.tasks.choices import values_of
from tuner.tasks.combinations import check_combinations
from tuner.tasks.datasets import SIZES, check_size
from tuner.tasks.groups import GROUPS, check_groups, own_optimizers
from tuner.tasks.parameters import (
    TASK_PATH,
    check_dotted,
    check_parameters,
    check_values,
    known_names,
)
from tuner.tasks.registry import DATASETS, OPTIONS
from tuner.tasks.reported import check_metric, metrics
from tuner.tasks.values import check_choice, check_value, find_option

__all__ = [
    "check_dotted",
    "check_metric",
    "check_parameters",
    "check_study",
    "check_values",
    "chosen_optimizers",
    "complete",
    "known_names",
    "metrics",
    "own_optimizers",
    "parse",
    "used_optimizers",
    "validate",
]


def parse(text: str, path: str = TASK_PATH) -> dict[str, Any]:
    """The task of a short text, as `digits/mlp` or `digits`.

    Raises:
        Invalid: If the text has more than two parts or names something unknown.
    """
    dataset, *rest = text.split("/")
    if len(rest) > 1:
        raise Invalid.at(path, f"found {text!r}, expected DATASET/MODEL.", found=text)
    return validate({"dataset": dataset, **({"model": rest[0]} if rest else {})}, path)


def validate(
    task: Mapping[str, Any], path: str = TASK_PATH, optimizers: Iterable[str] | None = None
) -> dict[str, Any]:
    """Check a task; the result has the same keys, with whole floats of int options as ints.

    Args:
        task: As in a study file.
        path: Where it stands in the input, for errors.
        optimizers: The known optimizers, to check the key `optimizer` as well; with their plain
            parameter names, to check `groups` too.

    Raises:
        UnknownName: For a key, data set, model or choice that does not exist.
        Invalid: For a missing data set, a value out of range, or a model that cannot take the
            data set.
    """
    checked: dict[str, Any] = {}
    for name, value in task.items():
        if name == GROUPS:
            known = optimizers if isinstance(optimizers, Mapping) else None
            checked[GROUPS] = check_groups(value, f"{path}.{GROUPS}", known)
            continue
        if name == source.READS:
            checked[name] = source.check_reads(value, task, OPTIONS, f"{path}.{name}")
            continue
        option = find_option(name, path)
        check_value(option, value, f"{path}.{name}")
        checked[name] = option.canonical(value)
    source.check_source(checked, OPTIONS, path)
    if optimizers is not None and OPTIMIZER in checked:
        check_choice(checked[OPTIMIZER], list(optimizers), f"{path}.{OPTIMIZER}", OPTIMIZER)
    check_combinations(checked, {}, path, path)
    if source.origin(checked) == "registry":
        sizes = {key: OPTIONS[key].default for key in SIZES}
        parts = 2 if checked.get("test") == 0 else 3
        check_size(DATASETS[checked["dataset"]].sized({**sizes, **checked}), path, parts)
    return checked


def complete(task: Mapping[str, Any]) -> dict[str, Any]:
    """The checked task with every default filled in (absent: those that have none)."""
    checked = validate(task)
    defaults = {
        name: option.default for name, option in OPTIONS.items() if option.default is not None
    }
    return {**defaults, **checked}


def check_study(
    task: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
    optimizers: Mapping[str, Iterable[str]],
) -> dict[str, Any]:
    """All that is checked of a task study's `trial.task` and expanded space at creation.

    Args:
        task: As in the study file.
        parameters: The expanded space in study-file form.
        optimizers: All known optimizers, each with its plain parameter names.

    Returns:
        The task as `validate` gives it.

    Raises:
        UnknownName: For a name that does not exist or that nothing reads.
        Invalid: For a value or range that cannot be trained.
    """
    checked = validate(task, optimizers=optimizers)
    check_values(checked, parameters, optimizers)
    chosen = chosen_optimizers(checked, parameters)
    check_parameters(checked, parameters, used_optimizers(checked, chosen, optimizers))
    return checked


def chosen_optimizers(
    task: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """The optimizers that trials may choose: by the space, else the task's own."""
    return values_of(task, parameters, OPTIMIZER)


def used_optimizers(
    task: Mapping[str, Any], chosen: Iterable[str], optimizers: Mapping[str, Iterable[str]]
) -> dict[str, Iterable[str]]:
    """The optimizers that trials use, those of the task's groups included, with their parameters.

    Args:
        task: A checked task.
        chosen: The optimizers that trials may choose.
        optimizers: All known optimizers, each with its plain parameter names.

    Raises:
        UnknownName: For a key of a group that a chosen optimizer does not have.
    """
    groups, names = task.get(GROUPS, []), list(chosen)
    check_groups(groups, f"{TASK_PATH}.{GROUPS}", optimizers, names)
    return {name: optimizers[name] for name in (*names, *own_optimizers(groups))}
