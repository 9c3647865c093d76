"""Loss spikes: steps whose loss jumps far above what it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

# Ours: mini-batch losses have heavy tails, so that three deviations are nothing special; trainings
# here have hundreds of steps, so mean and variance forget over about 100.
_DEVIATIONS: Final = 7.0
_MEMORY: Final = 100
_FIRST: Final = 20
# Ours: on a plateau the deviation is rounding, so a spike is also this much above the mean.
_RISE: Final = 0.1


class LossSpikes:
    """Counts losses more than seven standard deviations, and a tenth, above their moving mean."""

    def __init__(self) -> None:
        self.count = 0
        self._seen, self._mean, self._variance = 0, 0.0, 0.0

    def take(self, losses: Iterable[float]) -> None:
        """Judge losses in their order; one that is not finite is a spike, and is not averaged."""
        for loss in losses:
            if not math.isfinite(loss):
                self.count += 1
                continue
            rise = loss - self._mean
            least = max(_DEVIATIONS * math.sqrt(self._variance), _RISE * abs(self._mean))
            if self._seen >= _FIRST and rise > least:
                self.count += 1
            self._seen += 1
            share = max(1 / self._seen, 1 / _MEMORY)
            self._mean += share * rise
            self._variance = (1 - share) * (self._variance + share * rise * rise)

    def state(self) -> dict[str, float]:
        """What the next count depends on."""
        return {
            "count": self.count,
            "seen": self._seen,
            "mean": self._mean,
            "variance": self._variance,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.count, self._seen = state["count"], state["seen"]
        self._mean, self._variance = state["mean"], state["variance"]
