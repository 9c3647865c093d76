"""Random search: uniform in scale, each parameter from a stream of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from tuner.core.parameter import AnyParameter, Scalar
from tuner.core.space import Params, Space
from tuner.samplers.base import Request, Sampler, SamplerOptions, Suggestion, generator
from tuner.samplers.encoding import decode, fill
from tuner.samplers.options import RandomOptions


class RandomSampler(Sampler):
    """Independent uniform draws; a parameter added to the space changes no other's values."""

    name: ClassVar[str] = "random"
    needs_history: ClassVar[bool] = False
    Options: ClassVar[type[SamplerOptions]] = RandomOptions

    def suggest(self, request: Request) -> list[Suggestion]:
        """Draw `request.count` trials; history and pending trials play no part."""
        purpose = "random" if not request.fixed else "random completes"
        return [
            Suggestion(
                draw(request.space, request.seed, request.index + i, purpose, request.fixed)
            )
            for i in range(request.count)
        ]


def draw(space: Space, seed: int, index: int, purpose: str, fixed: dict[str, Any]) -> Params:
    """One uniform trial.

    Args:
        space: The search space.
        seed: The study's seed.
        index: Sampler index.
        purpose: Separates the streams of different users of this function.
        fixed: Values to keep.
    """

    def choose(name: str, parameter: AnyParameter) -> Scalar:
        return decode(parameter, generator(seed, index, f"{purpose}:{name}").random())

    return fill(space, choose, fixed)
