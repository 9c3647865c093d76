"""What a worker may run: patterns that name callables, commands, files and downloads.

`module:function` allows a Python callable, `cmd:` plus an argv as written in the study allows a
command, `file:` plus a path allows to read data from outside the worker's folder, `download:` plus
the name of a torchvision set to download it. `*` stands for any characters within one word, and
the single pattern `*` allows all. The words of `module:function` are the names between its dots
and its colon, so that `jobs:*` gives no way through `jobs` to what it has imported; those of a path
are the names between its slashes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

EVERYTHING: Final = "*"
# The keys of a task that may name user code.
ENTRYPOINTS: Final = ("model", "data", "loss", "metric")
_COMMAND: Final = "cmd:"
_FILE: Final = "file:"
_DOWNLOAD: Final = "download:"
_PATHS: Final = ("dataset", "root")
_NAMES: Final = re.compile(r"([.:])")
_SLASH: Final = re.compile(r"([/\\])")
_DRIVE: Final = re.compile(r"[A-Za-z]:[/\\]")


def permits(patterns: Sequence[str], runner: Mapping[str, Any]) -> bool:
    """Whether `patterns` allow `runner` (`{"task"|"python"|"command": …}`).

    A built-in task that names no code of the user's, no file elsewhere and no download needs no
    permission: it runs only code of this package.
    """
    if EVERYTHING in patterns:
        return True
    if "command" in runner:
        return any(_is_command(pattern, runner["command"]) for pattern in patterns)
    wanted = _wanted(runner)
    if wanted is None:
        return False
    return all(any(_covers(pattern, *right) for pattern in patterns) for right in wanted)


def needs(runner: Mapping[str, Any]) -> list[str]:
    """The patterns that allow exactly this runner, one for each right that it needs.

    A `*` in one stands for itself at least.
    """
    if "command" in runner:
        return [_COMMAND + shlex.join(words(runner["command"]))]
    return [kind + text for kind, text in _wanted(runner) or ()]


def entrypoints(task: Mapping[str, Any]) -> dict[str, str]:
    """The user code that a task names, by key."""
    given = {key: task.get(key) for key in ENTRYPOINTS}
    return {key: value for key, value in given.items() if isinstance(value, str) and ":" in value}


def words(command: Sequence[str | Sequence[str]]) -> list[str]:
    """All words of a command as written, groups flattened."""
    flat: list[str] = []
    for part in command:
        flat += [part] if isinstance(part, str) else list(part)
    return flat


def _wanted(runner: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """The rights that a runner other than a command needs, as kind and name; None: no runner."""
    if "python" in runner:
        return [("", str(runner["python"]))]
    task = runner.get("task")
    if not isinstance(task, Mapping):
        return None
    wanted = [("", entrypoint) for entrypoint in entrypoints(task).values()]
    wanted += [(_FILE, str(task[key])) for key in _PATHS if _is_elsewhere(task.get(key))]
    if task.get("download"):
        wanted.append((_DOWNLOAD, str(task.get("dataset")).rpartition(":")[2]))
    return list(dict.fromkeys(wanted))


def _is_elsewhere(path: object) -> bool:
    """Whether a path leads out of the worker's folder."""
    if not isinstance(path, str):
        return False
    is_absolute = path.startswith(("/", "\\", "~")) or _DRIVE.match(path) is not None
    return is_absolute or ".." in re.split(r"[/\\]", path)


def _covers(pattern: str, kind: str, name: str) -> bool:
    if not kind:
        if pattern.startswith((_FILE, _DOWNLOAD)):
            # the right to read or to download is none to run a module of that name
            return pattern == name
        return not pattern.startswith(_COMMAND) and _match(_NAMES, pattern, name)
    return pattern.startswith(kind) and _match(_SLASH, pattern.removeprefix(kind), name)


def _is_command(pattern: str, command: Sequence[str | Sequence[str]]) -> bool:
    if not pattern.startswith(_COMMAND):
        return False
    try:
        allowed = shlex.split(pattern.removeprefix(_COMMAND))
    except ValueError:
        return False
    given = words(command)
    return len(allowed) == len(given) and all(map(_word, allowed, given))


def _match(split: re.Pattern[str], pattern: str, text: str) -> bool:
    allowed, given = split.split(pattern), split.split(text)
    return len(allowed) == len(given) and all(map(_word, allowed, given))


def _word(pattern: str, word: str) -> bool:
    if word == "..":  # it leads elsewhere than what a star may stand for
        return pattern == word
    regex = ".*".join(re.escape(piece) for piece in pattern.split("*"))
    return re.fullmatch(regex, word, re.DOTALL) is not None
