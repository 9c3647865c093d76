"""AdaHessian: Adam with an estimate of the Hessian's diagonal."""

from __future__ import annotations

from typing import Any, Final

import torch

from tuner.training.methods.first_order import FirstOrder, Weights, moments
from tuner.training.stepping import Needs

_SEED: Final = 0x5EED


class AdaHessian(FirstOrder):
    """Yao et al. 2021 (arXiv:2006.00719), algorithm 1, by Hutchinson's estimate with one vector.

    The random signs come from a generator that is seeded by the number of the step, so they
    repeat, are the same on every device, and leave torch's own random state alone.
    """

    needs = Needs(graph=True)

    def __init__(
        self,
        weights: Weights,
        *,
        lr: float = 0.15,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-4,
        weight_decay: float = 0.0,
        power: float = 1.0,
    ) -> None:
        super().__init__(
            weights,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "power": power},
        )
        self.products = 0
        self._diagonals: dict[torch.Tensor, torch.Tensor] = {}

    def step(self, closure: Any = None) -> Any:
        """Take one step from gradients that were made with `create_graph`."""
        loss = closure() if closure is not None else None
        self._diagonals = self._estimate()
        self.products = 1
        super().step()
        self._diagonals = {}
        return loss

    def _estimate(self) -> dict[torch.Tensor, torch.Tensor]:
        weights = [w for group in self.param_groups for w in group["params"] if w.grad is not None]
        gradients = [w.grad for w in weights]
        curved = [g for g in gradients if g.requires_grad]
        if not curved:
            raise RuntimeError(
                "AdaHessian needs a differentiable gradient: take the step with "
                "tuner.training.take_step, or backward(create_graph=True)"
            )
        signs = signs_of_step(weights, max(self.state[w].get("step", 0) for w in weights))
        of_curved = [z for z, g in zip(signs, gradients, strict=True) if g.requires_grad]
        products = torch.autograd.grad(curved, weights, of_curved, materialize_grads=True)
        return {
            w: _averaged((z * hz).abs()) for w, z, hz in zip(weights, signs, products, strict=True)
        }

    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        diagonal = self._diagonals[w]
        m, v = moments(w, state)
        m.lerp_(g.detach(), 1 - beta1)
        v.mul_(beta2).addcmul_(diagonal, diagonal, value=1 - beta2)
        v_hat = v / (1 - beta2 ** state["step"])
        denominator = v_hat.pow_(group["power"] / 2).add_(group["eps"])
        w.mul_(1 - group["lr"] * group["weight_decay"])
        w.addcdiv_(m, denominator, value=-group["lr"] / (1 - beta1 ** state["step"]))


def signs_of_step(weights: list[torch.Tensor], step: int) -> list[torch.Tensor]:
    """±1 at random for every weight, the same for the same step and shapes."""
    generator = torch.Generator().manual_seed(_SEED + step)
    return [
        (torch.randint(0, 2, w.shape, generator=generator) * 2 - 1).to(w.device, w.dtype)
        for w in weights
    ]


def _averaged(diagonal: torch.Tensor) -> torch.Tensor:
    """The mean over each convolution kernel; matrices and vectors as they are."""
    if diagonal.dim() < 3:
        return diagonal
    return diagonal.mean(tuple(range(2, diagonal.dim())), keepdim=True).expand_as(diagonal)
