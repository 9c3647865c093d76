"""Where a task's data come from: a registered set, a file, a folder, torchvision, or user code.

The task says it by `dataset` (a name or a path) or `data` (an entrypoint). Nothing is opened here:
paths are resolved where the trial runs, relative to the worker's folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from tuner.core.allow import entrypoints
from tuner.core.entrypoint import PATTERN as ENTRYPOINT
from tuner.core.names import PARAMETER_NAME
from tuner.errors import Invalid
from tuner.tasks.datasets import DATASETS
from tuner.tasks.option import Option, Scalar

Origin = Literal["registry", "own", "npz", "csv", "parquet", "folder", "torchvision"]
Kind = Literal["classification", "regression"]
READS: Final = "reads"
READS_DOC: Final = (
    "Parameters that your own model or data read: a list of names, or a mapping of names to the "
    "values where the space has none."
)
MOST_READS: Final = 256
TORCHVISION: Final = "torchvision:"
# A file by its ending, a folder by a slash: a mistyped name of a set is still found as such.
PATHS: Final = r"torchvision:[A-Za-z_]\w*|[^\n]*[/\\][^\n]*|[^\n]+\.(?:npz|csv|parquet)"
PATHS_SHAPE: Final = "a path (.npz, .csv, .parquet, or a folder of images with a / in it)"
FILES: Final = frozenset({"npz", "csv", "parquet"})
ENTRYPOINT_SHAPE: Final = "an entrypoint package.module:function"
_OWN_CODE: Final = ("model", "data")

SOURCE_OPTIONS: Final = (
    Option(
        "data",
        "text",
        "Your own data: an entrypoint that loads them; this or dataset.",
        pattern=ENTRYPOINT,
        shape=ENTRYPOINT_SHAPE,
        is_fixed=True,
    ),
    Option(
        "loss",
        "text",
        "Your own loss, an entrypoint; absent: cross entropy or the mean squared error.",
        pattern=ENTRYPOINT,
        shape=ENTRYPOINT_SHAPE,
        is_fixed=True,
    ),
    Option(
        "metric",
        "text",
        "Your own metric on the validation set, an entrypoint, reported as val_NAME.",
        pattern=ENTRYPOINT,
        shape=ENTRYPOINT_SHAPE,
        is_fixed=True,
    ),
    Option(
        "kind",
        "categorical",
        "What the target is; absent: whole numbers and texts are classes, other numbers are not.",
        choices=("classification", "regression"),
        datasets=frozenset({*FILES, "folder", "own"}),
        is_fixed=True,
    ),
    Option(
        "target",
        "text",
        "Column (of a table; absent: the last) or array (of an .npz file; absent: y) with the "
        "target.",
        shape="a name",
        datasets=FILES,
        is_fixed=True,
    ),
    Option(
        "standardise",
        "categorical",
        "What of own data gets mean 0 and standard deviation 1, those of the training "
        "examples: inputs (images: each channel), and a regression's target. Absent: both for "
        "files, none for data by an entrypoint.",
        choices=("both", "inputs", "none"),
        datasets=frozenset({*FILES, "folder", "torchvision", "own"}),
        is_fixed=True,
    ),
    Option(
        "image_size",
        "int",
        "Height and width that images are resized to; absent: they must be of one size.",
        None,
        1,
        4096,
        datasets=frozenset({"folder", "torchvision"}),
        is_fixed=True,
    ),
    Option(
        "root",
        "text",
        "Folder of a torchvision set; absent: the worker's folder.",
        shape="a path",
        datasets=frozenset({"torchvision"}),
        is_fixed=True,
    ),
    Option(
        "download",
        "bool",
        "Whether a torchvision set that is not in root may be downloaded; the worker must "
        "allow it. Absent: no.",
        datasets=frozenset({"torchvision"}),
        is_fixed=True,
    ),
)


def origin(task: Mapping[str, Any]) -> Origin:
    """Where the task's data come from."""
    if "data" in task:
        return "own"
    name = str(task.get("dataset"))
    if name in DATASETS:
        return "registry"
    if name.startswith(TORCHVISION):
        return "torchvision"
    match = re.search(r"\.(npz|csv|parquet)$", name)
    return match[1] if match else "folder"  # type: ignore[return-value]


def kind(task: Mapping[str, Any]) -> Kind | None:
    """Whether the task has classes, where that is known before the data are read."""
    given = task.get("kind")
    if given is not None:
        return "classification" if given == "classification" else "regression"
    place = origin(task)
    if place == "registry":
        return DATASETS[str(task["dataset"])].kind
    return "classification" if place == "folder" else None


def has_images(task: Mapping[str, Any]) -> bool | None:
    """Whether an example is an image, where that is known before the data are read."""
    place = origin(task)
    if place == "registry":
        return DATASETS[str(task["dataset"])].image is not None
    return {"folder": True, "torchvision": True, "csv": False, "parquet": False}.get(place)


def paths(task: Mapping[str, Any]) -> dict[str, str]:
    """The files and folders that must be there before a trial starts, by the task's key."""
    place = origin(task)
    if place in FILES or place == "folder":
        return {"dataset": str(task["dataset"])}
    if place == "torchvision" and not task.get("download"):
        return {"root": str(task.get("root", "."))}
    return {}


def is_own(task: Mapping[str, Any], key: str) -> bool:
    """Whether the task names user code under `key`."""
    return key in entrypoints(task)


def names_read(task: Mapping[str, Any]) -> list[str]:
    """The parameters that user code reads besides the task's own."""
    return list(task.get(READS, ()))


def check_source(task: Mapping[str, Any], options: Mapping[str, Option], path: str) -> None:
    """Refuse a task whose data are not said once, or with keys that its kind of data has not.

    Args:
        task: With legal values.
        options: All options of a task.
        path: Where the task stands in the input.

    Raises:
        Invalid: With the path of the mistake.
    """
    if "dataset" not in task and "data" not in task:
        raise Invalid.at(
            f"{path}.dataset",
            "is missing: name a data set, a file or a folder, or give data: an entrypoint.",
            allowed=options["dataset"].allowed,
        )
    if "dataset" in task and "data" in task:
        raise Invalid.at(f"{path}.data", "give either dataset or data, not both.")
    place = origin(task)
    for name in task:
        option = options.get(name)
        if option is None or not option.is_fixed or not option.datasets:
            continue
        if place not in option.datasets:
            fitting = ", ".join(sorted(option.datasets))
            raise Invalid.at(
                f"{path}.{name}",
                f"goes with data from {fitting}; this task's are from {place}.",
                found=task[name],
            )
    if place == "folder" and task.get("kind") == "regression":
        raise Invalid.at(f"{path}.kind", "a folder of images has classes.", found="regression")


def check_reads(
    reads: object, task: Mapping[str, Any], known: Mapping[str, Any], path: str
) -> Any:
    """Refuse a `reads` that names no parameters of the user's own.

    Args:
        reads: As in the task.
        task: The task.
        known: The task's options, which need not be named.
        path: Where `reads` stands in the input.

    Returns:
        A list of names, or a mapping of names to values.
    """
    if isinstance(reads, str) or not isinstance(reads, list | tuple | Mapping):
        raise Invalid.at(
            path, "expected a list of names, or names with values.", found=repr(reads)
        )
    if not any(is_own(task, key) for key in _OWN_CODE):
        raise Invalid.at(path, "goes with a model or data of your own (an entrypoint).")
    if len(reads) > MOST_READS:
        raise Invalid.at(path, f"has {len(reads)} names; at most {MOST_READS}.", found=len(reads))
    for name in reads:
        if not isinstance(name, str) or not PARAMETER_NAME.fullmatch(name) or "." in name:
            raise Invalid.at(path, f"{name!r} is not a plain name.", found=repr(name)[:80])
        if name in known:
            raise Invalid.at(
                f"{path}.{name}",
                f"{name} is an option of every task, and given to your code as it is; leave it out.",
                found=name,
            )
    if not isinstance(reads, Mapping):
        return list(reads)
    for name, value in reads.items():
        if not isinstance(value, Scalar):
            raise Invalid.at(
                f"{path}.{name}",
                f"found {value!r}, expected a number or a text.",
                found=repr(value),
            )
    return dict(reads)
