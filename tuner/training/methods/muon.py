"""Muon: momentum made orthogonal by Newton-Schulz iterations.

`torch.optim.Muon` computes in bfloat16 whatever the weights' type and takes no convolution
kernels; this one keeps the weights' type, and takes a kernel as a matrix of one row per output
channel. Jordan et al. 2024, kellerjordan.github.io/posts/muon.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch

from tuner.training.methods.first_order import FirstOrder, Weights

_A: Final = 3.4445
_B: Final = -4.7750
_C: Final = 2.0315
_EPS: Final = 1e-7


def orthogonalise(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """A matrix with about the same singular vectors and singular values near 1 (0.7 to 1.2).

    Args:
        matrix: Shape (rows, columns).
        steps: Newton-Schulz iterations.

    Source: Jordan et al. 2024, the quintic iteration with its published coefficients.
    """
    is_tall = matrix.size(0) > matrix.size(1)
    x: torch.Tensor = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=_EPS)
    for _ in range(steps):
        gram = x @ x.T
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.T if is_tall else x


class Muon(FirstOrder):
    """The update of matrices and kernels (weights of at least two dimensions)."""

    def __init__(
        self,
        weights: Weights,
        *,
        lr: float,
        momentum: float,
        weight_decay: float = 0.0,
        ns_steps: int = 5,
    ) -> None:
        super().__init__(
            weights,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "ns_steps": ns_steps},
        )

    def _update(
        self, w: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(w)
        buffer = state["momentum"].lerp_(g, 1 - group["momentum"])
        matrix = g.lerp(buffer, group["momentum"]).flatten(1)
        scale = math.sqrt(max(1.0, matrix.size(0) / matrix.size(1)))
        step = orthogonalise(matrix, group["ns_steps"]).reshape(w.shape)
        w.mul_(1 - group["lr"] * group["weight_decay"]).sub_(step, alpha=group["lr"] * scale)
