"""The data of a task, wherever they are: registered, in files, or from the user's own code.

Paths are relative to the working folder of the process, which is the worker's. What files gave is
kept for the life of the process while they have the same time and size.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tuner.core.names import nearest
from tuner.errors import BadData
from tuner.tasks import source
from tuner.training import datasets
from tuner.training.datasets import Data
from tuner.training.examples import Examples, Part, Wanted, prepare
from tuner.training.images import WHERE, image_files, read_folder, read_torchvision
from tuner.training.own import Params, own_examples
from tuner.training.tables import read_table

_DATASET: Final = "trial.task.dataset"
_TARGET: Final = "trial.task.target"
_INPUTS: Final[dict[Part, str]] = {"train": "x", "val": "x_val", "test": "x_test"}
_UNREADABLE: Final = (OSError, ValueError, EOFError, AttributeError, TypeError)
Options = Mapping[str, Any]


def load_data(options: Options, params: Params, device: str) -> Data:
    """The task's data, split, in the shape that its model takes.

    Registered models take flat examples of float32; own ones an image as (channels, height, width)
    and anything else as it was read.

    Args:
        options: A complete task.
        params: For the user's own `load`.
        device: Where the tensors go.

    Raises:
        BadData: If no trial can be trained on them.
        ObjectiveNotFound: If an entrypoint does not import.
    """
    is_own_model = source.is_own(options, "model")
    place = source.origin(options)
    if place == "registry":
        name = options["dataset"]
        data = datasets.load(name, options["validation"], device, options)
        return _imaged(data) if is_own_model else data
    if place == "own":
        examples = own_examples(options["data"], params)
        data = prepare(examples, Wanted.of(options, "none"), device)
    else:
        data = _of_files(options, is_own_model=is_own_model, device=device)
    return data if is_own_model else _flat(data)


def _of_files(options: Options, *, is_own_model: bool, device: str) -> Data:
    """From files, read once while they stay as they are."""
    named = ("dataset", "target", "kind", "standardise", "image_size", "root", "download", "loss")
    key = tuple((name, options[name]) for name in named if name in options)
    shares = tuple((name, options[name]) for name in ("validation", "test") if name in options)
    return _kept(key + shares, _state(options), is_own_model, device)


@functools.lru_cache(maxsize=4)
def _kept(
    key: tuple[tuple[str, Any], ...],
    state: tuple[Any, ...],
    is_own_model: bool,
    device: str,
) -> Data:
    del state
    options = dict(key)
    examples = _read(options)
    x = examples.x["train"]
    # Whole numbers that a model of the user's looks up must stay what they are.
    is_looked_up = is_own_model and not x.is_floating_point() and x.dtype != torch.uint8
    return prepare(examples, Wanted.of(options, "none" if is_looked_up else "both"), device)


def _state(options: Options) -> tuple[Any, ...]:
    """What changes when the files do.

    Raises:
        BadData: If they are not there.
    """
    place = source.origin(options)
    if place == "torchvision":
        root = Path(options.get("root", "."))
        if not root.is_dir() and not options.get("download"):
            raise _missing("trial.task.root", root, "folder")
        return (str(root.resolve()), *(_stamp(root) if root.is_dir() else ()))
    path = Path(options["dataset"])
    if place == "folder":
        if not path.is_dir():
            raise _missing(_DATASET, path, "folder")
        return tuple((str(file), _stamp(file)) for file in image_files(path.resolve()))
    if not path.is_file():
        raise _missing(_DATASET, path, "file")
    return (str(path.resolve()), *_stamp(path))


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_mtime_ns, stat.st_size


def _missing(key: str, path: Path, what: str) -> BadData:
    return BadData.at(
        key,
        f"there is no {what} {path} in {Path.cwd()}.",
        found=str(path),
        hint=WHERE,
    )


def _read(options: Options) -> Examples:
    place = source.origin(options)
    size = options.get("image_size")
    if place == "torchvision":
        root = Path(options.get("root", "."))
        download = bool(options.get("download"))
        return read_torchvision(options["dataset"], root, size, download=download)
    path = Path(options["dataset"])
    if place == "folder":
        return read_folder(path, size)
    if place == "npz":
        return _read_npz(path, options.get("target", "y"))
    return read_table(path, options.get("target"))


def _read_npz(path: Path, target: str) -> Examples:
    """Arrays x and y, and x_val, y_val, x_test and y_test where they are there."""
    if not zipfile.is_zipfile(path):
        raise _refuse(path, "it cannot be read: it is no .npz file, as numpy.savez writes it.")
    try:
        # Opened here, because numpy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (*_UNREADABLE, zipfile.BadZipFile) as error:
        raise _refuse(
            path, "it cannot be read: it is damaged, or has arrays of objects instead of numbers."
        ) from error
    wanted = {"train": target, "val": f"{target}_val", "test": f"{target}_test"}
    known = [*_INPUTS.values(), *wanted.values()]
    for name, key in (("x", _DATASET), (target, _TARGET)):
        if name not in arrays:
            near = nearest(name, arrays)
            raise BadData.at(
                key,
                f"{path} has no array {name!r}"
                + (f"; did you mean {near!r}?" if near else f"; it has {', '.join(arrays)}."),
                found=name,
                allowed=list(arrays),
                nearest=near,
                hint="Inputs are x, the target is y or what target names.",
            )
    unknown = [name for name in arrays if name not in known]
    if unknown:
        raise _refuse(path, f"it has an array {unknown[0]!r}; known: {', '.join(known)}.")
    parts: list[Part] = [part for part, name in _INPUTS.items() if name in arrays]
    for part, name in _INPUTS.items():
        if (name in arrays) != (wanted[part] in arrays):
            missing = name if name not in arrays else wanted[part]
            raise _refuse(path, f"it has no {missing}.")
    for name, array in arrays.items():
        allowed = "biuf" if name in _INPUTS.values() else "biufUS"
        if array.dtype.kind not in allowed or array.ndim == 0:
            raise _refuse(
                path, f"{name} has type {array.dtype} and shape {array.shape}; numbers go."
            )
    x = {part: _inputs(arrays[_INPUTS[part]]) for part in parts}
    return Examples(str(path), x, {part: arrays[wanted[part]] for part in parts})


def _inputs(array: np.ndarray[Any, Any]) -> torch.Tensor:
    wide = (
        array.astype(np.int64) if array.dtype.kind in "biu" and array.dtype != np.uint8 else array
    )
    tensor = torch.as_tensor(wide)
    return tensor[:, None] if tensor.dim() == 1 else tensor


def _flat(data: Data) -> Data:
    """Every example a vector of float32."""
    return _with_inputs(data, lambda x: x.flatten(1).float())


def _imaged(data: Data) -> Data:
    """Every example in the shape of its image, if it is one."""
    image = data.spec.image
    return data if image is None else _with_inputs(data, lambda x: x.reshape(len(x), *image))


def _with_inputs(data: Data, change: Any) -> Data:
    names = [name for name in ("train_x", "val_x", "test_x") if getattr(data, name) is not None]
    return replace(data, **{name: change(getattr(data, name)) for name in names})


def _refuse(path: Path, text: str) -> BadData:
    return BadData.at(_DATASET, f"{path}: {text}", found=str(path))
