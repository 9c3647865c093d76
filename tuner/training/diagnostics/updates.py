"""How far a step moves each layer, relative to its size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Final

import torch

from tuner.training.diagnostics.series import norms, stack

EVERY: Final = 16
# A report holds 1000 metrics, a name 128 characters.
_LAYERS: Final = 500
_NAME: Final = 100


class UpdateRatios:
    """‖Δw‖/‖w‖ of each layer over sampled steps: each weight of two dimensions or more.

    Biases and norms are left out, as they often begin at zero; a model without anything else has
    them. A weight that is all zero has no ratio.

    Args:
        weights: By name.
    """

    def __init__(self, weights: Mapping[str, torch.Tensor]) -> None:
        layers = {name: w for name, w in weights.items() if w.dim() >= 2} or dict(weights)
        self._names, self._weights = list(layers), list(layers.values())
        self._before: list[torch.Tensor] | None = None
        self._ratios: list[torch.Tensor] = []

    def before(self) -> None:
        """Keep the weights as they are."""
        self._before = [weight.detach().clone() for weight in self._weights]

    def after(self) -> None:
        """Compare with what was kept, if anything was."""
        before, self._before = self._before, None
        if before is None:
            return
        with torch.no_grad():
            moved = stack(norms([w - b for w, b in zip(self._weights, before, strict=True)]))
            size = stack(norms(before))
            self._ratios.append(torch.where(size == 0, math.nan, moved / size))

    def take(self) -> dict[str, float]:
        """Each layer's mean over the sampled steps, and begin again; absent: layers without any."""
        ratios, self._ratios = self._ratios, []
        self._before = None
        if not ratios:
            return {}
        columns = zip(self._names, zip(*torch.stack(ratios).tolist(), strict=True), strict=True)
        known = {name: [r for r in column if not math.isnan(r)] for name, column in columns}
        return {name: sum(column) / len(column) for name, column in known.items() if column}


def median(ratios: Mapping[str, float]) -> float:
    """The median over the layers; NaN where there is none."""
    return statistics.median(ratios.values()) if ratios else math.nan


def per_layer(ratios: Mapping[str, float]) -> dict[str, float]:
    """The ratios as metrics: at most 500, and of long names the end."""
    return {
        f"update_ratio.{name[-_NAME:]}": ratio for name, ratio in list(ratios.items())[:_LAYERS]
    }
