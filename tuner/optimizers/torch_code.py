"""Optimizers and schedules of the registry as lines of code that need PyTorch only.

Text, not torch: `tuner.training.builders` makes the same objects, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ADAM: Final = "lr={lr}, betas=({beta1}, {beta2}), eps={eps}, weight_decay={weight_decay}"
_SGD: Final = "lr={lr}, weight_decay={weight_decay}"
_MOMENTUM: Final = "lr={lr}, momentum={momentum}, weight_decay={weight_decay}"

# class of torch.optim and its arguments, with the parameters' plain names in braces
CALLS: Final[dict[str, tuple[str, str]]] = {
    "sgd": ("SGD", _SGD),
    "gd": ("SGD", _SGD),
    "momentum": ("SGD", _MOMENTUM),
    "nesterov": ("SGD", f"{_MOMENTUM}, nesterov=True"),
    "adam": ("Adam", _ADAM),
    "adamw": ("AdamW", _ADAM),
    "amsgrad": ("Adam", f"{_ADAM}, amsgrad=True"),
    "nadam": ("NAdam", f"{_ADAM}, momentum_decay={{momentum_decay}}"),
    "nadamw": (
        "NAdam",
        f"{_ADAM}, momentum_decay={{momentum_decay}}, decoupled_weight_decay=True",
    ),
    "radam": ("RAdam", _ADAM),
    "adamax": ("Adamax", _ADAM),
    "rmsprop": ("RMSprop", "lr={lr}, alpha={alpha}, eps={eps}, weight_decay={weight_decay}"),
    "adagrad": (
        "Adagrad",
        "lr={lr}, eps={eps}, initial_accumulator_value={initial_accumulator}, "
        "weight_decay={weight_decay}",
    ),
    "adadelta": ("Adadelta", "lr={lr}, rho={rho}, eps={eps}, weight_decay={weight_decay}"),
    "adafactor": (
        "Adafactor",
        "lr={lr}, beta2_decay={beta2_decay}, eps=(None, {eps}), d={clip}, "
        "weight_decay={weight_decay}",
    ),
}

# the factor on the rate after the warm-up, p the progress; formulas and sources are in
# `tuner.training.schedules`
SHAPES: Final[dict[str, str]] = {
    "constant": "1.0",
    "cosine": "(1 + math.cos(math.pi * p)) / 2",
    "linear": "1 - p",
    "step": "{lr_end} ** (min({lr_drops}, math.floor(({lr_drops} + 1) * p)) / {lr_drops})",
    "exponential": "{lr_end} ** p",
    "polynomial": "(1 - p) ** {lr_power}",
    "one_cycle": (
        "0.04 + 0.96 * (1 - math.cos(math.pi * p / 0.3)) / 2 if p < 0.3"
        " else (1 + math.cos(math.pi * (p - 0.3) / 0.7)) / 2"
    ),
}
# where a schedule does not begin at 1, the warm-up ends at what it begins with
_STARTS: Final[dict[str, str]] = {"one_cycle": "0.04 * "}


def optimizer_call(name: str, values: Mapping[str, Any]) -> str | None:
    """The call that makes the optimizer for `model`; None if torch has no such class.

    Args:
        name: An optimizer of the registry.
        values: All its parameters by plain name.
    """
    if name not in CALLS or values.get("bias_correction", True) is not True:
        return None
    kind, arguments = CALLS[name]
    if name == "nesterov" and not values["momentum"]:
        arguments = _MOMENTUM  # torch refuses the flag without momentum
    written = arguments.format(**{key: repr(value) for key, value in values.items()})
    return f"torch.optim.{kind}(model.parameters(), {written})"


def schedule_lines(values: Mapping[str, Any]) -> list[str] | None:
    """Lines that make `scheduler` for `optimizer` and `total_steps`.

    Empty for a constant rate without warm-up; None for a schedule that has no such form.

    Args:
        values: `schedule`, `warmup` and what the schedule is made of, by plain name.
    """
    schedule, warmup = str(values["schedule"]), values["warmup"]
    if schedule not in SHAPES:
        return None
    if schedule == "constant" and not warmup:
        return []
    shown = {key: repr(value) for key, value in values.items()}
    after = SHAPES[schedule].format(**shown)
    start = _STARTS.get(schedule, "")
    return [
        f"warm = round({warmup!r} * total_steps)  # steps of warm-up",
        "",
        "",
        "def factor(step):",
        "    if step < warm:",
        f"        return {start}(step + 1) / (warm + 1)",
        "    p = min(1.0, (step - warm) / max(1, total_steps - warm))",
        f"    return {after}",
        "",
        "",
        "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)  # step() after each step",
    ]
