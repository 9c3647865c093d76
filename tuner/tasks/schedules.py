"""The schedules of built-in training and of `build_scheduler`, and their options."""

from __future__ import annotations

from typing import Final

from tuner.tasks.option import Option

SCHEDULES: Final = (
    "constant",
    "cosine",
    "linear",
    "step",
    "exponential",
    "polynomial",
    "one_cycle",
    "plateau",
)
SCHEDULE_OPTIONS: Final = (
    Option(
        "schedule",
        "categorical",
        "Course of the learning rate over all steps, after the warm-up.",
        default="constant",
        choices=SCHEDULES,
    ),
    Option(
        "warmup",
        "float",
        "Share of all steps in which the learning rate rises linearly to its full value.",
        0.0,
        0.0,
        0.5,
    ),
    Option(
        "lr_end",
        "float",
        "Factor on the learning rate at the end of the schedules step and exponential, and the "
        "least of plateau.",
        0.01,
        1e-12,
        1.0,
    ),
    Option("lr_drops", "int", "Drops of the schedule step, evenly spaced.", 2, 1, 100),
    Option("lr_power", "float", "Power of the schedule polynomial.", 2.0, 0.1, 10.0),
    Option(
        "plateau_factor",
        "float",
        "Factor of each drop of the schedule plateau.",
        0.1,
        1e-3,
        0.99,
    ),
    Option(
        "plateau_patience",
        "int",
        "The schedule plateau drops after this many epochs in a row without a new least val_loss.",
        5,
        1,
        100_000,
    ),
    Option(
        "momentum_low",
        "float",
        "Momentum, or beta1, at the peak of the schedule one_cycle, which goes there from the "
        "optimizer's own and back; absent: it stays.",
        None,
        0.0,
        0.999,
    ),
)
