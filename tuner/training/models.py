"""The model families of `tuner.tasks`; inputs are flat examples, shape (n, features)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from torch import nn

from tuner.tasks.registry import Dataset

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
        A module from (n, features) to (n, outputs).
    """
    return BUILDERS[options["model"]](dataset, options)


def _mlp(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    layers: list[nn.Module] = []
    size = dataset.features
    for _ in range(options["depth"]):
        layers += [
            nn.Linear(size, options["width"]),
            ACTIVATIONS[options["activation"]](),
            *_dropout(options),
        ]
        size = options["width"]
    return nn.Sequential(*layers, nn.Linear(size, dataset.outputs))


def _cnn(dataset: Dataset, options: Mapping[str, Any]) -> nn.Module:
    depth, height, width = dataset.image or (1, 1, dataset.features)
    first = options["channels"]
    activation = ACTIVATIONS[options["activation"]]
    return nn.Sequential(
        nn.Unflatten(1, (depth, height, width)),
        nn.Conv2d(depth, first, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, 2 * first, 3, padding=1),
        activation(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        *_dropout(options),
        nn.Linear(2 * first * (height // 4) * (width // 4), dataset.outputs),
    )


def _dropout(options: Mapping[str, Any]) -> list[nn.Module]:
    # Without dropout there is no layer, so no random numbers and no time are spent on it.
    return [nn.Dropout(options["dropout"])] if options["dropout"] > 0 else []


BUILDERS: Final[dict[str, Callable[[Dataset, Mapping[str, Any]], nn.Module]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
}
