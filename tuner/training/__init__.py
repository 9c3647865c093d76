"""Training with optimizers (torch): builds what `tuner.optimizers` and `tuner.tasks` describe."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tuner.training.optimizers import build_optimizer
from tuner.training.schedules import build_scheduler
from tuner.training.stepping import evaluation_weights, take_step

if TYPE_CHECKING:
    from tuner.training.loop import run_task

__all__ = [
    "build_optimizer",
    "build_scheduler",
    "evaluation_weights",
    "run_task",
    "take_step",
]


def __getattr__(name: str) -> Any:
    """Load the built-in tasks, and with them scikit-learn, only when they are used."""
    if name == "run_task":
        return importlib.import_module("tuner.training.loop").run_task
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
