"""A model, data, a loss and a metric of one's own, for the built-in training loop.

    python examples/own_model.py            writes spiral.npz
    tuner study run examples/own_model.yaml

The study names these functions by entrypoint; the loop brings optimizers, schedules, parameter
groups, checkpoints, pruning and all metrics. Run it in the folder that has `examples`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Residual(nn.Module):
    """A linear layer, `blocks` times x + f(x), a linear layer."""

    def __init__(self, features: int, hidden: int, blocks: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Linear(features, hidden)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU())
            for _ in range(blocks)
        )
        self.head = nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def build_model(params: Mapping[str, Any], data: Any) -> nn.Module:
    """`hidden` and `blocks` are declared by `reads` in the study; `data` tells the shapes."""
    return Residual(data.features, params["hidden"], params["blocks"], data.outputs)


def load() -> dict[str, np.ndarray]:
    """Two arms of a spiral; the loop splits them."""
    with np.load("spiral.npz") as file:
        return {"train_x": file["x"], "train_y": file["y"]}


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Focal loss of Lin et al. 2017 (arXiv:1708.02002), gamma 2: right answers count less."""
    cross = functional.cross_entropy(outputs, targets, reduction="none")
    return ((1 - torch.exp(-cross)) ** 2 * cross).mean()


def brier(outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Reported as `val_brier`."""
    wanted = functional.one_hot(targets, outputs.shape[1])
    return float((outputs.softmax(1) - wanted).square().sum(1).mean())


def main() -> None:
    random = np.random.default_rng(0)
    turn = np.sqrt(random.random(400)) * 3 * np.pi
    label = np.arange(400) % 2
    angle = turn + np.pi * label
    x = np.column_stack([turn * np.cos(angle), turn * np.sin(angle)]) / 10
    x += random.normal(scale=0.03, size=x.shape)
    np.savez(Path("spiral.npz"), x=x.astype(np.float32), y=label)
    print("wrote spiral.npz")


if __name__ == "__main__":
    main()
