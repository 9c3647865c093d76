"""Schedules: the factor on the learning rate at each step.

    T  total steps            W = round(warmup · T)  steps of warm-up
    t  step about to be taken, from 0               p = (t − W) / (T − W)  progress after it

    t < W      (t + 1) / (W + 1)
    constant   1
    cosine     (1 + cos πp) / 2      Loshchilov and Hutter 2017 (arXiv:1608.03983), eq. 5
    linear     1 − p

The last step is at t = T − 1, so no step is taken at rate 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch

from tuner.core.names import MISSING, nearest, resolve
from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import OPTIONS

SHAPES: Final[dict[str, Callable[[float], float]]] = {
    "constant": lambda _: 1.0,
    "cosine": lambda p: (1.0 + math.cos(math.pi * p)) / 2.0,
    "linear": lambda p: 1.0 - p,
}


def factor(schedule: str, warmup: float, total_steps: int, step: int) -> float:
    """The factor on the learning rate at one step (see the module).

    Args:
        schedule: `constant`, `cosine` or `linear`.
        warmup: Share of all steps, 0 to 0.5.
        total_steps: Steps of the whole training.
        step: The step about to be taken, from 0.
    """
    warm = round(warmup * total_steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    progress = (step - warm) / max(1, total_steps - warm)
    return SHAPES[schedule](min(1.0, progress))


def build_scheduler(
    optimizer: torch.optim.Optimizer, params: Mapping[str, Any], total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule that a trial has chosen; call its `step()` after every optimizer step.

    `schedule` and `warmup` are the trial's parameters of these names, else
    `<optimizer>.schedule` and `<optimizer>.warmup`, else constant without warm-up.

    Args:
        optimizer: The optimizer whose rates are scaled, each from its own.
        params: The trial's parameters.
        total_steps: Steps of the whole training, also when it is resumed.

    Raises:
        UnknownName: For a schedule that does not exist.
        Invalid: For a warm-up outside its range or no steps.
    """
    schedule, warmup = (_value(params, name) for name in ("schedule", "warmup"))
    if schedule not in SHAPES:
        raise UnknownName.at(
            "schedule",
            f"no schedule is named {schedule!r}.",
            found=schedule,
            allowed=list(SHAPES),
            nearest=nearest(schedule, SHAPES),
        )
    if not OPTIONS["warmup"].accepts(warmup):
        allowed = OPTIONS["warmup"].allowed
        raise Invalid.at(
            "warmup", f"found {warmup!r}, expected {allowed}.", found=repr(warmup), allowed=allowed
        )
    if total_steps < 1:
        raise Invalid.at("total_steps", "expected at least 1.", found=total_steps)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: factor(schedule, warmup, total_steps, step)
    )


def _value(params: Mapping[str, Any], name: str) -> Any:
    value = resolve(params, name)
    return OPTIONS[name].default if value is MISSING else value
