"""The grid: the product over active combinations, in declared order, the last fastest."""

from __future__ import annotations

from typing import ClassVar, Final

from tuner.core.model import join
from tuner.core.parameter import CategoricalParameter, FixedParameter, Scalar
from tuner.core.space import Space, snap
from tuner.errors import InvalidSpace
from tuner.samplers.base import Request, Sampler, SamplerOptions, Suggestion
from tuner.samplers.encoding import HALF, count
from tuner.samplers.options import GridOptions
from tuner.samplers.tree import Axis, Tree, lattice, listed

MAX_POINTS: Final = 10_000_000


class GridSampler(Sampler):
    """Every active combination once; point `index` is computed, the grid is never held."""

    name: ClassVar[str] = "grid"
    needs_history: ClassVar[bool] = False
    Options: ClassVar[type[SamplerOptions]] = GridOptions

    def check(self, space: Space, n_objectives: int, budget_trials: int | None) -> None:
        """Refuse floats without step or points, and grids of more than `MAX_POINTS`.

        Raises:
            InvalidSpace: With the path of the parameter, or of the space.
        """
        size = grid(space).size
        if size > MAX_POINTS:
            raise InvalidSpace.at(
                "space",
                f"the grid has {size} points, at most {MAX_POINTS} are taken;"
                " give fewer points or take sampler qmc.",
                found=size,
                allowed=f"at most {MAX_POINTS} points",
            )

    def size(self, space: Space) -> int | None:
        """The number of points."""
        return grid(space).size

    def suggest(self, request: Request) -> list[Suggestion]:
        """Points `index`, `index + 1`, …; fewer where the grid ends.

        With `fixed` the rest is filled with defaults: that uses up no point.
        """
        if request.fixed:
            return [Suggestion(request.space.defaults(request.fixed))] * request.count
        tree = grid(request.space)
        last = min(request.index + request.count, tree.size)
        return [Suggestion(tree.point(i)) for i in range(request.index, last)]


def grid(space: Space) -> Tree:
    """The tree of the grid's points.

    Raises:
        InvalidSpace: For a float without step or points.
    """
    return Tree(space, {name: axis(space, name) for name in space.parameters})


def axis(space: Space, name: str) -> Axis:
    """The values of one parameter on the grid.

    Raises:
        InvalidSpace: For a float without step or points.
    """
    parameter = space[name]
    if isinstance(parameter, CategoricalParameter | FixedParameter) or parameter.points is None:
        n = count(parameter)
        if n is None:
            raise InvalidSpace.at(
                join("space.parameters", name, "points"),
                "a float on a grid needs points or step; give e.g. points: 5.",
                allowed="points or step",
            )
        return lattice(parameter, n)
    values: list[Scalar]
    if isinstance(parameter.points, tuple):
        values = [parameter.canonical(point) for point in parameter.points]
    else:
        low, high = parameter.to_scale(parameter.low), parameter.to_scale(parameter.high)
        last = parameter.points - 1
        shares = [k / last for k in range(last + 1)] if last else [HALF]
        raw = [
            snap(parameter, _tidy(parameter.from_scale(low + u * (high - low)))) for u in shares
        ]
        if last:
            # Exact ends: the way through the scale costs the last digits.
            raw[0], raw[-1] = snap(parameter, parameter.low), snap(parameter, parameter.high)
        values = list(dict.fromkeys(raw))
    return listed(values)


def _tidy(x: float) -> float:
    """`x` to 15 digits: the way through the scale leaves 0.010000000000000004 for 0.01."""
    return float(f"{x:.15g}")
