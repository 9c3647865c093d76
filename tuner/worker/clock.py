"""Seconds for lease deadlines: they must also pass while the machine sleeps."""

from __future__ import annotations

import time

_SLEEPING = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Seconds since some fixed moment; on Linux, time asleep counts."""
    return time.monotonic() if _SLEEPING is None else time.clock_gettime(_SLEEPING)
