"""Search by a tree-structured Parzen estimator, with Optuna's as engine."""

from __future__ import annotations

from typing import ClassVar

from tuner.core.space import Params
from tuner.samplers.base import Request, SamplerOptions
from tuner.samplers.loading import load
from tuner.samplers.model import ModelSampler
from tuner.samplers.options import TpeOptions


class TpeSampler(ModelSampler):
    """Densities of good and bad settings, jointly within each branch; several objectives too."""

    name: ClassVar[str] = "tpe"
    Options: ClassVar[type[SamplerOptions]] = TpeOptions
    options: TpeOptions

    def _propose(self, request: Request) -> Params:
        params: Params = load("tpe").propose(request, self.options)
        return params
