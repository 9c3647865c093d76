"""Ctrl-C in two steps: the first asks to stop, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked(threading.Event):
    """Set when a signal asked to stop; `number` is that signal's."""

    number: int | None = None


@contextmanager
def two_step() -> Iterator[Asked]:
    """An event that the first SIGINT or SIGTERM sets; the second raises KeyboardInterrupt."""
    asked = Asked()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if asked.is_set():
            raise KeyboardInterrupt
        asked.number = number
        asked.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
