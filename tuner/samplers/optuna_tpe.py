"""Optuna's TPE, rebuilt from plain history at each call.

It understands conditions by itself (`group=True`: each branch has its joint density), pruned
trials by their last report, infeasible ones by a constraint, and pending ones by a constant liar.
What it refuses (values that are not finite) arrives as a bad finite value.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tuner.core.parameter import AnyParameter, CategoricalParameter, Scalar
from tuner.core.space import Params
from tuner.samplers.base import Request, integer_seed
from tuner.samplers.encoding import count, decode, encode, fill, index_of, is_even, value_at
from tuner.samplers.options import TpeOptions
from tuner.samplers.outcomes import Outcome, compress_each, outcomes

MAX_LATTICE: Final = 1000
# Studies made for one suggestion are no news.
optuna.logging.set_verbosity(optuna.logging.WARNING)


def propose(request: Request, options: TpeOptions) -> Params:
    """The candidate with the highest ratio of good to bad density.

    Args:
        request: With at least one result; `count` is 1.
        options: Of the sampler.
    """
    study = optuna.create_study(
        sampler=_sampler(request, options), directions=["minimize"] * request.n_objectives
    )
    coded = {
        name: distribution
        for name, parameter in request.space.parameters.items()
        if (distribution := _distribution(parameter)) is not None
    }
    learned = outcomes(request, penalise_infeasible=False)
    values = [list(item.losses) for item in learned]
    if request.n_objectives > 1:
        # Volumes of large losses overflow.
        values = compress_each(np.asarray(values, dtype=float)).tolist()
    study.add_trials(
        [_finished(item, v, request, coded) for item, v in zip(learned, values, strict=True)]
    )
    for params in request.pending:
        chosen, distributions = _coded(params, request, coded)
        study.add_trial(
            create_trial(params=chosen, distributions=distributions, state=TrialState.RUNNING)
        )
    trial = study.ask()

    def choose(name: str, parameter: AnyParameter) -> Scalar:
        if name not in coded:
            return value_at(parameter, 0)
        return _decode(parameter, _suggest(trial, name, coded[name]))

    return fill(request.space, choose, request.fixed)


def _sampler(request: Request, options: TpeOptions) -> TPESampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return TPESampler(
            seed=integer_seed(request.seed, request.index, "tpe"),
            n_startup_trials=1,
            n_ei_candidates=options.n_candidates,
            multivariate=True,
            group=True,
            constant_liar=True,
        )


def _finished(
    item: Outcome, values: list[float], request: Request, coded: dict[str, BaseDistribution]
) -> FrozenTrial:
    params, distributions = _coded(item.trial.params, request, coded)
    if item.trial.state == "pruned" and item.trial.last is not None:
        trial = create_trial(
            state=TrialState.PRUNED,
            params=params,
            distributions=distributions,
            intermediate_values={item.trial.last[0]: values[0]},
        )
    else:
        trial = create_trial(values=values, params=params, distributions=distributions)
    trial.set_constraint("feasible", 0.0 if item.trial.feasible else 1.0)
    return trial


def _coded(
    params: Params, request: Request, coded: dict[str, BaseDistribution]
) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """A trial's values and distributions as Optuna gets them."""
    names = [name for name in params if name in coded]
    values = {name: _encode(request.space[name], params[name]) for name in names}
    return values, {name: coded[name] for name in names}


def _distribution(parameter: AnyParameter) -> BaseDistribution | None:
    """Choices and lattices by index, everything else by its position in scale; None: constant."""
    n = count(parameter)
    if n == 1:
        return None
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(tuple(range(len(parameter.choices))))
    if n is not None and n <= MAX_LATTICE and is_even(parameter):
        return IntDistribution(0, n - 1)
    return FloatDistribution(0.0, 1.0)


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high)
    return trial.suggest_float(name, 0.0, 1.0)


def _is_indexed(parameter: AnyParameter) -> bool:
    return not isinstance(_distribution(parameter), FloatDistribution)


def _encode(parameter: AnyParameter, value: Scalar) -> int | float:
    return index_of(parameter, value) if _is_indexed(parameter) else encode(parameter, value)


def _decode(parameter: AnyParameter, code: Any) -> Scalar:
    return value_at(parameter, int(code)) if _is_indexed(parameter) else decode(parameter, code)
