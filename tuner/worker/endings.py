"""What the end of a process says about a trial that gave no outcome."""

from __future__ import annotations

import signal
from typing import Final

from tuner.client.runner import Outcome, failed
from tuner.core.lifecycle import Reason

# Ended from outside, not by a mistake of the trial's own.
_FROM_OUTSIDE: Final = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
_MEMORY_WORDS: Final = ("MemoryError", "OutOfMemoryError", "out of memory", "Cannot allocate")
_SHELL: Final = 128


def of_exit(code: int, last_line: str = "", oom_kills: int = 0) -> Outcome:
    """The outcome of a process that ended with `code` without saying how the trial went.

    Args:
        code: Exit code, or minus the number of the signal that killed it.
        last_line: What it wrote last, for the message.
        oom_kills: How many processes the kernel killed for memory meanwhile.
    """
    name = signal_name(-code if code < 0 else code - _SHELL)
    if code < 0 or (name == "SIGKILL" and code > _SHELL):
        if name == "SIGKILL" and oom_kills > 0:
            return failed("The host ran out of memory and killed the trial.", Reason.OOM)
        reason = Reason.KILLED if name in _FROM_OUTSIDE else Reason.ERROR
        return failed(_with(f"The trial was ended by {name}.", last_line), reason)
    if code == 0:
        return failed(
            _with("The trial's process ended without a result.", last_line), Reason.NO_RESULT
        )
    if any(words in last_line for words in _MEMORY_WORDS):
        return failed(last_line, Reason.OOM)
    return failed(last_line or f"The trial ended with exit code {code}.")


def signal_name(number: int) -> str:
    """The name of a signal, or its number in words."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _with(text: str, last_line: str) -> str:
    return f"{text} It wrote last: {last_line}" if last_line else text
