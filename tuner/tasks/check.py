"""Whether a task, and the space that overrides its keys, can be trained: checked at creation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from tuner.core.names import OPTIMIZER, nearest
from tuner.errors import Invalid, UnknownName
from tuner.tasks.choices import extremes, title, values_of
from tuner.tasks.datasets import SIZES, check_size
from tuner.tasks.groups import GROUPS, check_groups, group_parameters, own_optimizers
from tuner.tasks.option import Option
from tuner.tasks.registry import DATASETS, MODELS, OPTIONS
from tuner.tasks.reported import check_metric, metrics

__all__ = [
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

TASK_PATH: Final = "trial.task"
SPACE_PATH: Final = "space.parameters"
_SPECIAL: Final = ("dataset", "model", "diagnostics")
_SMOOTHING: Final = "label_smoothing"


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
        option = _option(name, path)
        _check(option, value, f"{path}.{name}")
        checked[name] = option.canonical(value)
    for option in OPTIONS.values():
        if option.required and option.name not in checked:
            raise Invalid.at(f"{path}.{option.name}", "is missing.", allowed=option.allowed)
    if optimizers is not None and OPTIMIZER in checked:
        _check_choice(checked[OPTIMIZER], list(optimizers), f"{path}.{OPTIMIZER}", OPTIMIZER)
    _check_pair(checked["dataset"], str(checked.get("model", OPTIONS["model"].default)), path)
    _check_smoothing(checked, {}, path, path)
    sizes = {key: OPTIONS[key].default for key in SIZES}
    check_size(DATASETS[checked["dataset"]].sized({**sizes, **checked}), path)
    return checked


def complete(task: Mapping[str, Any]) -> dict[str, Any]:
    """The checked task with every default filled in (absent: those that have none)."""
    checked = validate(task)
    defaults = {
        name: option.default for name, option in OPTIONS.items() if option.default is not None
    }
    return {**defaults, **checked}


def known_names(task: Mapping[str, Any]) -> set[str]:
    """The keys that a study's parameters may override: those of the task's model and data set."""
    return _names(task, ())


def _names(task: Mapping[str, Any], space: Collection[str]) -> set[str]:
    """The keys that the task has, whatever its space chooses."""
    model, dataset = (
        None if name in space else task.get(name, OPTIONS[name].default)
        for name in ("model", "dataset")
    )
    return {
        option.name
        for option in OPTIONS.values()
        if (model is None or not option.models or model in option.models)
        and (dataset is None or not option.datasets or dataset in option.datasets)
    }


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


def check_parameters(
    task: Mapping[str, Any],
    names: Iterable[str],
    optimizers: Mapping[str, Iterable[str]],
    path: str = SPACE_PATH,
) -> None:
    """Refuse parameters that neither the task nor an optimizer would read.

    Args:
        task: The study's task.
        names: Names of all parameters of the expanded space.
        optimizers: The optimizers that the study may choose, each with its plain parameter names
            (`tuner.optimizers.registry.parameter_names`; with the task's own `optimizer`
            where the space has none).
        path: Where the parameters stand in the input.

    Raises:
        UnknownName: For the first name that is not known, with the nearest one.
    """
    given = list(names)
    known = _names(task, given)
    plain = known | {p for own in optimizers.values() for p in own}
    dotted = {
        f"{name}.{parameter}"
        for name, own in optimizers.items()
        for parameter in (*own, *(known - {OPTIMIZER, *_SPECIAL}))
    } | group_parameters(task.get(GROUPS, []), optimizers)
    for name in given:
        if name in plain or name in dotted:
            continue
        pool = dotted if "." in name else plain
        near = nearest(name, sorted(pool))
        raise UnknownName.at(
            f"{path}.{name}",
            f"neither the task {title(task)} nor its optimizers know {name!r}"
            + (f"; did you mean {near!r}?" if near else "."),
            found=name,
            allowed=sorted(plain),
            nearest=near,
        )


def check_values(
    task: Mapping[str, Any],
    parameters: Mapping[str, Mapping[str, Any]],
    optimizers: Iterable[str] | None = None,
    path: str = SPACE_PATH,
) -> None:
    """Refuse ranges and choices that the task could not train.

    Args:
        task: The study's task.
        parameters: The expanded space in study-file form.
        optimizers: The known optimizers, to check the choices of `optimizer` as well.
        path: Where the parameters stand in the input.

    Raises:
        UnknownName: For an unknown choice.
        Invalid: For a bound out of range, a real range for an integer key, or a model that cannot
            take a data set.
    """
    for name, parameter in parameters.items():
        option = OPTIONS.get(name.rsplit(".", 1)[-1])
        if option is None:
            continue
        for key, value in extremes(parameter):
            _check(option, value, f"{path}.{name}.{key}")
        if option.type == "int" and parameter.get("type") == "float":
            raise Invalid.at(
                f"{path}.{name}.type",
                f"{name} counts something; use type int.",
                found="float",
                allowed=["int", "categorical", "fixed"],
            )
    if optimizers is not None and OPTIMIZER in parameters:
        for key, value in extremes(parameters[OPTIMIZER]):
            _check_choice(value, list(optimizers), f"{path}.{OPTIMIZER}.{key}", OPTIMIZER)
    for dataset in values_of(task, parameters, "dataset"):
        for model in values_of(task, parameters, "model"):
            _check_pair(dataset, model, path if "model" in parameters else TASK_PATH)
    _check_smoothing(task, parameters, TASK_PATH, path)


def _option(name: str, path: str) -> Option:
    option = OPTIONS.get(name)
    if option is None:
        near = nearest(name, OPTIONS)
        raise UnknownName.at(
            f"{path}.{name}",
            f"a built-in task has no key {name!r}"
            + (f"; did you mean {near!r}?" if near else "."),
            found=name,
            allowed=list(OPTIONS),
            nearest=near,
        )
    return option


def _check(option: Option, value: object, path: str) -> None:
    if option.accepts(value):
        return
    if option.type == "categorical" and isinstance(value, str):
        _check_choice(value, list(option.choices), path, option.name)
    raise Invalid.at(
        path,
        f"found {value!r}, expected {_spoken(option)}.",
        found=value if isinstance(value, bool | int | str) else repr(value),
        allowed=option.allowed,
    )


def _spoken(option: Option) -> str:
    allowed = option.allowed
    if isinstance(allowed, str):
        return allowed
    return "one of " + ", ".join(allowed) if allowed else "a name"


def _check_choice(value: str, known: list[str], path: str, what: str) -> None:
    if value in known:
        return
    near = nearest(value, known)
    raise UnknownName.at(
        path,
        f"no {what} is named {value!r}"
        + (f"; did you mean {near!r}?" if near else f"; known: {', '.join(known)}."),
        found=value,
        allowed=known,
        nearest=near,
    )


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


def _check_smoothing(
    task: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], at: str, path: str
) -> None:
    """Refuse label smoothing, by the task or the space, where a data set has no classes."""
    given = [f"{at}.{_SMOOTHING}"] if task.get(_SMOOTHING) else []
    given += [f"{path}.{name}" for name in parameters if name.rsplit(".", 1)[-1] == _SMOOTHING]
    for name in values_of(task, parameters, "dataset"):
        if given and DATASETS[name].kind != "classification":
            raise Invalid.at(
                given[0], f"label smoothing needs classes, and {name!r} has none.", found=name
            )
