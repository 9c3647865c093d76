"""One background thread per client that sends what its running trials have due."""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Final

from tuner.client.reporter import Reporter

_IDLE_S: Final = 1.0


class Pump:
    """Heartbeats and buffered reports of the reporters that still live.

    A reporter that is closed, or that nobody holds any more, is forgotten: its lease runs out and
    the trial goes back to the queue. The thread ends when there is nothing to look after.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._reporters: weakref.WeakSet[Reporter] = weakref.WeakSet()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._stopped = False

    def watch(self, reporter: Reporter) -> None:
        """Look after `reporter` from now on; a second call wakes the thread up."""
        with self._changed:
            if self._pid != os.getpid():  # a fork has the list but not the thread
                self._pid, self._thread = os.getpid(), None
                self._reporters.clear()
            self._reporters.add(reporter)
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="tuner-pump", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread; reporters keep what they have."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped or not self._reporters:
                    self._thread = None
                    return
                self._changed.wait(self._pause())
            self._tick()

    def _tick(self) -> None:
        """Let each reporter send; in a frame of its own, so that no reference outlives it."""
        with self._changed:
            reporters = list(self._reporters)
        for reporter in reporters:
            if reporter.is_open:
                reporter.tick()
            else:
                with self._changed:
                    self._reporters.discard(reporter)

    def _pause(self) -> float:
        due = [at for r in self._reporters if (at := r.due_at) is not None]
        return min(max(min(due) - time.monotonic(), 0.0), _IDLE_S) if due else _IDLE_S
