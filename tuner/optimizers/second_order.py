"""Methods that use curvature: L-BFGS, Newton with conjugate gradients, AdaHessian."""

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
)
from tuner.optimizers.sources import HYPAOBP, MARTENS, NOCEDAL, OWN, PYTORCH, YAO

_L2: Final = "Weight decay is coupled: ‖w‖²·weight_decay/2 is added to the loss."
_UNIT_RATE: Final = Parameter(
    name="lr",
    role=LEARNING_RATE,
    low=1e-2,
    high=1.0,
    default=1.0,
    sizes=NEVER,
    sources={
        "range": "ours: none published; the line search finds the length from here",
        "default": f"{NOCEDAL}, section 3.5: the natural step length is 1",
    },
)
_WEIGHT_DECAY: Final = Parameter(
    name="weight_decay",
    role="weight_decay",
    low=1e-8,
    high=1e-2,
    default=1e-4,
    unset=0.0,
    sizes=EVERY,
    sources={
        "range": "ours: none published",
        "default": "ours: as for sgd",
        "unset": "no weight decay, as the method is defined",
    },
)

LBFGS: Final = Optimizer(
    name="lbfgs",
    title="L-BFGS with strong Wolfe line search",
    description=(
        "Quasi-Newton: the curvature comes from the last steps and gradients. Meant for the whole "
        f"training set; a step is up to max_iter iterations. {_L2}"
    ),
    formula=(
        "s = wₖ − wₖ₋₁,  y = gₖ − gₖ₋₁,  H = (I − s·yᵀ/yᵀs)·H·(I − y·sᵀ/yᵀs) + s·sᵀ/yᵀs over the"
        " last `history` pairs from H₀ = (yᵀs/yᵀy)·I,  w ← w − a·H·g,  a by strong Wolfe from lr,"
        "  g = ∇f(w) + weight_decay·w"
    ),
    paper=f"{NOCEDAL}, algorithms 7.4, 7.5 and 3.5",
    parameters=(
        _UNIT_RATE,
        _WEIGHT_DECAY,
        Parameter(
            name="history",
            role="history",
            type="int",
            low=3,
            high=100,
            default=10,
            sizes=FROM_MEDIUM,
            sources={
                "range": f"low: {NOCEDAL}, section 7.2: 3 to 20 pairs; high: {PYTORCH}",
                "default": "ours: within 3 to 20",
            },
        ),
        Parameter(
            name="max_iter",
            role="iterations",
            type="int",
            low=1,
            high=50,
            default=20,
            sizes=ONLY_LARGE,
            sources={"range": "ours: none published; about the default", "default": PYTORCH},
        ),
    ),
    cost=Cost(
        functions=40,
        gradients=40,
        state=20,
        note="about 2·max_iter evaluations, at most 25·max_iter; the state is 2·history",
    ),
    reference=1.0,
    reference_source=f"{NOCEDAL}, section 3.5",
    batch="large",
    whole_model=True,
)

NEWTON_CG: Final = Optimizer(
    name="newton_cg",
    title="Damped Newton with conjugate gradients",
    description=(
        "Solves the damped Newton equation by conjugate gradients on Hessian-vector products, "
        "stops at negative curvature, then halves the step until the loss falls; the damping "
        f"follows the fit of the quadratic model. Meant for the whole training set. {_L2}"
    ),
    formula=(
        "(H + damping·I)·d = −g by at most cg_steps conjugate gradients,  w ← w + a·d,"
        "  a = lr, lr/2, … until f(w + a·d) ≤ f(w) + 1e-4·a·gᵀd,  ratio = fall of f / fall of the"
        " model,  damping ← 2/3·damping if ratio > 3/4, 3/2·damping if ratio < 1/4,"
        "  g = ∇f(w) + weight_decay·w,  H = ∇²f(w) + weight_decay·I"
    ),
    paper=f"{NOCEDAL}, algorithm 7.1; damping as in {MARTENS}, section 4.1",
    parameters=(
        _UNIT_RATE,
        Parameter(
            name="damping",
            role="damping",
            low=1e-6,
            high=1e4,
            default=10.0,
            prior=decades(30.0, 1.5),
            sources={
                "range": "ours: none published; from nearly Newton to nearly gradient descent",
                "default": f"{OWN} by validation: 100, and flat from 10 up",
                "prior": "ours: from 1 to 1000",
            },
        ),
        replace(_WEIGHT_DECAY, sizes=FROM_MEDIUM),
        Parameter(
            name="cg_steps",
            role="iterations",
            type="int",
            low=5,
            high=250,
            default=250,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: none published",
                "default": "ours: reaches 1e-10 at condition 100 in any dimension",
            },
        ),
        Parameter(
            name="cg_tolerance",
            role="tolerance",
            low=1e-12,
            high=0.5,
            default=1e-12,
            sizes=NEVER,
            sources={
                "range": f"high: {NOCEDAL}, algorithm 7.1; low: ours, exact in float64",
                "default": "ours: as exact as the floats are; then cg_steps bounds the work",
            },
        ),
    ),
    cost=Cost(
        functions=2,
        gradients=1,
        state=0,
        products=250,
        note="products at most, cg_steps; one more function for each halving;"
        " five vectors are held during the step",
    ),
    reference=1.0,
    reference_source=f"{NOCEDAL}, section 3.5",
    batch="large",
    whole_model=True,
)

ADAHESSIAN: Final = Optimizer(
    name="adahessian",
    title="AdaHessian",
    description=(
        "Adam with an estimate of the Hessian's diagonal in place of the gradient in the second "
        "moment. Weight decay is decoupled: the weights shrink by lr·weight_decay in each step."
    ),
    formula=(
        "z = ±1 at random,  D = |z·∇²f(w)z|, its mean over each convolution kernel,"
        "  m ← beta1·m + (1−beta1)·g,  v ← beta2·v + (1−beta2)·D²,  m̂ = m/(1−beta1ᵗ),"
        "  v̂ = v/(1−beta2ᵗ),  w ← w − lr·(m̂/(√v̂^power + eps) + weight_decay·w),  g = ∇f(w)"
    ),
    paper=f"{YAO}, algorithm 1; D taken absolute as in the authors' program",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-3,
            high=1.0,
            default=0.15,
            prior=decades(0.03, 1.0),
            sources={
                "range": "ours: none published; about the default",
                "default": f"{YAO}: 0.15 on images, and the authors' program",
                "prior": "ours: centre: the reference; width: a decade",
            },
        ),
        replace(
            BETA1,
            sources={
                "range": "ours: as adam",
                "default": f"{YAO}, the authors' program",
                "prior": "as adam",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            default=5e-4,
            unset=0.0,
            sources={
                "range": "ours: as adamw",
                "default": f"{YAO}: 5e-4 on images",
                "prior": f"as adamw, {HYPAOBP}",
                "unset": f"{YAO}, the authors' program",
            },
        ),
        replace(
            EPS,
            default=1e-4,
            sources={"range": "ours: as adam", "default": f"{YAO}, the authors' program"},
        ),
        replace(
            BETA2,
            sources={
                "range": "ours: as adam",
                "default": f"{YAO}, the authors' program",
                "prior": "as adam",
            },
        ),
        Parameter(
            name="power",
            role="power",
            low=0.0,
            high=1.0,
            scale="linear",
            default=1.0,
            sizes=NEVER,
            sources={"range": f"{YAO}, algorithm 1", "default": f"{YAO}, the authors' program"},
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=2, products=1),
    reference=0.03,
    reference_source=f"{OWN}: 0.1 and 0.01",
)
