"""Names: how a parameter is found by name, and which known name is nearest to a wrong one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final

STUDY_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
PARAMETER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
METRIC_NAME: Final = re.compile(r"[^\s\x00-\x1f](?:[^\x00-\x1f]{0,126}[^\s\x00-\x1f])?")
OPTIMIZER: Final = "optimizer"
_NO_LETTER: Final = re.compile(r"[^a-z]")
_KIND: Final = re.compile(r"(?:sampler|pruner|search|scheduler|stopping)$")


class Missing(Enum):
    """The type of `MISSING`, the mark for "no such parameter" (a value may be falsy)."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING


def resolve(params: Mapping[str, Any], name: str) -> Any:
    """A trial's value for `name`: the exact parameter, else that of the active optimizer.

    Args:
        params: The active parameters of a trial.
        name: A plain name, as `lr`.

    Returns:
        `params[name]`, else `params["<optimizer>.<name>"]` for the optimizer that `params` has
        chosen, else `MISSING`; the caller then takes the registry's or the task's default.
    """
    if name in params:
        return params[name]
    chosen = params.get(OPTIMIZER)
    if isinstance(chosen, str):
        return params.get(f"{chosen}.{name}", MISSING)
    return MISSING


def suggestion(near: str | None) -> str:
    """The nearest name as a sentence that follows another one; empty without one."""
    return f" Did you mean {near!r}?" if near else ""


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that is most like `name` or begins with it, or None if none is close."""
    options = list(known)
    text = str(name)
    longer = [option for option in options if len(text) > 1 and option.startswith(text)]
    if len(longer) == 1:
        return longer[0]
    close = difflib.get_close_matches(text, options, n=1, cutoff=0.6)
    if not close:
        lowered = {option.lower(): option for option in options}
        close = [
            lowered[match]
            for match in difflib.get_close_matches(text.lower(), list(lowered), n=1, cutoff=0.6)
        ]
    return close[0] if close else None


def nearest_or_known(name: object, known: Mapping[str, Iterable[str]]) -> str | None:
    """The known name that `name` stands for in other programs, else the nearest.

    Args:
        name: As given; case, `_`, `-` and an ending as `Sampler` do not count.
        known: The names, each with those of the same thing elsewhere: letters only, lower case.
    """
    plain = _plain(str(name))
    for own, others in known.items():
        if plain == own or plain in others:
            return own
    return nearest(name, known)


def _plain(name: str) -> str:
    return _KIND.sub("", _NO_LETTER.sub("", name[:80].lower()))
