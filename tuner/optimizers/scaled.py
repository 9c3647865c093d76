"""Methods that set the size of a step by itself: by the weights, by a sign, by a matrix's norm."""

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
from tuner.optimizers.sources import ALGOPERF, CHEN, HYPAOBP, JORDAN, OWN, PYTORCH, YOU

_SHAZEER: Final = "Shazeer and Stern 2018 (arXiv:1804.04235)"
_DECOUPLED: Final = "Weight decay is decoupled"
_COST: Final = Cost(functions=1, gradients=1, state=2)

ADAFACTOR: Final = Optimizer(
    name="adafactor",
    title="Adafactor",
    description=(
        "Keeps row and column means of the squared gradient in place of all of it, and steps "
        "relative to the size of the weights, at most lr and at most 1/√t of it. "
        f"{_DECOUPLED}: the weights shrink by lr·weight_decay in each step."
    ),
    formula=(
        "b = 1 − t^beta2_decay,  r ← b·r + (1−b)·rowmean(g²),  c ← b·c + (1−b)·colmean(g²),"
        "  v = r·cᵀ/mean(r) (vectors: v ← b·v + (1−b)·g²),  u = g/√v,"
        "  a = max(eps, rms(w))·min(lr, 1/√t),  w ← w − lr·weight_decay·w,"
        "  w ← w − a·u/max(1, rms(u)/clip),  g = ∇f(w)"
    ),
    paper=f"{_SHAZEER}, algorithm 4 with relative steps (section 8), without momentum",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-4,
            high=1.0,
            default=1e-2,
            prior=decades(1e-2, 1.421),
            sources={
                "range": f"low: {ALGOPERF}, LU[1e-4, 1e-2]; high: ours, a step as large as w",
                "default": f"{_SHAZEER}, algorithm 6: relative steps of at most 1e-2",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            unset=0.0,
            sources={
                "range": f"{ALGOPERF}: LU[1e-3, 1], widened tenfold downwards",
                "default": PYTORCH,
                "prior": f"as adamw, {HYPAOBP}",
                "unset": f"{_SHAZEER}, which has none",
            },
        ),
        Parameter(
            name="clip",
            role="clip",
            low=1.0,
            high=4.0,
            default=1.0,
            sizes=ONLY_LARGE,
            sources={
                "range": "low: the method's own bound; high: ours, none published",
                "default": f"{_SHAZEER}, algorithm 6",
            },
        ),
        Parameter(
            name="beta2_decay",
            role="beta2_decay",
            low=-1.0,
            high=-0.5,
            scale="linear",
            default=-0.8,
            sizes=NEVER,
            sources={
                "range": "ours: about the default; -1 is a plain mean over all steps",
                "default": f"{_SHAZEER}, algorithm 6",
            },
        ),
        Parameter(
            name="eps",
            role="epsilon",
            low=1e-5,
            high=1e-1,
            default=1e-3,
            sizes=NEVER,
            sources={
                "range": "ours: none published; two decades about the default",
                "default": f"{_SHAZEER}, algorithm 6 (its second eps)",
            },
        ),
    ),
    cost=Cost(
        functions=1,
        gradients=1,
        state=1,
        note="the state of an m×n matrix is m + n floats; only vectors keep as many as they have",
    ),
    reference=1e-2,
    reference_source=f"{OWN}: 0.03 and 0.003",
)

LION: Final = Optimizer(
    name="lion",
    title="Lion",
    description=(
        "Steps by the sign of an interpolated momentum, so every weight moves by lr. "
        f"{_DECOUPLED}: the weights shrink by lr·weight_decay in each step."
    ),
    formula=(
        "c = beta1·m + (1−beta1)·g,  w ← w − lr·(sign(c) + weight_decay·w),"
        "  m ← beta2·m + (1−beta2)·g,  g = ∇f(w)"
    ),
    paper=f"{CHEN}, algorithm 2",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-6,
            high=1e-2,
            default=1e-4,
            prior=decades(3e-4, 1.421),
            sources={
                "range": f"ours: a tenth of adam's, as {CHEN}, section 5, advises 3 to 10 times"
                " less than AdamW",
                "default": f"{CHEN}, the authors' program",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        replace(
            BETA1,
            sources={
                "range": "ours: as adam",
                "default": f"{CHEN}, section 5",
                "prior": f"as adam, {ALGOPERF}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            high=10.0,
            unset=0.0,
            prior=flat_width(1e-1, 1e-4, 1.0),
            default=1e-1,
            sources={
                "range": f"as adamw, up to 10 times more as {CHEN}, section 5, advises",
                "default": f"ours: 10 times adamw's default, as {CHEN}, section 5, advises",
                "prior": f"adamw's, moved up tenfold as {CHEN}, section 5, advises",
                "unset": f"{CHEN}, the authors' program",
            },
        ),
        replace(
            BETA2,
            default=0.99,
            prior=flat_width(1e-2, 1e-4, 0.2),
            sources={
                "range": "ours: as adam",
                "default": f"{CHEN}, section 5",
                "prior": "centre: the default; width: the range",
            },
        ),
    ),
    cost=Cost(functions=1, gradients=1, state=1),
    reference=3e-4,
    reference_source=f"{OWN}: 3e-4 and 0.01, which is flat from 3e-4",
)

LAMB: Final = Optimizer(
    name="lamb",
    title="LAMB",
    description=(
        "Adam's direction, scaled in each tensor to the size of its weights; made for very large "
        f"batches. {_DECOUPLED}: it is added to the direction before the scaling."
    ),
    formula=(
        "m ← beta1·m + (1−beta1)·g,  v ← beta2·v + (1−beta2)·g²,  m̂ = m/(1−beta1ᵗ),"
        "  v̂ = v/(1−beta2ᵗ),  r = m̂/(√v̂ + eps) + weight_decay·w,"
        "  w ← w − lr·r·‖w‖/‖r‖ (a factor of 1 where a norm is 0),  g = ∇f(w)"
    ),
    paper=f"{YOU}, algorithm 2",
    parameters=(
        replace(
            LR,
            high=1.0,
            prior=decades(3e-3, 1.421),
            sources={
                "range": f"low: {ALGOPERF}, LU[1e-4, 1e-2], widened tenfold; high: ours, a step"
                " as large as w",
                "default": "ours: that of adam; the paper scales its rates with the batch",
                "prior": f"centre: the reference; width: that of adam, {HYPAOBP}",
            },
        ),
        replace(
            BETA1,
            sources={
                "range": f"{ALGOPERF}: 1 - beta1 LU[5e-2, 0.3], widened to adam's",
                "default": f"{YOU}, section 4",
                "prior": f"as adam, {ALGOPERF}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            low=1e-3,
            sources={
                "range": f"{ALGOPERF}: LU[1e-3, 1]",
                "default": f"{YOU}, section 4",
                "prior": f"as adamw, {HYPAOBP}",
            },
        ),
        replace(
            EPS,
            default=1e-6,
            sources={"range": "ours: as adam", "default": f"{YOU}, section 4"},
        ),
        BETA2,
    ),
    cost=_COST,
    reference=3e-3,
    reference_source=f"{OWN}: 0.003 on both",
)

MUON: Final = Optimizer(
    name="muon",
    title="Muon",
    description=(
        "Momentum made orthogonal, for hidden matrices and convolution kernels; biases, norms, "
        "embeddings, the first and the last matrix get AdamW at adamw_lr (a net without hidden "
        "matrices gives Muon the first one too, then the only one). Weight decay is decoupled, "
        "in both."
    ),
    formula=(
        "B ← momentum·B + (1−momentum)·G,  C = momentum·B + (1−momentum)·G,"
        "  X = C/‖C‖ then ns_steps times X ← 3.4445·X − 4.775·XXᵀX + 2.0315·(XXᵀ)²X,"
        "  W ← W − lr·weight_decay·W,  W ← W − lr·√max(1, rows/columns)·X,  G = ∇f(W)"
    ),
    paper=f"{JORDAN}; torch.optim.Muon rounds to bfloat16 and takes no kernels, so it is our own",
    parameters=(
        Parameter(
            name="lr",
            role=LEARNING_RATE,
            low=1e-3,
            high=0.5,
            default=0.02,
            prior=decades(2e-2, 1.0),
            sources={
                "range": "ours: none published; about the default",
                "default": JORDAN,
                "prior": "ours: centre: the reference; width: a decade",
            },
        ),
        Parameter(
            name="adamw_lr",
            role="adamw_learning_rate",
            low=1e-5,
            high=1e-1,
            default=3e-4,
            prior=decades(2e-3, 1.421),
            sizes=FROM_MEDIUM,
            sources={
                "range": f"as adamw, {ALGOPERF}, widened",
                "default": JORDAN,
                "prior": f"that of adamw, {HYPAOBP}",
            },
        ),
        replace(
            DECOUPLED_DECAY,
            unset=0.0,
            sizes=ONLY_LARGE,
            sources={
                "range": "ours: as adamw",
                "default": f"{JORDAN}, its example",
                "prior": f"as adamw, {HYPAOBP}",
                "unset": f"{JORDAN}, its program",
            },
        ),
        Parameter(
            name="momentum",
            role="momentum",
            low=0.5,
            high=0.99,
            scale="one_minus_log",
            default=0.95,
            sizes=ONLY_LARGE,
            sources={"range": "ours: none published; as beta1 of adam", "default": JORDAN},
        ),
        Parameter(
            name="ns_steps",
            role="iterations",
            type="int",
            low=1,
            high=10,
            scale="linear",
            default=5,
            sizes=NEVER,
            sources={"range": "ours: up to twice the default", "default": JORDAN},
        ),
    ),
    cost=Cost(
        functions=1,
        gradients=1,
        state=1,
        note="of hidden matrices, and 2 of what AdamW has; a step multiplies each matrix 15 times",
    ),
    reference=2e-2,
    reference_source=f"{JORDAN}; {OWN}: 0.01, and flat from 0.001 to 0.3 (adamw_lr 0.002)",
)
