"""What an optimizer entry is: its parameters with ranges, priors, defaults and their sources.

Scales and the unit of a prior:

    linear         the value itself
    log            the natural logarithm of the value
    one_minus_log  the natural logarithm of 1 - value (momentum and decay rates)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

Size = Literal["small", "medium", "large"]
Scale = Literal["linear", "log", "one_minus_log"]
Scalar = bool | int | float | str
SIZES: tuple[Size, ...] = ("small", "medium", "large")
EVERY: frozenset[Size] = frozenset(SIZES)
FROM_MEDIUM: frozenset[Size] = frozenset({"medium", "large"})
ONLY_LARGE: frozenset[Size] = frozenset({"large"})
NEVER: frozenset[Size] = frozenset()
LEARNING_RATE = "learning_rate"


@dataclass(frozen=True)
class Prior:
    """A belief about the good region: a normal in the parameter's scale (see the module)."""

    mean: float
    std: float


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter of an optimizer.

    Args:
        name: Plain name, as `build_optimizer` looks it up.
        role: What it does, comparable between optimizers, as `learning_rate` or `momentum`.
        default: The value that is tried first when it is searched.
        sources: For `range`, `default` and, where given, `prior` and `unset`: where the number
            comes from.
        low: Smallest value searched.
        high: Largest value searched.
        scale: How the range is measured.
        type: `float`, `int` or `categorical`.
        choices: The values of a categorical parameter.
        prior: Belief about the good region; None: none published that is not flat.
        sizes: The sizes of search space that include it.
        unset: The value where it is neither searched nor given; None: `default`.
    """

    name: str
    role: str
    default: Scalar
    sources: dict[str, str] = field(hash=False)
    low: float | None = None
    high: float | None = None
    scale: Scale = "log"
    type: Literal["float", "int", "categorical"] = "float"
    choices: tuple[Scalar, ...] = ()
    prior: Prior | None = None
    sizes: frozenset[Size] = EVERY
    unset: Scalar | None = None

    @property
    def otherwise(self) -> Scalar:
        """The value where the parameter is neither searched nor given."""
        return self.default if self.unset is None else self.unset

    def problem(self, value: object) -> str | None:
        """What is wrong with a value that no search range bounds; None: the method is defined."""
        if self.type == "categorical":
            is_one = any(type(value) is type(item) and value == item for item in self.choices)
            return None if is_one else f"expected one of {', '.join(map(str, self.choices))}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "expected a number"
        if not math.isfinite(value):
            return "expected a finite number"
        lowest, highest, said = self._meaning
        is_whole = self.type != "int" or value == int(value)
        return None if lowest <= value <= highest and is_whole else f"expected {said}"

    @property
    def _meaning(self) -> tuple[float, float, str]:
        """The least and the greatest value that the method is defined for, and both in words."""
        if self.type == "int":
            return 1, math.inf, "an integer from 1"
        if self.scale == "linear":
            return -math.inf, math.inf, "a number"
        if self.scale == "log":
            return 0, math.inf, "a number from 0"
        # A momentum of 1 forgets nothing; a decay rate of 1 would divide by 0.
        if self.role == "momentum":
            return 0, 1, "a number from 0 to 1"
        return 0, math.nextafter(1, 0), "a number from 0 to below 1"

    @property
    def source(self) -> str:
        """Every number's source in one text."""
        return "; ".join(f"{what}: {text}" for what, text in self.sources.items())


@dataclass(frozen=True)
class Cost:
    """What one step costs with the default setting.

    Args:
        functions: Evaluations of the loss.
        gradients: Evaluations of the gradient.
        state: Floats of optimizer state per model parameter, kept from step to step.
        products: Products of the Hessian with a vector, each about as dear as two gradients.
        note: What the numbers do not say, as where they are upper bounds.
    """

    functions: int
    gradients: int
    state: int
    products: int = 0
    note: str = ""


@dataclass(frozen=True)
class Optimizer:
    """One optimizer and all that is known about tuning it.

    Args:
        name: Name in study files.
        title: Name for people.
        description: What it does and how weight decay enters, in one or two sentences.
        formula: The update, g the gradient with coupled weight decay added where there is any,
            w the weights, t the step from 1.
        paper: The source of the formula.
        parameters: In the order in which they are searched and shown.
        cost: Of one step.
        reference: A typical good learning rate, so that the rates of different optimizers
            compare as rate / reference.
        reference_source: Where `reference` comes from.
        batch: `any`; `large`: meant for the whole training set, with mini-batches warned of;
            `full`: always the whole training set.
        whole_model: Whether it works on all weights at once and takes no parameter groups.
        extra: The extra of the installation that a worker needs for it; None: none.
    """

    name: str
    title: str
    description: str
    formula: str
    paper: str
    parameters: tuple[Parameter, ...]
    cost: Cost
    reference: float
    reference_source: str
    batch: Literal["any", "large", "full"] = "any"
    whole_model: bool = False
    extra: str | None = None

    def parameter(self, name: str) -> Parameter | None:
        """The parameter of that plain name, or None."""
        return next((item for item in self.parameters if item.name == name), None)


def decades(centre: float, sigma: float) -> Prior:
    """A normal in the natural logarithm from a centre and a base-10 standard deviation."""
    return Prior(math.log(centre), sigma * math.log(10.0))


def flat_width(centre: float, low: float, high: float) -> Prior:
    """A normal in the logarithm about `centre`, as wide as a uniform on ln `low` to ln `high`.

    Source: the standard deviation of a uniform of width b is b / √12.
    """
    return Prior(math.log(centre), math.log(high / low) / math.sqrt(12.0))
