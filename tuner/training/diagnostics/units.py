"""Hidden units that tell no two validation examples apart: always zero, or always saturated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import torch
from torch import nn

_SATURATED: Final = 0.99

Rule = Callable[[torch.Tensor], torch.Tensor]


def _is_zero(output: torch.Tensor) -> torch.Tensor:
    return output == 0


def _is_saturated(output: torch.Tensor) -> torch.Tensor:
    return output.abs() > _SATURATED


_RULES: Final[dict[type[nn.Module], Rule]] = {
    nn.ReLU: _is_zero,
    nn.ReLU6: _is_zero,
    nn.Tanh: _is_saturated,
}


class DeadUnits:
    """The share of units that are dead on every example that passes while `watching`.

    ReLU: the output is 0. Tanh and the state of an Elman network: it is beyond ±0.99 (of an Elman
    network with ReLU: 0). A unit is a feature or a channel, at each place where its module is
    called; a feature of a sequence, or of a state, is one unit over all its steps.

    Args:
        model: Only modules are seen, not calls of `torch.nn.functional`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._watched = [
            (name, module, rule)
            for name, module in model.named_modules()
            if (rule := _rule(module)) is not None
        ]
        self._features_first = any(isinstance(module, nn.Conv1d) for module in model.modules())
        self._calls: dict[str, int] = {}
        self._dead: dict[tuple[str, int], torch.Tensor] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every output of the model's hidden units in this block."""
        self._dead = {}
        handles = [
            module.register_forward_hook(partial(self._look, name, rule))
            for name, module, rule in self._watched
        ]
        if handles:
            handles.append(self._model.register_forward_pre_hook(self._begin))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def take(self) -> float | None:
        """The share of what was watched, and begin again; None where nothing was seen."""
        dead, self._dead = list(self._dead.values()), {}
        if not dead:
            return None
        every = torch.cat(dead)
        return int(every.sum()) / len(every)

    def _begin(self, model: nn.Module, inputs: Any) -> None:
        """A pass begins: count each module's calls anew."""
        self._calls = {}

    def _look(
        self, name: str, rule: Rule, module: nn.Module, inputs: Any, output: torch.Tensor
    ) -> None:
        if output.dim() < 2:
            return
        call = 0 if isinstance(module, nn.RNNCell) else self._calls.get(name, 0)
        self._calls[name] = call + 1
        unit = 1 if output.dim() > 3 or self._features_first else output.dim() - 1
        others = [i for i in range(output.dim()) if i != unit]
        # A copy, as the next layer may work in place.
        dead = rule(output.detach()).all(dim=others)
        before = self._dead.get((name, call))
        self._dead[name, call] = dead if before is None else before & dead


def _rule(module: nn.Module) -> Rule | None:
    if isinstance(module, nn.RNNCell):
        return _is_saturated if module.nonlinearity == "tanh" else _is_zero
    return _RULES.get(type(module))
