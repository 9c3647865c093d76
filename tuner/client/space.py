"""Search spaces in Python: parameters, the optimizer shorthand, and putting them together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from tuner.client.spec import study_data
from tuner.core.model import parse
from tuner.core.overrides import merge
from tuner.core.parameter import (
    CLASSES,
    AnyParameter,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
)
from tuner.core.space import check_name, dump_parameter
from tuner.core.space_spec import OptimizerChoice
from tuner.errors import InvalidSpace

Value = bool | int | float | str
When = Mapping[str, Value | Sequence[Value]]
Scale = Literal["linear", "log", "one_minus_log"]
Prior = Mapping[str, float]
P = TypeVar("P", bound=AnyParameter)
_PATH = "space.parameters"


def Float(  # noqa: N802, PLR0913  reads as the type it makes; every key of a parameter
    low: float,
    high: float,
    *,
    log: bool | None = None,
    scale: Scale | None = None,
    step: float | None = None,
    default: float | None = None,
    prior: Prior | None = None,
    when: When | None = None,
    points: int | Sequence[float] | None = None,
    role: str | None = None,
    group: str | None = None,
    reference: Value | None = None,
) -> FloatParameter:
    """A real number from `low` to `high`.

    Args:
        low: Smallest value, included.
        high: Largest value, included.
        log: Short for `scale="log"`.
        scale: `linear`, `log`, or `one_minus_log` (uniform in log(1 - x), for momentum).
        step: Only low + k·step.
        default: Tried first by samplers that learn.
        prior: `{"mean": …, "std": …}` in the parameter's scale.
        when: Active only if these parents have one of these values.
        points: For grids: a number of points, or the points.
        role: What the value is to an optimizer, as `lr`.
        group: Which parameters belong together.
        reference: A value known to work, in the parameter's unit.

    Raises:
        InvalidSpace: For a range, default or option that contradicts the others.
    """
    return _make(FloatParameter, locals())


def Int(  # noqa: N802, PLR0913  reads as the type it makes; every key of a parameter
    low: int,
    high: int,
    *,
    log: bool | None = None,
    scale: Scale | None = None,
    step: int | None = None,
    default: int | None = None,
    prior: Prior | None = None,
    when: When | None = None,
    points: int | Sequence[int] | None = None,
    role: str | None = None,
    group: str | None = None,
    reference: Value | None = None,
) -> IntParameter:
    """A whole number from `low` to `high`; the arguments are those of `Float`.

    Raises:
        InvalidSpace: As `Float`.
    """
    return _make(IntParameter, locals())


def Categorical(  # noqa: N802  reads as the type it makes
    choices: Sequence[Value],
    *,
    default: Value | None = None,
    when: When | None = None,
    role: str | None = None,
    group: str | None = None,
    reference: Value | None = None,
) -> CategoricalParameter:
    """One of `choices`: texts, numbers or booleans, all different.

    Raises:
        InvalidSpace: For no choices, one given twice, or a default that is none of them.
    """
    return _make(CategoricalParameter, locals())


def Fixed(value: Value, *, when: When | None = None) -> FixedParameter:  # noqa: N802  as above
    """A constant that travels with the other parameters.

    Raises:
        InvalidSpace: If `value` is no text, number or boolean.
    """
    given: object = value
    if not isinstance(given, bool | int | float | str):
        kind = type(value).__name__
        raise InvalidSpace.at("value", f"found a {kind}, expected a text, number or boolean.")
    return _make(FixedParameter, {"value": value, "when": when})


class Space:
    """A space that the server will expand: the optimizer shorthand, and parameters or overrides.

    Args:
        choice: The optimizers; None for a space without the shorthand.
        parameters: Names to parameters, or to mappings of the keys to override.

    `space | other` adds the entries of `other` and lays them over those of the same name; a
    mapping without `type` overrides only the keys that it gives.
    """

    def __init__(
        self,
        choice: OptimizerChoice | None = None,
        parameters: Mapping[str, AnyParameter | Mapping[str, Any]] | None = None,
    ) -> None:
        self._choice = choice
        self._parameters = {
            name: _entry(name, item) for name, item in dict(parameters or {}).items()
        }

    def to_json(self) -> dict[str, Any]:
        """The form of a study file: `{"optimizers": {...}, "parameters": {...}}`."""
        parameters = {name: dict(item) for name, item in self._parameters.items()}
        if self._choice is None:
            return {"parameters": parameters}
        chosen: dict[str, Any] = {"names": list(self._choice.names)}
        if self._choice.size is not None:
            chosen["size"] = self._choice.size
        return {"optimizers": chosen, "parameters": parameters}

    def __or__(self, other: object) -> Space:
        right = _as_space(other)
        return NotImplemented if right is None else _join(self, right)

    def __ror__(self, other: object) -> Space:
        left = _as_space(other)
        return NotImplemented if left is None else _join(left, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Space({self.to_json()!r})"


def optimizers(*names: str, size: Literal["small", "medium", "large"] | None = None) -> Space:
    """The unexpanded shorthand: `optimizer`, and under it the parameters of each optimizer.

    Args:
        names: Names from `tuner optimizers list`; the server checks them.
        size: How many parameters each gets; None: by the study's budget.

    Raises:
        InvalidSpace: For no name, one given twice, or another size.
    """
    if not names:
        raise InvalidSpace.at("space.optimizers", "names no optimizer, e.g. optimizers('adam').")
    data = {"names": list(names), **({} if size is None else {"size": size})}
    return Space(parse(OptimizerChoice, data, "space.optimizers", InvalidSpace))


def _as_space(other: object) -> Space | None:
    if isinstance(other, Space):
        return other
    return Space(parameters=other) if isinstance(other, Mapping) else None


def _join(left: Space, right: Space) -> Space:
    choice = left._choice or right._choice
    if left._choice is not None and right._choice is not None:
        size = right._choice.size or left._choice.size
        added = [name for name in right._choice.names if name not in left._choice.names]
        choice = OptimizerChoice(names=(*left._choice.names, *added), size=size)
    parameters: dict[str, Any] = dict(left._parameters)
    for name, item in right._parameters.items():
        parameters[name] = _lay_over(name, parameters.get(name), item)
    return Space(choice, parameters)


def _lay_over(
    name: str, base: Mapping[str, Any] | None, item: Mapping[str, Any]
) -> dict[str, Any]:
    """One entry over another: a complete one replaces, an override changes the keys it gives."""
    if base is None or "type" in item:
        return dict(item)
    if "type" in base:
        condition = {key: item[key] for key in ("when",) if key in item}
        rest = {key: value for key, value in item.items() if key != "when"}
        merged = merge({name: base}, {name: rest}).to_json()["parameters"][name]
        return {**merged, **condition}
    merged = dict(base)
    if "log" in item or "scale" in item:
        merged.pop("log", None)
        merged.pop("scale", None)
    return {**merged, **item}


def _entry(name: str, item: AnyParameter | Mapping[str, Any]) -> dict[str, Any]:
    """An entry as plain data, its name and, where it is complete, its content checked."""
    check_name(name, _PATH)
    if not isinstance(item, Mapping):
        if not hasattr(item, "model_dump"):
            raise InvalidSpace.at(
                f"{_PATH}.{name}",
                f"found {item!r}, expected a parameter such as tuner.Float(0, 1).",
                found=repr(item)[:80],
            )
        return dump_parameter(item)
    kind = item.get("type")
    if isinstance(kind, str) and kind in CLASSES:
        return dump_parameter(parse(CLASSES[kind], dict(item), f"{_PATH}.{name}", InvalidSpace))
    return dict(item)


def _make(cls: type[P], fields: Mapping[str, Any]) -> P:
    """The parameter of a function's arguments, all of which are keys of the parameter."""
    data = study_data(fields)
    return parse(cls, data, "", InvalidSpace)
