"""All weights of a model as one vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def flat(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The numbers of several tensors in one new vector, without graph."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


def gradient(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """The gradients of several weights in one new vector; zeros where a weight has none."""
    return flat([w.grad if w.grad is not None else torch.zeros_like(w) for w in weights])


@torch.no_grad()
def write(weights: Sequence[torch.Tensor], point: torch.Tensor) -> None:
    """Set the weights to the numbers of a vector."""
    parts = torch.split(point, [w.numel() for w in weights])
    for weight, part in zip(weights, parts, strict=True):
        weight.copy_(part.view_as(weight))
