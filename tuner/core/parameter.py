"""Parameters: one named dimension of a search space, with its range, scale and conditions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from tuner.core.model import Value, field_error

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
Scale = Literal["linear", "log", "one_minus_log"]
MAX_SAFE_INT: Final = 2**53
_TOLERANCE: Final = 1e-9


def same(a: object, b: object) -> bool:
    """Typed equality: 1, true and "1" differ; 1 and 1.0 are one number."""
    return isinstance(a, bool) is isinstance(b, bool) and a == b


def contains(values: Any, value: object) -> bool:
    """Whether `value` is among `values` by typed equality."""
    return any(same(item, value) for item in values)


def first_repeat(values: Sequence[Scalar]) -> int | None:
    """The index of the first value that stands earlier too, by typed equality; None: all differ."""
    known: set[tuple[bool, Scalar]] = set()
    for i, value in enumerate(values):
        identity = (isinstance(value, bool), value)
        if identity in known:
            return i
        known.add(identity)
    return None


class Prior(Value):
    """A belief about the good region: mean and standard deviation in the parameter's scale.

    For `log` both are in natural-log units, for `one_minus_log` in units of log(1 - x).
    """

    mean: float
    std: float = Field(gt=0)


When = dict[str, tuple[Scalar, ...]]


class _Base(Value):
    """What every parameter may carry."""

    when: When | None = None
    role: str | None = None
    group: str | None = None
    reference: Scalar | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        """Write short forms out: `log: true` as scale, single `when` values and lists as tuples."""
        if not isinstance(data, Mapping):
            return data
        data = {key: value for key, value in data.items() if value is not None}
        if "log" in data and "scale" in cls.model_fields:
            log = data.pop("log")
            if not isinstance(log, bool):
                raise field_error(
                    f"found {log!r}, must be true or false.",
                    at="log",
                    found=log,
                    allowed="true or false",
                )
            if log and data.get("scale", "log") != "log":
                raise field_error("give either log or scale.", at="scale", found=data["scale"])
            if log:
                data["scale"] = "log"
        if isinstance(data.get("when"), Mapping):
            data["when"] = {k: _as_tuple(v) for k, v in data["when"].items()}
        for key in ("choices", "points"):
            if isinstance(data.get(key), list):
                data[key] = tuple(data[key])
        return data

    @model_validator(mode="after")
    def _when_has_values(self) -> _Base:
        for parent, values in (self.when or {}).items():
            if not values:
                raise field_error(
                    "is an empty list, the parameter could never be active.",
                    at=f"when.{parent}",
                    found="[]",
                )
        return self


class _Range(_Base):
    """What float and int parameters share."""

    short_forms: ClassVar[tuple[str, ...]] = ("log",)
    scale: Scale = "linear"

    def to_scale(self, x: float) -> float:
        """`x` in the parameter's scale: x, ln x or ln(1 - x)."""
        if self.scale == "log":
            return math.log(x)
        return math.log1p(-x) if self.scale == "one_minus_log" else float(x)

    def from_scale(self, z: float) -> float:
        """The inverse of `to_scale`."""
        if self.scale == "log":
            return math.exp(z)
        return -math.expm1(z) if self.scale == "one_minus_log" else z


def _check_range(parameter: FloatParameter | IntParameter) -> None:
    low, high = parameter.low, parameter.high
    if low > high:
        raise field_error(
            f"low {low} is above high {high}; swap them.",
            at="low",
            found=low,
            allowed=f"at most {high}",
        )
    if parameter.scale == "log" and low <= 0:
        raise field_error(
            f"a log range needs low > 0, found {low}; raise low or use scale linear.",
            at="low",
            found=low,
            allowed="greater than 0",
        )
    if parameter.scale == "one_minus_log" and high >= 1:
        raise field_error(
            f"a one_minus_log range needs high < 1, found {high}; use e.g. 0.9999.",
            at="high",
            found=high,
            allowed="less than 1",
        )
    _check_step(parameter)
    if parameter.default is not None:
        problem = parameter.problem(parameter.default)
        if problem:
            raise field_error(
                problem[0], at="default", found=parameter.default, allowed=problem[1]
            )
    _check_points(parameter)


def _check_step(parameter: FloatParameter | IntParameter) -> None:
    width, step = parameter.high - parameter.low, parameter.step
    if not math.isfinite(width):
        raise field_error(
            f"the range from {parameter.low} to {parameter.high} is wider than a number can be.",
            at="high",
            found=parameter.high,
        )
    if step is None:
        return
    if parameter.scale != "linear":
        raise field_error(
            f"step goes with scale linear, not {parameter.scale}; for a grid use points.",
            at="step",
            found=step,
        )
    if width > step * MAX_SAFE_INT:
        raise field_error(
            f"step {step} is too small for a range of {width}; leave it out.",
            at="step",
            found=step,
            allowed="at most 2^53 steps",
        )


def _check_points(parameter: FloatParameter | IntParameter) -> None:
    points = parameter.points
    if not isinstance(points, tuple):
        return
    if not points:
        raise field_error("is an empty list.", at="points", found="[]")
    for i, point in enumerate(points):
        problem = parameter.problem(point)
        if problem:
            raise field_error(problem[0], at=f"points[{i}]", found=point, allowed=problem[1])
    twice = first_repeat(points)
    if twice is not None:
        raise field_error("is given twice.", at=f"points[{twice}]", found=points[twice])


class FloatParameter(_Range):
    """A real number in [low, high]; with `step`, low + k·step."""

    type: Literal["float"] = "float"
    low: float
    high: float
    step: float | None = Field(default=None, gt=0)
    default: float | None = None
    prior: Prior | None = None
    points: Annotated[int, Field(ge=1, le=10_000)] | tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> FloatParameter:
        _check_range(self)
        return self

    def problem(self, value: object) -> tuple[str, str] | None:
        """None if `value` is legal, else what is wrong and what is allowed."""
        allowed = f"a number from {self.low} to {self.high}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"found {value!r}, expected {allowed}.", allowed
        if not self.low <= value <= self.high:
            return f"{value} is outside {self.low} to {self.high}.", allowed
        if self.step is not None:
            k = (value - self.low) / self.step
            if abs(k - round(k)) > _TOLERANCE * max(1.0, abs(k)):
                allowed += f" in steps of {self.step}"
                return f"{value} is not low + k·step.", allowed
        return None

    def canonical(self, value: Any) -> float:
        """A legal `value` as it is stored."""
        return float(value)


class IntParameter(_Range):
    """An integer in [low, high]; with `step`, low + k·step."""

    type: Literal["int"] = "int"
    low: Annotated[int, Field(ge=-MAX_SAFE_INT, le=MAX_SAFE_INT)]
    high: Annotated[int, Field(ge=-MAX_SAFE_INT, le=MAX_SAFE_INT)]
    step: Annotated[int, Field(ge=1)] | None = None
    default: int | None = None
    prior: Prior | None = None
    points: Annotated[int, Field(ge=1, le=10_000)] | tuple[int, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> IntParameter:
        _check_range(self)
        return self

    def problem(self, value: object) -> tuple[str, str] | None:
        """None if `value` is legal, else what is wrong and what is allowed."""
        allowed = f"an integer from {self.low} to {self.high}"
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            return f"found {value!r}, expected {allowed}.", allowed
        number = int(value)  # type: ignore[call-overload]
        if not self.low <= number <= self.high:
            return f"{number} is outside {self.low} to {self.high}.", allowed
        if self.step is not None and (number - self.low) % self.step:
            return f"{number} is not low + k·step.", f"{allowed} in steps of {self.step}"
        return None

    def canonical(self, value: Any) -> int:
        """A legal `value` as it is stored."""
        return int(value)


class CategoricalParameter(_Base):
    """One of a list of strings, numbers or booleans."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...]
    default: Scalar | None = None

    @model_validator(mode="after")
    def _consistent(self) -> CategoricalParameter:
        if not self.choices:
            raise field_error(
                "is an empty list; give at least one choice.", at="choices", found="[]"
            )
        twice = first_repeat(self.choices)
        if twice is not None:
            raise field_error("is given twice.", at=f"choices[{twice}]", found=self.choices[twice])
        if self.default is not None and not contains(self.choices, self.default):
            raise field_error(
                f"{self.default!r} is not among the choices.",
                at="default",
                found=self.default,
                allowed=list(self.choices),
            )
        return self

    def problem(self, value: object) -> tuple[str, Any] | None:
        """None if `value` is legal, else what is wrong and what is allowed."""
        if contains(self.choices, value):
            return None
        listed = ", ".join(repr(choice) for choice in self.choices)
        return f"{value!r} is not among the choices {listed}.", list(self.choices)

    def canonical(self, value: Any) -> Any:
        """A legal `value` as it is stored: the choice itself."""
        return next(choice for choice in self.choices if same(choice, value))


class FixedParameter(_Base):
    """A constant that travels with the other parameters."""

    type: Literal["fixed"] = "fixed"
    value: Scalar

    def problem(self, value: object) -> tuple[str, Any] | None:
        """None if `value` is legal, else what is wrong and what is allowed."""
        if same(value, self.value):
            return None
        return f"found {value!r}, but it is fixed to {self.value!r}.", self.value

    def canonical(self, value: Any) -> Any:
        """A legal `value` as it is stored."""
        del value
        return self.value


Parameter = Annotated[
    FloatParameter | IntParameter | CategoricalParameter | FixedParameter,
    Field(discriminator="type"),
]
AnyParameter = FloatParameter | IntParameter | CategoricalParameter | FixedParameter
CLASSES: Final[dict[str, type[AnyParameter]]] = {
    "float": FloatParameter,
    "int": IntParameter,
    "categorical": CategoricalParameter,
    "fixed": FixedParameter,
}


def _as_tuple(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(value)
    return (value,) if isinstance(value, bool | int | float | str) else value
