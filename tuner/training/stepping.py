"""One step of any optimizer: the protocol of those that need more than a gradient.

An optimizer that evaluates the loss several times in a step, or differentiates the gradient, says
so by a class attribute `needs`. `take_step` reads it, so that one line serves every optimizer:

    taken = take_step(optimizer, lambda: loss_fn(model(x), y), model)

All evaluations of one step see the same dropout masks, and only the first one moves the running
statistics of batch norms, so that a line search compares values of one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch.nn.modules.batchnorm import _NormBase

LossFunction = Callable[[], torch.Tensor]


class Needs(NamedTuple):
    """What an optimizer needs beside the gradient.

    Args:
        closure: Its `step` takes a closure that evaluates the loss and the gradient anew.
        graph: The gradient itself must be differentiable (`create_graph`).
    """

    closure: bool = False
    graph: bool = False


class Taken(NamedTuple):
    """A step that was taken.

    Args:
        loss: The loss before the step, without its graph.
        evaluations: Evaluations of the loss, products with the Hessian included.
    """

    loss: torch.Tensor
    evaluations: int


def needs(optimizer: torch.optim.Optimizer) -> Needs:
    """What the optimizer's class declares; torch's L-BFGS needs a closure, others nothing."""
    declared = getattr(optimizer, "needs", None)
    if isinstance(declared, Needs):
        return declared
    return Needs(closure=isinstance(optimizer, torch.optim.LBFGS))


def searches_a_line(optimizer: torch.optim.Optimizer) -> bool:
    """Whether it compares losses and gradients along a line, so that no gradient may be clipped."""
    return isinstance(optimizer, torch.optim.LBFGS) or getattr(optimizer, "whole_model", False)


@contextmanager
def evaluation_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Give the model the weights that are to be judged, where the optimizer trains others.

    Schedule-free methods take gradients at one point and are judged at another, an average; they
    have `eval` and `train` to change over. Other optimizers pass. Afterwards the trained weights
    are back bit for bit, so that judging leaves no trace in the training.

        with evaluation_weights(optimizer):
            loss = validate(model)

    Args:
        optimizer: Any optimizer of torch or of `build_optimizer`.
    """
    switching = [o for o in getattr(optimizer, "members", [optimizer]) if hasattr(o, "eval")]
    weights = [w for o in switching for group in o.param_groups for w in group["params"]]
    kept = [weight.detach().clone() for weight in weights]
    for member in switching:
        member.eval()
    try:
        yield
    finally:
        for member in switching:
            member.train()
        with torch.no_grad():
            for weight, value in zip(weights, kept, strict=True):
                weight.copy_(value)


def clip(weights: Iterable[torch.Tensor], norm: float) -> None:
    """Shorten the gradient over all weights to `norm` where it is longer.

    A gradient that has a graph keeps it, as the gradient of the loss times the factor.

    Args:
        weights: With their gradients.
        norm: The greatest Euclidean length.
    """
    given = [weight for weight in weights if weight.grad is not None]
    gradients = [weight.grad for weight in given if weight.grad is not None]
    if not any(gradient.requires_grad for gradient in gradients):
        torch.nn.utils.clip_grad_norm_(given, norm)
        return
    length = torch.nn.utils.get_total_norm([gradient.detach() for gradient in gradients])
    factor = torch.clamp(norm / (length + 1e-6), max=1.0)
    for weight, gradient in zip(given, gradients, strict=True):
        weight.grad = gradient * factor


def take_step(
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    model: torch.nn.Module | None = None,
    clip_norm: float | None = None,
) -> Taken:
    """Evaluate the loss and take one optimizer step; no step where the loss is not finite.

    Args:
        optimizer: Any optimizer of torch or of `build_optimizer`.
        loss_fn: Computes the loss with its graph, from the weights as they are.
        model: The model, so that repeated evaluations leave its batch-norm statistics alone.
        clip_norm: Every gradient of the step that is longer, over all weights of the optimizer, is
            shortened to this length. Not where the optimizer searches along a line.
    """
    wanted = needs(optimizer)
    evaluation = Evaluation(optimizer, loss_fn, model, clip_norm)
    loss = evaluation()
    value = loss.detach()
    if not torch.isfinite(value):
        return Taken(value, evaluation.calls)
    if wanted.closure:
        evaluation.offer(loss)
        optimizer.step(evaluation)  # type: ignore[arg-type]
    else:
        optimizer.step()
    if wanted.graph:
        # A gradient that keeps its graph would hold the whole step's memory.
        for weight in evaluation.weights:
            weight.grad = None
    return Taken(value, evaluation.calls + int(getattr(optimizer, "products", 0)))


class Evaluation:
    """The closure of one step: sets every weight's gradient and returns the loss.

    Args:
        optimizer: Whose weights, and whose needs.
        loss_fn: Computes the loss.
        model: See `take_step`.
        clip_norm: See `take_step`.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        loss_fn: LossFunction,
        model: torch.nn.Module | None = None,
        clip_norm: float | None = None,
    ) -> None:
        self.calls = 0
        self.weights: list[torch.Tensor] = [
            weight
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight.requires_grad
        ]
        self._loss_fn, self._model = loss_fn, model
        self._needs = needs(optimizer)
        self._clip_norm = None if searches_a_line(optimizer) else clip_norm
        self._random: _RandomState | None = None
        self._offered: torch.Tensor | None = None

    def __call__(self) -> torch.Tensor:
        """The loss with the gradient; what was offered stands for the first evaluation."""
        if self._offered is not None:
            loss, self._offered = self._offered, None
            return loss
        loss = self._evaluate()
        self._differentiate(loss)
        if self._clip_norm is not None:
            clip(self.weights, self._clip_norm)
        return loss

    def _differentiate(self, loss: torch.Tensor) -> None:
        if self._needs.graph:
            gradients = torch.autograd.grad(
                loss, self.weights, create_graph=True, allow_unused=True
            )
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.grad = gradient
            return
        for weight in self.weights:
            weight.grad = None
        torch.autograd.backward(loss)

    def value(self) -> torch.Tensor:
        """The loss alone, for line searches; gradients stay as they are."""
        with torch.no_grad():
            return self._evaluate()

    def offer(self, loss: torch.Tensor) -> None:
        """Give this loss at the next call, the gradient being in place."""
        self._offered = loss

    def _evaluate(self) -> torch.Tensor:
        self.calls += 1
        if not self._needs.closure:
            return self._loss_fn()
        if self._random is None:
            self._random = _RandomState(self.weights)
            return self._loss_fn()
        self._random.restore()
        with _statistics_kept(self._model):
            return self._loss_fn()


class _RandomState:
    """torch's random states, of the CPU and of the weights' devices."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        self._cpu = torch.get_rng_state()
        devices = {weight.device for weight in weights if weight.is_cuda}
        self._cuda = {device: torch.cuda.get_rng_state(device) for device in devices}

    def restore(self) -> None:
        torch.set_rng_state(self._cpu)
        for device, state in self._cuda.items():
            torch.cuda.set_rng_state(state, device)


@contextmanager
def _statistics_kept(model: torch.nn.Module | None) -> Iterator[None]:
    """Let batch norms of a training model use the batch's statistics without recording them."""
    norms = [
        module
        for module in (model.modules() if model is not None else ())
        if isinstance(module, _NormBase) and module.training and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
