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
    one_cycle    0.04 + 0.96·c for p < 0.3, c after: up and down once, as in Smith and Topin 2017
                 (arXiv:1708.07120), c = (1 − cos(π·p / 0.3)) / 2 for p < 0.3,
                 (1 + cos(π·(p − 0.3) / 0.7)) / 2 after; with `momentum_low` l, momentum m is
                 m + (l − m)·c
    plateau      1, times `plateau_factor` after each `plateau_patience` epochs in a row, warm-up
                 not counted, without a new least validation loss; at least e

The last step is at t = T − 1, so no step is taken at rate 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch

from tuner.errors import Invalid
from tuner.tasks.schedules import SCHEDULE_OPTIONS
from tuner.tasks.values import read_value

NAMES: Final = tuple(option.name for option in SCHEDULE_OPTIONS)
_RISE: Final = 0.3
_START: Final = 0.04


@dataclass(frozen=True)
class Settings:
    """What shapes are made of beside the progress; the defaults are those of the options.

    Args:
        end: Factor at the end of `step` and `exponential`, and the least of `plateau`.
        drops: Drops of `step`.
        power: Power of `polynomial`.
        plateau_factor: Factor of each drop of `plateau`.
        plateau_patience: Epochs without a new least loss before a drop of `plateau`.
        momentum_low: Momentum at the peak of `one_cycle`; None: it stays.
    """

    end: float = 0.01
    drops: int = 2
    power: float = 2.0
    plateau_factor: float = 0.1
    plateau_patience: int = 5
    momentum_low: float | None = None


Shape = Callable[[float, Settings], float]


def _step(p: float, settings: Settings) -> float:
    done = min(settings.drops, math.floor((settings.drops + 1) * p))
    reached: float = settings.end ** (done / settings.drops)
    return reached


def cycle(p: float) -> float:
    """How far one_cycle is up: 0 at its ends, 1 at its peak."""
    if p < _RISE:
        return (1.0 - math.cos(math.pi * p / _RISE)) / 2.0
    return (1.0 + math.cos(math.pi * (p - _RISE) / (1.0 - _RISE))) / 2.0


def _one_cycle(p: float, _: Settings) -> float:
    return _START + (1.0 - _START) * cycle(p) if p < _RISE else cycle(p)


SHAPES: Final[dict[str, Shape]] = {
    "constant": lambda p, s: 1.0,
    "cosine": lambda p, s: (1.0 + math.cos(math.pi * p)) / 2.0,
    "linear": lambda p, s: 1.0 - p,
    "step": _step,
    "exponential": lambda p, s: s.end**p,
    "polynomial": lambda p, s: (1.0 - p) ** s.power,
    "one_cycle": _one_cycle,
    "plateau": lambda p, s: 1.0,
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
    warm, progress = _progress(warmup, total_steps, step)
    return SHAPES[schedule](progress, settings) * warm


def _progress(warmup: float, total_steps: int, step: int) -> tuple[float, float]:
    """The share of the full rate that the warm-up has reached, and the progress after it."""
    warm = round(warmup * total_steps)
    if step < warm:
        return (step + 1) / (warm + 1), 0.0
    return 1.0, min(1.0, (step - warm) / max(1, total_steps - warm))


@dataclass(frozen=True)
class Course:
    """A schedule over a whole training.

    Args:
        schedule: A key of `SHAPES`.
        warmup: Share of all steps.
        total_steps: Steps of the whole training.
        settings: What the schedule is made of.
    """

    schedule: str
    warmup: float
    total_steps: int
    settings: Settings = _DEFAULT

    def factor(self, step: int) -> float:
        """The factor on the learning rate, drops of `plateau` not counted."""
        return factor(self.schedule, self.warmup, self.total_steps, step, self.settings)

    def is_warm(self, step: int) -> bool:
        """Whether the warm-up is over before this step."""
        return step > round(self.warmup * self.total_steps)

    def momentum(self, own: float, step: int) -> float:
        """What the schedule makes of an optimizer's own momentum."""
        low = self.settings.momentum_low
        if self.schedule != "one_cycle" or low is None or low >= own:
            return own
        return own + (low - own) * cycle(_progress(self.warmup, self.total_steps, step)[1])


class Scheduler(torch.optim.lr_scheduler.LambdaLR):
    """A learning-rate schedule: call `step()` after every optimizer step.

    Call `observe(val_loss)` after every epoch too: `plateau` lives on it, and to the others it
    makes no difference. `state_dict` holds all that a resumed training needs.

    Args:
        optimizer: The optimizer whose rates are scaled, each from its own.
        course: The schedule.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, course: Course) -> None:
        self._course = course
        self._scale, self._least, self._waited = 1.0, math.inf, 0
        self._momenta = [_momentum(group) for group in optimizer.param_groups]
        super().__init__(optimizer, lambda step: course.factor(step))

    def get_lr(self) -> list[float | torch.Tensor]:
        """The rates of the step about to be taken."""
        return [rate * self._scale for rate in super().get_lr()]

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step."""
        super().step(epoch)
        if self._course.settings.momentum_low is None:
            return
        for group, own in zip(self.optimizer.param_groups, self._momenta, strict=True):
            _set_momentum(group, self._course.momentum(own, self.last_epoch))

    def observe(self, val_loss: float) -> None:
        """Tell the validation loss after an epoch; `plateau` may lower the rates at once."""
        course = self._course
        if course.schedule != "plateau" or not course.is_warm(self.last_epoch):
            return
        if val_loss < self._least:
            self._least, self._waited = val_loss, 0
            return
        self._waited += 1
        if self._waited < course.settings.plateau_patience:
            return
        self._waited = 0
        self._scale = max(self._scale * course.settings.plateau_factor, course.settings.end)
        factor = course.factor(self.last_epoch)
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate * factor * self._scale
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule stands; what it is comes from the parameters."""
        return {key: value for key, value in super().state_dict().items() if key != "_course"}


def build_scheduler(
    optimizer: torch.optim.Optimizer, params: Mapping[str, Any], total_steps: int
) -> Scheduler:
    """The schedule that a trial has chosen.

    Call its `step()` after every optimizer step, and `observe(val_loss)` after every epoch. Each
    of `schedule`, `warmup`, `lr_end`, `lr_drops`, `lr_power`, `plateau_factor`,
    `plateau_patience` and `momentum_low` is the trial's parameter of that name, else
    `<optimizer>.schedule` and so on, else constant without warm-up and the defaults of tasks.

    Args:
        optimizer: The optimizer whose rates are scaled, each from its own.
        params: The trial's parameters.
        total_steps: Steps of the whole training, also when it is resumed; optimizer steps, where
            the gradients of several batches are added up.

    Raises:
        TypeError: If `optimizer` or `params` is something else.
        UnknownName: For a schedule that does not exist.
        Invalid: For another value that an option does not take, or no steps.
    """
    if not hasattr(optimizer, "param_groups") or not isinstance(params, Mapping):
        raise TypeError(
            "build_scheduler takes the optimizer, the trial's parameters and the steps of the whole"
            f" training, not {type(optimizer).__name__} and {type(params).__name__}: write"
            " build_scheduler(optimizer, trial.params, total_steps)."
        )
    given = {name: read_value(params, name) for name in NAMES}
    if total_steps < 1:
        raise Invalid.at("total_steps", "expected at least 1.", found=total_steps)
    settings = Settings(
        given["lr_end"],
        int(given["lr_drops"]),
        given["lr_power"],
        given["plateau_factor"],
        int(given["plateau_patience"]),
        given["momentum_low"],
    )
    course = Course(given["schedule"], given["warmup"], total_steps, settings)
    return Scheduler(optimizer, course)


def _momentum(group: Mapping[str, Any]) -> float:
    """A group's momentum or beta1; 0 where it has none."""
    if "betas" in group:
        return float(group["betas"][0])
    return float(group.get("momentum", 0.0))


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    elif "momentum" in group:
        group["momentum"] = momentum
