"""What a task trains: its data, its model, and how outputs are judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch.nn import functional

from tuner.core.entrypoint import load as load_entrypoint
from tuner.errors import BadData
from tuner.tasks import source
from tuner.tasks.registry import METRICS, MODELS
from tuner.training.datasets import Data, reconstruction
from tuner.training.models import build_model
from tuner.training.own import DataInfo, Metric, Params, build_own
from tuner.training.probe import check_loss, check_output
from tuner.training.sources import load_data

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_NOTHING: Final[Mapping[str, Any]] = {}
# Examples of a forward pass without gradient.
_CHUNK: Final = 4096
_LEAST_OF_CNN: Final = 4


class Problem:
    """Data, model and losses of one trial.

    Args:
        options: The complete task of this trial.
        device: Where to train. The weights come from the default generator of the CPU, so that
            every device starts from the same; the caller seeds it.
        params: The trial's parameters, for the user's own code.

    Attributes:
        data: The split data set.
        model: The model, on `device`.
        train_loss: Mean loss of (outputs, targets) in training.
        loss: Mean loss in validation: without label smoothing, so that trials compare.
        is_classification: Whether accuracies are known.
        warnings: What there is to say about the task.

    Raises:
        BadData: If no trial of the task can be trained here.
        Invalid: If this trial's model cannot be trained.
        ObjectiveNotFound: If an entrypoint does not import.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        device: torch.device,
        params: Mapping[str, Any] = _NOTHING,
    ) -> None:
        own = Params(_given(options, params), source.names_read(options))
        self.data: Data = load_data(options, own, str(device))
        model = MODELS.get(options["model"])
        if model is not None and model.reconstructs:
            self.data = reconstruction(self.data)
        self.is_classification = self.data.spec.kind == "classification"
        self._set_losses(options)
        if source.is_own(options, "model"):
            self.model = build_own(options["model"], own, _info(self.data)).to(device)
        else:
            _check_fit(options, self.data)
            self.model = build_model(self.data.spec, options).to(device)
        self.params_million = sum(p.numel() for p in self.model.parameters()) / 1e6
        self.own_metrics: dict[str, float] = {}
        self._metric: Metric | None = None
        self._check_own(options)
        self.warnings = [
            f"warning: own code reads no {name!r}, which trial.task.reads names"
            for name in own.unused
        ]

    def _set_losses(self, options: Mapping[str, Any]) -> None:
        if source.is_own(options, "loss"):
            self.loss: Loss = load_entrypoint(options["loss"])
            self.train_loss: Loss = self.loss
            return
        self.loss = functional.cross_entropy if self.is_classification else functional.mse_loss
        self.train_loss = self.loss
        smoothing = options["label_smoothing"]
        if smoothing > 0 and not self.is_classification:
            raise BadData.at(
                "trial.task.label_smoothing",
                f"{self.data.spec.name} is a regression; there are no labels to smooth.",
            )
        if smoothing > 0:
            self.train_loss = partial(functional.cross_entropy, label_smoothing=smoothing)

    def _check_own(self, options: Mapping[str, Any]) -> None:
        """Try own code on a few examples, so that a mistake shows before the first step."""
        named = [key for key in ("model", "loss", "metric") if source.is_own(options, key)]
        if not named:
            return
        x, y = self.data.train_x[:2], self.data.train_y[:2]
        has_loss = "loss" in named
        fits = check_output(self.model, x, y, self.data.spec, options, is_free=has_loss)
        self.is_classification = self.is_classification and fits
        if has_loss:
            check_loss(options["loss"], self.loss, self.model, x, y)
        if "metric" in named:
            self._metric = Metric(options["metric"], list(METRICS))
            self.validate()
            # A trial that diverges before it is measured has them all the same.
            self.own_metrics = dict.fromkeys(self.own_metrics, math.nan)

    def validate(self) -> tuple[float, float]:
        """Loss and accuracy (NaN where there is none) on the validation set.

        The user's own metrics are in `own_metrics` afterwards.
        """
        return self._judge(self.data.val_x, self.data.val_y, self._metric)

    def evaluate(self, x: torch.Tensor, target: torch.Tensor) -> tuple[float, float]:
        """Loss and accuracy (NaN where there is none) on held-out examples."""
        return self._judge(x, target, None)

    def _judge(
        self, x: torch.Tensor, target: torch.Tensor, metric: Metric | None
    ) -> tuple[float, float]:
        self.model.eval()
        with torch.no_grad():
            output = self._outputs(x)
            loss = self.loss(output, target).item()
            if metric is not None:
                self.own_metrics = metric(output, target)
        return loss, self.accuracy(output, target) if math.isfinite(loss) else math.nan

    def _outputs(self, x: torch.Tensor) -> torch.Tensor:
        """The model's outputs, piece by piece where all at once could fill the memory."""
        if len(x) <= _CHUNK:
            outputs: torch.Tensor = self.model(x)
            return outputs
        return torch.cat([self.model(x[i : i + _CHUNK]) for i in range(0, len(x), _CHUNK)])

    def accuracy(self, output: torch.Tensor, target: torch.Tensor) -> float:
        """Share of right answers; NaN for a regression."""
        if not self.is_classification:
            return math.nan
        return (output.argmax(1) == target).sum().item() / target.numel()


def _given(options: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """What own code may read: the trial's parameters, and the task's options over them."""
    special = (source.READS, "groups")
    return {**params, **{name: v for name, v in options.items() if name not in special}}


def _info(data: Data) -> DataInfo:
    shape = tuple(data.train_x.shape[1:])
    return DataInfo(shape, data.spec.outputs, data.spec.kind, len(data.train_x))


def _check_fit(options: Mapping[str, Any], data: Data) -> None:
    """Refuse a model for images where the data turn out to have none, or too small ones."""
    model, image = MODELS[options["model"]], data.spec.image
    if not model.takes(data.spec):
        raise BadData.at(
            "trial.task.model",
            f"the model {model.name!r} takes images only, and an example of {data.spec.name} has"
            f" {data.spec.features} features.",
            found=model.name,
            hint="Give examples of shape (height, width) or (channels, height, width).",
        )
    if model.name == "cnn" and image is not None and min(image[1:]) < _LEAST_OF_CNN:
        raise BadData.at(
            "trial.task.model",
            f"the model 'cnn' takes images of {_LEAST_OF_CNN} by {_LEAST_OF_CNN} at least; those of"
            f" {data.spec.name} are {image[1]} by {image[2]}.",
            found=model.name,
        )
