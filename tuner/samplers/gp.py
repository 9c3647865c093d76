"""Search by a Gaussian process, with Optuna's or scikit-optimize's as engine."""

from __future__ import annotations

from typing import ClassVar

from tuner.core.space import Params, Space
from tuner.errors import Invalid
from tuner.samplers.base import Request, SamplerOptions
from tuner.samplers.loading import load
from tuner.samplers.model import ModelSampler
from tuner.samplers.options import GpOptions


class GpSampler(ModelSampler):
    """Expected improvement under a Gaussian process on the shared axes of `features`."""

    name: ClassVar[str] = "gp"
    Options: ClassVar[type[SamplerOptions]] = GpOptions
    options: GpOptions

    def check(self, space: Space, n_objectives: int, budget_trials: int | None) -> None:
        """Refuse several objectives for the engine that models one.

        Raises:
            Invalid: With the path of the engine.
        """
        if self.options.engine == "skopt" and n_objectives > 1:
            raise Invalid.at(
                "sampler.engine",
                f"the engine skopt takes one objective, this study has {n_objectives};"
                " take engine optuna.",
                found="skopt",
                allowed=["optuna"],
            )

    def _propose(self, request: Request) -> Params:
        params: Params = load(self.options.engine).propose(request, self.options)
        return params
