"""A trial that lives in memory, and the simplest model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch

# What two trainings alike do not share.
MEASURED = ("seconds", "examples_per_second", "peak_memory_mb")


class MemoryTrial:
    """Keeps what it is given; stops with `reason` once `stop_at` has been reported.

    Metrics of time and memory are in `measured`, all others in `rows`.

    Args:
        params: The trial's parameters.
        stop_at: The step after which `should_stop` answers `reason`.
        checkpoint: What `load_checkpoint` gives.
        replicate: Which repetition on a fresh seed it is; 0: none.
    """

    number = 0
    device = "cpu"

    def __init__(
        self,
        params: dict[str, Any] | None = None,
        *,
        stop_at: int | None = None,
        reason: str = "pruned",
        checkpoint: Any = None,
        replicate: int = 0,
    ) -> None:
        self.params = params or {}
        self.replicate = replicate
        self.rows: dict[int, dict[str, float]] = {}
        self.measured: dict[int, dict[str, float]] = {}
        self.saved: list[tuple[int, Any]] = []
        self.lines: list[str] = []
        self._stop_at, self._reason, self._checkpoint = stop_at, reason, checkpoint

    def report(self, step: int, **metrics: float) -> None:
        assert step not in self.rows
        self.measured[step] = {name: metrics.pop(name) for name in MEASURED if name in metrics}
        self.rows[step] = metrics

    def should_stop(self) -> str | None:
        return self._reason if self._stop_at in self.rows else None

    def save_checkpoint(self, state: Any, step: int) -> None:
        self.saved.append((step, copy.deepcopy(state)))

    def load_checkpoint(self) -> Any:
        return self._checkpoint

    def log(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """No test has other weights because of those that ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def make_trial() -> type[MemoryTrial]:
    """The class of trials that live in memory."""
    return MemoryTrial


class Quadratic(torch.nn.Module):
    """sum(c w²) / 2 in float64: it is its own loss, and no weight sees another."""

    def __init__(
        self,
        curvature: Sequence[float] = (1.0, 0.3, 4.0),
        start: Sequence[float] = (1.0, -2.0, 0.5),
    ) -> None:
        super().__init__()
        self.c = torch.tensor(curvature, dtype=torch.float64)
        self.w = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        return (self.c * self.w**2).sum() / 2


@pytest.fixture
def make_quadratic() -> type[Quadratic]:
    """The class of models that are a quadratic loss."""
    return Quadratic
