"""How each entry of the registry becomes a torch optimizer."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import optim

from tuner.optimizers.registry import ENTRIES
from tuner.training.methods.adahessian import AdaHessian
from tuner.training.methods.first_order import Lamb, Lion, PlainAdam
from tuner.training.methods.lbfgs import LBFGS
from tuner.training.methods.muon import Muon
from tuner.training.methods.newton_cg import NewtonCG
from tuner.training.methods.sam import sharpness_aware

Weights = Iterable[torch.nn.Parameter]
Values = Mapping[str, Any]
Builder = Callable[[Weights, Values], optim.Optimizer]


def _adam_like(v: Values) -> dict[str, Any]:
    return {
        "lr": v["lr"],
        "betas": (v["beta1"], v["beta2"]),
        "eps": v["eps"],
        "weight_decay": v["weight_decay"],
    }


def _sgd(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.SGD(weights, lr=v["lr"], weight_decay=v["weight_decay"])


def _momentum(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.SGD(weights, lr=v["lr"], momentum=v["momentum"], weight_decay=v["weight_decay"])


def _nesterov(weights: Weights, v: Values) -> optim.Optimizer:
    # torch refuses the flag at momentum 0, where both forms are plain gradient descent.
    return optim.SGD(
        weights,
        lr=v["lr"],
        momentum=v["momentum"],
        weight_decay=v["weight_decay"],
        nesterov=v["momentum"] > 0,
    )


def _adam(weights: Weights, v: Values) -> optim.Optimizer:
    kind = optim.Adam if v["bias_correction"] else PlainAdam
    return kind(weights, **_adam_like(v))


def _rmsprop(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.RMSprop(
        weights, lr=v["lr"], alpha=v["alpha"], eps=v["eps"], weight_decay=v["weight_decay"]
    )


def _adagrad(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.Adagrad(
        weights,
        lr=v["lr"],
        eps=v["eps"],
        initial_accumulator_value=v["initial_accumulator"],
        weight_decay=v["weight_decay"],
    )


def _adadelta(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.Adadelta(
        weights, lr=v["lr"], rho=v["rho"], eps=v["eps"], weight_decay=v["weight_decay"]
    )


def _nadam(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.NAdam(weights, momentum_decay=v["momentum_decay"], **_adam_like(v))


def _nadamw(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.NAdam(
        weights,
        momentum_decay=v["momentum_decay"],
        decoupled_weight_decay=True,
        **_adam_like(v),
    )


def _adafactor(weights: Weights, v: Values) -> optim.Optimizer:
    return optim.Adafactor(
        weights,
        lr=v["lr"],
        beta2_decay=v["beta2_decay"],
        eps=(None, v["eps"]),
        d=v["clip"],
        weight_decay=v["weight_decay"],
    )


def _lion(weights: Weights, v: Values) -> optim.Optimizer:
    return Lion(
        weights, lr=v["lr"], betas=(v["beta1"], v["beta2"]), weight_decay=v["weight_decay"]
    )


def _muon(weights: Weights, v: Values) -> optim.Optimizer:
    return Muon(
        weights,
        lr=v["lr"],
        momentum=v["momentum"],
        weight_decay=v["weight_decay"],
        ns_steps=v["ns_steps"],
    )


def _sam(weights: Weights, v: Values) -> optim.Optimizer:
    return sharpness_aware(optim.SGD)(
        weights,
        lr=v["lr"],
        momentum=v["momentum"],
        weight_decay=v["weight_decay"],
        rho=v["rho"],
    )


def _lbfgs(weights: Weights, v: Values) -> optim.Optimizer:
    return LBFGS(
        weights,
        lr=v["lr"],
        history=v["history"],
        max_iter=v["max_iter"],
        weight_decay=v["weight_decay"],
    )


def _borrowed(name: str) -> Builder:
    """The builder of an optimizer that comes with an extra, imported when it is used."""

    def build(weights: Weights, v: Values) -> optim.Optimizer:
        module = importlib.import_module("tuner.training.borrowed")
        made: optim.Optimizer = module.BUILDERS[name](weights, v)
        return made

    return build


BUILDERS: Final[dict[str, Builder]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "nesterov": _nesterov,
    "adam": _adam,
    "adamw": lambda weights, v: optim.AdamW(weights, **_adam_like(v)),
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "gd": _sgd,
    "nadam": _nadam,
    "nadamw": _nadamw,
    "radam": lambda weights, v: optim.RAdam(weights, **_adam_like(v)),
    "amsgrad": lambda weights, v: optim.Adam(weights, amsgrad=True, **_adam_like(v)),
    "adamax": lambda weights, v: optim.Adamax(weights, **_adam_like(v)),
    "adafactor": _adafactor,
    "lion": _lion,
    "lamb": lambda weights, v: Lamb(weights, **_adam_like(v)),
    "muon": _muon,
    "sam": _sam,
    "sam_adamw": lambda weights, v: sharpness_aware(optim.AdamW)(
        weights, rho=v["rho"], **_adam_like(v)
    ),
    "lbfgs": _lbfgs,
    "newton_cg": lambda weights, v: NewtonCG(weights, **v),
    "adahessian": lambda weights, v: AdaHessian(weights, power=v["power"], **_adam_like(v)),
    **{name: _borrowed(name) for name, entry in ENTRIES.items() if entry.extra is not None},
}
