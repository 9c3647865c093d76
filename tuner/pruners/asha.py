"""Asynchronous successive halving, and Hyperband over it; both in the stopping form.

Notation
    η    reduction factor
    r    step of a rung: min_step · η^(bracket + k), k = 0, 1, …, below max_step
    s    brackets as in Hyperband: s = s_max starts lowest and is bracket 0 here

A trial goes on from a rung if its loss is within the best 1/η of all recorded there; with fewer
than η recorded it always does. Nothing waits and nothing is resumed: this is the stopping form,
as in Ray Tune and Syne Tune; the published algorithm pauses trials and promotes them later.

Source: Li et al. 2020, A system for massively parallel hyperparameter tuning (MLSys), algorithm 2;
Li et al. 2018, Hyperband (JMLR 18), algorithm 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, ClassVar, Final

from pydantic import Field, model_validator

from tuner.core.model import field_error
from tuner.pruners.base import Pruner, PrunerOptions, Rung, worst_if_nan

MAX_STEP: Final = 2**53
_GOLDEN: Final = 0.6180339887498949


class AshaOptions(PrunerOptions):
    """Options of `asha`."""

    min_step: Annotated[int, Field(ge=1, le=MAX_STEP)] = Field(
        default=1, description="The first rung: no trial stops before this step."
    )
    max_step: Annotated[int, Field(ge=1, le=MAX_STEP)] | None = Field(
        default=None, description="A trial that reaches this step is not stopped any more."
    )
    reduction_factor: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=3, description="One in so many goes on from each rung; rungs lie this far apart."
    )
    brackets: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1, description="Brackets: in bracket b the first b rungs are left out."
    )

    @model_validator(mode="after")
    def _ordered(self) -> AshaOptions:
        _check_steps(self.min_step, self.max_step)
        return self


class HyperbandOptions(PrunerOptions):
    """Options of `hyperband`."""

    min_step: Annotated[int, Field(ge=1, le=MAX_STEP)] = Field(
        default=1, description="The first rung: no trial stops before this step."
    )
    max_step: Annotated[int, Field(ge=1, le=MAX_STEP)] = Field(
        description="A trial that reaches this step is not stopped any more; with min_step it sets"
        " the number of brackets."
    )
    reduction_factor: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=3, description="One in so many goes on from each rung; rungs lie this far apart."
    )

    @model_validator(mode="after")
    def _ordered(self) -> HyperbandOptions:
        _check_steps(self.min_step, self.max_step)
        return self


class AshaPruner(Pruner):
    """Successive halving without waiting."""

    name: ClassVar[str] = "asha"
    Options: ClassVar[type[PrunerOptions]] = AshaOptions
    options: AshaOptions | HyperbandOptions

    @property
    def shares(self) -> tuple[int, ...]:
        """How many trials each bracket gets, in proportion."""
        n = self.options.brackets if isinstance(self.options, AshaOptions) else 1
        return published_shares(n, self.options.reduction_factor)

    def bracket(self, number: int) -> int:
        """The bracket of a trial: a function of its number and the seed, in proportion.

        Multiples of the golden ratio spread evenly, so the proportions hold for every stretch of
        numbers and not only on average.
        """
        shares = self.shares
        if len(shares) == 1:
            return 0
        start = zlib.crc32(f"bracket {self.seed}".encode()) / 2**32
        at = (start + number * _GOLDEN) % 1.0 * sum(shares)
        return next(b for b, end in enumerate(accumulate(shares)) if at < end)

    def rungs(self, number: int, previous: int | None, step: int) -> list[Rung]:
        """The rungs of the trial's bracket above `previous`, up to `step`, below `max_step`."""
        end = self.options.max_step
        bracket = self.bracket(number)
        at = self.options.min_step * self.options.reduction_factor**bracket
        reached = []
        while at <= step and (end is None or at < end):
            if previous is None or at > previous:
                reached.append(Rung(bracket, at))
            at *= self.options.reduction_factor
        return reached

    def spares(self, step: int) -> bool:
        """Whether `max_step` is reached."""
        return self.options.max_step is not None and step >= self.options.max_step

    def decide(
        self, number: int, rung: Rung, loss: float, best: float, peers: Sequence[float]
    ) -> bool:
        """Whether the loss is outside the best 1/η at the rung, its own included."""
        del number, rung, best
        recorded = len(peers) + 1
        if recorded < self.options.reduction_factor:
            return False
        own = worst_if_nan(loss)
        better = sum(worst_if_nan(peer) < own for peer in peers)
        return better >= recorded // self.options.reduction_factor


class HyperbandPruner(AshaPruner):
    """Several brackets of successive halving, from the most eager to the most patient."""

    name: ClassVar[str] = "hyperband"
    Options: ClassVar[type[PrunerOptions]] = HyperbandOptions
    options: HyperbandOptions

    @property
    def shares(self) -> tuple[int, ...]:
        """One bracket for each rung below `max_step`, and one that never stops."""
        n, at = 1, self.options.min_step * self.options.reduction_factor
        while at <= self.options.max_step:
            n, at = n + 1, at * self.options.reduction_factor
        return published_shares(n, self.options.reduction_factor)


def published_shares(n: int, eta: int) -> tuple[int, ...]:
    """Trials that start in each of `n` brackets: ⌈n · η^s / (s + 1)⌉ for s = n - 1, …, 0.

    Source: Li et al. 2018, algorithm 1, line 3, with s_max + 1 = n.
    """
    return tuple(-(-n * eta**s // (s + 1)) for s in reversed(range(n)))


def _check_steps(low: int, high: int | None) -> None:
    if high is not None and high < low:
        raise field_error(
            f"max_step {high} is below min_step {low}.",
            at="max_step",
            found=high,
            allowed=f"at least {low}",
        )
