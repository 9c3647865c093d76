"""Ctrl-C in two steps: the first asks to stop, the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Asked(threading.Event):
    """Set when a signal asked to stop.

    Attributes:
        number: That signal's number.
        again: Set by the second signal, if `is_polled`; otherwise that one raises
            KeyboardInterrupt. (An exception inside `Thread.join` would make Python 3.11 and 3.12
            take the thread for ended, so who waits for threads polls.)
        is_polled: Whether somebody looks at `again`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number: int | None = None
        self.again = threading.Event()
        self.is_polled = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        del frame
        if not self.is_set():
            self.number = number
            self.set()
        elif self.is_polled and not self.again.is_set():
            self.again.set()
        else:
            raise KeyboardInterrupt


@contextmanager
def two_step() -> Iterator[Asked]:
    """Take SIGINT and SIGTERM."""
    asked = Asked()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, asked.handle) for number in signals}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
