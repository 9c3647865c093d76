"""The search space: parameters, the conditions between them, and what a legal trial is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from tuner.core.foreign import range_hint
from tuner.core.model import join, parse, shown, unknown_key
from tuner.core.names import PARAMETER_NAME, nearest
from tuner.core.parameter import (
    CLASSES,
    AnyParameter,
    CategoricalParameter,
    FixedParameter,
    FloatParameter,
    IntParameter,
    Scalar,
    contains,
)
from tuner.errors import FieldError, InvalidParameter, InvalidSpace

Params = dict[str, Scalar]
RESERVED = frozenset({"optimizers", "parameters"})


class Space:
    """An expanded search space: named parameters in declared order.

    Args:
        parameters: Name to parameter, in declared order.
        path: Where the parameters stand in the input, for error paths.

    Raises:
        InvalidSpace: For an empty space, a bad name, a condition on a missing parameter, on a
            float, on a value the parent cannot take, or a cycle of conditions.
    """

    def __init__(
        self, parameters: Mapping[str, AnyParameter], path: str = "space.parameters"
    ) -> None:
        if not parameters:
            raise InvalidSpace.at("space", "has no parameters; name at least one.")
        self.parameters: dict[str, AnyParameter] = dict(parameters)
        for name, parameter in self.parameters.items():
            check_name(name, path)
            for parent, values in (parameter.when or {}).items():
                self._check_condition(join(path, name, "when", parent), name, parent, values)
        self.order: tuple[str, ...] = self._topological(path)

    @classmethod
    def parse(cls, data: Mapping[str, Any], path: str = "space.parameters") -> Space:
        """Build from plain data, as `expanded_space["parameters"]`."""
        return cls(
            {name: parse_parameter(item, join(path, name)) for name, item in data.items()}, path
        )

    def to_json(self) -> dict[str, Any]:
        """`{"parameters": {name: {...}}}`, the form that `parse` reads the inner part of."""
        return {"parameters": {name: dump_parameter(p) for name, p in self.parameters.items()}}

    def __len__(self) -> int:
        return len(self.parameters)

    def __contains__(self, name: object) -> bool:
        return name in self.parameters

    def __getitem__(self, name: str) -> AnyParameter:
        return self.parameters[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and list(self.parameters.items()) == list(
            other.parameters.items()
        )

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def children(self) -> dict[str, tuple[str, ...]]:
        """For each parameter, those whose condition names it."""
        return {
            name: tuple(n for n, p in self.parameters.items() if name in (p.when or {}))
            for name in self.parameters
        }

    @cached_property
    def is_conditional(self) -> bool:
        """Whether any parameter has a condition."""
        return any(p.when for p in self.parameters.values())

    def is_active(self, name: str, params: Mapping[str, Any]) -> bool:
        """Whether `name` is active, given the values of its parents in `params`.

        An absent parent is inactive, and makes its children inactive.
        """
        when = self.parameters[name].when
        if not when:
            return True
        return all(
            parent in params and contains(values, params[parent])
            for parent, values in when.items()
        )

    def active(self, params: Mapping[str, Any]) -> list[str]:
        """Names of the active parameters in declared order.

        Only parents that are themselves active count, so stray inactive values in `params` do not
        activate anything.
        """
        kept: dict[str, Any] = {}
        for name in self.order:
            if self.is_active(name, kept):
                kept[name] = params.get(name, getattr(self.parameters[name], "value", None))
        return [name for name in self.parameters if name in kept]

    def prune(self, params: Mapping[str, Any]) -> Params:
        """`params` without inactive parameters, in declared order."""
        return {name: params[name] for name in self.active(params) if name in params}

    def check(self, params: Mapping[str, Any], path: str = "params") -> Params:
        """A trial's complete parameters, checked and in canonical form and order.

        Fixed parameters may be left out. Integers are taken for floats.

        Raises:
            InvalidParameter: For an unknown, missing, inactive or illegal parameter.
        """
        given = self.check_partial(params, path)
        for name in self.order:
            parameter = self.parameters[name]
            if self.is_active(name, given):
                if name not in given:
                    if not isinstance(parameter, FixedParameter):
                        raise InvalidParameter.at(join(path, name), "is missing.")
                    given[name] = parameter.value
            elif name in given:
                raise InvalidParameter.at(
                    join(path, name),
                    f"is not active, because {_spell(parameter.when or {})} does not hold;"
                    " leave it out.",
                    found=given[name],
                )
        return {name: given[name] for name in self.parameters if name in given}

    def check_partial(self, params: Mapping[str, Any], path: str = "params") -> Params:
        """Some of a trial's parameters, checked; conditions fix parents where they leave one value.

        `{"adam.lr": 0.01}` becomes `{"optimizer": "adam", "adam.lr": 0.01}`.

        Raises:
            InvalidParameter: For an unknown or illegal parameter, one whose condition contradicts
                the others, or one whose parent is neither given nor implied.
        """
        if not isinstance(params, Mapping):
            raise InvalidParameter.at(path, "expected a mapping of names to values.")
        given: Params = {}
        for name, value in params.items():
            if name not in self.parameters:
                text, field = unknown_key(path, name, self.parameters)
                raise InvalidParameter(text.replace("unknown key", "no parameter"), errors=[field])
            problem = self.parameters[name].problem(value)
            if problem:
                raise InvalidParameter(
                    f"{join(path, name)}: {problem[0]}",
                    errors=[FieldError(join(path, name), value, problem[1])],
                )
            given[name] = self.parameters[name].canonical(value)
        for name in reversed(self.order):
            if name in given:
                self._imply_parents(name, given, path)
        return {name: given[name] for name in self.parameters if name in given}

    def defaults(self, params: Mapping[str, Any] | None = None) -> Params:
        """The trial of defaults (where none is given: the middle in scale, the first choice).

        Args:
            params: Values to keep; the rest is filled with defaults.
        """
        values: dict[str, Any] = dict(params or {})
        kept: dict[str, Any] = {}
        for name in self.order:
            if self.is_active(name, kept):
                kept[name] = (
                    values[name] if name in values else default_value(self.parameters[name])
                )
        return {name: kept[name] for name in self.parameters if name in kept}

    def _imply_parents(self, name: str, given: Params, path: str) -> None:
        for parent, values in (self.parameters[name].when or {}).items():
            if parent in given:
                if not contains(values, given[parent]):
                    raise InvalidParameter.at(
                        join(path, name),
                        f"is active only with {_spell({parent: values})},"
                        f" but {parent} is {given[parent]!r}.",
                        found=given[name],
                    )
                continue
            fixed = self.parameters[parent]
            if isinstance(fixed, FixedParameter):
                given[parent] = fixed.value
            elif len(values) == 1:
                given[parent] = fixed.canonical(values[0])
            else:
                raise InvalidParameter.at(
                    join(path, name),
                    f"is active only with {_spell({parent: values})}; give {parent} too.",
                    found=given[name],
                )

    def _check_condition(
        self, path: str, name: str, parent: str, values: Iterable[Scalar]
    ) -> None:
        target = self.parameters.get(parent)
        if target is None:
            near = nearest(parent, [n for n in self.parameters if n != name])
            hint = f" Did you mean {near!r}?" if near else ""
            raise InvalidSpace.at(
                path,
                f"there is no parameter {parent!r}.{hint}",
                found=parent,
                allowed=[n for n in self.parameters if n != name],
                nearest=near,
            )
        if isinstance(target, FloatParameter):
            raise InvalidSpace.at(
                path, "conditions hang on categorical, int or fixed parameters, not on a float."
            )
        for value in values:
            problem = target.problem(value)
            if problem:
                raise InvalidSpace.at(
                    path, f"{parent} can never be {value!r}.", found=value, allowed=problem[1]
                )

    def _topological(self, path: str) -> tuple[str, ...]:
        order: list[str] = []
        placed: set[str] = set()
        remaining = list(self.parameters)
        while remaining:
            ready = [n for n in remaining if set(self.parameters[n].when or {}) <= placed]
            if not ready:
                cycle = ", ".join(remaining)
                raise InvalidSpace.at(
                    join(path, remaining[0], "when"),
                    f"the conditions of {cycle} form a cycle; remove one of them.",
                    found=remaining,
                )
            order += ready
            placed.update(ready)
            remaining = [n for n in remaining if n not in placed]
        return tuple(order)


def check_name(name: object, path: str) -> None:
    """Refuse a name that is no parameter name.

    Raises:
        InvalidSpace: With the path and what a name may look like.
    """
    if not isinstance(name, str) or not PARAMETER_NAME.fullmatch(name):
        raise InvalidSpace.at(
            join(path, str(name)[:80]),
            "is not a parameter name; names start with a letter or _ and go on with letters,"
            " digits, _ . - (at most 128).",
            found=str(name)[:80],
        )
    if name in RESERVED:
        raise InvalidSpace.at(join(path, name), "is a reserved word and names no parameter.")


def parse_parameter(data: Any, path: str) -> AnyParameter:
    """Build one parameter from plain data or pass a built one through.

    Raises:
        InvalidSpace: With the path of each mistake.
    """
    if isinstance(data, FloatParameter | IntParameter | CategoricalParameter | FixedParameter):
        return data
    if not isinstance(data, Mapping):
        raise InvalidSpace.at(
            path,
            "expected a mapping such as {type: float, low: 0, high: 1}.",
            found=repr(data)[:80],
        )
    kind = data.get("type")
    if not isinstance(kind, str) or kind not in CLASSES:
        near = nearest(kind, CLASSES) if kind is not None else None
        raise InvalidSpace.at(
            join(path, "type"),
            (f"found {kind!r}" if kind is not None else "is missing")
            + f"; allowed: {', '.join(CLASSES)}."
            + (f" Did you mean {near!r}?" if near else ""),
            found=shown(kind),
            allowed=list(CLASSES),
            nearest=near,
            hint=range_hint(data),
        )
    try:
        return parse(CLASSES[kind], data, path, InvalidSpace)
    except InvalidSpace as error:
        error.hint = error.hint or range_hint(data)
        raise


def dump_parameter(parameter: AnyParameter) -> dict[str, Any]:
    """The parameter written out as plain JSON data, `type` first."""
    data = parameter.model_dump(mode="json", exclude_none=True)
    return {"type": data.pop("type"), **data}


def default_value(parameter: AnyParameter) -> Scalar:
    """The default; without one the middle of the range in its scale, or the first choice."""
    if isinstance(parameter, FixedParameter):
        return parameter.value
    if parameter.default is not None:
        return parameter.default
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[0]
    low, high = parameter.to_scale(parameter.low), parameter.to_scale(parameter.high)
    return snap(parameter, parameter.from_scale((low + high) / 2))


def snap(parameter: FloatParameter | IntParameter, x: float) -> float | int:
    """The legal value nearest to `x`: clipped to the range, on the step grid, whole for ints."""
    x = min(max(x, parameter.low), parameter.high)
    if parameter.step is not None:
        last = int((parameter.high - parameter.low) / parameter.step + 1e-9)
        k = min(round((x - parameter.low) / parameter.step), last)
        x = parameter.low + k * parameter.step
    if isinstance(parameter, IntParameter):
        return min(max(round(x), parameter.low), parameter.high)
    return min(float(x), parameter.high)


def _spell(when: Mapping[str, Iterable[Scalar]]) -> str:
    parts = []
    for parent, values in when.items():
        listed = [repr(value) for value in values]
        parts.append(
            f"{parent} = {listed[0]}" if len(listed) == 1 else f"{parent} in {', '.join(listed)}"
        )
    return " and ".join(parts)
