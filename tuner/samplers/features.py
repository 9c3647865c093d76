"""The flat vector in which a Gaussian process compares trials of a conditional space.

Every parameter has a position u in [0, 1] in its own scale. Positions become axes: a categorical
parameter is an axis of its own, and parameters of one role that are never active together (the
learning rates of different optimizers) share one, on which they are measured relative to their
references. So the model learns from all optimizers what they have in common, and the number of
axes does not grow with the number of optimizers. An inactive axis stands at a constant.

Notation
    P, D       parameters that are not constant; axes
    U          positions, shape (n, P); of inactive parameters without meaning
    A          which are active, shape (n, P), bool
    Z          axes, shape (n, D): [0, 1], or the index of a choice
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.core.parameter import (
    AnyParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    contains,
)
from tuner.core.space import Params, Space
from tuner.samplers.encoding import count, decode, encode, fill, is_even

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
CENTRE: Final = 0.5
MAX_TABLE: Final = 4096


@dataclass(frozen=True)
class Axis:
    """One dimension of the model.

    Args:
        members: Columns of U that share it.
        low: The position u = 0 of each member on the axis.
        high: The position u = 1 of each member on the axis.
        n_choices: For a categorical parameter; 0 for numbers.
        empty: Where trials stand that have no active member.
    """

    members: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n_choices: int
    empty: float


class Features:
    """The vectorised encoding of a space.

    Args:
        space: The search space.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.names = [name for name, p in space.parameters.items() if count(p) != 1]
        self._column = {name: i for i, name in enumerate(self.names)}
        self.axes = _axes(space, self.names)

    def positions(self, trials: Sequence[Mapping[str, Any]]) -> tuple[Array, Mask]:
        """U and A of given trials."""
        U = np.full((len(trials), len(self.names)), CENTRE)
        A = np.zeros(U.shape, dtype=bool)
        for i, params in enumerate(trials):
            for name, j in self._column.items():
                if name in params:
                    U[i, j] = encode(self.space[name], params[name])
                    A[i, j] = True
        return U, A

    def settle(self, U: Array, fixed: Mapping[str, Any]) -> tuple[Array, Mask]:
        """Positions of legal trials: fixed values put in, discrete ones at their centres, and A."""
        U = np.clip(U, 0.0, 1.0)
        for name, j in self._column.items():
            if name in fixed:
                U[:, j] = encode(self.space[name], fixed[name])
            else:
                U[:, j] = _settle(self.space[name], U[:, j])
        holds: dict[str, Mask] = {}
        for name in self.space.order:
            holds[name] = np.ones(len(U), dtype=bool)
            for parent, values in (self.space[name].when or {}).items():
                holds[name] &= holds[parent] & self._among(parent, values, U)
        A = np.empty(U.shape, dtype=bool)
        for name, j in self._column.items():
            A[:, j] = holds[name]
        return U, A

    def matrix(self, U: Array, A: Mask) -> Array:
        """Z of settled positions."""
        Z = np.empty((len(U), len(self.axes)))
        for d, axis in enumerate(self.axes):
            Z[:, d] = axis.empty
            for j, low, high in zip(axis.members, axis.low, axis.high, strict=True):
                if axis.n_choices:
                    at = np.minimum((U[:, j] * axis.n_choices).astype(int), axis.n_choices - 1)
                else:
                    at = low + U[:, j] * (high - low)
                Z[:, d] = np.where(A[:, j], at, Z[:, d])
        return Z

    def unmix(self, z: Sequence[float]) -> Array:
        """One row of U from one of Z: every member of an axis is put where the axis says."""
        u = np.full(len(self.names), CENTRE)
        for axis, at in zip(self.axes, z, strict=True):
            for j, low, high in zip(axis.members, axis.low, axis.high, strict=True):
                if axis.n_choices:
                    u[j] = (at + CENTRE) / axis.n_choices
                else:
                    u[j] = min(max((at - low) / (high - low), 0.0), 1.0)
        return u

    def params(self, u: Array, fixed: Mapping[str, Any]) -> Params:
        """The trial at one row of U."""

        def choose(name: str, parameter: AnyParameter) -> Any:
            return decode(parameter, float(u[self._column[name]]) if name in self._column else 0.0)

        return fill(self.space, choose, fixed)

    def _among(self, parent: str, values: Sequence[Any], U: Array) -> Mask:
        """For which rows the parent takes one of the values (if it is active)."""
        parameter = self.space[parent]
        if parent not in self._column:
            return np.full(len(U), contains(values, decode(parameter, 0.0)))
        wanted = np.asarray([encode(parameter, value) for value in values])
        at: Mask = np.isclose(U[:, self._column[parent], None], wanted, rtol=0, atol=1e-12).any(1)
        return at


def _settle(parameter: AnyParameter, u: Array) -> Array:
    """Positions moved to those of the values that they decode to."""
    n = count(parameter)
    if n is None:
        return u
    if is_even(parameter):
        return (np.minimum(np.floor(u * n), n - 1) + CENTRE) / n
    if n > MAX_TABLE or not isinstance(parameter, IntParameter):
        return u
    places = np.asarray([encode(parameter, parameter.low + k) for k in range(n)])
    nearest: Array = places[np.abs(u[:, None] - places).argmin(axis=1)]
    return nearest


def _axes(space: Space, names: Sequence[str]) -> list[Axis]:
    groups: list[list[int]] = []
    for j, name in enumerate(names):
        for group in groups:
            if all(_may_share(space[name], space[names[other]]) for other in group):
                group.append(j)
                break
        else:
            groups.append([j])
    return [_axis([space[names[j]] for j in group], tuple(group)) for group in groups]


def _may_share(a: AnyParameter, b: AnyParameter) -> bool:
    """Whether both have one role and one scale, a reference, and are never active together."""
    if not (isinstance(a, FloatParameter | IntParameter) and type(a) is type(b)):
        return False
    if a.role is None or a.role != b.role or a.scale != b.scale:
        return False
    if _reference(a) is None or _reference(b) is None:
        return False
    common = set(a.when or {}) & set(b.when or {})
    return any(
        not any(contains((b.when or {})[parent], value) for value in (a.when or {})[parent])
        for parent in common
    )


def _reference(parameter: FloatParameter | IntParameter) -> float | None:
    """The reference in the parameter's scale, None if it has none there."""
    value = parameter.reference
    if isinstance(value, bool | str) or value is None:
        return None
    if (parameter.scale == "log" and value <= 0) or (
        parameter.scale == "one_minus_log" and value >= 1
    ):
        return None
    return parameter.to_scale(value)


def _axis(parameters: Sequence[AnyParameter], members: tuple[int, ...]) -> Axis:
    first = parameters[0]
    if isinstance(first, CategoricalParameter):
        return Axis(members, (0.0,), (1.0,), len(first.choices), 0.0)
    if len(parameters) == 1:
        return Axis(members, (0.0,), (1.0,), 0, CENTRE)
    ends = []
    for parameter in parameters:
        if isinstance(parameter, FloatParameter | IntParameter):
            zero = _reference(parameter) or 0.0
            low, high = parameter.to_scale(parameter.low), parameter.to_scale(parameter.high)
            ends.append((low - zero, high - zero))
    least, most = min(min(e) for e in ends), max(max(e) for e in ends)
    width = most - least
    return Axis(
        members,
        tuple((low - least) / width for low, _ in ends),
        tuple((high - least) / width for _, high in ends),
        0,
        min(max(-least / width, 0.0), 1.0),
    )
