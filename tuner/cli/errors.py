"""Errors as one or two plain lines on stderr, and their exit codes."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import Final

import typer

from tuner.core.names import nearest
from tuner.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_INVALID, FieldError, TunerError

_WIDTH: Final = 400
_DEBUG: Final = " (--debug shows the traceback)"


def is_closed_pipe(error: BaseException | None) -> bool:
    """Whether nobody reads the output any more; rich says so by leaving."""
    if isinstance(error, SystemExit):
        error = error.__context__
    return isinstance(error, BrokenPipeError)


def answer(error: BaseException, *, debug: bool = False) -> int:
    """Print what went wrong and return the exit code.

    Args:
        error: Whatever ended the command.
        debug: Print the traceback too.
    """
    if isinstance(error, BrokenPipeError):
        silence()
        return 0
    if debug and not isinstance(error, typer.TyperException | typer.Abort | KeyboardInterrupt):
        traceback.print_exception(error)
    text, code = _explain(error)
    hint = "" if debug or not isinstance(error, Exception) or _is_ours(error) else _DEBUG
    return _say(f"{text}{hint}", code)


def _explain(error: BaseException) -> tuple[str, int]:
    """What to say about an error, and the exit code."""
    match error:
        case KeyboardInterrupt():
            return "Interrupted.", EXIT_INTERRUPTED
        case typer.Abort():
            return "Aborted, nothing was changed.", EXIT_FAILED
        case TunerError():
            return "\n".join(lines(error)), error.exit_code
        case typer.TyperException():
            return _usage(error), EXIT_INVALID
        case OSError(filename=str(name)):
            return f"Error: {name}: {error.strerror or error}.", EXIT_FAILED
        case _:
            text = _one_line(str(error)) or "no message"
            return f"Error: {type(error).__name__}: {text}", EXIT_FAILED


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, TunerError | typer.TyperException | typer.Abort)


def lines(error: TunerError) -> list[str]:
    """An error of ours as one or two lines: what happened, then what to do."""
    count = len(error.errors)
    if count > 1:
        return _mistakes(error.errors)
    first = _one_line(error.message) or error.title
    near = error.errors[0].nearest if count else None
    if near and "did you mean" not in f"{first} {error.hint}".lower():
        first += f" Did you mean {near!r}?"
    second = _one_line(error.hint)
    return [f"Error: {first}", *([second] if second else [])]


def _mistakes(errors: tuple[FieldError, ...]) -> list[str]:
    """The first two mistakes, one on each line, and how many there are besides."""
    shown = [_one_line(str(item)) for item in errors[:2]]
    if len(errors) > 2:
        shown[-1] += f" (and {len(errors) - 2} more)"
    return [f"Error: {shown[0]}", *shown[1:]]


def _usage(error: typer.TyperException) -> str:
    """A mistake in the command line: the sentence, then where to read on."""
    text = error.format_message()
    if text.startswith("Usage:"):
        return text
    option = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if option is not None and context is not None and text.startswith("No such option"):
        known = [name for p in context.command.params for name in (*p.opts, *p.secondary_opts)]
        near = nearest(option, [name for name in known if name.startswith("--")])
        text = f"No such option {option!r}." + (f" Did you mean {near!r}?" if near else "")
    path = getattr(context, "command_path", "tuner")
    first = _one_line(text)
    return f"Error: {first}\nTry '{path} --help'."


def _one_line(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDTH else f"{flat[: _WIDTH - 1]}…"


def _say(text: str, code: int) -> int:
    try:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the CLI's voice
    except (OSError, ValueError):
        silence()
    return code


def silence() -> None:
    """Point the outputs at nothing, so that the flush at exit does not meet a closed pipe again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, stream.fileno())
            os.close(nothing)
