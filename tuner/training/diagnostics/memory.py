"""The most memory that a training has held."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Final

import torch

if sys.platform != "win32":
    import resource

_STATM: Final = Path("/proc/self/statm")


class PeakMemory:
    """Megabytes (10⁶ bytes) above what there was at the construction.

    CUDA: the most that torch has allocated on the device; its count of the peak begins anew here.
    CPU: the most resident memory of the process, all its threads included. What the process had
    freed before and takes again counts in part: where its own record is not broken, what it holds
    is looked at only when `megabytes` is called.

    Args:
        device: Of the training.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._most = device, 0.0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._record = _record()
        self._start = self._highest()

    def megabytes(self) -> float:
        """The most so far; NaN where the system does not tell (Windows)."""
        if self._device.type != "cuda" and sys.platform == "win32":
            return math.nan
        self._most = max(self._most, (self._highest() - self._start) / 1e6)
        return self._most

    def load(self, most: float) -> None:
        """Go on from what `megabytes` gave."""
        self._most = most

    def _highest(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        record = _record()
        return record if record > self._record else _resident()


def _record() -> int:
    """The most bytes that the process ever had resident."""
    if sys.platform == "win32":
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _resident() -> int:
    """The bytes that the process has resident now; its record where /proc is missing."""
    if sys.platform == "win32" or not _STATM.exists():
        return _record()
    return int(_STATM.read_text().split()[1]) * resource.getpagesize()
