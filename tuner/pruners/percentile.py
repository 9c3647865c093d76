"""Stopping of trials that are worse than a percentile of the others at the same step.

Source: the median stopping rule of Golovin et al. 2017 (Google Vizier, KDD), section 3.2, with
the best loss so far against the others' losses at that step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from tuner.pruners.base import Pruner, PrunerOptions, Rung, worst_if_nan


class MedianOptions(PrunerOptions):
    """Options of `median`."""

    n_startup: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=5, description="Other trials that must have a loss at the step before any stops."
    )
    warmup_steps: Annotated[int, Field(ge=0, le=2**53)] = Field(
        default=0, description="No trial stops before this step."
    )
    interval_steps: Annotated[int, Field(ge=1, le=2**53)] = Field(
        default=1, description="Steps from one comparison to the next."
    )


class PercentileOptions(MedianOptions):
    """Options of `percentile`."""

    percentile: Annotated[float, Field(gt=0, lt=100)] = Field(
        default=25.0, description="Trials within the best so many per cent go on."
    )


class MedianPruner(Pruner):
    """A trial stops if its best loss so far is worse than the median of the others."""

    name: ClassVar[str] = "median"
    Options: ClassVar[type[PrunerOptions]] = MedianOptions
    options: MedianOptions

    @property
    def percentile(self) -> float:
        """The share of others, in per cent, that a trial must keep up with."""
        return 50.0

    def rungs(self, number: int, previous: int | None, step: int) -> list[Rung]:
        """The highest comparison step at or below `step`, if it is a new one.

        Comparisons are at `warmup_steps + k · interval_steps`. Only the highest counts: a report
        per thousand steps does not reach a thousand rungs.
        """
        del number
        past = step - self.options.warmup_steps
        if past < 0:
            return []
        at = step - past % self.options.interval_steps
        return [Rung(0, at)] if previous is None or at > previous else []

    def decide(
        self, number: int, rung: Rung, loss: float, best: float, peers: Sequence[float]
    ) -> bool:
        """Whether the best loss so far is above the percentile of the others' losses."""
        del number, rung, loss
        if len(peers) < self.options.n_startup:
            return False
        return worst_if_nan(best) > _percentile(peers, self.percentile)


class PercentilePruner(MedianPruner):
    """A trial stops if its best loss so far is worse than a percentile of the others."""

    name: ClassVar[str] = "percentile"
    Options: ClassVar[type[PrunerOptions]] = PercentileOptions
    options: PercentileOptions

    @property
    def percentile(self) -> float:
        """The option `percentile`."""
        return self.options.percentile


def _percentile(losses: Sequence[float], percent: float) -> float:
    """The percentile with linear interpolation; infinite where a needed neighbour is."""
    ordered = sorted(worst_if_nan(loss) for loss in losses)
    place = percent / 100 * (len(ordered) - 1)
    below = math.floor(place)
    share = place - below
    if not share:
        return ordered[below]
    low, high = ordered[below], ordered[below + 1]
    if math.isinf(low) or math.isinf(high):
        return high
    return low + share * (high - low)
