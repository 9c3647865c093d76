"""How a study's own entries combine with the space that the optimizer shorthand makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.core.model import join, unknown_key
from tuner.core.names import nearest
from tuner.core.parameter import CLASSES
from tuner.core.space import Space, parse_parameter, snap
from tuner.errors import InvalidSpace

_PATH = "space.parameters"


def merge(expanded: Mapping[str, Mapping[str, Any]], entries: Mapping[str, Any]) -> Space:
    """The space of `expanded` with `entries` added or laid over.

    An entry of a name that `expanded` has keeps its place and overrides only the keys it gives;
    `log` and `scale` replace each other; another `type` replaces everything but `when`; a default
    that falls out of the new range moves to the nearest bound.

    Args:
        expanded: Plain parameters that the shorthand made, in order (empty without shorthand).
        entries: The study's `parameters`: complete ones, or overrides without `type`.

    Raises:
        InvalidSpace: For an override of a name that does not exist, an override of `when`, or any
            mistake in the resulting parameters.
    """
    parameters: dict[str, Any] = {name: dict(item) for name, item in expanded.items()}
    for name, entry in entries.items():
        path = join(_PATH, name)
        if name in expanded:
            parameters[name] = _lay_over(expanded[name], entry, path)
        elif "type" in entry:
            parameters[name] = dict(entry)
        else:
            near = nearest(name, list(expanded))
            raise InvalidSpace.at(
                path,
                "has no type, and the optimizers given make no parameter of this name."
                + (
                    f" Did you mean {near!r}?" if near else " Add type: float, int or categorical."
                ),
                found=name,
                allowed=list(expanded),
                nearest=near,
            )
    return Space({n: parse_parameter(item, join(_PATH, n)) for n, item in parameters.items()})


def _lay_over(base: Mapping[str, Any], entry: Mapping[str, Any], path: str) -> dict[str, Any]:
    if "when" in entry:
        raise InvalidSpace.at(
            join(path, "when"),
            "the condition of a parameter that `optimizers` makes cannot be changed; leave it out.",
            found=str(entry["when"])[:80],
        )
    kind = entry.get("type", base["type"])
    if kind != base["type"]:
        kept = {"when": base["when"]} if base.get("when") else {}
        return {**entry, **kept}
    known = ["log" if key == "scale" else key for key in CLASSES[kind].model_fields] + ["scale"]
    for key in entry:
        if key not in known:
            text, field = unknown_key(path, key, sorted(set(known) - {"when"}))
            raise InvalidSpace(text, errors=[field])
    merged = dict(base)
    if "log" in entry or "scale" in entry:
        merged.pop("scale", None)
        merged.pop("log", None)
    merged.update(entry)
    if "default" not in entry:
        _move_default(merged, path)
    return merged


def _move_default(merged: dict[str, Any], path: str) -> None:
    """Bring the inherited default into the overridden range."""
    default = merged.pop("default", None)
    if default is None:
        return
    parameter = parse_parameter(merged, path)
    if parameter.type in ("float", "int"):
        legal = parameter.problem(default) is None
        merged["default"] = default if legal else snap(parameter, default)
    elif parameter.problem(default) is None:
        merged["default"] = default
