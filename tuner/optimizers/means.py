"""Relatives of Adam that keep one more running mean: Adan, AdEMAMix. Of the extra `optimizers`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.optimizers.adam import BETA1, BETA2, DECOUPLED_DECAY, EPS, LR
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
from tuner.optimizers.sources import ALGOPERF, HYPAOBP, OWN, PAGLIARDINI, XIE

_ADAN_README: Final = f"{XIE}, README of sail-sg/Adan"
_ADEMAMIX_README: Final = f"{PAGLIARDINI}, README of apple/ml-ademamix"

ADAN: Final = Optimizer(
    name="adan",
    title="Adan",
    description=(
        "Adam with Nesterov's momentum, estimated from differences of gradients; takes larger "
        "rates than Adam. Weight decay is decoupled and implicit: after the step the weights are "
        "divided by 1 + lr·weight_decay."
    ),
    formula=(
        "d = g − gₜ₋₁ (0 at first),  m ← beta1·m + (1−beta1)·g,  v ← beta2·v + (1−beta2)·d,"
        "  n ← beta3·n + (1−beta3)·(g + beta2·d)²,"
        "  w ← (w − lr·(m/(1−beta1ᵗ) + beta2·v/(1−beta2ᵗ))/(√(n/(1−beta3ᵗ)) + eps))"
        "/(1 + lr·weight_decay),  g = ∇f(w)"
    ),
    paper=(
        f"{XIE}, algorithm 1 without restarts, each beta for the paper's 1 − β, with the bias "
        "correction of the authors' program"
    ),
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-5,
            high=1.0,
            default=1e-3,
            prior=decades(1e-2, 1.421),
            sources={
                "range": f"adam's, up to 10 times more as {_ADAN_README} advises (5 to 10 times)",
                "default": f"{XIE}, the authors' program",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="beta3",
            role="beta2",
            low=0.8,
            high=0.9999,
            scale="one_minus_log",
            default=0.99,
            prior=flat_width(1e-2, 1e-3, 1e-1),
            sizes=FROM_MEDIUM,
            sources={
                "range": "ours: as beta2 of adam; the authors advise to tune it first",
                "default": _ADAN_README,
                "prior": "ours: centre: the default; width: 0.9 to 0.999",
            },
        ),
        replace(
            BETA1,
            high=0.999,
            default=0.98,
            prior=flat_width(2e-2, 4e-3, 0.1),
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: as adam, up to 0.999 about the default; the authors tune it second",
                "default": _ADAN_README,
                "prior": f"centre: the default; width: {ALGOPERF}, 1 - beta1 LU[4e-3, 0.1] (NAdamW)",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            default=0.02,
            prior=flat_width(2e-2, 1e-5, 1e-1),
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: as adamw; 0.02 served in all of the authors' experiments",
                "default": _ADAN_README,
                "prior": f"centre: the default; width: {HYPAOBP}, LU[1e-5, 1e-1]",
            },
        ),
        replace(EPS, sources={"range": "ours: as adam", "default": _ADAN_README}),
        Parameter(
            name="beta2",
            role="difference_momentum",
            low=0.5,
            high=0.99,
            scale="one_minus_log",
            default=0.92,
            sizes=NEVER,
            sources={
                "range": "ours: as beta1 of adam; the authors call it the least sensitive",
                "default": _ADAN_README,
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=4),
    reference=1e-2,
    reference_source=f"{OWN}: 0.01 on both",
    extra="optimizers",
)

ADEMAMIX: Final = Optimizer(
    name="ademamix",
    title="AdEMAMix",
    description=(
        "AdamW with a second, slow mean of the gradient beside the fast one; made for long "
        "trainings, of 1/(1 − beta3) steps and more. Weight decay is decoupled: the weights shrink "
        "by lr·weight_decay in each step."
    ),
    formula=(
        "m ← beta1·m + (1−beta1)·g,  s ← beta3·s + (1−beta3)·g,  v ← beta2·v + (1−beta2)·g²,"
        "  w ← w − lr·weight_decay·w,"
        "  w ← w − lr·(m/(1−beta1ᵗ) + alpha·s)/(√(v/(1−beta2ᵗ)) + eps),  g = ∇f(w);"
        "  over the first slow_warmup steps alpha grows linearly and beta3 from beta1"
    ),
    paper=f"{PAGLIARDINI}, algorithm 1 with its schedules of alpha and beta3",
    parameters=(
        replace(
            LR,
            sources={
                "range": f"ours: as adamw, {ALGOPERF}, widened",
                "default": _ADEMAMIX_README,
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="alpha",
            role="mixture",
            low=0.5,
            high=20.0,
            default=5.0,
            sizes=FROM_MEDIUM,
            sources={
                "range": f"ours: none published; about the default and the 8 of {_ADEMAMIX_README}",
                "default": "pytorch-optimizer default; the authors' README has 8 for 256000 steps",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            sources={
                "range": f"ours: as adamw, within it the 0.1 of {_ADEMAMIX_README}",
                "default": "ours: as adamw",
                "prior": f"as adamw, {HYPAOBP}",
            },
        ),
        Parameter(
            name="beta3",
            role="slow_momentum",
            low=0.99,
            high=0.99999,
            scale="one_minus_log",
            default=0.9999,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: none published; memories of 100 to 100000 steps",
                "default": _ADEMAMIX_README,
            },
        ),
        replace(
            BETA1,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: as adam",
                "default": _ADEMAMIX_README,
                "prior": f"as adam, {ALGOPERF}",
            },
        ),
        replace(EPS, sources={"range": "ours: as adam", "default": f"{PAGLIARDINI}, the program"}),
        replace(
            BETA2,
            sources={
                "range": "ours: as adam",
                "default": _ADEMAMIX_README,
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="slow_warmup",
            role="warmup",
            type="int",
            low=1,
            high=1_000_000,
            default=1,
            sizes=NEVER,
            sources={
                "range": "ours: up to the longest trainings",
                "default": f"ours: no warm-up, for the steps are unknown here; {_ADEMAMIX_README}"
                " takes the steps of the whole training",
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=3),
    reference=2e-3,
    reference_source=f"as adam; {OWN}: 0.003 and 0.001",
    extra="optimizers",
)
