"""From a study file to what is stored: checked, written out, the shorthand expanded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tuner.core import command
from tuner.core.compare import share
from tuner.core.model import join
from tuner.core.names import OPTIMIZER, nearest
from tuner.core.overrides import merge
from tuner.core.ranking import Direction
from tuner.core.space import Space, dump_parameter
from tuner.core.space_spec import is_short
from tuner.core.study import Named, StudySpec, as_given
from tuner.core.wire import loads
from tuner.errors import Invalid, InvalidMetric, InvalidSpace
from tuner.optimizers import registry as optimizers
from tuner.optimizers.check import cautions, check_precision, check_ranges, check_splits
from tuner.optimizers.expand import expand, size_for
from tuner.optimizers.extras import needed
from tuner.pruners import registry as pruners
from tuner.pruners.base import Pruner
from tuner.samplers import registry as samplers
from tuner.samplers.base import Sampler
from tuner.tasks import check as tasks
from tuner.tasks.combinations import training_rows
from tuner.tasks.layers import check_layers


@dataclass(frozen=True)
class Definition:
    """A study as it is stored: its specification, expanded space and the sampler's size.

    `warnings` are not stored: what may be trained, but hardly is what was meant.
    """

    spec: StudySpec
    space: Space
    size: int | None
    warnings: tuple[str, ...] = ()


def define(data: Any) -> Definition:
    """Check a study completely and write it out.

    Args:
        data: The study file's mapping, short forms allowed.

    Raises:
        Invalid: With the path to the mistake, what was found, what is allowed, the nearest name.
    """
    try:
        return _define(data)
    except Invalid as error:
        if not isinstance(data, Mapping) or not is_short(data.get("space")):
            raise
        raise as_given(error, "space.parameters.", "space.") from None


def _define(data: Any) -> Definition:
    spec = StudySpec.read(data)
    if spec.compare is not None:
        _check_comparison(spec)
    space = expanded_space(spec)
    sampler_spec = samplers.read(spec.sampler)
    sampler = samplers.build(_with_branches(spec, sampler_spec))
    sampler.check(space, len(spec.objectives), spec.budget.trials)
    pruner_spec = pruners.read(spec.pruner)
    spec = spec.model_copy(
        update={
            "sampler": Named.model_validate(sampler_spec),
            "pruner": Named.model_validate(pruner_spec),
        }
    )
    _check_pruner(spec)
    warnings = _check_trial(spec, space)
    size = size_of(spec) if spec.compare else sampler.size(space)
    return Definition(spec, space, size, tuple(warnings))


def size_of(spec: StudySpec) -> int | None:
    """How many suggestions a comparison takes; None while only its seconds bound it."""
    if spec.compare is None or spec.compare.trials is None:
        return None
    return len(spec.compared) * spec.compare.trials


def expanded_space(spec: StudySpec) -> Space:
    """The space with the optimizer shorthand expanded and the study's own entries laid over."""
    choice = spec.space.optimizers
    made: dict[str, dict[str, Any]] = {}
    if choice is not None:
        trials, share = spec.budget.trials, len(choice.names)
        if spec.compare is not None:
            # what each is tuned with; the confirmation searches nothing
            trials, share = spec.compare.trials, 1
        size = choice.size or size_for(trials, share)
        made = expand(list(choice.names), size)
    return merge(made, spec.space.parameters)


def _check_comparison(spec: StudySpec) -> None:
    """Refuse a comparison that would not treat its optimizers alike."""
    names = spec.compared
    own = spec.space.parameters.get(OPTIMIZER, {})
    kind, choices = own.get("type", "categorical"), own.get("choices", list(names))
    if kind != "categorical" or list(choices) != list(names):
        raise InvalidSpace.at(
            join("space.parameters", OPTIMIZER),
            f"must have exactly the compared optimizers as choices, in order: {', '.join(names)}.",
            found=list(choices) if kind == "categorical" else kind,
            allowed=list(names),
        )
    if spec.sampler.name == "grid":
        raise Invalid.at(
            "sampler.name",
            "a grid has a number of points of its own in each branch, so it gives no equal"
            " budgets; take gp, tpe, qmc or random.",
            found="grid",
            allowed=[name for name in samplers.names() if name != "grid"],
        )
    needed = None if spec.compare is None else spec.compare.numbers(len(names))
    given = spec.budget.trials
    if spec.compare is not None and needed is None and given is not None:
        share(given, len(names), spec.compare.seeds)
    if needed is not None and given is not None and given < needed:
        raise Invalid.at(
            "budget.trials",
            f"found {given}, but the comparison takes {needed} trials; leave it out, or lower"
            " compare.trials or compare.seeds.",
            found=given,
            allowed=f"at least {needed}",
        )


def _check_pruner(spec: StudySpec) -> None:
    metric = spec.pruner.options.get("metric")
    if metric is not None and metric not in spec.metrics:
        near = nearest(metric, spec.metrics)
        raise InvalidMetric.at(
            "pruner.metric",
            f"{metric!r} is not an objective of the study ({', '.join(spec.metrics)}).",
            found=metric,
            allowed=list(spec.metrics),
            nearest=near,
        )


def _check_trial(spec: StudySpec, space: Space) -> list[str]:
    """Refuse what no trial could run; what there is to warn of."""
    trial = spec.trial
    if spec.space.optimizers is not None and (trial is None or trial.task is None):
        # a task checks more: it knows every name that it reads
        tasks.check_dotted(space.parameters, optimizers.parameter_names())
    if trial is None:
        return []
    if trial.command is not None:
        command.check(trial.command, space)
    if trial.task is not None:
        parameters = {name: dump_parameter(item) for name, item in space.parameters.items()}
        task = tasks.check_study(trial.task, parameters, optimizers.parameter_names())
        chosen = tasks.chosen_optimizers(task, parameters)
        groups = task.get("groups", [])
        check_ranges(parameters, [*chosen, *tasks.own_optimizers(groups)])
        check_splits(task, groups, chosen, parameters=parameters)
        own = tasks.own_optimizers(groups)
        check_precision(task, parameters, chosen, own, trial.resources.gpus)
        # A metric that the task never reports would make every trial fail at its end.
        for i, objective in enumerate(spec.objectives):
            path = join("objectives", i, "metric")
            tasks.check_metric(objective.metric, task, path, parameters)
        for i, bound in enumerate(spec.constraints):
            path = join("constraints", i, "metric")
            tasks.check_metric(bound.metric, task, path, parameters, sometimes=True)
        said = check_layers(task, parameters)
        return said + cautions(task, parameters, chosen, training_rows(task, parameters))
    return []


# What never changes of a study may be cached; budget and tags are in `spec_of`'s key.
@lru_cache(maxsize=256)
def spec_of(text: str) -> StudySpec:
    """The specification stored in a study's `spec` column."""
    return StudySpec.read(loads(text))


@lru_cache(maxsize=256)
def space_of(text: str) -> Space:
    """The space stored in a study's `expanded` column."""
    return Space.parse(loads(text)["parameters"])


@lru_cache(maxsize=256)
def extras_of(text: str, expanded: str) -> dict[str, list[str]]:
    """The extras that a worker needs for a study's built-in task, each with its optimizers.

    Args:
        text: The study's `spec` column.
        expanded: Its `expanded` column.
    """
    trial = spec_of(text).trial
    if trial is None or trial.task is None:
        return {}
    space = space_of(expanded)
    parameters = {name: dump_parameter(item) for name, item in space.parameters.items()}
    own = tasks.own_optimizers(trial.task.get("groups", []))
    return needed([*tasks.chosen_optimizers(trial.task, parameters), *own])


@lru_cache(maxsize=256)
def sampler_of(text: str) -> Sampler:
    """The sampler of a study's `spec` column (history-free ones compute in the server)."""
    return samplers.build(sampler_spec(text))


@lru_cache(maxsize=256)
def pruner_of(text: str) -> Pruner | None:
    """The pruner of a study's `spec` column, None for `none`."""
    spec = spec_of(text)
    if spec.pruner.name == "none":
        return None
    seed = int(spec.sampler.options.get("seed", 0))
    return pruners.build({"name": spec.pruner.name, **spec.pruner.options}, seed)


def sampler_spec(text: str) -> dict[str, Any]:
    """The sampler with its options as plain data."""
    spec = spec_of(text)
    return _with_branches(spec, {"name": spec.sampler.name, **spec.sampler.options})


def _with_branches(spec: StudySpec, sampler: dict[str, Any]) -> dict[str, Any]:
    """In a comparison every optimizer is searched on its own."""
    return sampler if spec.compare is None else {**sampler, samplers.EACH: OPTIMIZER}


def pruned_metric(spec: StudySpec) -> tuple[str, Direction]:
    """The metric that the pruner watches and its direction."""
    metric = spec.pruner.options.get("metric") or spec.objectives[0].metric
    return next((o.metric, o.direction) for o in spec.objectives if o.metric == metric)
