"""Whether the values that trials may take, and the layers' own settings, fit their optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuner.core.names import OPTIMIZER
from tuner.errors import Invalid
from tuner.optimizers.registry import get


def check_ranges(
    parameters: Mapping[str, Mapping[str, Any]],
    chosen: Iterable[str],
    path: str = "space.parameters",
) -> None:
    """Refuse ranges and choices that an optimizer is not defined for, as beta1 = 1.

    Args:
        parameters: The expanded space in study-file form.
        chosen: The optimizers that trials may choose; plain names are checked against all of them.
        path: Where the parameters stand in the input.

    Raises:
        Invalid: For the first such bound, choice or value.
    """
    entries = {name: get(name) for name in chosen}
    for name, domain in parameters.items():
        owner, _, plain = name.rpartition(".")
        for optimizer in [owner] if owner else entries:
            if optimizer not in entries:
                continue
            parameter = entries[optimizer].parameter(plain)
            for key, value in _extremes(domain) if parameter is not None else ():
                problem = parameter.problem(value) if parameter is not None else None
                if problem is not None:
                    raise Invalid.at(
                        f"{path}.{name}.{key}",
                        f"{optimizer} is not defined at {plain} = {value!r}: {problem}.",
                        found=value if isinstance(value, bool | int | str) else repr(value),
                        allowed=problem,
                    )


def check_splits(
    task: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]],
    chosen: Iterable[str],
    path: str = "trial.task",
) -> None:
    """Refuse to split a model among layers for an optimizer that works on all of it at once.

    Args:
        task: The study's task; its `layer_decay` counts.
        groups: The task's groups.
        chosen: The optimizers that trials may choose.
        path: Where the task stands in the input.

    Raises:
        Invalid: Naming the optimizer.
    """
    own = [
        (f"{path}.groups[{i}].{OPTIMIZER}", g[OPTIMIZER])
        for i, g in enumerate(groups)
        if OPTIMIZER in g
    ]
    splits = [f"{path}.groups"] * bool(groups)
    splits += [f"{path}.layer_decay"] * (task.get("layer_decay", 1) != 1)
    found = own + [(at, name) for at in splits for name in chosen]
    for at, name in found:
        if get(name).whole_model:
            raise Invalid.at(
                at,
                f"{name} works on the whole model at once, so it takes no groups and no "
                "layer_decay.",
                found=name,
                hint="Leave it out of the space, or study it apart.",
            )


def _extremes(domain: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The values that bound a parameter, each with its key."""
    if domain.get("type") == "fixed":
        return [("value", domain.get("value"))]
    if domain.get("type") == "categorical":
        return [(f"choices[{i}]", choice) for i, choice in enumerate(domain["choices"])]
    return [(key, domain[key]) for key in ("low", "high") if key in domain]
