"""No pruning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tuner.pruners.base import Pruner, Rung


class NonePruner(Pruner):
    """Every trial runs to its end."""

    name: ClassVar[str] = "none"

    def rungs(self, number: int, previous: int | None, step: int) -> list[Rung]:
        """There are none."""
        del number, previous, step
        return []

    def decide(
        self, number: int, rung: Rung, loss: float, best: float, peers: Sequence[float]
    ) -> bool:
        """Never."""
        del number, rung, loss, best, peers
        return False
