"""What a task trains: its data, its model, and how outputs are judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from tuner.training.datasets import Data, load
from tuner.training.models import build_model

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Problem:
    """Data, model and losses of one trial.

    Args:
        options: The complete task of this trial.
        device: Where to train. The weights come from the default generator of the CPU, so that
            every device starts from the same; the caller seeds it.

    Attributes:
        data: The split data set.
        model: The model, on `device`.
        train_loss: Mean loss of (outputs, targets) in training.
        loss: Mean loss in validation: without label smoothing, so that trials compare.
    """

    def __init__(self, options: Mapping[str, Any], device: torch.device) -> None:
        self.data: Data = load(options["dataset"], options["validation"], str(device), options)
        self.is_classification = self.data.spec.kind == "classification"
        self.loss: Loss = (
            functional.cross_entropy if self.is_classification else functional.mse_loss
        )
        self.train_loss: Loss = self.loss
        if self.is_classification and options["label_smoothing"] > 0:
            smoothing = options["label_smoothing"]
            self.train_loss = partial(functional.cross_entropy, label_smoothing=smoothing)
        self.model = build_model(self.data.spec, options).to(device)
        self.params_million = sum(p.numel() for p in self.model.parameters()) / 1e6

    def validate(self) -> tuple[float, float]:
        """Loss and accuracy (NaN where there is none) on the validation set."""
        self.model.eval()
        with torch.no_grad():
            output = self.model(self.data.val_x)
            loss = self.loss(output, self.data.val_y).item()
        return loss, self.accuracy(output, self.data.val_y) if math.isfinite(loss) else math.nan

    def accuracy(self, output: torch.Tensor, target: torch.Tensor) -> float:
        """Share of right answers; NaN for a regression."""
        if not self.is_classification:
            return math.nan
        return (output.argmax(1) == target).sum().item() / len(target)
