"""L-BFGS with strong Wolfe line search.

`torch.optim.LBFGS` drops every pair with yᵀs ≤ 1e-10, whatever the scale, ends at fixed absolute
tolerances, and carries the gradient of one mini-batch over to the next; this one drops a pair only
where rounding made it, and takes both gradients of a pair on the same examples.

    s  change of the weights   y  change of the gradient   g  gradient, weight decay included

Nocedal and Wright 2006, algorithms 7.4 and 7.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch

from tuner.training.methods.flat import flat, gradient, write
from tuner.training.methods.line_search import Point, strong_wolfe
from tuner.training.stepping import Needs

# Usual are 0.9, and 0.1 for conjugate gradients (Nocedal and Wright 2006, section 3.1). On 96 random
# quadratics of condition 100 and 1 to 40 dimensions 0.9 took more than 5n iterations to a relative
# error of 1e-8 in some, 0.5 up to 4.9n and 0.1 up to 2.7n, with as many evaluations in all.
_CURVATURE: Final = 0.1
# A fall this far below the loss's rounding is the end.
_NOTHING: Final = 1e-6


class LBFGS(torch.optim.Optimizer):
    """It works on all weights at once.

    Args:
        weights: All weights, as one group.
        lr: The step length that the line search tries first.
        history: Pairs of steps and gradient changes that are kept.
        max_iter: Iterations in one step.
        weight_decay: Factor λ of λ‖w‖²/2 in the loss.
    """

    needs = Needs(closure=True)
    whole_model = True

    def __init__(
        self,
        weights: Any,
        *,
        lr: float = 1.0,
        history: int = 10,
        max_iter: int = 20,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            weights,
            {"lr": lr, "history": history, "max_iter": max_iter, "weight_decay": weight_decay},
        )
        if len(self.param_groups) != 1:
            raise ValueError("L-BFGS works on all weights at once, as one group")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take up to `max_iter` iterations.

        Args:
            closure: Evaluates the loss and the gradient, without weight decay.

        Returns:
            The loss before the step.
        """
        if closure is None:
            raise TypeError("an L-BFGS step needs a closure; see tuner.training.take_step")
        group = self.param_groups[0]
        with torch.enable_grad():
            loss = closure()
        line = _Line(group, closure)
        memory = self.state[line.weights[0]]
        memory.setdefault("s", [])
        memory.setdefault("y", [])
        value = line.total(float(loss.detach()))
        for _ in range(group["max_iter"]):
            found = self._iterate(line, memory, value)
            if found is None:
                break
            value = found
        return loss

    def _iterate(self, line: _Line, memory: dict[str, Any], value: float) -> float | None:
        """Go one step along the quasi-Newton direction; the loss there, None where none falls."""
        g = line.g
        if not bool(g.any()):
            return None
        group = self.param_groups[0]
        while True:
            has_pairs = bool(memory["s"])
            d = _direction(memory, g)
            slope = float(d.dot(g))
            # Without curvature the first step is short: its length in the largest norm is at most 1.
            first = group["lr"] * (1.0 if has_pairs else min(1.0, 1.0 / float(g.abs().sum())))
            rounding = torch.finfo(g.dtype).eps * abs(value)
            if -slope <= _NOTHING * rounding:
                return None
            line.along(d)
            point = (
                strong_wolfe(line.at, Point(0.0, value, slope), first, _CURVATURE, 10 * rounding)
                if slope < 0
                else None
            )
            if point is not None:
                _remember(memory, point.t * d, line.g - g, group["history"])
                return point.loss
            line.back(g)
            if not has_pairs:
                return None
            # The memory misleads; begin again with the gradient.
            memory["s"], memory["y"] = [], []


class _Line:
    """The loss along a line from the present weights; `g` is the gradient where it looked last."""

    def __init__(self, group: dict[str, Any], closure: Callable[[], Any]) -> None:
        self.weights = [w for w in group["params"] if w.requires_grad]
        self._decay: float = group["weight_decay"]
        self._closure = closure
        self._start = self._d = flat(self.weights)
        self.g = gradient(self.weights).add_(self._start, alpha=self._decay)

    def total(self, loss: float) -> float:
        """The loss with weight decay, at the weights as they are."""
        if self._decay == 0:
            return loss
        return loss + self._decay / 2 * sum(float(w.detach().square().sum()) for w in self.weights)

    def along(self, d: torch.Tensor) -> None:
        """Begin a line at the present weights."""
        self._start, self._d = flat(self.weights), d

    def at(self, t: float) -> Point:
        """Move to step length t, and look."""
        point = self._start + t * self._d
        write(self.weights, point)
        with torch.enable_grad():
            loss = self._closure()
        self.g = gradient(self.weights).add_(point, alpha=self._decay)
        return Point(t, self.total(float(loss.detach())), float(self.g.dot(self._d)))

    def back(self, g: torch.Tensor) -> None:
        """Return to where the line began."""
        write(self.weights, self._start)
        self.g = g


def _direction(memory: dict[str, Any], g: torch.Tensor) -> torch.Tensor:
    """−H·g by two loops over the pairs."""
    d = -g
    pairs = list(zip(memory["s"], memory["y"], strict=True))
    factors = []
    for s, y in reversed(pairs):
        factor = s.dot(d) / y.dot(s)
        d = d - factor * y
        factors.append(factor)
    if pairs:
        s, y = pairs[-1]
        d = d * (y.dot(s) / y.dot(y))
    for (s, y), factor in zip(pairs, reversed(factors), strict=True):
        d = d + (factor - y.dot(d) / y.dot(s)) * s
    return d


def _remember(memory: dict[str, Any], s: torch.Tensor, y: torch.Tensor, history: int) -> None:
    # A pair of which rounding has left nothing would put noise into the curvature.
    if y.dot(s) <= torch.finfo(s.dtype).eps * s.norm() * y.norm():
        return
    memory["s"] = [*memory["s"], s][-history:]
    memory["y"] = [*memory["y"], y][-history:]
