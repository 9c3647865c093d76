"""The user's own data, model, loss and metric: how they are called, and what they must give.

    load(params)                    a mapping or tuple of train_x, train_y[, val_x, val_y[, test_x,
                                    test_y]] (arrays or tensors), or one to three torch Datasets
    build_model(params, data)       a torch.nn.Module; `data` is a `DataInfo`
    loss(outputs, targets)          a tensor of one number, with a gradient
    metric(outputs, targets)        a number, or a mapping of names to numbers

`load` and `build_model` may leave out arguments at the end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset as TorchDataset

from tuner.core.entrypoint import load as load_entrypoint
from tuner.core.names import METRIC_NAME, nearest
from tuner.errors import BadData, Invalid
from tuner.training.examples import Examples, Part

PARTS: Final[tuple[Part, ...]] = ("train", "val", "test")
NAMES: Final = tuple(f"{part}_{axis}" for part in PARTS for axis in ("x", "y"))
_DATA: Final = "trial.task.data"
_MODEL: Final = "trial.task.model"
_METRIC: Final = "trial.task.metric"


@dataclass(frozen=True)
class DataInfo:
    """What a model is told of the data that it is for.

    Args:
        inputs: Shape of one example, without the batch.
        outputs: Classes, or numbers in one target of a regression.
        kind: `classification` or `regression`.
        rows: Number of training examples.
    """

    inputs: tuple[int, ...]
    outputs: int
    kind: str
    rows: int

    @property
    def features(self) -> int:
        """Length of an example as a flat vector."""
        return int(np.prod(self.inputs))


class Params(Mapping[str, Any]):
    """A trial's parameters and its task's options, as own code gets them.

    It remembers what was read.

    Args:
        values: By name.
        declared: The names in the task's `reads`.
    """

    def __init__(self, values: Mapping[str, Any], declared: Sequence[str] = ()) -> None:
        self._values = dict(values)
        self._declared = frozenset(declared)
        self.used: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.used.add(name)
        if name in self._values:
            return self._values[name]
        if name in self._declared:
            text = "it is in trial.task.reads, but neither there nor in the space has it a value"
        else:
            near = nearest(name, self._values)
            text = "name it in trial.task.reads" + (f"; did you mean {near!r}?" if near else "")
        raise KeyError(f"no parameter {name!r}: {text}")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default` where there is none."""
        self.used.add(name)
        return self._values.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def unused(self) -> list[str]:
        """Declared names that nothing has read."""
        return sorted(self._declared - self.used)


def call(entrypoint: str, *args: Any) -> Any:
    """Call user code with as many of the arguments as it takes.

    Raises:
        ObjectiveNotFound: If it does not import.
        BadData: If it needs more than there are.
    """
    function = load_entrypoint(entrypoint)
    count, needed = _arity(function)
    if needed > len(args):
        raise BadData(
            f"{entrypoint} takes {needed} arguments, and gets {len(args)} at most.",
            hint="See docs/own-models-and-data.md.",
        )
    return function(*args[:count])


def _arity(function: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments a callable takes, and needs; unknown: takes any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return len(NAMES), 0
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return len(NAMES), 0
    given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(given), sum(p.default is p.empty for p in given)


def own_examples(entrypoint: str, params: Params) -> Examples:
    """What the user's `load` gives, as examples.

    Raises:
        BadData: If it is not of the form that the module's first lines say.
    """
    found = call(entrypoint, params)
    arrays = _arrays(entrypoint, found)
    parts: list[Part] = [part for part in PARTS if f"{part}_x" in arrays]
    x = {part: _tensor(entrypoint, f"{part}_x", arrays[f"{part}_x"]) for part in parts}
    y = {part: _target(entrypoint, f"{part}_y", arrays[f"{part}_y"]) for part in parts}
    return Examples(entrypoint, x, y, key=_DATA, relabel=False)


def _arrays(entrypoint: str, found: Any) -> dict[str, Any]:
    if isinstance(found, Mapping):
        unknown = [name for name in found if name not in NAMES]
        if unknown:
            near = nearest(unknown[0], NAMES)
            raise _refuse(
                entrypoint,
                f"gave {unknown[0]!r}"
                + (f"; did you mean {near!r}?" if near else f"; known: {', '.join(NAMES)}."),
            )
        arrays = {name: value for name, value in found.items() if value is not None}
    else:
        items = list(found) if isinstance(found, tuple | list) else [found]
        if items and all(isinstance(item, TorchDataset) for item in items):
            items = [array for item in items for array in _stacked(entrypoint, item)]
        if len(items) not in (2, 4, 6):
            raise _refuse(
                entrypoint,
                f"gave {type(found).__name__} of {len(items)}; expected 2, 4 or 6 arrays:"
                f" {', '.join(NAMES)}.",
            )
        arrays = dict(zip(NAMES, items, strict=False))
    for part in PARTS:
        given = [name for name in (f"{part}_x", f"{part}_y") if name in arrays]
        if len(given) == 1 or (part == "train" and not given):
            missing = f"{part}_y" if f"{part}_x" in arrays else f"{part}_x"
            raise _refuse(entrypoint, f"gave no {missing}.")
    return arrays


def _stacked(entrypoint: str, items: Any) -> tuple[torch.Tensor, Any]:
    """A torch Dataset as inputs and targets in memory."""
    try:
        pairs = [items[i] for i in range(len(items))]
        xs, ys = zip(*((pair[0], pair[1]) for pair in pairs), strict=True)
        return torch.stack([torch.as_tensor(x) for x in xs]), np.array([np.asarray(y) for y in ys])
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise _refuse(
            entrypoint,
            f"gave a {type(items).__name__} that does not stack into pairs of arrays:"
            f" {' '.join(str(error).split())[:200]}",
        ) from error


def _tensor(entrypoint: str, name: str, value: Any) -> torch.Tensor:
    try:
        tensor = (
            value.detach().cpu()
            if isinstance(value, torch.Tensor)
            else torch.from_numpy(np.array(value))
        )
    except (TypeError, ValueError) as error:
        raise _refuse(
            entrypoint, f"gave {name} as {type(value).__name__} that is no array of numbers."
        ) from error
    if tensor.dim() == 0 or tensor.is_complex():
        raise _refuse(
            entrypoint, f"gave {name} of shape {tuple(tensor.shape)} and {tensor.dtype}."
        )
    return tensor[:, None] if tensor.dim() == 1 else tensor


def _target(entrypoint: str, name: str, value: Any) -> Any:
    array = value if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.ndim == 0 or (isinstance(array, np.ndarray) and array.dtype.kind not in "biufUS"):
        raise _refuse(
            entrypoint,
            f"gave {name} as {type(value).__name__} of {array.dtype}; numbers or texts go.",
        )
    return array


def build_own(entrypoint: str, params: Params, info: DataInfo) -> nn.Module:
    """The user's model.

    Raises:
        Invalid: If it is no module, or has nothing to train.
    """
    model = call(entrypoint, params, info)
    if not isinstance(model, nn.Module):
        raise Invalid.at(
            _MODEL, f"{entrypoint} gave a {type(model).__name__}, expected a torch.nn.Module."
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise Invalid.at(_MODEL, f"the model of {entrypoint} has no weights to train.")
    return model


class Metric:
    """The user's metric.

    Args:
        entrypoint: What to call.
        taken: Names that the task reports itself.
    """

    def __init__(self, entrypoint: str, taken: Sequence[str]) -> None:
        self._entrypoint = entrypoint
        self._function = load_entrypoint(entrypoint)
        self._taken = frozenset(taken)

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
        """The metric's values, each under `val_` and its name.

        Raises:
            BadData: If it gives no numbers, or a name that the task has.
        """
        given = self._function(outputs, targets)
        if not isinstance(given, Mapping):
            given = {self._entrypoint.rpartition(":")[2].rpartition(".")[2]: given}
        return {self._name(name): self._number(name, value) for name, value in given.items()}

    def _name(self, name: object) -> str:
        full = f"val_{name}"
        if not METRIC_NAME.fullmatch(full):
            raise self._refuse(f"gave the name {name!r}, which no metric may have")
        if full in self._taken:
            raise self._refuse(f"gave the name {name!r}, and the task reports {full} itself")
        return full

    def _number(self, name: object, value: Any) -> float:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise self._refuse(
                f"gave {type(value).__name__} for {name!r}, expected a number"
            ) from error

    def _refuse(self, text: str) -> BadData:
        return BadData.at(_METRIC, f"{self._entrypoint} {text}.", found=self._entrypoint)


def _refuse(entrypoint: str, text: str) -> BadData:
    return BadData.at(_DATA, f"{entrypoint} {text}", found=entrypoint)
