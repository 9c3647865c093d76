"""What model-based samplers share: defaults first, then quasi-random points, then the model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from tuner.core.space import Params
from tuner.samplers.base import Request, Sampler, Suggestion
from tuner.samplers.defaults import default_trials
from tuner.samplers.distinct import seen, unseen
from tuner.samplers.options import GpOptions, TpeOptions
from tuner.samplers.outcomes import outcomes
from tuner.samplers.qmc import quasi_random


class ModelSampler(Sampler):
    """A sampler that learns from results.

    A batch is what single suggestions would be in a row, each with the earlier ones pending.
    """

    needs_history: ClassVar[bool] = True
    options: TpeOptions | GpOptions

    def suggest(self, request: Request) -> list[Suggestion]:
        """Propose `request.count` trials, none of them a repeat while anything else remains."""
        result: list[Suggestion] = []
        known = seen(request)
        for i in range(request.count):
            made = tuple(item.params for item in result)
            single = replace(
                request, index=request.index + i, count=1, pending=request.pending + made
            )
            defaults = default_trials(request.space)
            params = unseen(single, self._one(single, defaults), known)
            known |= seen(replace(single, history=(), pending=(params,)))
            result.append(Suggestion(params))
        return result

    def _one(self, request: Request, defaults: list[Params]) -> Params:
        started = len(outcomes(request)) >= self.options.n_startup
        if request.fixed and not started:
            return request.space.defaults(request.fixed)
        if not request.fixed and request.index < len(defaults):
            return defaults[request.index]
        if not started:
            place = request.index - len(defaults)
            return quasi_random(request.space, request.seed, place, "startup", {})
        return self._propose(request)

    @abstractmethod
    def _propose(self, request: Request) -> Params:
        """One trial from the model; `request.count` is 1 and results suffice."""
