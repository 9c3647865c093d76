"""What this worker may run; it checks although the server does."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from tuner.core import allow
from tuner.errors import Invalid


@dataclass(frozen=True)
class Allow:
    """Rights of a worker: built-in tasks by themselves always, and what the patterns name.

    Args:
        rules: Patterns as the server is told (see `tuner.core.allow`).
        exactly: With it, this very runner and nothing else, whatever the patterns match.
    """

    rules: tuple[str, ...] = ()
    exactly: Mapping[str, Any] | None = None

    @classmethod
    def everything(cls) -> Self:
        """Whatever a study says."""
        return cls((allow.EVERYTHING,))

    @classmethod
    def patterns(cls, patterns: Iterable[str]) -> Self:
        """What `module:function`, `cmd:argv…`, `file:path` and `download:name` name.

        `*` stands for anything within a word.

        Raises:
            Invalid: For a pattern that is empty or can match nothing.
        """
        rules = tuple(patterns)
        for rule in rules:
            problem = allow_problem(rule)
            if problem is not None:
                raise Invalid(
                    f"--allow {rule!r} {problem}.",
                    hint="Give MODULE:FUNCTION, cmd: plus the argv as written in the study, file:"
                    "PATH or download:NAME.",
                )
        return cls(rules)

    @classmethod
    def only(cls, runner: Mapping[str, Any]) -> Self:
        """Exactly this runner, as `{"task"|"python"|"command": …}`."""
        return cls(tuple(allow.needs(runner)), dict(runner))

    def permits(self, runner: Mapping[str, Any]) -> bool:
        """Whether a trial of this runner may start here."""
        if self.exactly is not None:
            return bool(_plain(runner) == _plain(self.exactly))
        return allow.permits(self.rules, runner)


def allow_problem(pattern: str) -> str | None:
    """Why a pattern can match nothing; None if it can match."""
    if not pattern.strip():
        return "is empty"
    if pattern == allow.EVERYTHING:
        return None
    if not pattern.startswith("cmd:"):
        return None if ":" in pattern else "has no colon"
    try:
        words = shlex.split(pattern.removeprefix("cmd:"))
    except ValueError:
        return "has a quote that is not closed"
    return None if words else "has no words after cmd:"


def _plain(runner: Any) -> Any:
    """Tuples as lists, so that a runner equals itself read from JSON."""
    if isinstance(runner, Mapping):
        return {key: _plain(value) for key, value in runner.items() if value is not None}
    return [_plain(item) for item in runner] if isinstance(runner, list | tuple) else runner
