"""The Gaussian process of Optuna, asked about legal trials only.

Optuna fits the process and gives the acquisition function (log expected improvement; with pending
trials its batch form, with several objectives hypervolume improvement). Where that function is
high is searched here: among settings that exist. Its own search would move along axes that are
inactive, find much "uncertainty" there, and spend most of its time on gradients (14 axes, 60 asks:
about a second each).
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import GPSampler
from optuna.trial import TrialState, create_trial

from tuner.core.space import Params
from tuner.samplers.base import Request, generator, integer_seed
from tuner.samplers.features import Array, Features
from tuner.samplers.options import GpOptions
from tuner.samplers.outcomes import compress_each, outcomes, relevant

MAX_TRIALS: Final = 300
N_SPREAD: Final = 600
N_STARTS: Final = 8
N_MOVES: Final = 32
# Studies made for one suggestion are no news.
optuna.logging.set_verbosity(optuna.logging.WARNING)
WIDTHS: Final = (0.25, 0.12, 0.06, 0.03, 0.015, 0.007)


def propose(request: Request, options: GpOptions) -> Params:
    """The legal trial with the highest acquisition value.

    Args:
        request: With at least one result; `count` is 1.
        options: Of the sampler.
    """
    features = Features(request.space)
    learned = relevant(outcomes(request), MAX_TRIALS)
    if not features.names:
        return features.params(np.empty(0), request.fixed)
    search = _Search(request, features, options)
    study = optuna.create_study(sampler=search, directions=["minimize"] * request.n_objectives)
    distributions = _distributions(features)
    U, A = features.positions([item.trial.params for item in learned])
    losses = np.asarray([item.losses for item in learned], dtype=float)
    warped = compress_each(losses)
    search.incumbents = U[np.argsort(warped.sum(axis=1), kind="stable")[:N_STARTS]]
    study.add_trials(
        [
            create_trial(params=_named(z), distributions=distributions, values=list(values))
            for z, values in zip(features.matrix(U, A), warped.tolist(), strict=True)
        ]
    )
    U, A = features.positions(request.pending)
    for z in features.matrix(U, A):
        study.add_trial(
            create_trial(params=_named(z), distributions=distributions, state=TrialState.RUNNING)
        )
    study.ask(fixed_distributions=distributions)
    return features.params(search.chosen, request.fixed)


class _Search(GPSampler):
    """Optuna's sampler with the acquisition function maximised over legal trials.

    `_optimize_acqf` is the method that Optuna leaves to be overridden.
    """

    def __init__(self, request: Request, features: Features, options: GpOptions) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(
                seed=integer_seed(request.seed, request.index, "gp"),
                n_startup_trials=1,
                deterministic_objective=options.deterministic,
                warn_independent_sampling=False,
            )
        self._random = generator(request.seed, request.index, "gp search")
        self._features = features
        self._fixed = request.fixed
        self.incumbents: Array = np.empty((0, len(features.names)))
        self.chosen: Array = np.empty(0)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return _distributions(self._features)

    def _optimize_acqf(self, acqf: Any, best_params: NDArray[Any] | None) -> NDArray[Any]:
        del best_params
        n = len(self._features.names)
        spread = self._random.random((N_SPREAD, n))
        U, values = self._evaluate(acqf, np.vstack([spread, self.incumbents]))
        for width in WIDTHS:
            starts = np.vstack(
                [U[np.argsort(-values, kind="stable")[:N_STARTS]], self.incumbents[:2]]
            )
            moved, found = self._evaluate(acqf, self._moves(starts, width))
            U, values = np.vstack([U, moved]), np.concatenate([values, found])
        self.chosen = U[int(np.argmax(values))]
        settled, A = self._features.settle(self.chosen[None], self._fixed)
        best: NDArray[Any] = self._features.matrix(settled, A)[0]
        return best

    def _evaluate(self, acqf: Any, U: Array) -> tuple[Array, Array]:
        U, A = self._features.settle(U, self._fixed)
        return U, np.asarray(acqf.eval_acqf_no_grad(self._features.matrix(U, A)), dtype=float)

    def _moves(self, starts: Array, width: float) -> Array:
        """Copies of the starts with some positions moved, and now and then drawn anew."""
        U = np.repeat(starts, N_MOVES, axis=0)
        which = self._random.random(U.shape) < self._random.random((len(U), 1))
        U = np.where(which, U + width * self._random.standard_normal(U.shape), U)
        anew = self._random.random(U.shape) < 0.5 / U.shape[1]
        return np.where(anew, self._random.random(U.shape), U)


def _distributions(features: Features) -> dict[str, BaseDistribution]:
    return {
        f"{d:05d}": CategoricalDistribution(tuple(range(axis.n_choices)))
        if axis.n_choices
        else FloatDistribution(0.0, 1.0)
        for d, axis in enumerate(features.axes)
    }


def _named(z: Array) -> dict[str, Any]:
    return {f"{d:05d}": x for d, x in enumerate(z.tolist())}
