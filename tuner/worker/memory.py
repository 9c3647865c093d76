"""Evidence that the host ran out of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_HOST: Final = Path("/proc/vmstat")


def oom_kills() -> int:
    """How many processes the kernel has killed for memory, in this cgroup or else on this host.

    Compare two readings around a trial; 0 where the kernel does not say.
    """
    for file in (_own_events(), _HOST):
        count = _count(file)
        if count is not None:
            return count
    return 0


def _own_events() -> Path:
    try:
        lines = _OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    return _CGROUPS / path.lstrip("/") / "memory.events"


def _count(file: Path) -> int | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.split() for line in lines)
    return next((int(p[1]) for p in pairs if len(p) == 2 and p[0] == "oom_kill"), None)
