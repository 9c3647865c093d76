"""Optimizers of the registry as torch optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch

from tuner.core.names import MISSING, OPTIMIZER, resolve
from tuner.errors import Invalid
from tuner.optimizers.registry import get, names

Weights = Iterable[torch.nn.Parameter]
Values = Mapping[str, Any]
Builder = Callable[[Weights, Values], torch.optim.Optimizer]


def build_optimizer(model: torch.nn.Module, params: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The optimizer that a trial has chosen, over all weights of `model`.

    Each hyperparameter is the trial's parameter of that name, else `<optimizer>.<name>` of the
    active optimizer, else the registry's default.

    Args:
        model: The model to train.
        params: The trial's parameters, `optimizer` among them.

    Raises:
        Invalid: If `params` has no `optimizer`.
        UnknownName: If the optimizer does not exist.
    """
    if OPTIMIZER not in params:
        raise Invalid.at(
            OPTIMIZER,
            "is missing from the trial's parameters.",
            allowed=names(),
            hint='Add `optimizers: ["adam"]` to the space, or {"optimizer": "adam"} here.',
        )
    entry = get(params[OPTIMIZER])
    values: dict[str, Any] = {}
    for parameter in entry.parameters:
        value = resolve(params, parameter.name)
        values[parameter.name] = parameter.otherwise if value is MISSING else value
    return BUILDERS[entry.name](model.parameters(), values)


def _sgd(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.SGD(weights, lr=v["lr"], weight_decay=v["weight_decay"])


def _momentum(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        weights, lr=v["lr"], momentum=v["momentum"], weight_decay=v["weight_decay"]
    )


def _nesterov(weights: Weights, v: Values) -> torch.optim.Optimizer:
    # torch refuses the flag at momentum 0, where both forms are plain gradient descent.
    return torch.optim.SGD(
        weights,
        lr=v["lr"],
        momentum=v["momentum"],
        weight_decay=v["weight_decay"],
        nesterov=v["momentum"] > 0,
    )


def _adam(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        weight_decay=v["weight_decay"],
    )


def _adamw(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        weight_decay=v["weight_decay"],
    )


def _rmsprop(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        weights, lr=v["lr"], alpha=v["alpha"], eps=v["eps"], weight_decay=v["weight_decay"]
    )


def _adagrad(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.Adagrad(
        weights,
        lr=v["lr"],
        eps=v["eps"],
        initial_accumulator_value=v["initial_accumulator"],
        weight_decay=v["weight_decay"],
    )


def _adadelta(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return torch.optim.Adadelta(
        weights, lr=v["lr"], rho=v["rho"], eps=v["eps"], weight_decay=v["weight_decay"]
    )


BUILDERS: Final[dict[str, Builder]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "adam": _adam,
    "adamw": _adamw,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
}
