"""Schedules: the factor on the learning rate at each step.

    T  total steps            W = round(warmup · T)  steps of warm-up
    t  step about to be taken, from 0               p = (t − W) / (T − W)  progress after it
    e  `lr_end`   n  `lr_drops`   k  `lr_power`

    t < W        f(0) · (t + 1) / (W + 1), where f is one of
    constant     1
    cosine       (1 + cos πp) / 2      Loshchilov and Hutter 2017 (arXiv:1608.03983), eq. 5
    linear       1 − p
    step         e^(⌊(n + 1)·p⌋ / n)   n even drops, of a factor of ten each by default
    exponential  e^p
    polynomial   (1 − p)^k             k = 2 as in You et al. 2017 (arXiv:1708.03888)
    one_cycle    0.04 + 0.96·(1 − cos(π·p / 0.3)) / 2 for p < 0.3,
                 (1 + cos(π·(p − 0.3) / 0.7)) / 2 after: up and down once, as in
                 Smith and Topin 2017 (arXiv:1708.07120); momentum stays as it is

The last step is at t = T − 1, so no step is taken at rate 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from tuner.core.names import MISSING, nearest, resolve
from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import OPTIONS

NAMES: Final = ("schedule", "warmup", "lr_end", "lr_drops", "lr_power")
_RISE: Final = 0.3
_START: Final = 0.04


@dataclass(frozen=True)
class Settings:
    """What shapes are made of beside the progress; the defaults are those of the options.

    Args:
        end: Factor at the end of `step` and `exponential`.
        drops: Drops of `step`.
        power: Power of `polynomial`.
    """

    end: float = 0.01
    drops: int = 2
    power: float = 2.0


Shape = Callable[[float, Settings], float]


def _step(p: float, settings: Settings) -> float:
    done = min(settings.drops, math.floor((settings.drops + 1) * p))
    reached: float = settings.end ** (done / settings.drops)
    return reached


def _one_cycle(p: float, _: Settings) -> float:
    if p < _RISE:
        return _START + (1.0 - _START) * (1.0 - math.cos(math.pi * p / _RISE)) / 2.0
    return (1.0 + math.cos(math.pi * (p - _RISE) / (1.0 - _RISE))) / 2.0


SHAPES: Final[dict[str, Shape]] = {
    "constant": lambda p, s: 1.0,
    "cosine": lambda p, s: (1.0 + math.cos(math.pi * p)) / 2.0,
    "linear": lambda p, s: 1.0 - p,
    "step": _step,
    "exponential": lambda p, s: s.end**p,
    "polynomial": lambda p, s: (1.0 - p) ** s.power,
    "one_cycle": _one_cycle,
}
_DEFAULT: Final = Settings()


def factor(
    schedule: str, warmup: float, total_steps: int, step: int, settings: Settings = _DEFAULT
) -> float:
    """The factor on the learning rate at one step (see the module).

    Args:
        schedule: A key of `SHAPES`.
        warmup: Share of all steps, 0 to 0.5.
        total_steps: Steps of the whole training.
        step: The step about to be taken, from 0.
        settings: What the schedule is made of.
    """
    warm = round(warmup * total_steps)
    shape = SHAPES[schedule]
    if step < warm:
        return shape(0.0, settings) * ((step + 1) / (warm + 1))
    progress = (step - warm) / max(1, total_steps - warm)
    return shape(min(1.0, progress), settings)


def build_scheduler(
    optimizer: torch.optim.Optimizer, params: Mapping[str, Any], total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule that a trial has chosen; call its `step()` after every optimizer step.

    `schedule`, `warmup`, `lr_end`, `lr_drops` and `lr_power` are the trial's parameters of these
    names, else `<optimizer>.schedule` and so on, else constant without warm-up.

    Args:
        optimizer: The optimizer whose rates are scaled, each from its own.
        params: The trial's parameters.
        total_steps: Steps of the whole training, also when it is resumed.

    Raises:
        UnknownName: For a schedule that does not exist.
        Invalid: For a number outside its range or no steps.
    """
    schedule = _value(params, "schedule")
    if schedule not in SHAPES:
        raise UnknownName.at(
            "schedule",
            f"no schedule is named {schedule!r}.",
            found=schedule,
            allowed=list(SHAPES),
            nearest=nearest(schedule, SHAPES),
        )
    warmup, end, drops, power = (_number(params, name) for name in NAMES[1:])
    if total_steps < 1:
        raise Invalid.at("total_steps", "expected at least 1.", found=total_steps)
    settings = Settings(end, int(drops), power)
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: factor(schedule, warmup, total_steps, step, settings)
    )


def _number(params: Mapping[str, Any], name: str) -> float:
    value: float = _value(params, name)
    option = OPTIONS[name]
    if not option.accepts(value):
        raise Invalid.at(
            name,
            f"found {value!r}, expected {option.allowed}.",
            found=repr(value),
            allowed=option.allowed,
        )
    return value


def _value(params: Mapping[str, Any], name: str) -> Any:
    value = resolve(params, name)
    return OPTIONS[name].default if value is MISSING else value
