"""The gradient noise scale, from the gradients of two mini-batches at the same weights.

    g, g'  gradients of two mini-batches of n and n' examples   G  the true gradient
    Σ  covariance of one example's gradient

E[g·g'] = |G|² and E|g − g'|² = tr Σ·(1/n + 1/n'). For n = n' these are the unbiased estimators of
McCandlish et al. 2018 (arXiv:1812.06162), appendix A.1, for batches of n and 2n examples.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch

from tuner.training.diagnostics.series import squared

# A probe costs the forward and backward pass of one mini-batch.
EVERY: Final = 32
# Ours: enough to average, few enough to follow a training.
PROBES: Final = 10

Other = Callable[[], tuple[torch.Tensor, int]]


class NoiseScale:
    """The simple noise scale tr Σ/|G|², in examples, over the last ten probes.

    Args:
        model: Whose buffers a probe leaves as they are.
        weights: Of the gradient.
    """

    def __init__(self, model: torch.nn.Module, weights: Sequence[torch.Tensor]) -> None:
        self._model, self._weights = model, list(weights)
        self._fresh: list[torch.Tensor] = []
        self._kept: deque[tuple[float, float]] = deque(maxlen=PROBES)

    def probe(self, examples: int, other: Other) -> None:
        """Compare the weights' gradients with those of another mini-batch.

        Args:
            examples: Of the mini-batch whose gradients the weights have.
            other: Computes the mean loss of the other mini-batch, and the number of its examples.
        """
        used = [weight for weight in self._weights if weight.grad is not None]
        own = [weight.grad.detach() for weight in used if weight.grad is not None]
        with undisturbed(self._model, used), torch.enable_grad():
            loss, size = other()
            others = torch.autograd.grad(loss, used, materialize_grads=True)
        with torch.no_grad():
            apart = squared([a - b for a, b in zip(own, others, strict=True)])
            along = (squared(own) + squared(others) - apart) / 2
            self._fresh.append(torch.stack([apart / (1 / examples + 1 / size), along]))

    def value(self) -> float | None:
        """The scale; infinite where the probes do not resolve |G|², None without a probe."""
        self._take()
        if not self._kept:
            return None
        spread, square = (sum(column) for column in zip(*self._kept, strict=True))
        if math.isnan(spread) or math.isnan(square):
            return math.nan
        return spread / square if square > 0 else math.inf

    def state(self) -> list[list[float]]:
        """What the next values depend on."""
        self._take()
        return [list(pair) for pair in self._kept]

    def load(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from a state."""
        self._kept.extend((spread, square) for spread, square in state)

    def _take(self) -> None:
        if self._fresh:
            self._kept.extend((s, g) for s, g in torch.stack(self._fresh).tolist())
        self._fresh = []


@contextmanager
def undisturbed(model: torch.nn.Module, weights: Sequence[torch.Tensor]) -> Iterator[None]:
    """Put torch's random state and the model's buffers back afterwards."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    cpu = torch.get_rng_state()
    cuda = {w.device: torch.cuda.get_rng_state(w.device) for w in weights if w.is_cuda}
    try:
        yield
    finally:
        torch.set_rng_state(cpu)
        for device, state in cuda.items():
            torch.cuda.set_rng_state(state, device)
        for buffer, value in buffers:
            # `data`: a graph that waits for its backward pass must not see a change.
            buffer.data.copy_(value)
