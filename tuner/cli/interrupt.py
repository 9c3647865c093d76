"""Ctrl-C in two steps: the first asks to stop, the second ends at once."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_TICK_S: Final = 0.05


class Flag(threading.Event):
    """An event that a signal handler may set.

    The handler runs in the thread that may be waiting, in the middle of whatever it does: a lock
    that `Event.wait` holds at that moment would never be free again. So no lock is taken here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_up = False

    def is_set(self) -> bool:
        """Whether it has been set."""
        return self._is_up

    def set(self) -> None:
        """Set it for good."""
        self._is_up = True

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for `timeout` seconds; whether it is set."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not self._is_up and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_S))
        return self._is_up


class Asked(Flag):
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
        self.again = Flag()
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
