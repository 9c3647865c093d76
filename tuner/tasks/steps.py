"""How a step is computed: options that save time or memory."""

from __future__ import annotations

from typing import Final

from tuner.tasks.option import Option

STEP_OPTIONS: Final = (
    Option(
        "accumulate",
        "int",
        "Parts in which a batch of batch_size examples is computed, to save memory; their gradients "
        "add up to one step.",
        1,
        1,
        1024,
    ),
    Option(
        "precision",
        "categorical",
        "In what the model computes; weights and loss are float32. float16 needs a GPU.",
        default="float32",
        choices=("float32", "bfloat16", "float16"),
    ),
)
