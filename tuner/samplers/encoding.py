"""Between values and the unit interval: scales, integers, steps, choices; and which are active.

Notation
    u   position in [0, 1]; uniform u gives what "uniform in the parameter's scale" means
    n   number of distinct values of a discrete parameter
    z   value in the parameter's scale (x, ln x or ln(1 - x))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tuner.core.parameter import (
    AnyParameter,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    same,
)
from tuner.core.space import Params, Space, snap

HALF: Final = 0.5
_TOLERANCE: Final = 1e-9


def count(parameter: AnyParameter) -> int | None:
    """How many values it has; None for a float without step on an open range."""
    if isinstance(parameter, FixedParameter):
        return 1
    if isinstance(parameter, CategoricalParameter):
        return len(parameter.choices)
    if parameter.low == parameter.high:
        return 1
    if isinstance(parameter, IntParameter):
        return (parameter.high - parameter.low) // (parameter.step or 1) + 1
    if parameter.step is not None:
        return int((parameter.high - parameter.low) / parameter.step + _TOLERANCE) + 1
    return None


def value_at(parameter: AnyParameter, k: int) -> Scalar:
    """The k-th of a discrete parameter's values, in order."""
    if isinstance(parameter, FixedParameter):
        return parameter.value
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[k]
    if isinstance(parameter, IntParameter):
        return parameter.low + k * (parameter.step or 1)
    return snap(parameter, parameter.low + k * (parameter.step or 0.0))


def index_of(parameter: AnyParameter, value: Any) -> int:
    """The inverse of `value_at` for a legal value."""
    if isinstance(parameter, FixedParameter):
        return 0
    if isinstance(parameter, CategoricalParameter):
        return next(k for k, choice in enumerate(parameter.choices) if same(choice, value))
    if isinstance(parameter, IntParameter):
        return (int(value) - parameter.low) // (parameter.step or 1)
    return round((value - parameter.low) / parameter.step) if parameter.step else 0


def is_even(parameter: AnyParameter) -> bool:
    """Whether its values have equal shares of [0, 1] (all but integers on a curved scale)."""
    return not (isinstance(parameter, IntParameter) and parameter.scale != "linear")


def decode(parameter: AnyParameter, u: float) -> Scalar:
    """The value at `u`, canonical and legal.

    Integers get the interval from a half below to a half above in their scale, steps and choices
    equal shares.
    """
    n = count(parameter)
    if n is not None and is_even(parameter):
        return value_at(parameter, min(int(u * n), n - 1))
    if isinstance(parameter, FloatParameter | IntParameter):
        low, high = _edges(parameter)
        return snap(parameter, parameter.from_scale(low + u * (high - low)))
    raise TypeError(f"{type(parameter).__name__} has no range.")


def encode(parameter: AnyParameter, value: Any) -> float:
    """The position of a legal value; `decode(encode(v)) == v` for discrete parameters."""
    n = count(parameter)
    if n is not None and is_even(parameter):
        return (index_of(parameter, value) + HALF) / n
    if isinstance(parameter, FloatParameter | IntParameter):
        low, high = _edges(parameter)
        return min(max((parameter.to_scale(value) - low) / (high - low), 0.0), 1.0)
    raise TypeError(f"{type(parameter).__name__} has no range.")


def fill(
    space: Space, choose: Callable[[str, AnyParameter], Scalar], fixed: Mapping[str, Any]
) -> Params:
    """A complete trial: `fixed` where given, `choose` elsewhere, active parameters only.

    Args:
        space: The search space.
        choose: Gives the value of an active parameter.
        fixed: Values to keep.
    """
    kept: Params = {}
    for name in space.order:
        if space.is_active(name, kept):
            kept[name] = fixed[name] if name in fixed else choose(name, space[name])
    return {name: kept[name] for name in space.parameters if name in kept}


def key(params: Mapping[str, Any]) -> tuple[tuple[str, str, Any], ...]:
    """A hashable identity of a trial; 1, 1.0, true and "1" differ."""
    return tuple((name, type(params[name]).__name__, params[name]) for name in sorted(params))


def _edges(parameter: FloatParameter | IntParameter) -> tuple[float, float]:
    """Where u = 0 and u = 1 lie in the parameter's scale."""
    margin = HALF if isinstance(parameter, IntParameter) else 0.0
    return parameter.to_scale(parameter.low - margin), parameter.to_scale(parameter.high + margin)
