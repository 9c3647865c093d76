"""Quasi-random search: a scrambled Sobol sequence in the scales of the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tuner.core.parameter import AnyParameter, FixedParameter, Scalar
from tuner.core.space import Params, Space
from tuner.errors import InvalidSpace
from tuner.samplers.base import Request, Sampler, SamplerOptions, Suggestion
from tuner.samplers.encoding import decode, fill
from tuner.samplers.loading import load
from tuner.samplers.options import QmcOptions

MAX_DIMENSION: Final = 21_201  # of the table of direction numbers


class QmcSampler(Sampler):
    """Point `index` of the sequence; each parameter, conditional or not, has its own dimension."""

    name: ClassVar[str] = "qmc"
    needs_history: ClassVar[bool] = False
    Options: ClassVar[type[SamplerOptions]] = QmcOptions

    def check(self, space: Space, n_objectives: int, budget_trials: int | None) -> None:
        """Refuse spaces with more dimensions than the sequence has.

        Raises:
            InvalidSpace: With the number of dimensions.
        """
        n = len(dimensions(space))
        if n > MAX_DIMENSION:
            raise InvalidSpace.at(
                "space",
                f"has {n} parameters; qmc takes at most {MAX_DIMENSION}, take sampler random.",
                found=n,
                allowed=f"at most {MAX_DIMENSION} parameters",
            )

    def suggest(self, request: Request) -> list[Suggestion]:
        """Points `index`, `index + 1`, …; history and pending trials play no part."""
        purpose = "qmc" if not request.fixed else "qmc completes"
        return [
            Suggestion(
                quasi_random(
                    request.space, request.seed, request.index + i, purpose, request.fixed
                )
            )
            for i in range(request.count)
        ]


def dimensions(space: Space) -> dict[str, int]:
    """The dimension of each parameter that is not fixed, in declared order."""
    free = [name for name, p in space.parameters.items() if not isinstance(p, FixedParameter)]
    return {name: i for i, name in enumerate(free)}


def quasi_random(
    space: Space, seed: int, index: int, purpose: str, fixed: Mapping[str, Any]
) -> Params:
    """One trial of the sequence.

    Args:
        space: The search space.
        seed: The study's seed.
        index: Place in the sequence.
        purpose: Separates the sequences of different users.
        fixed: Values to keep.
    """
    places = dimensions(space)
    u = load("sobol").point(max(1, len(places)), seed, purpose, index)

    def choose(name: str, parameter: AnyParameter) -> Scalar:
        return decode(parameter, float(u[places[name]]) if name in places else 0.0)

    return fill(space, choose, fixed)
