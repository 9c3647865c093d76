"""What a pruner is: which rungs a report reaches, and whether to go on from there.

A rung is a step at which trials are compared. It takes the first report at its step or later of
the current attempt. The study manager records losses at rungs and asks `decide` with those of the
other trials; pruners hold no state.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from pydantic import Field, model_validator

from tuner.core.model import Value
from tuner.core.study import check_metric


class Rung(NamedTuple):
    """A point of comparison: the trials of one bracket at one step."""

    bracket: int
    step: int


class PrunerOptions(Value):
    """Options that every pruner has."""

    metric: str | None = Field(
        default=None, description="The metric to compare; the first objective unless named."
    )

    @model_validator(mode="after")
    def _named(self) -> PrunerOptions:
        if self.metric is not None:
            check_metric(self.metric)
        return self


class Pruner(ABC):
    """Decides which trials stop early.

    Args:
        options: Of the pruner's own class.
        seed: The study's seed, for pruners that assign brackets.
    """

    name: ClassVar[str]
    Options: ClassVar[type[PrunerOptions]] = PrunerOptions

    def __init__(self, options: PrunerOptions, seed: int = 0) -> None:
        self.options = options
        self.seed = seed

    @abstractmethod
    def rungs(self, number: int, previous: int | None, step: int) -> list[Rung]:
        """The rungs that a report newly reaches, lowest first.

        Args:
            number: Trial number.
            previous: Highest step reported before in this attempt; None: this is the first.
            step: The step of the report.
        """

    def spares(self, step: int) -> bool:
        """Whether a trial that has reached `step` is not stopped any more.

        Its report is recorded at the rungs it has reached all the same.
        """
        del step
        return False

    @abstractmethod
    def decide(
        self, number: int, rung: Rung, loss: float, best: float, peers: Sequence[float]
    ) -> bool:
        """Whether to stop the trial at a rung.

        Args:
            number: Trial number.
            rung: One that `rungs` gave.
            loss: The loss recorded there, smaller is better; NaN counts as the worst.
            best: The best loss so far in this attempt.
            peers: The losses recorded at this rung by other trials, in any order.

        Returns:
            True to prune.
        """


def worst_if_nan(loss: float) -> float:
    """`loss`, with NaN as +inf."""
    return math.inf if math.isnan(loss) else loss
