"""Which devices this machine has; GPUs are found through NVML, which leaves CUDA untouched."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tuner.core.names import nearest
from tuner.errors import Invalid, NotAvailable

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_MIG: Final = "MIG-"


@dataclass(frozen=True)
class Gpu:
    """A GPU by the name that `CUDA_VISIBLE_DEVICES` takes and that no reordering changes."""

    uuid: str
    model: str = ""
    memory_bytes: int | None = None


def cores() -> int:
    """How many CPU cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def choose(devices: str, setting: str | None) -> list[Gpu]:
    """The GPUs that a worker works with.

    Args:
        devices: `auto` (all that are visible), `cpu`, or a list as `cuda:0,cuda:1`.
        setting: The value of `CUDA_VISIBLE_DEVICES` here, which is kept to; None: not set.

    Raises:
        Invalid: For a text of another form, or a device twice.
        NotAvailable: For a GPU that is not there.
    """
    names = [name.strip() for name in devices.split(",")]
    if names == ["cpu"]:
        return []
    if names == ["auto"]:
        return visible(discover(), setting)
    indices = [_index(name, devices) for name in names]
    for name, index in zip(names, indices, strict=True):
        if indices.count(index) > 1:
            raise Invalid.at("devices", f"{name} is given twice.", found=devices)
    found = visible(discover(), setting)
    for name, index in zip(names, indices, strict=True):
        if index >= len(found):
            there = f"there are {len(found)}" if found else "there is none"
            raise NotAvailable.at(
                "devices",
                f"{name} is not there: of GPUs that may be used {there}.",
                found=devices,
                allowed=["auto", "cpu", *(f"cuda:{i}" for i in range(len(found)))],
                hint="GPUs are found through nvidia-ml-py and the driver.",
            )
    return [found[index] for index in indices]


def discover() -> list[Gpu]:
    """All GPUs of the machine in bus order; none without a driver or nvidia-ml-py."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except ImportError:
        return []
    except Exception as error:
        if type(error).__name__.startswith("NVMLError"):
            return []
        raise
    try:
        return [_read(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    finally:
        nvml.nvmlShutdown()


def visible(gpus: Sequence[Gpu], setting: str | None) -> list[Gpu]:
    """The GPUs that a value of `CUDA_VISIBLE_DEVICES` leaves, in its order.

    As in CUDA, an entry that names no GPU hides itself and all that follow. Parts of a GPU (MIG)
    are taken by their name as they are.
    """
    if setting is None:
        return list(gpus)
    found: list[Gpu] = []
    for entry in (part.strip() for part in setting.split(",")):
        gpu = _named(gpus, entry)
        if gpu is None or gpu in found:
            break
        found.append(gpu)
    return found


def _named(gpus: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.startswith(_MIG):
        return Gpu(entry, "MIG")
    if entry.isascii() and entry.isdigit():
        return gpus[int(entry)] if int(entry) < len(gpus) else None
    matching = [gpu for gpu in gpus if entry and gpu.uuid.startswith(entry)]
    return matching[0] if len(matching) == 1 else None


def _read(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        _text(nvml.nvmlDeviceGetUUID(handle)),
        _text(nvml.nvmlDeviceGetName(handle)),
        int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _index(name: str, devices: str) -> int:
    kind, _, number = name.partition(":")
    if kind == "cuda" and number.isascii() and number.isdigit():
        return int(number)
    raise Invalid.at(
        "devices",
        f"found {devices!r}, expected auto, cpu or a list as cuda:0,cuda:1.",
        found=devices,
        allowed=["auto", "cpu", "cuda:N"],
        nearest=nearest(devices, ["auto", "cpu", "cuda:0"]),
    )
