"""Which values of a task's keys the trials of an optimizer may have, by the rule of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tuner.core.names import OPTIMIZER

Parameters = Mapping[str, Mapping[str, Any]]


class Reached(NamedTuple):
    """A value, and where in the input it stands."""

    path: str
    value: Any


def reach(
    name: str,
    optimizer: str,
    task: Mapping[str, Any],
    parameters: Parameters,
    paths: tuple[str, str] = ("trial.task", "space.parameters"),
) -> list[Reached]:
    """The values of a key that trials of `optimizer` may have; of a range its ends.

    Args:
        name: The key, as `batch_size`.
        optimizer: The trial's optimizer.
        task: The study's task.
        parameters: The expanded space in study-file form.
        paths: Where the task and the parameters stand in the input.

    Returns:
        Nothing where neither the space nor the task says anything.
    """
    found: list[Reached] = []
    for own in (name, f"{optimizer}.{name}"):
        domain = parameters.get(own)
        if domain is None or not _applies(domain, optimizer):
            continue
        found += [Reached(f"{paths[1]}.{own}", value) for _, value in extremes(domain)]
        # A condition on anything else may leave the parameter out.
        if set(domain.get("when") or {}) <= {OPTIMIZER}:
            return found
    if name in task:
        found.append(Reached(f"{paths[0]}.{name}", task[name]))
    return found


def extremes(domain: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The values that bound a parameter, each with its key."""
    if domain.get("type") == "fixed":
        return [("value", domain.get("value"))]
    if domain.get("type") == "categorical":
        return [(f"choices[{i}]", choice) for i, choice in enumerate(domain["choices"])]
    return [(key, domain[key]) for key in ("low", "high") if key in domain]


def _applies(domain: Mapping[str, Any], optimizer: str) -> bool:
    """Whether the parameter can be active in a trial of the optimizer."""
    wanted = (domain.get("when") or {}).get(OPTIMIZER)
    if wanted is None:
        return True
    return optimizer in (wanted if isinstance(wanted, list | tuple) else [wanted])
