"""The data sets of `tuner.tasks` as tensors, split and standardised."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from sklearn import datasets as bundled

from tuner.tasks.registry import DATASETS, Dataset

_SPLIT_SEED: Final = 0


@dataclass(frozen=True)
class Data:
    """A split data set on one device.

    Args:
        spec: Its entry in the registry.
        train_x: Inputs, shape (n, features), float32.
        train_y: Classes (n,), int64; or targets (n, 1), float32.
        val_x: As `train_x`, for validation.
        val_y: As `train_y`, for validation.
    """

    spec: Dataset
    train_x: torch.Tensor
    train_y: torch.Tensor
    val_x: torch.Tensor
    val_y: torch.Tensor


@functools.lru_cache(maxsize=16)
def load(name: str, validation: float, device: str = "cpu") -> Data:
    """A data set, split and standardised; kept for the life of the process.

    The split depends on `validation` only, so that all seeds and trials are compared on the same
    examples; classes keep their shares. Mean and standard deviation are those of the training
    examples, of the target too for regression; constant features become 0.

    Args:
        name: Name in `tuner.tasks`.
        validation: Share of the examples held out.
        device: Where the tensors go.
    """
    spec = DATASETS[name]
    bunch = _LOADERS[name]()
    x = torch.as_tensor(bunch.data, dtype=torch.float64)
    y = torch.as_tensor(bunch.target)
    train, held_out = _split(spec, y, validation)
    x = _standardise(x, train)
    if spec.kind == "classification":
        y = y.to(torch.int64)
    else:
        y = _standardise(y.to(torch.float64)[:, None], train).float()
    x = x.float()
    parts = (x[train], y[train], x[held_out], y[held_out])
    return Data(spec, *(part.contiguous().to(device) for part in parts))


def _split(spec: Dataset, y: torch.Tensor, validation: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Row numbers of training and validation examples, each in ascending order."""
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    is_classes = spec.kind == "classification"
    strata = (
        [(y == label).nonzero()[:, 0] for label in range(spec.outputs)]
        if is_classes
        else [torch.arange(len(y))]
    )
    train, held_out = [], []
    for rows in strata:
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        n = max(1, round(validation * len(rows)))
        held_out.append(shuffled[:n])
        train.append(shuffled[n:])
    return torch.cat(train).sort().values, torch.cat(held_out).sort().values


def _standardise(x: torch.Tensor, train: torch.Tensor) -> torch.Tensor:
    mean = x[train].mean(0)
    std = x[train].std(0, correction=0)
    return (x - mean) / torch.where(std > 0, std, torch.ones_like(std))


_LOADERS: Final[dict[str, Callable[[], Any]]] = {
    "digits": bundled.load_digits,
    "breast_cancer": bundled.load_breast_cancer,
    "wine": bundled.load_wine,
    "diabetes": bundled.load_diabetes,
}
