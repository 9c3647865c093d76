"""One value of a task against its option: what is refused, and how it is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.core.names import MISSING, nearest, resolve
from tuner.errors import Invalid, UnknownName
from tuner.tasks.option import Option
from tuner.tasks.registry import OPTIONS


def find_option(name: str, path: str) -> Option:
    """The option of that name.

    Raises:
        UnknownName: With the nearest name.
    """
    option = OPTIONS.get(name)
    if option is None:
        near = nearest(name, OPTIONS)
        raise UnknownName.at(
            f"{path}.{name}",
            f"a built-in task has no key {name!r}"
            + (f"; did you mean {near!r}?" if near else "."),
            found=name,
            allowed=list(OPTIONS),
            nearest=near,
        )
    return option


def read_value(params: Mapping[str, Any], name: str) -> Any:
    """A trial's value of an option by the rule of names, else the option's default.

    None counts as absent where it is the default.

    Args:
        params: The trial's parameters.
        name: A key of `OPTIONS`.

    Raises:
        UnknownName: For a text that is none of the choices.
        Invalid: For anything else that the option does not take.
    """
    option, value = OPTIONS[name], resolve(params, name)
    if value is MISSING or (value is None and option.default is None):
        return option.default
    check_value(option, value, name)
    return value


def check_value(option: Option, value: object, path: str) -> None:
    """Refuse a value that the option does not take.

    Raises:
        UnknownName: For a text that is none of the choices.
        Invalid: For anything else.
    """
    if option.accepts(value):
        return
    if option.type == "categorical" and isinstance(value, str):
        check_choice(value, list(option.choices), path, option.name, option.shape)
    raise Invalid.at(
        path,
        f"found {value!r}, expected {_spoken(option)}.",
        found=value if isinstance(value, bool | int | str) else repr(value),
        allowed=option.allowed,
    )


def _spoken(option: Option) -> str:
    allowed = option.allowed
    if isinstance(allowed, str):
        return allowed
    return "one of " + ", ".join(allowed) if allowed else "a name"


def check_choice(value: str, known: list[str], path: str, what: str, also: str = "") -> None:
    """Refuse a name that is not known.

    Raises:
        UnknownName: With the nearest name.
    """
    if value in known:
        return
    near, extra = nearest(value, known), [also] if also else []
    raise UnknownName.at(
        path,
        f"no {what} is named {value!r}"
        + (f"; did you mean {near!r}?" if near else f"; known: {', '.join([*known, *extra])}."),
        found=value,
        allowed=[*known, *extra],
        nearest=near,
    )
