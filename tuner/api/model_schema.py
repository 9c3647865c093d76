"""JSON Schemas of the core's models: what pydantic says, without its titles, and exact."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

METRIC_VALUE: Final[dict[str, Any]] = {
    "description": "A number; one that is not finite travels as a string.",
    "anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
}
_METRICS: Final = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 128},
    "additionalProperties": METRIC_VALUE,
}
# Models whose `values` are metrics: a validator reads them, so pydantic cannot describe them.
_WITH_METRICS: Final = frozenset({"Measurement", "Tell", "NewTrial"})


def model_schema(model: type[BaseModel], prefix: str) -> dict[str, dict[str, Any]]:
    """The model's schema and those it refers to, by name.

    Args:
        model: A model of the core or a registry.
        prefix: What references start with.
    """
    schema = model.model_json_schema(by_alias=True, ref_template=prefix + "{model}")
    parts = {**schema.pop("$defs", {}), model.__name__: schema}
    return {name: _exact(name, _clean(part)) for name, part in parts.items()}


def _exact(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name in _WITH_METRICS:
        was = schema["properties"]["values"]
        bounds = {key: was[key] for key in ("minProperties", "maxProperties") if key in was}
        schema["properties"]["values"] = {**_METRICS, **bounds}
    return schema


def _clean(schema: Any, *, names: bool = False) -> Any:
    """Without titles, and without null beside a type: an absent key says the same."""
    if isinstance(schema, list):
        return [_clean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    cleaned = {
        key: _clean(value, names=key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or key != "title"
    }
    if not names:
        _without_null(cleaned)
    return cleaned


def _without_null(schema: dict[str, Any]) -> None:
    options = schema.get("anyOf")
    if not isinstance(options, list) or {"type": "null"} not in options:
        return
    rest = [option for option in options if option != {"type": "null"}]
    if schema.get("default", 0) is None:
        del schema["default"]
    del schema["anyOf"]
    schema.update(rest[0] if len(rest) == 1 else {"anyOf": rest})
