"""A fair share for each branch: any sampler, run once for every choice of one parameter.

Index i stands for branch i % n and for round i // n of it, n being the number of choices. Inside
a branch the sampler sees this branch alone: its part of the space, its trials, its rounds and a
seed of its own. So each branch is searched exactly as if it had been the only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tuner.core.parameter import AnyParameter, CategoricalParameter, Scalar, contains, same
from tuner.core.space import Params, Space
from tuner.samplers.base import Observation, Request, Sampler, Suggestion, integer_seed


class BalancedSampler(Sampler):
    """Gives each choice of a parameter every n-th suggestion.

    Args:
        sampler: What searches each branch.
        parameter: The name of an unconditional categorical parameter.
    """

    def __init__(self, sampler: Sampler, parameter: str) -> None:
        super().__init__(sampler.options)
        self.sampler = sampler
        self.parameter = parameter

    def check(self, space: Space, n_objectives: int, budget_trials: int | None) -> None:
        """Refuse what the sampler cannot search in any branch."""
        branches = choices(space, self.parameter)
        share = None if budget_trials is None else max(1, budget_trials // len(branches))
        for choice in branches:
            self.sampler.check(branch_space(space, self.parameter, choice), n_objectives, share)

    def suggest(self, request: Request) -> list[Suggestion]:
        """Propose `request.count` trials, each from its own branch.

        With the parameter among `request.fixed` that branch is taken, whatever the index.
        """
        made: list[Suggestion] = []
        for i in range(request.count):
            pending = request.pending + tuple(item.params for item in made)
            made.append(self._one(replace(request, index=request.index + i, pending=pending)))
        return made

    def _one(self, request: Request) -> Suggestion:
        branches = choices(request.space, self.parameter)
        choice = branches[request.index % len(branches)]
        choice = request.fixed.get(self.parameter, choice)
        inner = Request(
            space=branch_space(request.space, self.parameter, choice),
            seed=branch_seed(request.seed, choice),
            index=request.index // len(branches),
            count=1,
            history=tuple(
                _in_branch(item, len(branches))
                for item in request.history
                if self._is_of(item.params, choice)
            ),
            pending=tuple(item for item in request.pending if self._is_of(item, choice)),
            fixed={**request.fixed, self.parameter: choice} if request.fixed else {},
            n_objectives=request.n_objectives,
        )
        (suggestion,) = self.sampler.suggest(inner)
        params: Params = {
            name: suggestion.params[name]
            for name in request.space.parameters
            if name in suggestion.params
        }
        return replace(suggestion, params=params)

    def _is_of(self, params: Mapping[str, Any], choice: Scalar) -> bool:
        return self.parameter in params and same(params[self.parameter], choice)


def choices(space: Space, parameter: str) -> tuple[Scalar, ...]:
    """The branches, in declared order."""
    found = space[parameter]
    if not isinstance(found, CategoricalParameter):
        raise TypeError(f"{parameter} is {found.type}, not categorical")
    return tuple(found.choices)


def branch_seed(seed: int, choice: Scalar) -> int:
    """The seed of a branch: of its name and not of its place, so others may come and go."""
    return integer_seed(seed, 0, f"branch {choice!r}")


def branch_space(space: Space, parameter: str, choice: Scalar) -> Space:
    """The space of one branch, as if `choice` were the only one of `parameter`.

    What is active in other branches only is left out; other conditions stay.
    """
    kept: dict[str, AnyParameter] = {}
    for name in space.order:
        found = space[name]
        if name == parameter and isinstance(found, CategoricalParameter):
            kept[name] = found.model_copy(update={"choices": (choice,), "default": None})
            continue
        when = dict(found.when or {})
        if any(parent not in kept for parent in when):
            continue
        if parameter in when:
            if not contains(when[parameter], choice):
                continue
            when[parameter] = (choice,)
        kept[name] = found.model_copy(update={"when": when}) if found.when else found
    return Space({name: kept[name] for name in space.parameters if name in kept})


def _in_branch(item: Observation, branches: int) -> Observation:
    """The observation with its round in the branch instead of its index in the study."""
    if item.index is None:
        return item
    return replace(item, index=item.index // branches)
