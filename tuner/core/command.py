"""Command templates: argv with placeholders and optional groups, resolved without a shell.

A placeholder is a whole `{name}`; `{{` and `}}` stand for braces. A nested list is an optional
group, dropped when one of its parameters is inactive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.core.model import join
from tuner.core.names import MISSING, OPTIMIZER, nearest, resolve
from tuner.core.parameter import CategoricalParameter, FixedParameter
from tuner.core.space import Space
from tuner.errors import Invalid, UnknownName

Part = str | Sequence[str]
_PIECE: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_.-]*)\}|[{}]")


def placeholders(word: str, path: str) -> list[str]:
    """The names that a word holds.

    Raises:
        Invalid: For a single brace that is no placeholder.
    """
    names = []
    for match in _PIECE.finditer(word):
        if match.group(1):
            names.append(match.group(1))
        elif match.group(0) in ("{", "}"):
            raise Invalid.at(
                path,
                f"the brace at character {match.start()} of {word!r} is no placeholder;"
                " write {name}, or {{ and }} for braces.",
                found=word,
            )
    return names


def render(command: Sequence[Part], params: Mapping[str, Any]) -> list[str]:
    """The argv for a trial: placeholders filled in, groups with an inactive parameter dropped.

    Raises:
        Invalid: If a placeholder outside a group has no value (creation refuses such commands).
    """
    argv: list[str] = []
    for part in command:
        if isinstance(part, str):
            argv.append(_fill(part, params))
            continue
        names = [name for word in part for name in placeholders(word, "command")]
        if all(resolve(params, name) is not MISSING for name in names):
            argv += [_fill(word, params) for word in part]
    return argv


def check(command: Sequence[Part], space: Space, path: str = "trial.command") -> None:
    """Refuse unknown placeholders, and possibly inactive ones outside a group.

    Raises:
        UnknownName: With the nearest known name.
        Invalid: For a stray brace or a placeholder that needs a group.
    """
    for i, part in enumerate(command):
        words = [part] if isinstance(part, str) else part
        for word in words:
            for name in placeholders(word, join(path, i)):
                _check_name(name, space, join(path, i), in_group=not isinstance(part, str))


def _check_name(name: str, space: Space, path: str, *, in_group: bool) -> None:
    choices = _optimizers(space)
    known = [*space.parameters, *_plain_names(space, choices)]
    if name not in known:
        near = nearest(name, known)
        raise UnknownName.at(
            path,
            f"there is no parameter {name!r}."
            + (f" Did you mean {near!r}?" if near else f" Known: {', '.join(known)}."),
            found=name,
            allowed=known,
            nearest=near,
        )
    if not in_group and not always_resolves(space, name):
        raise Invalid.at(
            path,
            f"{name!r} is inactive in some trials; put its words into an optional group,"
            f' as ["--{name}", "{{{name}}}"].',
            found=name,
        )


def always_resolves(space: Space, name: str) -> bool:
    """Whether every trial has a value for `name` by the rule of names."""
    parameter = space.parameters.get(name)
    if parameter is not None and not parameter.when:
        return True
    optimizer = space.parameters.get(OPTIMIZER)
    if parameter is not None or optimizer is None or optimizer.when:
        return False
    return all(_active_with(space, f"{choice}.{name}", choice) for choice in _optimizers(space))


def _active_with(space: Space, name: str, choice: str) -> bool:
    """Whether parameter `name` is active in every trial of optimizer `choice`."""
    parameter = space.parameters.get(name)
    if parameter is None:
        return False
    when = parameter.when or {}
    return not when or (set(when) == {OPTIMIZER} and choice in when[OPTIMIZER])


def _optimizers(space: Space) -> list[str]:
    parameter = space.parameters.get(OPTIMIZER)
    if isinstance(parameter, CategoricalParameter):
        return [choice for choice in parameter.choices if isinstance(choice, str)]
    if isinstance(parameter, FixedParameter) and isinstance(parameter.value, str):
        return [parameter.value]
    return []


def _plain_names(space: Space, choices: Sequence[str]) -> list[str]:
    names: dict[str, None] = {}
    for choice in choices:
        prefix = f"{choice}."
        for name in space.parameters:
            if name.startswith(prefix):
                names[name.removeprefix(prefix)] = None
    return list(names)


def _fill(word: str, params: Mapping[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        if match.group(0) in ("{{", "}}"):
            return match.group(0)[0]
        found = resolve(params, match.group(1))
        if found is MISSING:
            raise Invalid.at("trial.command", f"{match.group(1)!r} has no value in this trial.")
        return spell(found)

    return _PIECE.sub(value, word)


def spell(value: Any) -> str:
    """A value as a command word: booleans as true and false, floats exactly."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
