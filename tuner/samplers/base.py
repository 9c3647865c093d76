"""What a sampler is: a pure function from a request to suggestions.

A sampler never sees a database, a clock or a global random number generator. All randomness comes
from (study seed, sampler index, purpose), so the same request gives the same suggestions in any
process.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from tuner.core.model import Value
from tuner.core.space import Params, Space

State = Literal["complete", "pruned", "fail"]


class SamplerOptions(Value):
    """Options that every sampler has."""

    seed: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=0, description="Seed of all random choices of the study's sampler."
    )


@dataclass(frozen=True)
class Observation:
    """A finished trial as samplers see it.

    Args:
        number: Trial number.
        params: Active parameters only.
        state: How it ended.
        losses: One per objective, smaller is better (the direction is already applied); may hold
            inf or NaN when it diverged; None when it has no final value.
        last: Last reported step and loss of the first objective, for pruned trials.
        feasible: Whether all constraints hold.
        index: The sampler index that made it; None for enqueued and imported trials.
        note: What the sampler left on it.
    """

    number: int
    params: Params
    state: State
    losses: tuple[float, ...] | None = None
    last: tuple[int, float] | None = None
    feasible: bool = True
    index: int | None = None
    note: dict[str, Any] | None = None


@dataclass(frozen=True)
class Request:
    """What a suggestion depends on, all of it.

    Args:
        space: The expanded space.
        seed: The study's seed.
        index: Sampler index of the first suggestion; the following get index + 1, …
        count: How many suggestions, at least 1.
        history: Finished trials in the order in which their results were seen.
        pending: Parameters of running and waiting trials.
        fixed: Values to keep in every suggestion; the sampler completes the rest. With them,
            `index` is any number that differs between trials (they use up no point of a sequence).
        n_objectives: Length of each `losses`.
    """

    space: Space
    seed: int
    index: int
    count: int = 1
    history: tuple[Observation, ...] = ()
    pending: tuple[Params, ...] = ()
    fixed: Params = field(default_factory=dict)
    n_objectives: int = 1


@dataclass(frozen=True)
class Suggestion:
    """A proposed trial.

    Args:
        params: Complete active parameters, canonical Python values in declared order.
        note: A small JSON value to keep on the trial.
    """

    params: Params
    note: dict[str, Any] | None = None


class Sampler(ABC):
    """Proposes parameters.

    Instances hold only their options: they pickle, and may be dropped and rebuilt at any time.
    """

    name: ClassVar[str]
    needs_history: ClassVar[bool]
    Options: ClassVar[type[SamplerOptions]] = SamplerOptions

    def __init__(self, options: SamplerOptions) -> None:
        self.options = options

    def check(self, space: Space, n_objectives: int, budget_trials: int | None) -> None:
        """Refuse at creation what the sampler cannot search.

        Args:
            space: The expanded space.
            n_objectives: Number of objectives.
            budget_trials: `budget.trials`, None if unbounded.

        Raises:
            InvalidSpace: If the space does not fit; with the path.
            Invalid: If the objectives do not fit; with the path.
        """
        del space, n_objectives, budget_trials

    def size(self, space: Space) -> int | None:
        """How many suggestions there are; None: endless."""
        del space
        return None

    @abstractmethod
    def suggest(self, request: Request) -> list[Suggestion]:
        """Propose `request.count` trials (fewer only when a grid is exhausted)."""


def generator(seed: int, index: int, purpose: str) -> np.random.Generator:
    """The generator for one purpose of one suggestion.

    Args:
        seed: The study's seed.
        index: Sampler index.
        purpose: What it is for; different purposes have independent streams.
    """
    return np.random.default_rng(seed_sequence(seed, index, purpose))


def seed_sequence(seed: int, index: int, purpose: str) -> np.random.SeedSequence:
    """The seed sequence behind `generator`."""
    return np.random.SeedSequence([seed, index, zlib.crc32(purpose.encode())])


def integer_seed(seed: int, index: int, purpose: str) -> int:
    """A 31-bit seed for libraries that take no generator."""
    return int(seed_sequence(seed, index, purpose).generate_state(1)[0] & 0x7FFFFFFF)
