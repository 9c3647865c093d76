"""AdamW without a rate to tune, and AdamW without a schedule. Of the extra `optimizers`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.optimizers.adam import BETA1, BETA2, DECOUPLED_DECAY, EPS
from tuner.optimizers.entry import (
    EVERY,
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
from tuner.optimizers.sources import ALGOPERF, DEFAZIO, HYPAOBP, MISHCHENKO, OWN

_PRODIGY: Final = f"{MISHCHENKO}, the authors' program"
_README: Final = f"{DEFAZIO}, README of facebookresearch/schedule_free"
_ENTRY: Final = "the authors' AlgoPerf entry"

PRODIGY: Final = Optimizer(
    name="prodigy",
    title="Prodigy",
    description=(
        "AdamW that estimates its rate d from how far the weights have come; lr only scales it, "
        "for schedules. All groups share one d, so they take no rates of their own. Weight decay "
        "is decoupled: the weights shrink by d·lr·weight_decay in each step."
    ),
    formula=(
        "r ← √beta2·r + (d²/d0)·lr·gᵀ(w₀−w),  s ← √beta2·s + (d²/d0)·lr·g,"
        "  m ← beta1·m + (1−beta1)·d·g,  v ← beta2·v + (1−beta2)·d²g²,"
        "  d' = max(d, d_coef·r/‖s‖₁),  w ← w − d·lr·weight_decay·w,"
        "  w ← w − d·lr·m/(√v + d'·eps),  d ← d',  g = ∇f(w);"
        "  with safeguard_warmup s has no factor lr"
    ),
    paper=(
        f"{MISHCHENKO}, algorithm 4, as in the authors' program: no bias correction, r and s "
        "without the factor 1 − √beta2 that their ratio cancels, and the new d beside eps"
    ),
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-2,
            high=1.0,
            default=1.0,
            sizes=NEVER,
            sources={
                "range": "ours: schedules lower it; the authors leave its top at 1",
                "default": _PRODIGY,
            },
        ),
        Parameter(
            name="d_coef",
            role="rate_factor",
            low=1e-2,
            high=10.0,
            default=1.0,
            prior=flat_width(1.0, 0.1, 10.0),
            sizes=EVERY,
            sources={
                "range": f"{_PRODIGY}: 0.5 and 2 work as well, and it is the one to tune; widened"
                f" for {OWN}: 0.1 and 3",
                "default": _PRODIGY,
                "prior": "ours: centre: the default; width: a decade on both sides",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            unset=0.0,
            sources={
                "range": "ours: as adamw",
                "default": "ours: as adamw",
                "prior": f"as adamw, {HYPAOBP}",
                "unset": _PRODIGY,
            },
        ),
        replace(
            BETA1,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: as adam",
                "default": _PRODIGY,
                "prior": f"as adam, {ALGOPERF}",
            },
        ),
        replace(EPS, sources={"range": "ours: as adam", "default": _PRODIGY}),
        replace(
            BETA2,
            sources={
                "range": "ours: as adam",
                "default": _PRODIGY,
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="d0",
            role="first_rate",
            low=1e-8,
            high=1e-2,
            default=1e-6,
            sizes=NEVER,
            sources={
                "range": "ours: about the default, which rarely needs a change (authors' program)",
                "default": _PRODIGY,
            },
        ),
        Parameter(
            name="safeguard_warmup",
            role="safeguard",
            type="categorical",
            choices=(False, True),
            default=False,
            sizes=NEVER,
            sources={
                "range": f"{_PRODIGY}: with or without; True is advised where there is a warm-up",
                "default": _PRODIGY,
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=4),
    reference=1.0,
    reference_source=f"{_PRODIGY}",
    whole_model=True,
    extra="optimizers",
)

SCHEDULEFREE_ADAMW: Final = Optimizer(
    name="schedulefree_adamw",
    title="Schedule-free AdamW",
    description=(
        "AdamW whose momentum is an average of all its iterates, in place of a schedule: train "
        "with a constant one, after a warm-up. Gradients are taken at y, and x is what is "
        "validated. Weight decay is decoupled and acts at y: it adds weight_decay·y to the step."
    ),
    formula=(
        "y = (1−beta1)·z + beta1·x,  v ← beta2·v + (1−beta2)·g²,"
        "  z ← z − lr·(g/(√(v/(1−beta2ᵗ)) + eps) + weight_decay·y),"
        "  c = tʳ·l²/Σ tʳ·l² with l the largest lr so far,  x ← (1−c)·x + c·z,  g = ∇f(y)"
    ),
    paper=f"{DEFAZIO}, algorithm 1, with the weights tʳ·l² of the authors' program",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-5,
            high=1.0,
            default=2.5e-3,
            prior=decades(3e-3, 1.421),
            sources={
                "range": f"adam's, up to 10 times more as {_README} says (1 to 10 times)",
                "default": f"{DEFAZIO}, the authors' program and {_ENTRY}",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        replace(
            BETA1,
            sizes=FROM_MEDIUM,
            sources={
                "range": f"as adam, within it the 0.9, 0.95 and 0.98 of {_README}",
                "default": _README,
                "prior": f"as adam, {ALGOPERF}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            unset=0.0,
            sources={
                "range": f"ours: as adamw, within it the 0.081 of {_ENTRY}",
                "default": "ours: as adamw",
                "prior": f"as adamw, {HYPAOBP}",
                "unset": f"{DEFAZIO}, the authors' program",
            },
        ),
        replace(
            EPS, sources={"range": "ours: as adam", "default": f"{DEFAZIO}, the authors' program"}
        ),
        replace(
            BETA2,
            sources={
                "range": "ours: as adam",
                "default": f"{DEFAZIO}, the authors' program",
                "prior": f"as adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="r",
            role="averaging_power",
            low=0.0,
            high=1.0,
            scale="linear",
            default=0.0,
            sizes=NEVER,
            sources={
                "range": f"ours: within it the 0.75 of {_ENTRY}",
                "default": f"{DEFAZIO}, the authors' program",
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=2, note="a copy of the weights during validation"),
    reference=3e-3,
    reference_source=f"{OWN}: 0.01 and 0.001",
    extra="optimizers",
)
