"""One option of a built-in task: its type, range, default and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Option:
    """One key of a task.

    Args:
        name: The key.
        type: `int`, `float` or `categorical`.
        doc: What it does, with its unit.
        default: The value when the key is absent; None: see `doc`.
        low: Smallest value.
        high: Largest value.
        choices: The values of a categorical option; empty: names of another registry.
        models: The models that have this option; empty: all.
        datasets: The data sets that have this option; empty: all.
        required: Whether the key must be given.
    """

    name: str
    type: Literal["int", "float", "categorical"]
    doc: str
    default: Scalar | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    models: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    required: bool = False

    @property
    def allowed(self) -> str | list[str]:
        """What is allowed, for error messages and listings."""
        if self.type == "categorical":
            return list(self.choices)
        kind = "an integer" if self.type == "int" else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """Whether `value` is legal: right type (true is no number), finite and in range."""
        if self.type == "categorical":
            return isinstance(value, str) and (not self.choices or value in self.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value) or (self.type == "int" and value != int(value)):
            return False
        return (self.low is None or value >= self.low) and (
            self.high is None or value <= self.high
        )

    def canonical(self, value: Any) -> Scalar:
        """A legal value in its own type: whole floats of an int option become ints."""
        if self.type == "int":
            return int(value)
        return float(value) if self.type == "float" else str(value)

    def describe(self) -> dict[str, Any]:
        """The option as a JSON object."""
        described: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.type == "categorical":
            described["choices"] = list(self.choices)
        else:
            described |= {"low": self.low, "high": self.high}
        described |= {"default": self.default, "required": self.required, "doc": self.doc}
        if self.models:
            described["models"] = sorted(self.models)
        if self.datasets:
            described["datasets"] = sorted(self.datasets)
        return described
