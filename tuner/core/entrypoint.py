"""Entrypoints: user code by name, as `package.module:function`.

Reading a name is free; `load` imports the module, so only a worker that may run it calls it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any, Final

from tuner.core.names import nearest
from tuner.errors import ObjectiveNotFound

_NAMES: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
PATTERN: Final = rf"{_NAMES}:{_NAMES}"


def is_entrypoint(text: object) -> bool:
    """Whether a text has the form `package.module:function`."""
    return isinstance(text, str) and re.fullmatch(PATTERN, text) is not None


def load(entrypoint: str) -> Callable[..., Any]:
    """The callable that an entrypoint names.

    Raises:
        ObjectiveNotFound: If there is no such module or callable; an error inside the module
            passes as it is.
    """
    name, _, path = entrypoint.partition(":")
    try:
        found: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ObjectiveNotFound(
            f"There is no module {error.name!r}, which the entrypoint {entrypoint!r} needs.",
            hint="Start the worker in the folder of the code, or install it.",
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            near = nearest(part, [item for item in dir(found) if not item.startswith("_")])
            raise ObjectiveNotFound(
                f"{name} has no {part!r}, which the entrypoint {entrypoint!r} names.",
                hint=f"Did you mean {near!r}?" if near else "",
            )
        found = getattr(found, part)
    if not callable(found):
        raise ObjectiveNotFound(f"{entrypoint} is a {type(found).__name__}, not a callable.")
    called: Callable[..., Any] = found
    return called
