"""Entrypoints: user code by name, as `package.module:function`.

Reading a name is free; `load` imports the module, so only a worker that may run it calls it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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
        ObjectiveNotFound: If there is no such module or callable, or the module raises; its error
            is the cause.
    """
    name, _, path = entrypoint.partition(":")
    try:
        found: Any = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise ObjectiveNotFound(
                f"There is no module {missing!r}, which the entrypoint {entrypoint!r} needs.",
                hint=_hint(missing, path),
            ) from error
        raise ObjectiveNotFound(
            f"{entrypoint} does not import: {_describe(error)}.",
            hint="Mend the module, then start again.",
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


def _hint(missing: str, path: str) -> str:
    """What to do about a module that is not there."""
    parent, _, last = missing.rpartition(".")
    if parent and last == "py":
        return f"Write {parent}:{path}, a module's name has no .py."
    # of other places nobody means a module by a name like it
    places = getattr(sys.modules.get(parent), "__path__", ()) if parent else sys.path[:1]
    near = nearest(last, [module.name for module in pkgutil.iter_modules(places)])
    full = f"{parent}.{near}" if parent else near
    meant = f"Did you mean {full!r}? " if near else ""
    return f"{meant}Start it in the folder of the code, or install it."


def _describe(error: BaseException) -> str:
    """What an import raised, in one line, and where."""
    text = " ".join(str(error).split())[:300]
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError) or not frames:
        return said.rstrip(".")  # it names the line by itself
    return f"{said.rstrip('.')} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
