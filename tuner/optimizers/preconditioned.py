"""Methods that precondition a matrix on each of its sides: Shampoo, SOAP. Of an extra."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tuner.optimizers.adam import BETA1, BETA2, DECOUPLED_DECAY, EPS
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
from tuner.optimizers.sources import ALGOPERF, GUPTA, HYPAOBP, LIBRARY, OWN, VYAS, WEN

_README: Final = f"{VYAS}, README of nikhilvyas/SOAP"
_PRECONDITIONED: Final = (
    "a side of n has an n×n matrix of its own, so embeddings of many rows do not fit"
)

SOAP: Final = Optimizer(
    name="soap",
    title="SOAP",
    description=(
        "Adam in the basis where Shampoo's preconditioners are diagonal; vectors get Adam, and "
        "the first step only sets the basis. Weight decay is decoupled: the weights shrink by "
        "lr·weight_decay in each step."
    ),
    formula=(
        "L ← beta2·L + (1−beta2)·GGᵀ,  R ← beta2·R + (1−beta2)·GᵀG after the step,  every "
        "`frequency` steps Q_L ← qr(L·Q_L), Q_R ← qr(R·Q_R) (eigenvectors at first),"
        "  M ← beta1·M + (1−beta1)·G,  V ← beta2·V + (1−beta2)·(Q_LᵀG·Q_R)²,"
        "  W ← W − lr·√(1−beta2ᵗ)/(1−beta1ᵗ)·Q_L·((Q_LᵀM·Q_R)/(√V + eps))·Q_Rᵀ,"
        "  W ← W − lr·weight_decay·W,  G = ∇f(W), t from 0"
    ),
    paper=(
        f"{VYAS}, algorithm 3, as in the authors' program: eps beside the uncorrected root, and "
        "a step t = 0 that does not move; one power iteration in float32 renews the basis"
    ),
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=1e-1,
            default=3e-3,
            prior=decades(1e-2, 1.0),
            sources={
                "range": f"{WEN}: 4e-3 to 1.6e-2 and {_README}: 3e-3, widened",
                "default": _README,
                "prior": "ours: centre: the reference; width: a decade",
            },
        ),
        replace(
            BETA1,
            default=0.95,
            prior=flat_width(5e-2, 2e-2, 0.2),
            sizes=FROM_MEDIUM,
            sources={
                "range": f"{WEN}: 0.8 to 0.98, widened to adam's",
                "default": _README,
                "prior": f"centre: the default; width: {WEN}, 0.8 to 0.98",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            sources={
                "range": f"{WEN}: 0 to 0.4, and adamw's",
                "default": _README,
                "prior": f"as adamw, {HYPAOBP}",
            },
        ),
        Parameter(
            name="frequency",
            role="interval",
            type="int",
            low=1,
            high=100,
            default=10,
            sizes=ONLY_LARGE,
            sources={
                "range": f"low: {WEN}: 1 to 10; high: ours, ten times the default",
                "default": _README,
            },
        ),
        replace(
            BETA2,
            default=0.95,
            prior=flat_width(5e-2, 1e-2, 0.1),
            sources={
                "range": f"{WEN}: 0.9 to 0.99, widened to adam's",
                "default": _README,
                "prior": f"centre: the default; width: {WEN}, 0.9 to 0.99",
            },
        ),
        replace(
            EPS,
            sizes=NEVER,
            sources={
                "range": "ours: as adam",
                "default": f"{VYAS}, the authors' program",
            },
        ),
    ),
    cost=Cost(
        functions=1,
        gradients=1,
        state=6,
        note=f"of a square matrix (2 of a vector); {_PRECONDITIONED};"
        " one QR of each every `frequency` steps",
    ),
    reference=1e-2,
    reference_source=f"{OWN}: 0.01 and 0.03; {WEN}: 4e-3 to 1.6e-2",
    extra="optimizers",
)

SHAMPOO: Final = Optimizer(
    name="shampoo",
    title="Shampoo",
    description=(
        "Adagrad with a full matrix for each side of a weight. Without momentum and grafting: as "
        "first published, which is not the distributed Shampoo of AlgoPerf. Weight decay is "
        "decoupled: the weights shrink by lr·weight_decay in each step."
    ),
    formula=(
        "L ← L + GGᵀ,  R ← R + GᵀG, from matrix_eps·I,  W ← W − lr·weight_decay·W,"
        "  W ← W − lr·L^(−1/4)·G·R^(−1/4),  G = ∇f(W); a vector has L^(−1/2), a tensor of k sides"
        " on each the power −1/(2k)"
    ),
    paper=(
        f"{GUPTA}, algorithms 1 and 2, the roots anew in each step; the library's momentum, which "
        "feeds preconditioned steps back into the statistics, is left out"
    ),
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=10.0,
            default=0.3,
            prior=decades(0.3, 1.204),
            sources={
                "range": "ours: as adagrad, to 10; AlgoPerf's LU[1e-4, 1e-2] is of the grafted form",
                "default": "ours: the reference",
                "prior": f"centre: the reference; width: adagrad's, {HYPAOBP}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            unset=0.0,
            sources={
                "range": f"{ALGOPERF}: LU[5e-3, 1], widened as adamw's",
                "default": "ours: as adamw",
                "prior": f"as adamw, {HYPAOBP}",
                "unset": LIBRARY,
            },
        ),
        Parameter(
            name="matrix_eps",
            role="epsilon",
            low=1e-8,
            high=1.0,
            default=1e-6,
            sizes=ONLY_LARGE,
            sources={"range": "ours: none published; about the default", "default": LIBRARY},
        ),
    ),
    cost=Cost(
        functions=1,
        gradients=1,
        state=5,
        note=f"of a square matrix (2n + 1 of a vector of n); {_PRECONDITIONED};"
        " a singular-value decomposition of each in every step",
    ),
    reference=0.3,
    reference_source=f"{OWN}: 0.3, and flat from 0.03 to 3",
    extra="optimizers",
)
