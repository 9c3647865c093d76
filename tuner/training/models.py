"""The model families of `tuner.tasks`; inputs are flat examples, shape (n, features)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

from tuner.tasks.registry import Dataset
from tuner.training.sequences import CELLS, Encoder, Recurrent

ACTIVATIONS: Final[dict[str, type[nn.Module]]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
}


def build_model(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    """A model for `dataset`, with weights from torch's global generator.

    Args:
        dataset: Gives the sizes of input and output.
        options: A complete task.

    Returns:
        A module from (n, features) to (n, outputs), of an autoencoder to (n, features).
    """
    return BUILDERS[options["model"]](dataset, options)


def _mlp(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    return nn.Sequential(*_dense(dataset.features, dataset.outputs, options))


def _autoencoder(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    return nn.Sequential(
        *_dense(dataset.features, options["code"], options),
        *_dense(options["code"], dataset.features, options),
    )


def _dense(size: int, outputs: int, options: Mapping[str, Any]) -> list[nn.Module]:
    """Hidden layers and the last linear one."""
    layers: list[nn.Module] = []
    for _ in range(options["depth"]):
        layers += [
            nn.Linear(size, options["width"]),
            *_norm(options, options["width"], _BatchNorm, nn.LayerNorm),
            ACTIVATIONS[options["activation"]](),
            *_dropout(options),
        ]
        size = options["width"]
    return [*layers, nn.Linear(size, outputs)]


def _cnn(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    depth, height, width = dataset.image or (1, 1, dataset.features)
    first = options["channels"]
    activation = ACTIVATIONS[options["activation"]]
    return nn.Sequential(
        nn.Unflatten(1, (depth, height, width)),
        nn.Conv2d(depth, first, 3, padding=1),
        *_norm(options, first, nn.BatchNorm2d, _all_channels),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, 2 * first, 3, padding=1),
        *_norm(options, 2 * first, nn.BatchNorm2d, _all_channels),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *_dropout(options),
        nn.Linear(2 * first * (height // 4) * (width // 4), dataset.outputs),
    )


def _linear(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    return nn.Linear(dataset.features, dataset.outputs)


def _recurrent(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    depth, height, width = dataset.image or (1, 1, dataset.features)
    return nn.Sequential(
        nn.Unflatten(1, (height, depth * width)),
        Recurrent(
            CELLS[options["model"]],
            depth * width,
            options["width"],
            max(1, options["depth"]),
            options["dropout"],
        ),
        nn.Linear(options["width"], dataset.outputs),
    )


def _transformer(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    depth, height, width = dataset.image or (1, 1, dataset.features)
    size = options["width"]
    return nn.Sequential(
        nn.Unflatten(1, (height, depth * width)),
        nn.Linear(depth * width, size),
        Encoder(
            (height, size),
            options["heads"],
            options["depth"],
            ACTIVATIONS[options["activation"]],
            options["dropout"],
        ),
        nn.Linear(size, dataset.outputs),
    )


class _BatchNorm(nn.BatchNorm1d):
    """A batch of one example, which has no variance, is normed as in evaluation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 1:
            return functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


def _all_channels(channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels)


def _norm(
    options: Mapping[str, Any],
    size: int,
    batch: Callable[[int], nn.Module],
    layer: Callable[[int], nn.Module],
) -> list[nn.Module]:
    if options["norm"] == "none":
        return []
    return [batch(size) if options["norm"] == "batch" else layer(size)]


def _dropout(options: Mapping[str, Any]) -> list[nn.Module]:
    # Without dropout there is no layer, so no random numbers and no time are spent on it.
    return [nn.Dropout(options["dropout"])] if options["dropout"] > 0 else []


BUILDERS: Final[dict[str, Callable[[Dataset, Mapping[str, Any]], nn.Module]]] = {
    "mlp": _mlp,
    "linear": _linear,
    "cnn": _cnn,
    "rnn": _recurrent,
    "gru": _recurrent,
    "lstm": _recurrent,
    "transformer": _transformer,
    "autoencoder": _autoencoder,
}
