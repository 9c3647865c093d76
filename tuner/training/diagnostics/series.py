"""Numbers of an epoch's steps, read from the device now and then, not at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch

# Few enough to be no burden on a device's memory, many enough that it is seldom waited for.
_AT_ONCE: Final = 64


class Lengths:
    """Lengths of gradients, one for each step, in order."""

    def __init__(self) -> None:
        self._read: list[float] = []
        self._waiting: list[list[torch.Tensor]] = []

    def append(self, parts: list[torch.Tensor]) -> None:
        """Add a length: the square root of the sum of the squares of its parts."""
        if self._waiting and len(parts) != len(self._waiting[0]):
            self._take()
        self._waiting.append(parts)
        if len(self._waiting) == _AT_ONCE:
            self._take()

    def values(self) -> list[float]:
        """All lengths."""
        self._take()
        return self._read

    def _take(self) -> None:
        if self._waiting:
            parts = stack([part for step in self._waiting for part in step])
            lengths = parts.view(len(self._waiting), -1).norm(dim=1)
            self._read += lengths.tolist()
        self._waiting = []


class Losses:
    """Losses, one for each step, in order."""

    def __init__(self) -> None:
        self._read: list[float] = []
        self._waiting: list[torch.Tensor] = []

    def append(self, loss: float | torch.Tensor) -> None:
        """Add a loss; its graph is not kept."""
        if isinstance(loss, torch.Tensor):
            self._waiting.append(loss.detach())
            if len(self._waiting) == _AT_ONCE:
                self._take()
        else:
            self._take()
            self._read.append(loss)

    def values(self) -> list[float]:
        """All losses."""
        self._take()
        return self._read

    def _take(self) -> None:
        if self._waiting:
            self._read += torch.stack(self._waiting).tolist()
            self._waiting = []


def norms(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The Euclidean length of each tensor, without graph."""
    with torch.no_grad():
        dense = [t.coalesce().values() if t.is_sparse else t for t in tensors]
        return list(torch._foreach_norm(dense))


def squared(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of the squares of all numbers, without graph."""
    return stack(norms(tensors)).square().sum()


def stack(scalars: Sequence[torch.Tensor]) -> torch.Tensor:
    """One tensor of several; the weights of one model may lie on several devices."""
    device = scalars[0].device
    return torch.stack([s if s.device == device else s.to(device) for s in scalars])


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile between the nearest two numbers, as numpy's default; NaN counts as infinite."""
    if not values:
        return math.nan
    ordered = sorted(math.inf if math.isnan(value) else value for value in values)
    place = share * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low if low == high else low + (place - math.floor(place)) * (high - low)


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return sum(values) / len(values) if values else math.nan
