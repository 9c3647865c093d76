"""The data sets of `tuner.tasks` as tensors, split and standardised."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from sklearn import datasets as bundled

from tuner.tasks.registry import DATASETS, OPTIONS, Dataset

Loader = Callable[[Dataset], tuple[Any, Any]]
_SPLIT_SEED: Final = 0
_UNITS: Final = 16


@dataclass(frozen=True)
class Data:
    """A split data set on one device.

    Args:
        spec: Its entry in the registry.
        train_x: Inputs, shape (n, features), float32.
        train_y: Classes (n,), int64; or targets (n, 1), float32.
        val_x: As `train_x`, for validation.
        val_y: As `train_y`, for validation.
        test_x: As `train_x`, for confirmation trials; None where nothing is held out for them.
        test_y: As `train_y`, for confirmation trials.
    """

    spec: Dataset
    train_x: torch.Tensor
    train_y: torch.Tensor
    val_x: torch.Tensor
    val_y: torch.Tensor
    test_x: torch.Tensor | None = None
    test_y: torch.Tensor | None = None


def load(
    name: str, validation: float, device: str = "cpu", options: Mapping[str, Any] | None = None
) -> Data:
    """A data set, split and standardised; kept for the life of the process.

    The split depends on the shares `validation` and `test` only, so that all seeds and trials are
    compared on the same examples; classes keep their shares. Mean and standard deviation are those of the training
    examples, of the target too for regression; constant features become 0. Of generated sets
    only the latest is kept.

    Args:
        name: Name in `tuner.tasks`.
        validation: Share of the examples held out.
        device: Where the tensors go.
        options: A complete task, for the size of a generated set and the share `test`; None: the
            default size and share.
    """
    spec = DATASETS[name]
    test = (options or {}).get("test", OPTIONS["test"].default)
    if not spec.is_generated:
        return _kept(spec, validation, test, device)
    return _latest(spec if options is None else spec.sized(options), validation, test, device)


def _load(spec: Dataset, validation: float, test: float, device: str) -> Data:
    data, target = _LOADERS[spec.name](spec)
    x = torch.as_tensor(data, dtype=torch.float64)
    y = torch.as_tensor(target)
    train, held_out, last = split(spec, y, validation, test)
    x = _standardise(x, train)
    if spec.kind == "classification":
        y = y.to(torch.int64)
    else:
        y = _standardise(y.to(torch.float64)[:, None], train).float()
    x = x.float()
    parts = [x[train], y[train], x[held_out], y[held_out]]
    if len(last) > 0:
        parts += [x[last], y[last]]
    return Data(spec, *(part.contiguous().to(device) for part in parts))


_kept = functools.lru_cache(maxsize=16)(_load)
_latest = functools.lru_cache(maxsize=1)(_load)


def split(
    spec: Dataset, y: torch.Tensor, validation: float, test: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Row numbers of training, validation and test examples, each in ascending order.

    Each class that has three examples has at least one in each part. Beyond such small classes
    the validation examples do not depend on `test`.

    Args:
        spec: Says whether there are classes, and how many.
        y: The targets, shape (rows,) or (rows, 1).
        validation: Share of all examples.
        test: Share of all examples; 0: none.
    """
    generator = torch.Generator().manual_seed(_SPLIT_SEED)
    strata = (
        [(y == label).nonzero()[:, 0] for label in range(spec.outputs)]
        if spec.kind == "classification"
        else [torch.arange(len(y))]
    )
    parts: tuple[list[torch.Tensor], ...] = ([], [], [])
    for rows in strata:
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        others = 2 if test > 0 else 1
        n = max(1, min(round(validation * len(rows)), len(rows) - others))
        m = max(0, min(max(1, round(test * len(rows))), len(rows) - n - 1)) if test > 0 else 0
        taken = (shuffled[n + m :], shuffled[:n], shuffled[n : n + m])
        for part, own in zip(parts, taken, strict=True):
            part.append(own)
    train, held_out, last = (torch.cat(part).sort().values for part in parts)
    return train, held_out, last


def _standardise(x: torch.Tensor, train: torch.Tensor) -> torch.Tensor:
    mean = x[train].mean(0)
    std = x[train].std(0, correction=0)
    return (x - mean) / torch.where(std > 0, std, torch.ones_like(std))


def _bundled(read: Callable[[], Any]) -> Loader:
    def load_bunch(_: Dataset) -> tuple[Any, Any]:
        bunch = read()
        return bunch.data, bunch.target

    return load_bunch


def _clusters(spec: Dataset) -> tuple[Any, Any]:
    """Two clusters of unit variance for each class; centres about four apart in any dimension."""
    random = torch.Generator().manual_seed(_SPLIT_SEED)
    centres = torch.randn(
        (spec.outputs, 2, spec.features), generator=random, dtype=torch.float64
    ) * (4 / (2 * spec.features) ** 0.5)
    y = torch.arange(spec.rows) % spec.outputs
    cluster = torch.randint(0, 2, (spec.rows,), generator=random)
    x = torch.randn((spec.rows, spec.features), generator=random, dtype=torch.float64)
    return x.add_(centres[y, cluster]), y


def _teacher(spec: Dataset) -> tuple[Any, Any]:
    """Standard normal features, and what a fixed network makes of them, with noise."""
    random = torch.Generator().manual_seed(_SPLIT_SEED)
    first, last, noise = (
        torch.randn(shape, generator=random, dtype=torch.float64)
        for shape in ((spec.features, _UNITS), (_UNITS,), (spec.rows,))
    )
    x = torch.randn((spec.rows, spec.features), generator=random, dtype=torch.float64)
    y = torch.sin(x @ first / spec.features**0.5 + 1) @ last / _UNITS**0.5
    return x, y + 0.1 * noise


_LOADERS: Final[dict[str, Loader]] = {
    "digits": _bundled(bundled.load_digits),
    "breast_cancer": _bundled(bundled.load_breast_cancer),
    "wine": _bundled(bundled.load_wine),
    "diabetes": _bundled(bundled.load_diabetes),
    "iris": _bundled(bundled.load_iris),
    "generated_classification": _clusters,
    "generated_regression": _teacher,
}
