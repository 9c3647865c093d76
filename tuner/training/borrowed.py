"""The optimizers of pytorch-optimizer, which comes with the extra `optimizers`.

Nothing else imports that library, and `tuner.training.builders` imports this module only for a
trial that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import pytorch_optimizer as library
import torch

from tuner.errors import Invalid

Weights = Iterable[torch.nn.Parameter]
Values = Mapping[str, Any]


class Prodigy(library.Prodigy):
    """Prodigy whose groups share the learning rate.

    The library takes the first group's rate for all of them, so another one would be ignored.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add weights with settings of their own, but the same rate.

        Raises:
            Invalid: If they have another rate.
        """
        rates = {group["lr"] for group in self.param_groups}
        if param_group.get("lr", self.defaults["lr"]) not in (rates or {self.defaults["lr"]}):
            raise Invalid.at(
                "groups",
                "prodigy estimates one step size for all its weights, so its groups take no "
                "learning rate, lr_factor or layer_decay of their own.",
                found="prodigy",
            )
        super().add_param_group(param_group)


def _adan(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return library.Adan(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"], v["beta3"]),
        eps=v["eps"],
        weight_decay=v["weight_decay"],
    )


def _ademamix(weights: Weights, v: Values) -> torch.optim.Optimizer:
    warmup = v["slow_warmup"] if v["slow_warmup"] > 1 else None
    if warmup is not None and not 0 < v["beta1"] <= v["beta3"]:
        raise ValueError("slow_warmup leads beta3 up from beta1, so beta1 must be in (0, beta3]")
    return library.AdEMAMix(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"], v["beta3"]),
        alpha=v["alpha"],
        t_alpha_beta3=warmup,
        eps=v["eps"],
        weight_decay=v["weight_decay"],
        weight_decouple=True,
    )


def _soap(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return library.SOAP(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        weight_decay=v["weight_decay"],
        precondition_frequency=v["frequency"],
    )


def _shampoo(weights: Weights, v: Values) -> torch.optim.Optimizer:
    # Its momentum would mix the preconditioned step into the next raw gradient.
    return library.Shampoo(
        weights,
        lr=v["lr"],
        momentum=0.0,
        matrix_eps=v["matrix_eps"],
        weight_decay=v["weight_decay"],
        weight_decouple=True,
    )


def _prodigy(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return Prodigy(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        d0=v["d0"],
        d_coef=v["d_coef"],
        safeguard_warmup=v["safeguard_warmup"],
        weight_decay=v["weight_decay"],
    )


def _schedulefree(weights: Weights, v: Values) -> torch.optim.Optimizer:
    return library.ScheduleFreeAdamW(
        weights,
        lr=v["lr"],
        betas=(v["beta1"], v["beta2"]),
        eps=v["eps"],
        weight_decay=v["weight_decay"],
        r=v["r"],
    )


BUILDERS: Final[dict[str, Callable[[Weights, Values], torch.optim.Optimizer]]] = {
    "adan": _adan,
    "ademamix": _ademamix,
    "soap": _soap,
    "shampoo": _shampoo,
    "prodigy": _prodigy,
    "schedulefree_adamw": _schedulefree,
}
