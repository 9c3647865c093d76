"""Trials that are commands: never through a shell, reports on stdout, stopped by SIGTERM."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any, Final

from tuner.client.runner import Outcome, describe, failed, stopped
from tuner.client.trial import Trial
from tuner.core.command import render
from tuner.core.wire import decode_metric
from tuner.errors import (
    Conflict,
    Invalid,
    InvalidMetric,
    TunerError,
    Unavailable,
    WorkerError,
)
from tuner.worker import endings, memory, processes, program

PREFIX: Final = b"tuner:"
_LINE: Final = 65_536
_POLL_S: Final = 0.25
_AFTER_S: Final = 2.0
_NO_PROGRAM: Final = frozenset(
    {errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
)
_PIPE: Final = 1 << 20  # bytes that a pipe may hold, at most, when its writer has ended


def run_command(command: Sequence[Any], trial: Trial, grace: float) -> Outcome:
    """Run a command to its end, or until the trial is to stop.

    Args:
        command: The argv as in the study, with placeholders and optional groups.
        trial: Gets what the command reports on stdout.
        grace: Seconds between SIGTERM and SIGKILL.

    Raises:
        WorkerError: If the program, the same for every trial, is not there or cannot be started.
    """
    # A stop reaches the whole group; this process stays to see how the command ends.
    signal.signal(signal.SIGTERM, lambda *_: None)
    kills_before = memory.oom_kills()
    try:
        argv = render(command, trial.params)
        trial.checkpoint_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, TunerError) as error:
        return failed(f"The command cannot be started: {describe(error)}")
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except (OSError, ValueError) as error:
        # which program it is may depend on the trial's parameters
        if isinstance(error, OSError) and error.errno in _NO_PROGRAM and argv[0] == command[0]:
            raise _no_program(argv[0], error) from error
        return failed(f"The command cannot be started: {describe(error)}")
    errors = _Tee(process.stderr, sys.stderr.buffer, lambda line: None)
    output = _Tee(process.stdout, sys.stdout.buffer, _Reports(trial).read)
    reason = _wait(process, trial, grace)
    for tee in (output, errors):
        tee.join()
    with contextlib.suppress(OSError):
        trial.checkpoint_dir.rmdir()  # nothing was kept
    kills = memory.oom_kills() - kills_before
    return _ending(process.returncode, reason, errors.last_line, kills, trial)


def _no_program(name: str, error: OSError) -> WorkerError:
    found = program.obstacle(name)
    if found is None:  # a script whose interpreter is missing, or no program at all
        return WorkerError.at(program.PATH, f"{name} cannot be started: {error.strerror}.")
    near = f" Did you mean {found.nearest!r}?" if found.nearest else ""
    return WorkerError.at(program.PATH, f"{found.said}{near}", found=name, hint=found.hint)


def _wait(process: subprocess.Popen[bytes], trial: Trial, grace: float) -> str | None:
    """Wait for the command; the reason for which it was asked to stop, if it was."""
    reason: str | None = None
    kill_at = float("inf")
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
            return reason
        if reason is None:
            reason = _stop_reason(trial)
            if reason is not None:
                kill_at = time.monotonic() + grace
                processes.signal_tree(os.getpid(), signal.SIGTERM)
        elif time.monotonic() >= kill_at:
            for pid in processes.descendants(os.getpid()) or [process.pid]:
                processes.send(pid, processes.KILL)


def _stop_reason(trial: Trial) -> str | None:
    try:
        return trial.should_stop()
    except (Conflict, Invalid) as error:
        say_refused(error)
        return None


def say_refused(error: TunerError) -> None:
    """Name in the log what the server refused of the reports; it does not end a command."""
    _say(f"tuner: a report was not taken: {error}\n")


def _say(text: str) -> None:
    # A full disk must not end the thread that reads the command's output.
    with contextlib.suppress(OSError):
        sys.stderr.write(text)


def _ending(code: int, reason: str | None, last_line: str, kills: int, trial: Trial) -> Outcome:
    if reason is not None:
        return stopped(reason)
    if code != 0:
        return endings.of_exit(code, last_line, kills)
    if not trial.has_reported:
        # Reports by `current_trial()` passed this process by: the script may have left early.
        with contextlib.suppress(TunerError):
            seen = trial.renew()
            if seen is not None:
                return stopped(seen)
    return Outcome("tell", "complete")


class _Tee:
    """Copies a stream of the command into the trial's log, line by line."""

    def __init__(
        self, source: IO[bytes] | None, log: IO[bytes], each: Callable[[bytes], None]
    ) -> None:
        self.last_line = ""
        self._source = source
        self._log = log
        self._each = each
        self._waits_since: float | None = None
        self._n_read = 0
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until all is read that the command wrote; a descendant may hold the stream open."""
        began, n_read = time.monotonic(), self._n_read
        while self._thread.is_alive() and self._n_read - n_read <= _PIPE:
            self._thread.join(_POLL_S)
            since = self._waits_since
            if since is not None and time.monotonic() - max(since, began) > _AFTER_S:
                return

    def _copy(self) -> None:
        if self._source is None:
            return
        while line := self._next(self._source):
            # A full disk must not block the command on a pipe that nobody reads.
            with contextlib.suppress(OSError):
                self._log.write(line)
                self._log.flush()
            text = line.decode("utf-8", "replace").strip()
            self.last_line = text or self.last_line
            self._each(line)

    def _next(self, source: IO[bytes]) -> bytes:
        self._waits_since = time.monotonic()
        try:
            line = source.readline(_LINE)
        finally:
            self._waits_since = None
        self._n_read += len(line)
        return line


class _Reports:
    """Reads the lines `tuner: {"step": 3, "val_loss": 0.31}`."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def read(self, line: bytes) -> None:
        """Report what the line says, if it is one; a mistake in it is said in the log."""
        if not line.startswith(PREFIX):
            return
        try:
            step, metrics = read_report(line)
            self._trial.report(step, **metrics)
        except (Conflict, Unavailable) as error:
            say_refused(error)
        except (ValueError, TunerError) as error:
            shown = line[:200].decode("utf-8", "replace").strip()
            _say(f"tuner: this line is no report ({error}): {shown}\n")


def read_report(line: bytes) -> tuple[int, dict[str, float]]:
    """Step and metrics of a report line.

    Raises:
        ValueError: If it is not `tuner: ` and a JSON object with a step and numbers.
    """
    try:
        data = json.loads(line.removeprefix(PREFIX).decode("utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(data, dict) or type(data.get("step")) is not int:
        raise ValueError('expected an object with a whole number "step"')
    step = data.pop("step")
    metrics: dict[str, float] = {}
    for name, value in data.items():
        number = decode_metric(value)
        if number is None:
            raise InvalidMetric.at(name, f"found {value!r}, expected a number.")
        metrics[name] = number
    return step, metrics
