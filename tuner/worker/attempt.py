"""One attempt at a trial, as the agent follows it: when it must stop, how, and what its end means."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tuner.client.reporter import LEASE_LOST
from tuner.client.runner import Outcome, failed, stopped
from tuner.core.lifecycle import Reason
from tuner.worker import endings, memory
from tuner.worker.executors.base import Executor, Exit
from tuner.worker.logs import LogFile
from tuner.worker.resources import Allocation

_TERM_S: Final = 2.0
_LINGER_S: Final = 10.0
_STUCK_S: Final = 60.0
_NEVER: Final = float("inf")


@dataclass
class Attempt:
    """A leased trial that runs here.

    Args:
        trial: The trial as leased.
        allocation: What it has got of the machine.
        log: What it writes.
    """

    trial: Mapping[str, Any]
    allocation: Allocation
    log: LogFile
    reason: str | None = None
    unsent: str = ""
    is_settling: bool = False
    is_shipping: bool = False
    sending: threading.Lock = field(default_factory=threading.Lock)
    _timed_out: bool = False
    _is_over: bool = False
    _term_at: float = _NEVER
    _kill_at: float = _NEVER
    _killed_at: float = _NEVER
    _oom_kills: int = field(default_factory=memory.oom_kills)

    def __post_init__(self) -> None:
        self.lease = str(self.trial["lease"])
        self.study = str(self.trial["study"])
        self.number = int(self.trial["number"])
        self._grace = float(self.trial.get("grace") or 0.0)
        self._is_command = "command" in (self.trial.get("runner") or {})
        self._ends_at: float | None = None

    @property
    def name(self) -> str:
        """The trial in words."""
        return f"trial {self.number} of {self.study}"

    @property
    def place(self) -> tuple[str, int, str]:
        """Study, number and lease, as calls about the trial begin."""
        return self.study, self.number, self.lease

    def stop(self, reason: str, now: float, executor: Executor) -> None:
        """Ask the trial to stop: its own way first, then SIGTERM, then SIGKILL.

        The first reason counts; a lost lease ends the attempt at once.
        """
        if reason == LEASE_LOST:
            self.reason = reason
            self._kill_at = now
        elif self.reason is None:
            self.reason = reason
            executor.ask_to_stop(self.lease, reason)
            # A command has had its SIGTERM with the request.
            self._term_at = now + self._grace
            self._kill_at = self._term_at + (0.0 if self._is_command else _TERM_S)
        self.watch(now, executor)

    def watch(self, now: float, executor: Executor) -> None:
        """Do what is due: time out, end a process that has said its outcome, go on stopping."""
        if not self._is_over and executor.outcome_of(self.lease) is not None:
            self._is_over = True
            self._kill_at = min(self._kill_at, now + max(self._grace, _LINGER_S))
        if self._ends_at is None and executor.has_started(self.lease):
            timeout = self.trial.get("timeout")
            self._ends_at = _NEVER if timeout is None else now + float(timeout)
        is_late = self._ends_at is not None and now >= self._ends_at
        if is_late and not self._timed_out and not self._is_over:
            self._timed_out = True
            self._term_at = now
            self._kill_at = min(self._kill_at, now + self._grace)
        if now >= self._kill_at:
            self._kill_at = _NEVER
            self._killed_at = min(self._killed_at, now)
            executor.kill(self.lease)
        elif now >= self._term_at:
            self._term_at = _NEVER
            executor.terminate(self.lease)

    def is_stuck(self, now: float) -> bool:
        """Whether its process outlives SIGKILL, as one does that a dead file server holds up.

        Its lease must not be renewed for ever: the trial is to go on elsewhere.
        """
        return now >= self._killed_at + _STUCK_S

    def conclude(self, end: Exit) -> Outcome:
        """What the end of the process means; the log has been read to its end."""
        if self.reason == LEASE_LOST:
            return stopped(LEASE_LOST)
        if self._timed_out:
            limit = float(self.trial["timeout"])
            return failed(f"The attempt took longer than {limit:g} s.", Reason.TIMEOUT)
        if end.outcome is not None:
            return end.outcome
        if self.reason is not None:
            return stopped(self.reason)
        if end.code is None:
            return failed(end.message, Reason.KILLED)
        kills = memory.oom_kills() - self._oom_kills
        return endings.of_exit(end.code, self.log.last_line, kills)
