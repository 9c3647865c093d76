"""Sharpness-aware minimisation: another method's step, with the gradient of a nearby worse point."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.optimizers.adam import ADAMW, BETA1, DECOUPLED_DECAY
from tuner.optimizers.descent import MOMENTUM
from tuner.optimizers.entry import ONLY_LARGE, Cost, Optimizer, Parameter, flat_width
from tuner.optimizers.sources import ALGOPERF, FORET, HYPAOBP, OWN, PYTORCH

_CLIMB: Final = "g = ∇f(w + rho·∇f(w)/‖∇f(w)‖), the norm over all weights"
_NOTE: Final = "a copy of the weights is held during the step"
_RHO: Final = Parameter(
    name="rho",
    role="radius",
    low=1e-3,
    high=0.5,
    default=0.05,
    prior=flat_width(0.05, 0.01, 0.5),
    sizes=frozenset({"medium", "large"}),
    sources={
        "range": f"{FORET}: grid from 0.01 to 0.5; {ALGOPERF}: 0.01, 0.02, 0.05; widened down",
        "default": FORET,
        "prior": f"centre: the default; width: {FORET}'s grid",
    },
)

SAM: Final = Optimizer(
    name="sam",
    title="SAM over heavy ball",
    description=(
        "Heavy-ball momentum with the gradient at the worst point near by, for flat minima; two "
        "gradients a step. Weight decay is coupled: it is added to that gradient."
    ),
    formula=f"{_CLIMB} + weight_decay·w,  v ← momentum·v + g,  w ← w − lr·v",
    paper=f"{FORET}, algorithm 1 with eq. 2 for p = 2",
    parameters=(MOMENTUM.parameters[0], _RHO, *MOMENTUM.parameters[1:]),
    cost=Cost(functions=2, gradients=2, state=1, note=_NOTE),
    reference=0.03,
    reference_source=f"{OWN}: 0.1 and 0.01",
)

SAM_ADAMW: Final = Optimizer(
    name="sam_adamw",
    title="SAM over AdamW",
    description=(
        "AdamW with the gradient at the worst point near by, for flat minima; two gradients a "
        "step. Weight decay is decoupled, as in AdamW."
    ),
    formula=f"{_CLIMB},  then the step of adamw with g",
    paper=f"{FORET}, algorithm 1 with eq. 2 for p = 2",
    parameters=(
        ADAMW.parameters[0],
        _RHO,
        replace(
            BETA1,
            sizes=ONLY_LARGE,
            prior=flat_width(0.1, 5e-2, 0.43),
            sources={
                "range": f"{ALGOPERF}: 1 - beta1 LU[5e-2, 0.43] (SAM), widened to adam's",
                "default": "as adam: Kingma and Ba 2015 (arXiv:1412.6980), algorithm 1",
                "prior": f"centre: the default; width: {ALGOPERF}, 1 - beta1 LU[5e-2, 0.43]",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            sources={
                "range": f"{ALGOPERF}: LU[1e-2, 0.2] (SAM), widened to adamw's",
                "default": PYTORCH,
                "prior": f"as adamw, {HYPAOBP}",
            },
        ),
        *ADAMW.parameters[3:],
    ),
    cost=Cost(functions=2, gradients=2, state=2, note=_NOTE),
    reference=2e-3,
    reference_source=f"as adamw; {OWN}: 0.003 and 0.001",
)
