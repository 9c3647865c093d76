"""Adam's relatives: Nesterov's momentum, rectified variance, largest second moment, max norm."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.optimizers.adam import (
    BETA1,
    BETA2,
    COUPLED_DECAY,
    DECOUPLED_DECAY,
    EPS,
    KINGMA,
    LR,
    MOMENTS,
)
from tuner.optimizers.entry import LEARNING_RATE, NEVER, Cost, Optimizer, Parameter, flat_width
from tuner.optimizers.sources import ALGOPERF, CROWDED, HYPAOBP, LIU, OWN, PYTORCH

_DOZAT: Final = "Dozat 2016, Incorporating Nesterov momentum into Adam"
_COUPLED: Final = "Weight decay is coupled: it is added to the gradient."
_COST: Final = Cost(functions=1, gradients=1, state=2)
_NADAM_LR: Final = replace(
    LR,
    default=2e-3,
    sources={
        "range": f"{ALGOPERF}: LU[1e-4, 1e-2] for NAdamW, widened tenfold on both sides",
        "default": PYTORCH,
        "prior": f"as adam, {HYPAOBP}",
    },
)
_NADAM_BETA1: Final = replace(
    BETA1,
    prior=flat_width(0.1, 4e-3, 0.1),
    high=0.996,
    sources={
        "range": f"low: as adam; high: {ALGOPERF}, 1 - beta1 LU[4e-3, 0.1] (NAdamW)",
        "default": KINGMA,
        "prior": f"centre: the default; width: {ALGOPERF}, 1 - beta1 LU[4e-3, 0.1]",
    },
)
_MOMENTUM_DECAY: Final = Parameter(
    name="momentum_decay",
    role="momentum_decay",
    low=1e-4,
    high=1e-1,
    default=4e-3,
    sizes=NEVER,
    sources={"range": "ours: none published; about the default", "default": _DOZAT},
)
_NADAM_UPDATE: Final = (
    "μₜ = beta1·(1 − 0.96^(t·momentum_decay)/2),  m ← beta1·m + (1−beta1)·g,"
    "  v ← beta2·v + (1−beta2)·g²,  v̂ = v/(1−beta2ᵗ),"
    "  w ← w − lr·((1−μₜ)·g/(1−Πμ₁…μₜ) + μₜ₊₁·m/(1−Πμ₁…μₜ₊₁))/(√v̂ + eps)"
)

NADAM: Final = Optimizer(
    name="nadam",
    title="NAdam",
    description=f"Adam with Nesterov's momentum and a momentum that grows over time. {_COUPLED}",
    formula=f"{_NADAM_UPDATE},  g = ∇f(w) + weight_decay·w",
    paper=f"{_DOZAT}, with PyTorch's eps outside the root",
    parameters=(_NADAM_LR, _NADAM_BETA1, EPS, BETA2, COUPLED_DECAY, _MOMENTUM_DECAY),
    cost=_COST,
    reference=2e-3,
    reference_source=f"as adam; {OWN}: 0.003 and 0.03, which is flat from 3e-4",
)

NADAMW: Final = Optimizer(
    name="nadamw",
    title="NAdamW",
    description=(
        "NAdam with decoupled weight decay: the weights shrink by lr·weight_decay in each step."
    ),
    formula=f"w ← w − lr·weight_decay·w,  {_NADAM_UPDATE},  g = ∇f(w)",
    paper=f"{_DOZAT}, with the decay of Loshchilov and Hutter 2019",
    parameters=(_NADAM_LR, _NADAM_BETA1, DECOUPLED_DECAY, EPS, BETA2, _MOMENTUM_DECAY),
    cost=_COST,
    reference=2e-3,
    reference_source=f"as nadam; {OWN}: 0.01 and 3e-4",
)

RADAM: Final = Optimizer(
    name="radam",
    title="RAdam",
    description=(
        "Adam that waits with the second moment until its variance is bounded, in place of a "
        f"warm-up. {_COUPLED}"
    ),
    formula=(
        f"{MOMENTS},  ρ∞ = 2/(1−beta2) − 1,  ρ = ρ∞ − 2t·beta2ᵗ/(1−beta2ᵗ),"
        "  r = √((ρ−4)(ρ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ)),"
        "  w ← w − lr·r·m̂·√(1−beta2ᵗ)/(√v + eps) if ρ > 5, else w ← w − lr·m̂,"
        "  g = ∇f(w) + weight_decay·w"
    ),
    paper=f"{LIU}, algorithm 2, with 5 for its threshold 4 as in the authors' program",
    parameters=(
        replace(
            LR,
            sources={
                "range": f"ours: as adam, {ALGOPERF}, widened",
                "default": PYTORCH,
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        BETA1,
        EPS,
        BETA2,
        COUPLED_DECAY,
    ),
    cost=_COST,
    reference=1e-2,
    reference_source=f"{OWN}: 0.03 and 0.003",
)

AMSGRAD: Final = Optimizer(
    name="amsgrad",
    title="AMSGrad",
    description=(
        "Adam that divides by the largest second moment so far, so that steps cannot grow again. "
        f"{_COUPLED}"
    ),
    formula=(
        f"{MOMENTS.split(',  m̂')[0]},  m̂ = m/(1−beta1ᵗ),  u ← max(u, v),"
        "  w ← w − lr·m̂/(√(u/(1−beta2ᵗ)) + eps),  g = ∇f(w) + weight_decay·w"
    ),
    paper=(
        "Reddi, Kale and Kumar 2018 (arXiv:1904.09237), algorithm 2, with Adam's bias correction "
        "as in PyTorch"
    ),
    parameters=(
        replace(
            LR,
            high=1.0,
            sources={
                "range": f"high: {CROWDED}, LU[1e-4, 1]; low: as adam",
                "default": f"as adam: {KINGMA}",
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        BETA1,
        EPS,
        BETA2,
        COUPLED_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=3),
    reference=2e-3,
    reference_source=f"as adam; {OWN}: 0.003 and 0.001",
)

ADAMAX: Final = Optimizer(
    name="adamax",
    title="Adamax",
    description=f"Adam with a decaying largest gradient in place of the second moment. {_COUPLED}",
    formula=(
        "m ← beta1·m + (1−beta1)·g,  u ← max(beta2·u, |g| + eps),  w ← w − lr/(1−beta1ᵗ)·m/u,"
        "  g = ∇f(w) + weight_decay·w"
    ),
    paper="Kingma and Ba 2015 (arXiv:1412.6980), algorithm 2, with PyTorch's eps",
    parameters=(
        replace(
            LR,
            name="lr",
            role=LEARNING_RATE,
            default=2e-3,
            sources={
                "range": f"ours: as adam, {ALGOPERF}, widened",
                "default": "Kingma and Ba 2015 (arXiv:1412.6980), algorithm 2",
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        BETA1,
        EPS,
        BETA2,
        COUPLED_DECAY,
    ),
    cost=_COST,
    reference=5e-3,
    reference_source=f"{OWN}: 0.01 and 0.003",
)
