"""Adam and its form with decoupled weight decay."""

from __future__ import annotations

from typing import Final

from tuner.optimizers.entry import (
    FROM_MEDIUM,
    LEARNING_RATE,
    NEVER,
    ONLY_LARGE,
    Cost,
    Optimizer,
    Parameter,
    decades,
    flat_width,
)
from tuner.optimizers.sources import ALGOPERF, CROWDED, HYPAOBP, PYTORCH, TRAININGS

KINGMA: Final = "Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1"
LR: Final = Parameter(
    name="lr",
    role=LEARNING_RATE,
    low=1e-5,
    high=1e-1,
    default=1e-3,
    prior=decades(2e-3, 1.421),
    sources={
        "range": f"{ALGOPERF}: LU[1e-4, 1e-2] for AdamW, widened tenfold on both sides",
        "default": KINGMA,
        "prior": f"{HYPAOBP}, 10^N(-2.697, 1.421)",
    },
)
BETA1: Final = Parameter(
    name="beta1",
    role="beta1",
    low=0.5,
    high=0.99,
    scale="one_minus_log",
    default=0.9,
    prior=flat_width(0.1, 2e-2, 0.5),
    sizes=FROM_MEDIUM,
    sources={
        "range": f"{ALGOPERF}: 1 - beta1 LU[2e-2, 0.5] (AdamW), to 0.99 as 4e-3 (NAdamW) allows",
        "default": KINGMA,
        "prior": f"centre: the default; width: {ALGOPERF}, 1 - beta1 LU[2e-2, 0.5]",
    },
)
EPS: Final = Parameter(
    name="eps",
    role="epsilon",
    low=1e-10,
    high=1.0,
    default=1e-8,
    sizes=ONLY_LARGE,
    sources={
        "range": f"{HYPAOBP}: low of LU[1e-10, 1e10] (lr and eps), high of LU[1e-8, 1] (all)",
        "default": KINGMA,
    },
)
BETA2: Final = Parameter(
    name="beta2",
    role="beta2",
    low=0.8,
    high=0.9999,
    scale="one_minus_log",
    default=0.999,
    prior=flat_width(1e-3, 1e-5, 1e-1),
    sizes=ONLY_LARGE,
    sources={
        "range": f"low: {CROWDED}, [0.8, 1); high: within {HYPAOBP}, 1 - beta2 LU[1e-5, 1e-1]",
        "default": KINGMA,
        "prior": f"{HYPAOBP}, 1 - beta2 LU[1e-5, 1e-1]: its middle and width",
    },
)
MOMENTS: Final = (
    "m ← beta1·m + (1−beta1)·g,  v ← beta2·v + (1−beta2)·g²,  m̂ = m/(1−beta1ᵗ),  v̂ = v/(1−beta2ᵗ)"
)
COUPLED_DECAY: Final = Parameter(
    name="weight_decay",
    role="weight_decay",
    low=1e-7,
    high=1e-2,
    default=1e-4,
    unset=0.0,
    sizes=NEVER,
    sources={
        "range": f"ours: as for sgd; never searched by default, {ALGOPERF} uses adamw",
        "default": "ours: as for sgd",
        "unset": PYTORCH,
    },
)
DECOUPLED_DECAY: Final = Parameter(
    name="weight_decay",
    role="weight_decay",
    low=1e-4,
    high=1.0,
    default=1e-2,
    prior=flat_width(1e-2, 1e-5, 1e-1),
    sizes=FROM_MEDIUM,
    sources={
        "range": f"{ALGOPERF}: LU[5e-3, 1], widened towards {HYPAOBP}: LU[1e-5, 1e-1]",
        "default": PYTORCH,
        "prior": f"centre: the default; width: {HYPAOBP}, LU[1e-5, 1e-1]",
    },
)

ADAM: Final = Optimizer(
    name="adam",
    title="Adam",
    description=(
        "Adaptive moments. Weight decay is coupled: it is added to the gradient and so divided by "
        "the second moment; for decay proper take adamw."
    ),
    formula=f"{MOMENTS},  w ← w − lr·m̂/(√v̂ + eps),  g = ∇f(w) + weight_decay·w",
    paper=KINGMA,
    parameters=(
        LR,
        BETA1,
        EPS,
        BETA2,
        COUPLED_DECAY,
        Parameter(
            name="bias_correction",
            role="bias_correction",
            type="categorical",
            choices=(True, False),
            default=True,
            sizes=NEVER,
            sources={
                "range": "ours: with or without; False puts m for m̂ and v for v̂, as textbooks do",
                "default": KINGMA,
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=2),
    reference=2e-3,
    reference_source=f"{HYPAOBP}: median 2.0e-3; {TRAININGS}: 0.006 and 0.003 to 0.06",
)

ADAMW: Final = Optimizer(
    name="adamw",
    title="AdamW",
    description=(
        "Adam with decoupled weight decay: the weights shrink by lr·weight_decay in each step, "
        "whatever the gradient's size."
    ),
    formula=f"w ← w − lr·weight_decay·w,  {MOMENTS},  w ← w − lr·m̂/(√v̂ + eps),  g = ∇f(w)",
    paper=(
        "Loshchilov and Hutter 2019 (arXiv:1711.05101), algorithm 2; as in PyTorch lr multiplies "
        "the decay too"
    ),
    parameters=(
        LR,
        BETA1,
        DECOUPLED_DECAY,
        EPS,
        BETA2,
    ),
    cost=Cost(functions=1, gradients=1, state=2),
    reference=2e-3,
    reference_source=f"as adam; {TRAININGS}: 0.006 on both",
)
