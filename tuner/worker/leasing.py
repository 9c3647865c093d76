"""The call for trials, made in the background: it may take as long as a model fit, or hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue

from tuner.worker import clock
from tuner.worker.sources import Taken


@dataclass(frozen=True)
class LeaseCall:
    """A call that is under way or done.

    Args:
        asked_at: When it began (`clock.now`).
        was_idle: Whether the worker had nothing then: what it ran went back to the queue before.
        answer: What it leased, or why not.
    """

    asked_at: float
    was_idle: bool
    answer: Future[Taken]


class Leasing:
    """Makes the calls, one after the other, in a thread that nobody waits for at the end."""

    def __init__(self) -> None:
        self._wanted: SimpleQueue[tuple[Callable[[], Taken], Future[Taken]] | None] = SimpleQueue()
        # A pool's thread would be joined when the process ends, however long its call takes.
        threading.Thread(target=self._run, name="tuner-lease", daemon=True).start()

    def begin(
        self, take: Callable[[], Taken], was_idle: bool, on_done: Callable[[], None]
    ) -> LeaseCall:
        """Make a call; `on_done` is called from the thread when there is an answer."""
        answer: Future[Taken] = Future()
        answer.add_done_callback(lambda _: on_done())
        call = LeaseCall(clock.now(), was_idle, answer)
        self._wanted.put((take, answer))
        return call

    def close(self) -> None:
        """End the thread after its present call."""
        self._wanted.put(None)

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            take, answer = wanted
            try:
                answer.set_result(take())
            except BaseException as error:  # noqa: BLE001  whoever reads the answer gets it
                answer.set_exception(error)
