"""Images from a folder with one folder for each class, and the sets of torchvision."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tuner.core.names import nearest
from tuner.errors import BadData
from tuner.tasks.datasets import MOST_NUMBERS
from tuner.tasks.source import TORCHVISION
from tuner.training.examples import Examples, Part

ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg"})
_PARTS: Final[dict[str, Part]] = {"train": "train", "val": "val", "test": "test"}
_GREY: Final = frozenset({"1", "L"})


def image_files(path: Path) -> list[Path]:
    """All images below a folder, in order."""
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)


def read_folder(path: Path, size: int | None) -> Examples:
    """Images of a folder that has a folder for each class.

    Where its folders are `train` and any of `val` and `test`, each of these has the classes.

    Args:
        path: The folder.
        size: Height and width to resize to; None: they are of one size.

    Raises:
        BadData: For a folder without classes, or an image that cannot be read.
    """
    pillow = _pillow(path)
    parts = {name: path / name for name in _PARTS if (path / name).is_dir()}
    folders = parts if "train" in parts else {"train": path}
    files = {_PARTS[name]: _classes(folder) for name, folder in folders.items()}
    every = [file for found in files.values() for file, _ in found]
    if not every:
        raise _refuse(
            path,
            "it has no images; it must have a folder for each class with"
            f" {', '.join(sorted(ENDINGS))} files.",
        )
    shape = _common(path, pillow, every, size)
    _check_memory(path, len(every), shape)
    x = {
        part: torch.stack([_pixels(pillow, file, shape) for file, _ in found])
        for part, found in files.items()
    }
    y = {part: np.array([label for _, label in found]) for part, found in files.items()}
    return Examples(str(path), x, y)


def read_torchvision(dataset: str, root: Path, size: int | None, *, download: bool) -> Examples:
    """A set of torchvision; its own test examples are the test set.

    Args:
        dataset: `torchvision:` and the name of the class.
        root: Folder of its files.
        size: Height and width to resize to; None: they are of one size.
        download: Whether it may be downloaded.

    Raises:
        BadData: If there is no such set, it is not in `root`, or torchvision is not installed.
    """
    name = dataset.removeprefix(TORCHVISION)
    made = _sets(dataset, name, root, download=download)
    shapes: dict[Part, tuple[list[torch.Tensor], list[int]]] = {}
    for part, items in made.items():
        images, labels = [], []
        for image, label in items:
            images.append(_tensor(image, size))
            labels.append(int(label))
        shapes[part] = (images, labels)
    every = {tuple(image.shape) for images, _ in shapes.values() for image in images}
    if len(every) > 1:
        raise BadData.at(
            "trial.task.image_size",
            f"the images of {dataset} have {len(every)} sizes; give image_size.",
        )
    x = {part: torch.stack(images) for part, (images, _) in shapes.items()}
    y = {part: np.array(labels) for part, (_, labels) in shapes.items()}
    return Examples(dataset, x, y)


def _sets(dataset: str, name: str, root: Path, *, download: bool) -> dict[Part, Any]:
    try:
        # In an extra of its own, and only tasks on its sets need it.
        sets = importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:
        raise BadData.at(
            "trial.task.dataset",
            f"{dataset} needs torchvision, which does not load here: {str(error)[:100]}.",
            hint="Install tuner[vision], built for this torch, where the worker runs.",
        ) from error
    cls = getattr(sets, name, None)
    if not inspect.isclass(cls) or not issubclass(cls, sets.VisionDataset):
        near = nearest(name, sets.__all__)
        raise BadData.at(
            "trial.task.dataset",
            f"torchvision has no set {name!r}" + (f"; did you mean {near!r}?" if near else "."),
            found=dataset,
            nearest=near,
        )
    takes = inspect.signature(cls).parameters
    given: dict[str, Any] = {"root": str(root)} if "root" in takes else {}
    if "download" in takes:
        given["download"] = download
    choices: dict[Part, dict[str, Any]] = {"train": {}}
    if "train" in takes:
        choices = {"train": {"train": True}, "test": {"train": False}}
    elif "split" in takes:
        choices = {"train": {"split": "train"}, "test": {"split": "test"}}
    try:
        return {part: cls(**given, **chosen) for part, chosen in choices.items()}
    except (RuntimeError, OSError, ValueError, TypeError, ImportError) as error:
        raise BadData.at(
            "trial.task.root",
            f"{dataset} cannot be read in {root}: {' '.join(str(error).split())[:200]}",
            found=str(root),
            hint="" if download else "Put its files there, or give download: true.",
        ) from error


def _tensor(image: Any, size: int | None) -> torch.Tensor:
    """An image of PIL or a tensor as float32 (channels, height, width) between 0 and 1."""
    if hasattr(image, "resize") and not isinstance(image, torch.Tensor):
        if size is not None and image.size != (size, size):
            image = image.resize((size, size))
        pixels = np.array(image)
    else:
        pixels = np.array(image)
    values = torch.from_numpy(pixels)
    values = values[None] if values.dim() == 2 else values.permute(2, 0, 1)
    return values.to(torch.float32) / 255


def _classes(path: Path) -> list[tuple[Path, str]]:
    """The images of each folder of `path`, with the folder's name."""
    if not path.is_dir():
        raise BadData.at(
            "trial.task.dataset", f"there is no folder {path}.", found=str(path), hint=WHERE
        )
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir())
    found = [(file, folder.name) for folder in folders for file in image_files(folder)]
    empty = [folder.name for folder in folders if not image_files(folder)]
    if found and empty:
        raise _refuse(path, f"its folder {empty[0]!r} has no images.", "Remove it, or fill it.")
    return found


WHERE: Final = "Paths are relative to the folder of the worker."


def _common(
    path: Path, pillow: Any, files: Sequence[Path], size: int | None
) -> tuple[str, int, int]:
    """Mode, width and height of all images."""
    modes: set[str] = set()
    sizes: dict[tuple[int, int], Path] = {}
    for file in files:
        with _opened(pillow, file) as image:
            modes.add(image.mode)
            sizes.setdefault(image.size, file)
    mode = "L" if modes <= _GREY else "RGB"
    if size is not None:
        return mode, size, size
    if len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise BadData.at(
            "trial.task.image_size",
            f"the images of {path} are not of one size ({one.name} is {first[0]} by {first[1]},"
            f" {other.name} {second[0]} by {second[1]}); give image_size.",
        )
    width, height = next(iter(sizes))
    return mode, width, height


def _opened(pillow: Any, file: Path) -> Any:
    try:
        return pillow.open(file)
    except (OSError, ValueError) as error:
        raise _refuse(file, f"it cannot be read: {' '.join(str(error).split())[:200]}") from error


def _pixels(pillow: Any, file: Path, shape: tuple[str, int, int]) -> torch.Tensor:
    mode, width, height = shape
    with _opened(pillow, file) as opened:
        try:
            image = opened.convert(mode)
        except (OSError, SyntaxError, ValueError) as error:
            raise _refuse(
                file, f"it cannot be read: {' '.join(str(error).split())[:200]}"
            ) from error
        return _tensor(
            image.resize((width, height)) if image.size != (width, height) else image, None
        )


def _check_memory(path: Path, count: int, shape: tuple[str, int, int]) -> None:
    mode, width, height = shape
    if count * width * height * len(mode) > MOST_NUMBERS:
        raise _refuse(
            path,
            f"{count} images of {width} by {height} are more than {MOST_NUMBERS} numbers.",
            "Give a smaller image_size, or data: an entrypoint of your own.",
        )


def _pillow(path: Path) -> Any:
    try:
        # In an extra of its own, and only folders of images need it.
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise BadData.at(
            "trial.task.dataset",
            f"{path}: folders of images need Pillow.",
            hint="Install tuner[files] where the worker runs.",
        ) from error


def _refuse(path: Path, text: str, hint: str = "") -> BadData:
    return BadData.at("trial.task.dataset", f"{path}: {text}", found=str(path), hint=hint)
