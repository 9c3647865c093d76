"""The door for process pools: plain data in, plain data out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from threadpoolctl import threadpool_limits

from tuner.core.space import Space
from tuner.samplers.base import Observation, Request
from tuner.samplers.registry import build


def run(
    spec: dict[str, Any], space_json: Mapping[str, Any], request_fields: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Suggest, in one thread.

    Args:
        spec: The sampler as `registry.read` has written it out.
        space_json: The expanded space, `{"parameters": {...}}`.
        request_fields: The fields of `Request` without `space`; `history` as mappings with the
            fields of `Observation` (or as `Observation`s); `seed` defaults to the spec's.

    Returns:
        `{"params", "note"}` for each suggestion.
    """
    fields = dict(request_fields)
    fields.setdefault("seed", spec.get("seed", 0))
    fields["history"] = tuple(_observation(item) for item in fields.get("history", ()))
    fields["pending"] = tuple(dict(params) for params in fields.get("pending", ()))
    request = Request(space=Space.parse(space_json["parameters"]), **fields)
    sampler = build(spec)
    with threadpool_limits(1):
        limit_torch()
        suggestions = sampler.suggest(request)
    return [{"params": item.params, "note": item.note} for item in suggestions]


def limit_torch() -> None:
    """One thread for torch, if it is loaded (its own pool is not among threadpoolctl's)."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _observation(item: Observation | Mapping[str, Any]) -> Observation:
    if isinstance(item, Observation):
        return item
    fields = dict(item)
    for name in ("losses", "last"):
        if fields.get(name) is not None:
            fields[name] = tuple(fields[name])
    return Observation(**fields)
