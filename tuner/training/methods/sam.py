"""Sharpness-aware minimisation over any optimizer of torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import torch

from tuner.training.stepping import Needs

_TINY: Final = 1e-12


@functools.cache
def sharpness_aware(base: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """A class that steps as `base` does, with the gradient at the worst point within `rho`.

    Its constructor takes `rho` beside what `base` takes; groups may have a `rho` of their own.

        optimizer = sharpness_aware(torch.optim.SGD)(model.parameters(), lr=0.1, rho=0.05)

    Args:
        base: A class whose step needs the gradient only.

    Source: Foret et al. 2021 (arXiv:2010.01412), algorithm 1 with eq. 2 for p = 2.
    """
    name = f"SharpnessAware{base.__name__}"
    members = {"__doc__": f"Sharpness-aware {base.__name__}."}
    made: type[torch.optim.Optimizer] = type(name, (_SharpnessAware, base), members)
    return made


class _SharpnessAware(torch.optim.Optimizer):
    """The part of the step before the base's, by inheritance ahead of it."""

    needs = Needs(closure=True)

    def __init__(self, weights: Any, *, rho: float, **options: Any) -> None:
        super().__init__(weights, **options)
        self.defaults["rho"] = rho
        for group in self.param_groups:
            group.setdefault("rho", rho)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Climb to the worst point near by, take its gradient, and step from where it began.

        Args:
            closure: Evaluates the loss and the gradient; called twice.

        Returns:
            The loss before the step.
        """
        if closure is None:
            raise TypeError("a sharpness-aware step needs a closure; see tuner.training.take_step")
        loss = closure()
        kept = self._climb()
        closure()
        with torch.no_grad():
            for weight, value in kept:
                weight.copy_(value)
        super().step()
        return loss

    @torch.no_grad()
    def _climb(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Move the weights by rho along the gradient; give back where they were."""
        moved = [
            (weight, group["rho"])
            for group in self.param_groups
            for weight in group["params"]
            if weight.grad is not None
        ]
        norm = torch.stack([w.grad.norm() for w, _ in moved]).norm()
        kept = [(weight, weight.clone()) for weight, _ in moved]
        for weight, rho in moved:
            weight.add_(weight.grad * (rho / (norm + _TINY)))
        return kept
