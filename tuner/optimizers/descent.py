"""Gradient descent, plain and with momentum."""

from __future__ import annotations

from typing import Final

from tuner.optimizers.entry import (
    FROM_MEDIUM,
    LEARNING_RATE,
    ONLY_LARGE,
    Cost,
    Optimizer,
    Parameter,
    decades,
    flat_width,
)
from tuner.optimizers.sources import ALGOPERF, CROWDED, HYPAOBP, KRIZHEVSKY, OWN, PD1, TRAININGS

_WEIGHT_DECAY: Final = Parameter(
    name="weight_decay",
    role="weight_decay",
    low=1e-7,
    high=1e-2,
    default=1e-4,
    unset=0.0,
    sizes=ONLY_LARGE,
    sources={
        "range": f"{ALGOPERF}: LU[1e-7, 5e-5], widened towards {HYPAOBP}: LU[1e-5, 1e-1]",
        "default": "He et al. 2016 (arXiv:1512.03385), section 3.4",
        "unset": "no weight decay, as the method is defined",
    },
)
_MOMENTUM: Final = Parameter(
    name="momentum",
    role="momentum",
    low=0.0,
    high=0.999,
    scale="one_minus_log",
    default=0.9,
    prior=flat_width(0.1, 5e-3, 0.3),
    sizes=FROM_MEDIUM,
    sources={
        "range": f"{PD1}: 1 - momentum LU[1e-3, 1]",
        "default": KRIZHEVSKY,
        "prior": f"centre: the default; width: {ALGOPERF}, 1 - momentum LU[5e-3, 0.3]",
    },
)
_MOMENTUM_LR: Final = Parameter(
    name="lr",
    role=LEARNING_RATE,
    low=1e-4,
    high=5.0,
    default=0.01,
    prior=decades(0.01, 1.553),
    sources={
        "range": f"low: {CROWDED}, LU[1e-4, 1]; high: {ALGOPERF}, LU[2e-2, 5]",
        "default": KRIZHEVSKY,
        "prior": f"centre: the reference; width: {HYPAOBP}, momentum 0.9: 10^N(-2.342, 1.553)",
    },
)
_MOMENTUM_REFERENCE: Final = f"{KRIZHEVSKY}; {TRAININGS}: 0.01 and 0.003 to 0.01"

SGD: Final = Optimizer(
    name="sgd",
    title="Gradient descent",
    description=(
        "Stochastic gradient descent without memory. Weight decay is coupled: it is added to the "
        "gradient."
    ),
    formula="w ← w − lr·g,  g = ∇f(w) + weight_decay·w",
    paper="Robbins and Monro 1951, A stochastic approximation method",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=10.0,
            default=0.1,
            prior=decades(0.1, 1.312),
            sources={
                "range": f"low: {CROWDED}, LU[1e-4, 1]; high: {PD1}, LU[1e-5, 10]",
                "default": f"{KRIZHEVSKY}: 0.01 at momentum 0.9, the same lr / (1 - momentum)",
                "prior": f"centre: the reference; width: {HYPAOBP}, 10^N(-2.096, 1.312)",
            },
        ),
        _WEIGHT_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=0),
    reference=0.1,
    reference_source=f"{TRAININGS}: 0.18 and 0.056, geometric mean 0.1",
)

GD: Final = Optimizer(
    name="gd",
    title="Gradient descent on the whole training set",
    description=(
        "One step per pass, along the gradient over all examples; no noise, so larger rates are "
        "stable. Weight decay is coupled: it is added to the gradient."
    ),
    formula="w ← w − lr·g,  g = ∇f(w) + weight_decay·w,  f the mean loss over the training set",
    paper="Cauchy 1847, Méthode générale pour la résolution des systèmes d'équations simultanées",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-3,
            high=10.0,
            default=0.5,
            sources={
                "range": f"ours: none published; high: that of sgd, {PD1}",
                "default": "ours: the reference",
            },
        ),
        _WEIGHT_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=0, note="each over the whole training set"),
    reference=0.5,
    reference_source=f"{OWN}: 1 and 0.3",
    batch="full",
)

MOMENTUM: Final = Optimizer(
    name="momentum",
    title="Heavy ball",
    description=(
        "Gradient descent with heavy-ball momentum. Weight decay is coupled: it is added to the "
        "gradient."
    ),
    formula="v ← momentum·v + g,  w ← w − lr·v,  g = ∇f(w) + weight_decay·w",
    paper=(
        "Polyak 1964, Some methods of speeding up the convergence of iteration methods; in "
        "the form of Sutskever et al. 2013 with the rate outside v"
    ),
    parameters=(_MOMENTUM_LR, _MOMENTUM, _WEIGHT_DECAY),
    cost=Cost(functions=1, gradients=1, state=1),
    reference=0.01,
    reference_source=_MOMENTUM_REFERENCE,
)

NESTEROV: Final = Optimizer(
    name="nesterov",
    title="Nesterov momentum",
    description=(
        "Gradient descent with Nesterov's momentum, the gradient taken at the looked-ahead point. "
        "Weight decay is coupled: it is added to the gradient."
    ),
    formula=(
        "v ← momentum·v + g,  w ← w − lr·(g + momentum·v),  g = ∇f(w) + weight_decay·w "
        "(w the looked-ahead point)"
    ),
    paper=(
        "Nesterov 1983, A method for solving the convex programming problem with convergence rate "
        "O(1/k²); in the form of Sutskever et al. 2013, eqs. 3 and 4, after a change of variable"
    ),
    parameters=(_MOMENTUM_LR, _MOMENTUM, _WEIGHT_DECAY),
    cost=Cost(functions=1, gradients=1, state=1),
    reference=0.01,
    reference_source=_MOMENTUM_REFERENCE,
)
