"""The options of a sampler or pruner as plain data, for the registries' listings."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

_BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "greater than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}
_TYPES: Final = {
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "string": "string",
    "array": "list",
    "object": "mapping",
}


def describe_options(model: type[BaseModel]) -> list[dict[str, Any]]:
    """One entry per option: `{name, type, range, default, doc}` (`range`: words, list or None)."""
    properties: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return [_describe(name, schema) for name, schema in properties.items()]


def _describe(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    inner = next(item for item in schema.get("anyOf", [schema]) if item.get("type") != "null")
    limits = [text.format(inner[key]) for key, text in _BOUNDS.items() if key in inner]
    return {
        "name": name,
        "type": "choice" if "enum" in inner else _TYPES.get(str(inner.get("type")), "any"),
        "range": inner.get("enum") or (" and ".join(limits) or None),
        "default": schema.get("default"),
        "doc": schema.get("description", ""),
    }
