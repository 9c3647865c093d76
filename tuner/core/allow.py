"""What a worker may run: patterns that name callables and commands.

`module:function` allows a Python callable, `cmd:` plus an argv as written in the study allows a
command, `*` stands for any characters within one word, and the single pattern `*` allows all.
The words of `module:function` are the names between its dots and its colon, so that `jobs:*` gives
no way through `jobs` to what it has imported.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

EVERYTHING: Final = "*"
_COMMAND: Final = "cmd:"
_NAMES: Final = re.compile(r"([.:])")


def permits(patterns: Sequence[str], runner: Mapping[str, Any]) -> bool:
    """Whether `patterns` allow `runner` (`{"task"|"python"|"command": …}`).

    Built-in tasks are always allowed: they run only code of this package.
    """
    if "task" in runner:
        return True
    return any(_matches(pattern, runner) for pattern in patterns)


def pattern_of(runner: Mapping[str, Any]) -> str:
    """The pattern that allows exactly this runner (`*` in it stands for itself at least)."""
    if "python" in runner:
        return str(runner["python"])
    return _COMMAND + shlex.join(words(runner["command"])) if "command" in runner else "task"


def words(command: Sequence[str | Sequence[str]]) -> list[str]:
    """All words of a command as written, groups flattened."""
    flat: list[str] = []
    for part in command:
        flat += [part] if isinstance(part, str) else list(part)
    return flat


def _matches(pattern: str, runner: Mapping[str, Any]) -> bool:
    if pattern == EVERYTHING:
        return True
    if "python" in runner:
        return not pattern.startswith(_COMMAND) and _path(pattern, str(runner["python"]))
    if "command" not in runner or not pattern.startswith(_COMMAND):
        return False
    try:
        allowed = shlex.split(pattern.removeprefix(_COMMAND))
    except ValueError:
        return False
    given = words(runner["command"])
    return len(allowed) == len(given) and all(map(_word, allowed, given))


def _path(pattern: str, entrypoint: str) -> bool:
    allowed, given = _NAMES.split(pattern), _NAMES.split(entrypoint)
    return len(allowed) == len(given) and all(map(_word, allowed, given))


def _word(pattern: str, word: str) -> bool:
    regex = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(regex, word, re.DOTALL) is not None
