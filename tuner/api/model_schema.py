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


def model_schema(
    model: type[BaseModel], prefix: str, *, with_null: bool = False
) -> dict[str, dict[str, Any]]:
    """The model's schema and those it refers to, by name.

    Args:
        model: A model of the core or a registry.
        prefix: What references start with.
        with_null: Whether to say that null is taken where a key may be absent (in files it only
            blurs what a key is for).
    """
    schema = model.model_json_schema(by_alias=True, ref_template=prefix + "{model}")
    parts = {**schema.pop("$defs", {}), model.__name__: schema}
    exact = {name: _exact(name, _clean(part)) for name, part in parts.items()}
    if not with_null:
        for part in exact.values():
            for schema in part.get("properties", {}).values():
                _without_null(schema)
    return exact


def _exact(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name in _WITH_METRICS:
        was = schema["properties"]["values"]
        bounds = {key: was[key] for key in ("minProperties", "maxProperties") if key in was}
        metrics = {**_METRICS, **bounds}
        if {"type": "null"} in was.get("anyOf", ()):
            metrics = {"anyOf": [metrics, {"type": "null"}]}
        schema["properties"]["values"] = metrics
    return schema


def _clean(schema: Any, *, names: bool = False) -> Any:
    """Without the titles that pydantic makes of the names."""
    if isinstance(schema, list):
        return [_clean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _clean(value, names=not names and key in ("properties", "$defs"))
        for key, value in schema.items()
        if names or key != "title"
    }


def _without_null(schema: dict[str, Any]) -> None:
    options = schema.get("anyOf")
    if not isinstance(options, list) or {"type": "null"} not in options:
        return
    rest = [option for option in options if option != {"type": "null"}]
    if schema.get("default", 0) is None:
        del schema["default"]
    del schema["anyOf"]
    schema.update(rest[0] if len(rest) == 1 else {"anyOf": rest})
