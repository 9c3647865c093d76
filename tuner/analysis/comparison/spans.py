"""What a study lets an optimizer's parameters be: a range, choices, or the one value they have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tuner.core.names import MISSING, OPTIMIZER, resolve
from tuner.optimizers import registry

Part = tuple[Any, Any]


@dataclass(frozen=True)
class Span:
    """The values of one parameter.

    Args:
        parts: Ranges from low to high; a single value stands in both places.
        text: The same in words.
    """

    parts: tuple[Part, ...]
    text: str

    @property
    def numbers(self) -> list[tuple[float, float]]:
        """The parts that are numbers."""
        return [part for part in self.parts if all(map(_is_number, part))]

    def takes(self, value: object) -> bool:
        """Whether a value is among them."""
        return any(_is_within((value, value), part) for part in self.parts)


def hold(parts: list[tuple[float, float]], wanted: list[tuple[float, float]]) -> bool:
    """Whether each wanted range lies within one of the parts."""
    return all(any(_is_within(part, own) for own in parts) for part in wanted)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_within(part: Part, other: Part) -> bool:
    if not all(map(_is_number, (*part, *other))):
        return part == other and type(part[0]) is type(other[0])
    (low, high), (least, most) = part, other
    return (low >= least or math.isclose(low, least)) and (
        high <= most or math.isclose(high, most)
    )


@dataclass(frozen=True)
class Ranges:
    """A study's space as its optimizers see it.

    Args:
        parameters: The expanded parameters.
        task: The built-in task; empty where there is none.
    """

    parameters: Mapping[str, Mapping[str, Any]]
    task: Mapping[str, Any] = field(default_factory=dict)

    def span(self, optimizer: str, name: str) -> Span:
        """What a parameter of an optimizer may be, by the rule of names."""
        for key in (name, f"{optimizer}.{name}"):
            spec = self.parameters.get(key)
            if spec is not None and _applies(spec, optimizer):
                return _of_spec(key, spec)
        held = self._held(optimizer, name)
        return Span(((held, held),), f"{name} held at {held}")

    def of_setting(self, optimizer: str, name: str, params: Mapping[str, Any]) -> Span:
        """What a parameter is in a trial of the optimizer."""
        found = resolve(params, name)
        value = self._held(optimizer, name) if found is MISSING else found
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        return Span(((value, value),), f"{optimizer} has {name} {shown}")

    def _held(self, optimizer: str, name: str) -> Any:
        """The value that a trial has without being given one."""
        given = self.task.get(name)
        return registry.parameter_default(optimizer, name) if given is None else given


def _applies(spec: Mapping[str, Any], optimizer: str) -> bool:
    allowed = (spec.get("when") or {}).get(OPTIMIZER)
    return allowed is None or optimizer in allowed


def _of_spec(name: str, spec: Mapping[str, Any]) -> Span:
    if spec.get("type") == "fixed":
        value = spec["value"]
        return Span(((value, value),), f"{name} fixed at {value}")
    if spec.get("type") == "categorical":
        choices = list(spec.get("choices") or ())
        return Span(tuple((choice, choice) for choice in choices), f"{name} in {choices}")
    low, high = spec["low"], spec["high"]
    return Span(((low, high),), f"{name} from {low:g} to {high:g}")
