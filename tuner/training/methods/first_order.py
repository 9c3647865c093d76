"""Adam without bias correction, Lion and LAMB, as `tuner.optimizers` writes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch

Weights = Any  # what torch's optimizers take: weights, or groups of them


class FirstOrder(torch.optim.Optimizer, ABC):
    """An update of one weight at a time from its gradient and its own state."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; a closure, if given, is evaluated first and its loss returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, self.state[weight], group)
        return loss

    @abstractmethod
    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        """Move the weight `w`, of gradient `g`, in place."""


def moments(w: torch.Tensor, state: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The moments m and v of a weight, made at its first step; the step is counted."""
    if not state:
        state |= {"step": 0, "m": torch.zeros_like(w), "v": torch.zeros_like(w)}
    state["step"] += 1
    return state["m"], state["v"]


class _AdamLike(FirstOrder):
    """What is set by the hyperparameters of Adam."""

    def __init__(
        self,
        weights: Weights,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            weights, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )


class PlainAdam(_AdamLike):
    """Adam without bias correction: Kingma and Ba 2015, algorithm 1, with m̂ = m and v̂ = v."""

    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        g = g.add(w, alpha=group["weight_decay"])
        m, v = moments(w, state)
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        w.addcdiv_(m, v.sqrt().add_(group["eps"]), value=-group["lr"])


class Lion(FirstOrder):
    """Chen et al. 2023 (arXiv:2302.06675), algorithm 2."""

    def __init__(
        self, weights: Weights, *, lr: float, betas: tuple[float, float], weight_decay: float = 0.0
    ) -> None:
        super().__init__(weights, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        if not state:
            state["m"] = torch.zeros_like(w)
        m = state["m"]
        direction = m.lerp(g, 1 - beta1).sign_()
        w.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-group["lr"])
        m.lerp_(g, 1 - beta2)


class Lamb(_AdamLike):
    """You et al. 2020 (arXiv:1904.00962), algorithm 2 with the identity as φ, tensor by tensor."""

    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        m, v = moments(w, state)
        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        m_hat = m / (1 - beta1 ** state["step"])
        v_hat = v / (1 - beta2 ** state["step"])
        r = m_hat.div_(v_hat.sqrt_().add_(group["eps"])).add_(w, alpha=group["weight_decay"])
        size, length = w.norm(), r.norm()
        # The ratio stays on the device: no wait for it in every tensor.
        ratio = torch.where((size > 0) & (length > 0), size / length, torch.ones_like(size))
        w.sub_(r.mul_(ratio), alpha=group["lr"])
