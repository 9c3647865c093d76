"""A model and a loss of the user's own, tried on a few examples before the first step.

Nothing is changed by it: no weights, no running statistics and no random state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tuner.errors import BadData, Invalid
from tuner.tasks.datasets import Dataset


def check_output(
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
    spec: Dataset,
    options: Mapping[str, Any],
    *,
    is_free: bool,
) -> bool:
    """Refuse a model whose outputs the built-in loss cannot judge.

    Args:
        model: The model.
        x: A few examples.
        y: Their targets.
        spec: The data set.
        options: The task, for messages.
        is_free: Whether the user's own loss judges them.

    Returns:
        Whether the outputs are class scores that an accuracy can be told of.

    Raises:
        Invalid: With the shape found and the shape expected.
    """
    with _untouched(model), torch.no_grad():
        output = model(x)
    name = options["model"]
    if not isinstance(output, torch.Tensor):
        raise _refuse(name, f"gave a {type(output).__name__}, expected a tensor.")
    if spec.kind == "classification":
        expected = (len(x), spec.outputs, *y.shape[1:])
        what = f"a classification into {spec.outputs} classes"
    else:
        expected = tuple(y.shape)
        what = f"a regression of {spec.outputs} number{'s' if spec.outputs > 1 else ''}"
    fits = tuple(output.shape) == expected
    if is_free and (output.dim() == 0 or len(output) != len(x)):
        raise _refuse(
            name,
            f"gave outputs of shape {tuple(output.shape)} for {len(x)} examples; their first"
            " dimension must be the batch.",
        )
    if not fits and not is_free:
        raise _refuse(
            name,
            f"gave outputs of shape {tuple(output.shape)} for {len(x)} examples, expected"
            f" {expected}: {options.get('dataset', options.get('data'))} is {what}.",
        )
    if not output.is_floating_point() and not is_free:
        raise _refuse(name, f"gave outputs of {output.dtype}, expected numbers with a gradient.")
    return fits


def check_loss(
    entrypoint: str,
    loss: Callable[[torch.Tensor, torch.Tensor], object],
    model: nn.Module,
    x: torch.Tensor,
    y: torch.Tensor,
) -> None:
    """Refuse a loss that is not one number with a gradient.

    Raises:
        BadData: No trial could be trained by it.
    """
    with _untouched(model), torch.enable_grad():
        value = loss(model(x), y)
    if not isinstance(value, torch.Tensor):
        found = f"a {type(value).__name__}, expected a tensor of one number"
    elif value.numel() != 1 or value.dim() > 0:
        found = f"a tensor of shape {tuple(value.shape)}, expected one number (shape ())"
    elif not value.requires_grad:
        found = "a number without a gradient; it must be computed from the outputs by torch"
    else:
        return
    raise BadData.at("trial.task.loss", f"{entrypoint} gave {found}.", found=entrypoint)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Run the model as in evaluation, and leave its mode and the random state as they were."""
    modes = [(module, module.training) for module in model.modules()]
    devices = {p.device for p in model.parameters() if p.is_cuda}
    model.eval()
    try:
        with torch.random.fork_rng(devices=list(devices)):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _refuse(name: str, text: str) -> Invalid:
    return Invalid.at("trial.task.model", f"{name} {text}", found=name)
