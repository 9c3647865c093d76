"""Newton's method with conjugate gradients on Hessian-vector products.

    w  weights   g  gradient   H  Hessian, both with weight decay λ: g + λw, H + λI
    d  direction   r  residual −g − (H + damping·I)·d

Nocedal and Wright 2006, algorithm 7.1; damping as in Martens 2010, section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import torch

from tuner.training.methods.flat import flat, write
from tuner.training.methods.line_search import ARMIJO
from tuner.training.stepping import Needs

_HALVINGS: Final = 30


class _Solution(NamedTuple):
    """A direction, and the product of the damped Hessian with it."""

    d: torch.Tensor
    Ad: torch.Tensor


class NewtonCG(torch.optim.Optimizer):
    """Damped Newton; it works on all weights at once.

    Args:
        weights: All weights, as one group.
        lr: The step length that the line search tries first.
        damping: Added to the Hessian's diagonal; it follows the fit of the model, 0 stays 0.
        cg_steps: Most conjugate-gradient steps, and so Hessian-vector products, of one step.
        cg_tolerance: The relative residual at which they end.
        weight_decay: Factor λ of λ‖w‖²/2 in the loss.
    """

    needs = Needs(closure=True, graph=True)
    whole_model = True

    def __init__(
        self,
        weights: Any,
        *,
        lr: float = 1.0,
        damping: float = 10.0,
        cg_steps: int = 250,
        cg_tolerance: float = 1e-12,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            weights,
            {
                "lr": lr,
                "damping": damping,
                "cg_steps": cg_steps,
                "cg_tolerance": cg_tolerance,
                "weight_decay": weight_decay,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("Newton-CG works on all weights at once, as one group")
        self.products = 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one outer step.

        Args:
            closure: Evaluates the loss and a differentiable gradient (`create_graph`), without
                weight decay; its method `value`, where it has one, gives the loss alone.

        Returns:
            The loss before the step.
        """
        if closure is None:
            raise TypeError("a Newton step needs a closure; see tuner.training.take_step")
        self.products = 0
        group = self.param_groups[0]
        weights = [w for w in group["params"] if w.requires_grad]
        with torch.enable_grad():
            loss = closure()
        gradients = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
        start = flat(weights)
        decay: float = group["weight_decay"]
        g = flat(gradients) + decay * start
        damping: float = self.state[weights[0]].setdefault("damping", group["damping"])
        shift = damping + decay

        def product(v: torch.Tensor) -> torch.Tensor:
            self.products += 1
            return _hessian_product(gradients, weights, v).add_(v, alpha=shift)

        found = _conjugate_gradients(product, -g, group["cg_steps"], group["cg_tolerance"])
        value = getattr(closure, "value", closure)

        def total(point: torch.Tensor) -> float:
            write(weights, point)
            return float(value()) + decay / 2 * float(point.dot(point))

        before = float(loss.detach()) + decay / 2 * float(start.dot(start))
        slope = float(g.dot(found.d))
        length, after = _line_search(total, start, found.d, (before, slope), group["lr"])
        if length == 0:
            write(weights, start)
        if length > 0 and damping > 0:
            curvature = float(found.d.dot(found.Ad)) - damping * float(found.d.dot(found.d))
            model = -(length * slope + length**2 / 2 * curvature)
            self.state[weights[0]]["damping"] = damping * _damping_factor(before - after, model)
        elif damping > 0:
            self.state[weights[0]]["damping"] = damping * 1.5
        return loss


def _conjugate_gradients(
    product: Callable[[torch.Tensor], torch.Tensor], b: torch.Tensor, steps: int, tolerance: float
) -> _Solution:
    """Solve A·d = b from 0 up to a relative residual, or until a direction curves down."""
    d, r, p = torch.zeros_like(b), b.clone(), b.clone()
    squared = float(r.dot(r))
    # Residuals below what the float type resolves are noise.
    goal = squared * max(tolerance, torch.finfo(b.dtype).eps) ** 2
    for i in range(steps):
        if squared <= goal or squared == 0.0:
            break
        Ap = product(p)
        curvature = float(p.dot(Ap))
        if not curvature > 0:
            if i == 0:
                d, r = b.clone(), b - Ap
            break
        length = squared / curvature
        d = d + length * p
        r = r - length * Ap
        previous, squared = squared, float(r.dot(r))
        p = r + squared / previous * p
    return _Solution(d, b - r)


def _line_search(
    total: Callable[[torch.Tensor], float],
    start: torch.Tensor,
    d: torch.Tensor,
    at_start: tuple[float, float],
    first: float,
) -> tuple[float, float]:
    """Halve the step until the loss falls enough; (0, loss) where it never does."""
    before, slope = at_start
    # Near the optimum the fall is below what the loss resolves, and rounding must not forbid it.
    slack = 10 * torch.finfo(d.dtype).eps * abs(before)
    length = first
    for _ in range(_HALVINGS):
        after = total(start + length * d)
        if after <= before + ARMIJO * length * slope + slack:
            return length, after
        length /= 2
    return 0.0, before


def _damping_factor(fall: float, model: float) -> float:
    """2/3, 1 or 3/2: Martens 2010, section 4.1."""
    ratio = fall / model if model > 0 else 0.0
    if ratio > 0.75:
        return 2 / 3
    return 1.5 if ratio < 0.25 else 1.0


def _hessian_product(
    gradients: list[torch.Tensor], weights: list[torch.Tensor], v: torch.Tensor
) -> torch.Tensor:
    """∇²f·v by differentiating gᵀv (Pearlmutter 1994); 0 where the gradient is constant."""
    curved = [g for g in gradients if g.requires_grad]
    if not curved:
        return torch.zeros_like(v)
    parts = torch.split(v, [w.numel() for w in weights])
    directions = [
        part.view_as(w)
        for part, w, g in zip(parts, weights, gradients, strict=True)
        if g.requires_grad
    ]
    products = torch.autograd.grad(
        curved, weights, directions, retain_graph=True, materialize_grads=True
    )
    return flat(list(products))
