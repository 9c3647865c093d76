"""A study's specification as Python objects, made plain for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuner.errors import Invalid


def study_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON data: parameters and spaces written out, tuples as lists, None left out.

    Raises:
        Invalid: For a key that is not a string, naming the path.
    """
    return {key: _plain(value, key) for key, value in data.items() if value is not None}


def _plain(value: Any, path: str) -> Any:
    if hasattr(value, "to_json"):
        return _plain(value.to_json(), path)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise Invalid.at(path, f"has the key {key!r}; keys are strings.", found=str(key))
        return {key: _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, set | frozenset):
        raise Invalid.at(path, "is a set, which has no order; give a list.")
    item = getattr(value, "item", None)
    return item() if callable(item) and not isinstance(value, str | int | float) else value
