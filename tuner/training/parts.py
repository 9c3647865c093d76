"""A batch in parts, whose gradients add up to that of the whole."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def parts(
    x: torch.Tensor, target: torch.Tensor, n: int
) -> Iterator[tuple[float, torch.Tensor, torch.Tensor]]:
    """Split a batch into `n` parts of nearly one size, in order; fewer where it has fewer examples.

    The mean loss of the batch is the sum of the parts' mean losses, each times its share.

    Args:
        x: Inputs, shape (batch, …).
        target: Targets, shape (batch, …).
        n: Number of parts.

    Yields:
        A part's share of the examples, its inputs and its targets.
    """
    if n == 1:
        yield 1.0, x, target
        return
    n = min(n, len(x))
    for some, wanted in zip(x.tensor_split(n), target.tensor_split(n), strict=True):
        yield len(some) / len(x), some, wanted


def weighted(share: float, loss: torch.Tensor) -> torch.Tensor:
    """A part's mean loss times its share."""
    return loss if share == 1.0 else share * loss
