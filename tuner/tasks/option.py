"""One option of a built-in task: its type, range, default and meaning."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Option:
    """One key of a task.

    Args:
        name: The key.
        type: `int`, `float`, `bool`, `categorical`, or `text`.
        doc: What it does, with its unit.
        default: The value when the key is absent; None: see `doc`.
        low: Smallest value.
        high: Largest value.
        choices: The values of a categorical option; empty: names of another registry.
        pattern: Texts that are legal besides the choices, as a regular expression.
        shape: What those texts are, for people.
        models: The models that have this option; empty: all.
        datasets: The data sets that have this option; empty: all.
        is_fixed: Whether only the task gives it, never a parameter of the space.
        required: Whether the key must be given.
    """

    name: str
    type: Literal["int", "float", "bool", "categorical", "text"]
    doc: str
    default: Scalar | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    shape: str = ""
    models: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    is_fixed: bool = False
    required: bool = False

    @property
    def allowed(self) -> str | list[str]:
        """What is allowed, for error messages and listings."""
        if self.type == "categorical":
            return [*self.choices, *([self.shape] if self.shape else [])]
        if self.type in ("text", "bool"):
            return self.shape or "true or false"
        kind = "an integer" if self.type == "int" else "a number"
        return f"{kind} from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """Whether `value` is legal: right type (true is no number), finite and in range."""
        if self.type == "bool":
            return isinstance(value, bool)
        if self.type in ("categorical", "text"):
            return isinstance(value, str) and self._accepts_text(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value) or (self.type == "int" and value != int(value)):
            return False
        return (self.low is None or value >= self.low) and (
            self.high is None or value <= self.high
        )

    def _accepts_text(self, value: str) -> bool:
        is_free = not self.choices and not self.pattern
        return value in self.choices or is_free or self.accepts_pattern(value)

    def accepts_pattern(self, value: str) -> bool:
        """Whether a text is legal by `pattern`, not as one of the choices."""
        return bool(self.pattern) and re.fullmatch(self.pattern, value) is not None

    def canonical(self, value: Any) -> Scalar:
        """A legal value in its own type: whole floats of an int option become ints."""
        if self.type == "int":
            return int(value)
        if self.type == "bool":
            return bool(value)
        return float(value) if self.type == "float" else str(value)

    def describe(self) -> dict[str, Any]:
        """The option as a JSON object."""
        described: dict[str, Any] = {"name": self.name, "type": self.type}
        if self.type == "categorical":
            described["choices"] = list(self.choices)
        if self.shape:
            described["also"] = self.shape
        if self.type in ("int", "float"):
            described |= {"low": self.low, "high": self.high}
        described |= {"default": self.default, "required": self.required, "doc": self.doc}
        if self.models:
            described["models"] = sorted(self.models)
        if self.datasets:
            described["datasets"] = sorted(self.datasets)
        return described
