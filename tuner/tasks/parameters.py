"""Which parameters of a search space a task reads, and which ranges it can train."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from tuner.core.names import OPTIMIZER, nearest
from tuner.errors import Invalid, UnknownName
from tuner.tasks import source
from tuner.tasks.choices import extremes, title
from tuner.tasks.combinations import check_combinations
from tuner.tasks.groups import GROUPS, group_parameters
from tuner.tasks.registry import MODELS, OPTIONS
from tuner.tasks.values import check_choice, check_value

TASK_PATH: Final = "trial.task"
SPACE_PATH: Final = "space.parameters"
_SPECIAL: Final = ("dataset", "model")
# Read once for all optimizers: `adam.dataset` would be read by nothing.
_SHARED: Final = frozenset({OPTIMIZER, *_SPECIAL, "diagnostics"})


def known_names(task: Mapping[str, Any]) -> set[str]:
    """The keys that a study's parameters may override: those of the task's model and data set."""
    return _names(task, ())


def _names(task: Mapping[str, Any], space: Collection[str]) -> set[str]:
    """The keys that the task has, whatever its space chooses, and those that own code reads."""
    model = None if "model" in space else task.get("model", OPTIONS["model"].default)
    has_any_model = model is None or model not in MODELS
    place = None if "dataset" in space else task.get("dataset", source.origin(task))
    return {
        option.name
        for option in OPTIONS.values()
        if not option.is_fixed
        and (has_any_model or not option.models or model in option.models)
        and (place is None or not option.datasets or place in option.datasets)
    } | set(source.names_read(task))


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
        for parameter in (*own, *(known - _SHARED))
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
            hint=_hint(task, name),
        )


def check_dotted(
    names: Iterable[str],
    optimizers: Mapping[str, Iterable[str]],
    path: str = SPACE_PATH,
) -> None:
    """Refuse `<optimizer>.<name>` that is misspelt or another optimizer's, where own code reads.

    Own code may read names that nobody else knows, so only what is most likely a mistake is
    refused: what another optimizer has, or what is near to a name of this one.

    Args:
        names: Names of parameters.
        optimizers: All known optimizers, each with its plain parameter names.
        path: Where the parameters stand in the input; empty: they are the input.

    Raises:
        UnknownName: For the first such name, with the optimizer's parameters and the nearest.
    """
    others = {name for plain in optimizers.values() for name in plain}
    common = {option.name for option in OPTIONS.values() if not option.is_fixed}
    for key in names:
        owner, _, name = key.partition(".")
        own = list(optimizers.get(owner, ()))
        if not own or not name or name in own or name in common:
            continue
        near = nearest(name, own)
        if near is None and name not in others:
            continue
        raise UnknownName.at(
            f"{path}.{key}" if path else key,
            f"the optimizer {owner!r} has no parameter {name!r}, only {', '.join(own)}"
            + (f"; did you mean {near!r}?" if near else "."),
            found=name,
            allowed=own,
            nearest=near,
            hint="If your own code reads it, give it a name without the optimizer's before it.",
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
        if option is None or option.is_fixed:
            continue
        for key, value in extremes(parameter):
            at = f"{path}.{name}.{key}"
            if option.name in _SPECIAL and isinstance(value, str):
                _check_registered(option.name, value, at)
            check_value(option, value, at)
        if option.type == "int" and parameter.get("type") == "float":
            raise Invalid.at(
                f"{path}.{name}.type",
                f"{name} counts something; use type int.",
                found="float",
                allowed=["int", "categorical", "fixed"],
            )
    if optimizers is not None and OPTIMIZER in parameters:
        for key, value in extremes(parameters[OPTIMIZER]):
            check_choice(value, list(optimizers), f"{path}.{OPTIMIZER}.{key}", OPTIMIZER)
    check_combinations(task, parameters, TASK_PATH, path)


def _check_registered(what: str, value: str, path: str) -> None:
    """Own code and files stand in the task, where a worker's rights are checked."""
    if OPTIONS[what].accepts_pattern(value):
        raise Invalid.at(
            path,
            f"found {value!r}; in a search space only registered names of a {what} may stand.",
            found=value,
            allowed=list(OPTIONS[what].choices),
            hint=f"Put it into {TASK_PATH}.{what}, one study for each.",
        )


def _hint(task: Mapping[str, Any], name: str) -> str:
    """How own code gets a parameter."""
    if "." in name or not any(source.is_own(task, key) for key in (*_SPECIAL, "data")):
        return ""
    return f"If your own code reads it, name it in {TASK_PATH}.{source.READS}."
