"""The tree of active combinations of discrete values: its size, and its i-th leaf.

Nothing is materialised. Parameters are taken in declared order, parents before their children.
The number of ways to finish a partial combination depends only on the open parents (those with
children still to come), and there only on which of the children's conditions they fulfil; it is
a product over parameters that conditions do not connect.

Notation
    position   place in the order
    mark       which children's conditions a parent's value fulfils, a tuple of bools
    run        stretch of consecutive values of a parent with the same mark
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from tuner.core.parameter import AnyParameter, Scalar, contains, same
from tuner.core.space import Params, Space
from tuner.errors import InvalidSpace
from tuner.samplers.encoding import index_of, value_at

MAX_STATES: Final = 200_000
_ENTANGLED: Final = "the conditions are too entangled to be counted; use fewer parents."
Mark = tuple[bool, ...]
Marks = dict[str, Mark]


@dataclass(frozen=True)
class Axis:
    """A parameter's values in order: how many, the k-th, and the place of a value (or None)."""

    n: int
    value: Callable[[int], Scalar]
    find: Callable[[Scalar], int | None]


@dataclass(frozen=True)
class _Run:
    start: int
    length: int
    mark: Mark


class Tree:
    """All active combinations of discrete parameters.

    Args:
        space: The search space.
        axes: The values of each parameter.

    Raises:
        InvalidSpace: If the conditions are too entangled to count.
    """

    def __init__(self, space: Space, axes: dict[str, Axis]) -> None:
        self._space = space
        self._axes = axes
        self.order = declared_order(space)
        self._at = {name: i for i, name in enumerate(self.order)}
        self._components = _components(space, self.order)
        self._runs = {name: self._make_runs(name) for name in self.order if space.children[name]}
        self._last_child = {
            name: max(self._at[child] for child in space.children[name]) for name in self._runs
        }
        self._memo: dict[tuple[int, int, tuple[tuple[str, Mark], ...]], int] = {}
        try:
            self.size = prod(self._ways(c, 0, {}) for c in range(len(self._components)))
        except RecursionError:
            raise InvalidSpace.at("space", _ENTANGLED) from None

    def point(self, index: int) -> Params:
        """The leaf number `index` (0-based), the last parameter fastest.

        Raises:
            IndexError: If there is no such leaf.
        """
        if not 0 <= index < self.size:
            raise IndexError(f"point {index} of {self.size}")
        values: Params = {}
        marks: Marks = {}
        starts = [0] * len(self._components)
        where = {name: c for c, names in enumerate(self._components) for name in names}
        ways = [self._ways(c, 0, marks) for c in range(len(self._components))]
        for name in self.order:
            c = where[name]
            starts[c] += 1
            if self._is_active(name, marks):
                others = prod(ways[:c] + ways[c + 1 :])
                k, index = self._take(name, (c, starts[c]), marks, (index, others))
                values[name] = self._axes[name].value(k)
            ways[c] = self._ways(c, starts[c], marks)
        return {name: values[name] for name in self._space.parameters if name in values}

    def _take(
        self, name: str, place: tuple[int, int], marks: Marks, rest: tuple[int, int]
    ) -> tuple[int, int]:
        """The value index of `name` and what remains of the leaf index; sets its mark.

        Args:
            name: An active parameter.
            place: Its component and the position after it.
            marks: Of the parents so far.
            rest: The leaf index below here, and the ways of all other components.
        """
        index, others = rest
        for run in self._runs.get(name, [_Run(0, self._axes[name].n, ())]):
            if name in self._runs:
                marks[name] = run.mark
            each = self._ways(*place, marks) * others
            if index < each * run.length:
                return run.start + index // each, index % each
            index -= each * run.length
        raise IndexError(name)

    def _ways(self, component: int, start: int, marks: Marks) -> int:
        """How many ways there are to finish a component from position `start` in it."""
        names = self._components[component]
        if start == len(names):
            return 1
        here = self._at[names[start]]
        open_marks = tuple(
            (name, marks[name])
            for name in names[:start]
            if name in marks and self._last_child[name] >= here
        )
        key = (component, start, open_marks)
        if key not in self._memo:
            if len(self._memo) >= MAX_STATES:
                raise InvalidSpace.at("space", _ENTANGLED)
            self._memo[key] = self._count(component, start, dict(open_marks))
        return self._memo[key]

    def _count(self, component: int, start: int, marks: Marks) -> int:
        name = self._components[component][start]
        if not self._is_active(name, marks):
            return self._ways(component, start + 1, marks)
        if name not in self._runs:
            return self._axes[name].n * self._ways(component, start + 1, marks)
        return sum(
            run.length * self._ways(component, start + 1, {**marks, name: run.mark})
            for run in self._runs[name]
        )

    def _is_active(self, name: str, marks: Marks) -> bool:
        return all(
            parent in marks and marks[parent][self._space.children[parent].index(name)]
            for parent in self._space[name].when or {}
        )

    def _make_runs(self, name: str) -> list[_Run]:
        """The stretches of equal mark among a parent's values."""
        axis = self._axes[name]
        wanted = [(self._space[child].when or {})[name] for child in self._space.children[name]]
        found = {axis.find(value) for values in wanted for value in values}
        special = sorted(k for k in found if k is not None)
        runs: list[_Run] = []
        none = (False,) * len(wanted)
        at = 0
        for k in special:
            if k > at:
                runs.append(_Run(at, k - at, none))
            mark = tuple(contains(values, axis.value(k)) for values in wanted)
            runs.append(_Run(k, 1, mark))
            at = k + 1
        if at < axis.n:
            runs.append(_Run(at, axis.n - at, none))
        return runs


def listed(values: Sequence[Scalar]) -> Axis:
    """An axis of explicit values."""

    def find(value: Scalar) -> int | None:
        return next((k for k, item in enumerate(values) if same(item, value)), None)

    return Axis(len(values), lambda k: values[k], find)


def lattice(parameter: AnyParameter, n: int) -> Axis:
    """An axis of all `n` values of a discrete parameter."""

    def find(value: Scalar) -> int | None:
        k = index_of(parameter, value)
        return k if 0 <= k < n and same(value_at(parameter, k), value) else None

    return Axis(n, lambda k: value_at(parameter, k), find)


def declared_order(space: Space) -> tuple[str, ...]:
    """The declared order, with parents that are declared late moved before their children."""
    placed: dict[str, None] = {}
    for name in space.parameters:
        stack = [name]
        while stack:
            missing = [p for p in space[stack[-1]].when or {} if p not in placed]
            if missing:
                stack.append(missing[0])
            else:
                placed[stack.pop()] = None
    return tuple(placed)


def _components(space: Space, order: Sequence[str]) -> list[list[str]]:
    """The parameters that conditions connect, each list in order."""
    label = {name: i for i, name in enumerate(order)}
    for name in order:
        for parent in space[name].when or {}:
            old, new = label[name], label[parent]
            if old != new:
                label = {item: new if at == old else at for item, at in label.items()}
    groups: dict[int, list[str]] = {}
    for name in order:
        groups.setdefault(label[name], []).append(name)
    return list(groups.values())
