"""Methods that divide by a running size of the gradient: RMSprop, Adagrad, Adadelta."""

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
from tuner.optimizers.sources import CROWDED, HYPAOBP, PYTORCH, RUDER, TRAININGS

_COUPLED: Final = "Weight decay is coupled: it is added to the gradient."
_WEIGHT_DECAY: Final = Parameter(
    name="weight_decay",
    role="weight_decay",
    low=1e-7,
    high=1e-2,
    default=1e-4,
    unset=0.0,
    sizes=NEVER,
    sources={
        "range": "ours: as for sgd; never searched by default",
        "default": "ours: as for sgd",
        "unset": PYTORCH,
    },
)


def _eps(default: float, source: str) -> Parameter:
    return Parameter(
        name="eps",
        role="epsilon",
        low=1e-10,
        high=1e-1,
        default=default,
        sizes=ONLY_LARGE,
        sources={"range": "ours: none published; from the smallest eps in use", "default": source},
    )


RMSPROP: Final = Optimizer(
    name="rmsprop",
    title="RMSprop",
    description=f"Divides the gradient by a running root mean square of it. {_COUPLED}",
    formula="v ← alpha·v + (1−alpha)·g²,  w ← w − lr·g/(√v + eps),  g = ∇f(w) + weight_decay·w",
    paper="Tieleman and Hinton 2012, Neural Networks for Machine Learning, lecture 6.5",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-5,
            high=1e-1,
            default=1e-3,
            prior=decades(1e-3, 1.421),
            sources={
                "range": f"{CROWDED}: LU[1e-4, 1] with the best at 3.7e-4, so moved down tenfold",
                "default": f"{RUDER}, section 4.5",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="alpha",
            role="beta2",
            low=0.5,
            high=0.9999,
            scale="one_minus_log",
            default=0.99,
            prior=flat_width(1e-2, 1e-4, 0.5),
            sizes=FROM_MEDIUM,
            sources={
                "range": "ours: 1 - alpha LU[1e-4, 0.5]; the one published grid spends most trials"
                " near alpha = 0",
                "default": PYTORCH,
                "prior": "centre: the default; width: the range",
            },
        ),
        _eps(1e-8, PYTORCH),
        _WEIGHT_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=1),
    reference=1e-3,
    reference_source=f"{RUDER}, section 4.5; {TRAININGS}: 0.003 and 0.001 to 0.003",
)

ADAGRAD: Final = Optimizer(
    name="adagrad",
    title="Adagrad",
    description=(
        "Divides the gradient by the root of the sum of all its squares, so steps shrink over "
        f"time. {_COUPLED}"
    ),
    formula="v ← v + g², v₀ = initial_accumulator,  w ← w − lr·g/(√v + eps),"
    "  g = ∇f(w) + weight_decay·w",
    paper="Duchi, Hazan and Singer 2011 (JMLR 12), section 1.1, diagonal form",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=1.0,
            default=0.01,
            prior=decades(0.03, 1.204),
            sources={
                "range": f"{CROWDED}: LU[1e-4, 1]",
                "default": f"{RUDER}, section 4.3",
                "prior": f"centre: the reference; width: {HYPAOBP}, 10^N(-2.005, 1.204)",
            },
        ),
        _eps(1e-10, PYTORCH),
        Parameter(
            name="initial_accumulator",
            role="accumulator",
            low=1e-6,
            high=1.0,
            default=0.1,
            unset=0.0,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: none published; about the 0.1 of the default",
                "default": f"TensorFlow default, kept by {CROWDED}",
                "unset": PYTORCH,
            },
        ),
        _WEIGHT_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=1),
    reference=0.03,
    reference_source=f"between {HYPAOBP}: median 9.9e-3, and {TRAININGS}: 0.1 on both",
)

ADADELTA: Final = Optimizer(
    name="adadelta",
    title="Adadelta",
    description=(
        "Scales the gradient by the ratio of running sizes of updates and gradients; the rate "
        f"multiplies that. {_COUPLED}"
    ),
    formula=(
        "v ← rho·v + (1−rho)·g²,  d = √(u + eps)/√(v + eps)·g,  u ← rho·u + (1−rho)·d²,"
        "  w ← w − lr·d,  g = ∇f(w) + weight_decay·w"
    ),
    paper="Zeiler 2012 (arXiv:1212.5701), algorithm 1",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=10.0,
            default=1.0,
            prior=decades(1.0, 1.421),
            sources={
                "range": f"{CROWDED}: LU[1e-4, 1] with the best at its upper edge, so up to 10",
                "default": "Zeiler 2012, algorithm 1, which has no rate: a factor of 1",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        Parameter(
            name="rho",
            role="beta2",
            low=0.5,
            high=0.9999,
            scale="one_minus_log",
            default=0.9,
            prior=flat_width(0.1, 1e-4, 0.5),
            sizes=FROM_MEDIUM,
            sources={
                "range": "ours: as alpha of rmsprop",
                "default": PYTORCH,
                "prior": "centre: the default; width: the range",
            },
        ),
        _eps(1e-6, "Zeiler 2012, section 4.1"),
        _WEIGHT_DECAY,
    ),
    cost=Cost(functions=1, gradients=1, state=2),
    reference=1.0,
    reference_source=f"the method's own factor; {TRAININGS}: 1.8 and 5.6",
)
