"""Optimizers of the registry as torch optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch

from tuner.core.names import OPTIMIZER
from tuner.errors import Invalid
from tuner.optimizers import extras
from tuner.optimizers.registry import get, names, parameter_names
from tuner.tasks.parameters import check_dotted
from tuner.tasks.values import read_value
from tuner.training.builders import BUILDERS
from tuner.training.groups import Assigned, assign, values_of
from tuner.training.mixed import combine

_SPLITS: Final = "muon"


def build_optimizer(
    model: torch.nn.Module,
    params: Mapping[str, Any],
    groups: Sequence[Mapping[str, Any]] = (),
) -> torch.optim.Optimizer:
    """The optimizer that a trial has chosen, over all weights of `model`.

    Each hyperparameter is the trial's parameter of that name, else `<optimizer>.<name>` of the
    active optimizer, else the registry's default. Two more are read in the same way:
    `layer_decay`, a factor on the learning rate for each layer below the last, and `decay_on`,
    `all` or `weights` (no weight decay on biases and norms).

    An optimizer that evaluates the loss more than once a step (L-BFGS, Newton-CG, SAM) or
    differentiates the gradient (AdaHessian) is stepped by `tuner.training.take_step`, which steps
    every other one too.

    Args:
        model: The model to train.
        params: The trial's parameters, `optimizer` among them.
        groups: Layers with an optimizer, learning rate or decay of their own, as in a task: see
            `tuner.tasks.groups`. Weights that no group takes get the chosen optimizer.

    Raises:
        TypeError: If `model` is no module, as `model.parameters()` is not.
        Invalid: If `params` has no `optimizer`, a value is not allowed, a group takes no layer,
            or the optimizers cannot be combined.
        NotAvailable: If an optimizer's extra is not installed; it names the command.
        UnknownName: If an optimizer, or a key of a group, does not exist, or a parameter
            `<optimizer>.<name>` is another optimizer's or misspelt.
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(
            f"build_optimizer takes the model itself, not {type(model).__name__}: write"
            " build_optimizer(model, trial.params)."
        )
    if OPTIMIZER not in params:
        raise Invalid.at(
            OPTIMIZER,
            "is missing from the trial's parameters.",
            allowed=names(),
            hint='Add `optimizers: ["adam"]` to the space, or {"optimizer": "adam"} here.',
        )
    entry = get(params[OPTIMIZER])
    check_dotted(params, parameter_names(), path="")
    layer_decay, decay_on = (read_value(params, name) for name in ("layer_decay", "decay_on"))
    if not groups and layer_decay == 1 and decay_on == "all" and entry.name != _SPLITS:
        # Without groups torch gets the weights as they are.
        return _build(Assigned(entry.name, values_of(entry.name, params), model.parameters()))
    parts = assign(model, params, groups, layer_decay=layer_decay, decay_on=decay_on)
    if entry.name == _SPLITS and not groups and all(p.optimizer != _SPLITS for p in parts):
        raise Invalid.at(
            OPTIMIZER, "muon works on matrices, and this model has none; take adamw.", found="muon"
        )
    return combine([(part.optimizer, _build(part)) for part in parts])


def _build(part: Assigned) -> torch.optim.Optimizer:
    extras.require([part.optimizer])
    for parameter in get(part.optimizer).parameters:
        value = part.values[parameter.name]
        problem = parameter.problem(value)
        if problem is not None:
            raise Invalid.at(
                f"{part.optimizer}.{parameter.name}",
                f"found {value!r}, {problem}.",
                found=repr(value),
            )
    try:
        return BUILDERS[part.optimizer](part.weights, part.values)
    except ValueError as error:
        raise Invalid.at(part.optimizer, f"{error}.", found=repr(part.values)[:200]) from error
