"""Mixed precision: the model computes with fewer bits, weights and loss keep theirs.

Source: Micikevicius et al. 2018 (arXiv:1710.03740), by torch's autocast; float16, whose range is
small, with a factor on the loss that follows overflows.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from tuner.errors import Invalid
from tuner.training.stepping import needs, searches_a_line

FULL: Final = "float32"
_TYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# torch begins at 2**16, which overflows, and so loses, the first steps of small models.
_FIRST_SCALE: Final = 1024.0


def lower(model: torch.nn.Module, precision: str, device: torch.device) -> None:
    """Let every call of the model compute in this precision and answer in float32.

    Args:
        model: It changes in place; its weights and their names stay.
        precision: An option of tasks.
        device: Where the model is.

    Raises:
        Invalid: For float16 without a CUDA device.
    """
    if precision == FULL:
        return
    if precision == "float16" and device.type != "cuda":
        raise Invalid.at(
            "precision",
            f"float16 needs a CUDA device, and the trial runs on {device}.",
            found=precision,
            allowed=[FULL, "bfloat16"],
            nearest="bfloat16",
            hint="Take bfloat16, or give the trial a GPU: `resources: {gpus: 1}`.",
        )
    forward = model.forward

    def lowered(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device.type, _TYPES[precision]):
            output = forward(*args, **kwargs)
        return output.float() if isinstance(output, torch.Tensor) else output

    model.forward = lowered


def check_optimizer(optimizer: torch.optim.Optimizer, precision: str) -> None:
    """Refuse what needs more bits than the precision has.

    Raises:
        Invalid: For a method that compares losses or differentiates gradients, and for one with
            a closure in float16.
    """
    if precision == FULL:
        return
    wanted = needs(optimizer)
    if wanted.graph or searches_a_line(optimizer):
        reason = "a second-order method needs the whole gradient's bits"
    elif wanted.closure and precision == "float16":
        reason = "the factor on a float16 loss cannot change within a step"
    else:
        return
    raise Invalid.at(
        "precision",
        f"{type(optimizer).__name__} does not train in {precision}: {reason}.",
        found=precision,
        allowed=[FULL],
        nearest=FULL,
    )


class Scaling:
    """The factor on the loss of float16; in any other precision it is 1 and does nothing.

    Args:
        precision: An option of tasks.
        device: Where to train.
    """

    def __init__(self, precision: str, device: torch.device) -> None:
        self._scaler = torch.amp.GradScaler(
            device.type, init_scale=_FIRST_SCALE, enabled=precision == "float16"
        )

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of the scaled loss to the weights'."""
        torch.autograd.backward(self._scaler.scale(loss))

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the weights' gradient that of the loss; drop it where it overflowed."""
        if not self._scaler.is_enabled():
            return
        self._scaler.unscale_(optimizer)
        weights = [w for group in optimizer.param_groups for w in group["params"]]
        if not all(bool(w.grad.isfinite().all()) for w in weights if w.grad is not None):
            for weight in weights:
                weight.grad = None

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Take the step, or none where the gradient overflowed; then adapt the factor."""
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """What `load_state` takes, for a checkpoint."""
        return self._scaler.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        if state:
            self._scaler.load_state_dict(state)
