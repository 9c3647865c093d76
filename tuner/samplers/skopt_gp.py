"""The Gaussian process of scikit-optimize on the shared axes of `features`.

It knows no pending trials: they are told with the loss that the model expects of them (the kriging
believer of Ginsbourger et al. 2010). It returns numpy scalars and may propose what it has seen;
values are converted here, repeats are replaced by the caller.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from skopt import Optimizer
from skopt.space import Categorical, Real
from skopt.utils import cook_estimator

from tuner.core.space import Params
from tuner.samplers.base import Request, integer_seed
from tuner.samplers.features import Array, Features
from tuner.samplers.options import GpOptions
from tuner.samplers.outcomes import compress, outcomes, relevant

MAX_TRIALS: Final = 150
NOISELESS: Final = 1e-10


def propose(request: Request, options: GpOptions) -> Params:
    """The trial with the highest expected improvement.

    Args:
        request: With at least one result and a single objective; `count` is 1.
        options: Of the sampler.
    """
    features = Features(request.space)
    if not features.names:
        return features.params(np.empty(0), request.fixed)
    learned = relevant(outcomes(request), MAX_TRIALS)
    losses = compress(np.asarray([item.losses[0] for item in learned], dtype=float))
    optimizer = _optimizer(features, request, options)
    with warnings.catch_warnings():
        # Fits that stop at a bound and points seen before are expected and handled.
        warnings.simplefilter("ignore")
        optimizer.tell(_points(features, [item.trial.params for item in learned]), losses.tolist())
        if request.pending:
            waiting = _points(features, list(request.pending))
            believed = optimizer.models[-1].predict(optimizer.space.transform(waiting))
            optimizer.tell(waiting, believed.tolist())
        z = [float(x) for x in optimizer.ask()]
    return features.params(features.unmix(z), request.fixed)


def _optimizer(features: Features, request: Request, options: GpOptions) -> Any:
    dimensions = [
        Categorical(list(range(axis.n_choices)), name=f"{d:05d}")
        if axis.n_choices
        else Real(0.0, 1.0, name=f"{d:05d}")
        for d, axis in enumerate(features.axes)
    ]
    seed = integer_seed(request.seed, request.index, "skopt")
    process = cook_estimator(
        "GP",
        space=dimensions,
        random_state=seed,
        noise=NOISELESS if options.deterministic else "gaussian",
    )
    return Optimizer(
        dimensions,
        base_estimator=process,
        n_initial_points=1,
        acq_func="EI",
        acq_optimizer="auto",
        acq_optimizer_kwargs={"n_points": 2000, "n_restarts_optimizer": 2},
        random_state=seed,
    )


def _points(features: Features, trials: list[Params]) -> list[list[int | float]]:
    """Rows of Z as scikit-optimize takes them: choices as int, numbers within [0, 1]."""
    U, A = features.positions(trials)
    Z: Array = features.matrix(U, A)
    return [
        [
            int(x) if axis.n_choices else min(max(float(x), 0.0), 1.0)
            for axis, x in zip(features.axes, row, strict=True)
        ]
        for row in Z
    ]
