"""What an executor offers; another place to run trials is one more file beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tuner.client.runner import Outcome


@dataclass(frozen=True)
class Job:
    """One attempt at a trial, ready to run.

    Args:
        key: The lease; names the attempt.
        data: What the trial's process gets (plain data, see `tuner.worker.child`).
        log_file: Takes what the trial writes.
        preload: Whether torch is worth loading before the start.
    """

    key: str
    data: Mapping[str, Any]
    log_file: Path
    preload: bool


@dataclass(frozen=True)
class Exit:
    """How a trial's process ended.

    Args:
        key: The lease.
        code: Exit code, minus the number of a signal, or None if it could not run or be followed.
        outcome: What it said before, if it did.
        message: Why it could not be started or followed.
        fatal: Why no trial of this kind can run here, if it said so.
    """

    key: str
    code: int | None
    outcome: Outcome | None = None
    message: str = ""
    fatal: str | None = None


class Executor(Protocol):
    """Runs trials; all calls but `wake` come from one thread."""

    def start(self, job: Job) -> None:
        """Start a trial; what goes wrong on the way is told as an `Exit` by `poll`.

        Raises:
            ValueError: A trial with the same lease runs.
            OSError: This machine lacks what a start needs (files, processes); nothing has begun.
        """

    def poll(self, seconds: float) -> list[Exit]:
        """Trials that have ended, waiting up to `seconds` for the first; nothing of them lives."""

    def ask_to_stop(self, key: str, reason: str) -> None:
        """Let the trial know that it is to stop."""

    def terminate(self, key: str) -> None:
        """Send SIGTERM to all of the trial's processes."""

    def kill(self, key: str) -> None:
        """End all of the trial's processes at once."""

    def has_started(self, key: str) -> bool:
        """Whether the trial's process is there (libraries may be loaded before)."""

    def outcome_of(self, key: str) -> Outcome | None:
        """What a trial that still lives has already said."""

    def wake(self) -> None:
        """Let a waiting `poll` return; from any thread."""

    def close(self) -> None:
        """Kill what still runs and let go of everything."""
