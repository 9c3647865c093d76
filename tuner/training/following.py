"""What the callbacks for other libraries' training loops share: a trial that follows the loop."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tuner.errors import Invalid


class FollowingTrial(Protocol):
    """What a callback needs of a trial; `tuner.client.trial.Trial` has it."""

    @property
    def metrics(self) -> Sequence[str]:
        """The objectives' metrics."""

    @property
    def checkpoint_dir(self) -> Path:
        """A folder of this trial alone, the same for all its attempts."""

    def report(self, step: int, **metrics: float) -> None:
        """Report metrics at a step."""

    def should_stop(self) -> str | None:
        """The reason to stop, or None."""

    def save_checkpoint(self, state: Any, step: int) -> Any:
        """Store a state to go on from."""

    def load_checkpoint(self) -> Any:
        """The newest stored state, or None."""


def follow(trial: FollowingTrial, step: int, metrics: Mapping[str, float]) -> bool:
    """Report one step; whether the training is to end there.

    It ends when the trial is to stop, and when an objective is not finite: what comes after that
    tells the sampler nothing.

    Args:
        trial: Takes the report.
        step: The work done.
        metrics: What was measured; nothing: nothing is reported.
    """
    if metrics:
        trial.report(step, **metrics)
    diverged = any(not math.isfinite(metrics.get(name, 0.0)) for name in trial.metrics)
    return trial.should_stop() is not None or diverged


def check_alone(processes: int) -> None:
    """Refuse a training of several processes: each would report for the same trial.

    Raises:
        Invalid: If `processes` is more than one.
    """
    if processes > 1:
        raise Invalid(
            f"This training has {processes} processes, and a trial reports from one.",
            hint="Train each trial on one device; several trials run at the same time instead.",
        )
