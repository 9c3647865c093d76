"""Keeping leases: one thread renews them all, and each has a deadline of this worker's own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tuner.client import operations
from tuner.client.calls import Retry
from tuner.client.client import Client
from tuner.errors import TunerError, Unavailable, WorkerNotFound
from tuner.worker import clock

logger = logging.getLogger(__name__)
_MOST_S: Final = 10.0
_AGAIN_S: Final = 1.0
_LEAVE_S: Final = 2.0
_MARGIN: Final = 0.1
_MARGIN_S: Final = 5.0
_ONCE: Final = Retry(seconds=0.0, first_seconds=0.0)


@dataclass
class _Held:
    seconds: float
    deadline: float


class Heartbeat:
    """Renews leases in the background.

    A lease that could not be renewed in time counts as lost before the server gives the trial to
    somebody else, so that no two attempts train at the same time.

    Args:
        client: Sends.
        register: Makes the worker known and gives its id; called again when the server has
            forgotten it.
        on_stop: Called from the thread with a lease and the reason to stop it.
        on_drain: Called from the thread when the worker is to take nothing more.
        lease_seconds: How long new leases last; sets the pace.
    """

    def __init__(
        self,
        client: Client,
        register: Callable[[], str],
        on_stop: Callable[[str, str], None],
        on_drain: Callable[[], None],
        lease_seconds: float,
    ) -> None:
        self._client = client
        self._register = register
        self._on_stop = on_stop
        self._on_drain = on_drain
        self._every = min(lease_seconds / 3, _MOST_S)
        self._guard = threading.Condition()
        self._held: dict[str, _Held] = {}
        self._is_due = False
        self._is_closed = False
        self._was_away = False
        self.worker_id = register()
        self._thread = threading.Thread(target=self._run, name="tuner-heartbeat", daemon=True)
        self._thread.start()

    def hold(self, lease: str, seconds: float, asked_at: float) -> None:
        """Renew a lease from now on.

        Args:
            lease: The lease.
            seconds: How long each renewal lasts.
            asked_at: When it was asked for (`clock.now`): it began at that moment or later.
        """
        now = clock.now()
        with self._guard:
            # An answer that took long has eaten into the lease: renew it at once.
            self._held[lease] = _Held(seconds, max(asked_at + seconds, now + self._every))
            if now - asked_at > self._every:
                self._is_due = True
                self._guard.notify()

    def drop(self, lease: str) -> None:
        """Renew a lease no longer."""
        with self._guard:
            self._held.pop(lease, None)

    def expired(self) -> list[str]:
        """Leases that ran out, or are about to; they are renewed no longer."""
        now = clock.now()
        with self._guard:
            late = [
                lease
                for lease, held in self._held.items()
                if now >= held.deadline - min(_MARGIN * held.seconds, _MARGIN_S)
            ]
            for lease in late:
                del self._held[lease]
        return late

    def close(self) -> None:
        """Stop renewing; does not wait for a call under way."""
        with self._guard:
            self._is_closed = True
            self._guard.notify()

    def leave(self) -> None:
        """Take the worker off the server's list, after `close`; without a server it falls off."""
        self._thread.join(_LEAVE_S)
        operation = operations.worker_heartbeat(self.worker_id, [], leaving=True)
        try:
            self._client.transport.send(operation, Retry(seconds=_LEAVE_S, first_seconds=0.0))
        except TunerError as error:
            logger.info("leaving: %s", error)

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._guard:
                if not self._is_due and not self._is_closed:
                    self._guard.wait(pause)
                if self._is_closed:
                    return
                self._is_due = False
                leases = list(self._held)
            pause = self._every if self._try_beat(leases) else min(_AGAIN_S, self._every)

    def _try_beat(self, leases: list[str]) -> bool:
        """As `_beat`; the thread must outlive whatever happens, or every lease would run out."""
        try:
            return self._beat(leases)
        except Exception:
            logger.exception("heartbeat")
            return False

    def _beat(self, leases: list[str]) -> bool:
        """One heartbeat; whether it was taken."""
        sent_at = clock.now()
        operation = operations.worker_heartbeat(self.worker_id, leases)
        try:
            answer = self._client.transport.send(operation, _ONCE)
        except WorkerNotFound:
            self._renewed(leases, sent_at)
            return self._register_again()
        except Unavailable as error:
            if not self._was_away:
                logger.warning("heartbeat: %s", error)
            self._was_away = True
            return False
        except TunerError as error:
            logger.error("heartbeat: %s", error)  # noqa: TRY400  one line, it comes again and again
            return False
        if self._was_away:
            logger.warning("heartbeat: the server answers again")
        self._was_away = False
        self._renewed(leases, sent_at)
        self._obey(answer)
        return True

    def _renewed(self, leases: list[str], sent_at: float) -> None:
        with self._guard:
            for lease in leases:
                held = self._held.get(lease)
                if held is not None:
                    held.deadline = sent_at + held.seconds

    def _obey(self, answer: dict[str, Any]) -> None:
        for stop in answer.get("stop", ()):
            self._on_stop(str(stop["lease"]), str(stop["reason"]))
        if answer.get("draining"):
            self._on_drain()

    def _register_again(self) -> bool:
        """A server that forgot the worker takes it again; leases stay valid."""
        if self._is_closed:
            return True
        try:
            self.worker_id = self._register()
        except TunerError as error:
            logger.warning("register: %s", error)
            return False
        with self._guard:
            self._is_due = True
        return True
