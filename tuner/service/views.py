"""Rows as the JSON objects of the contract."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row

from tuner.core.wire import encode_metric
from tuner.service.specification import spec_of
from tuner.storage.clock import rfc3339

COUNTS = ("waiting", "running", "complete", "pruned", "fail")


def metric_values(text: str) -> dict[str, float | str]:
    """Stored metric values on the wire (NaN is stored as null, infinities as strings)."""
    values: dict[str, float | str | None] = json.loads(text)
    return {name: "NaN" if value is None else value for name, value in values.items()}


def store_values(values: dict[str, float]) -> str:
    """Metric values as stored text, the inverse of `metric_values`."""
    return json.dumps({name: encode_metric(value) for name, value in values.items()})


def trial_view(row: Row[Any], study: str) -> dict[str, Any]:
    """A trial as every reader sees it."""
    sampler = None
    if row.sampler_name is not None:
        sampler = {"name": row.sampler_name, "index": row.sampler_index, "unseen": row.unseen}
    return {
        "study": study,
        "number": row.number,
        "state": row.state,
        "params": json.loads(row.params if row.params is not None else row.fixed or "{}"),
        "values": metric_values(row.metrics),
        "diverged": bool(row.diverged),
        "reason": row.reason,
        "message": row.message,
        "attempt": row.attempt,
        "worker_id": row.worker_id,
        "created_at": rfc3339(row.created_at),
        "started_at": rfc3339(row.started_at),
        "finished_at": rfc3339(row.finished_at),
        "user_attrs": json.loads(row.user_attrs),
        "sampler": sampler,
    }


def leased_view(row: Row[Any], study: str, spec_text: str) -> dict[str, Any]:
    """A trial as the holder of its lease gets it."""
    spec = spec_of(spec_text)
    trial = spec.trial
    return {
        **trial_view(row, study),
        "lease": row.lease,
        "lease_expires_at": rfc3339(row.lease_expires_at),
        "runner": None if trial is None else trial.runner,
        "resources": None if trial is None else trial.resources.model_dump(),
        "timeout": None if trial is None else trial.timeout,
        "grace": 10 if trial is None else trial.grace,
        "checkpoint": None if row.checkpoint is None else json.loads(row.checkpoint),
    }


def study_view(row: Row[Any], best: Row[Any] | None, now: float) -> dict[str, Any]:
    """A study: the specification written out, and where it stands."""
    return {
        **json.loads(row.spec),
        "state": row.state,
        "state_reason": row.state_reason,
        "expanded_space": json.loads(row.expanded),
        "counts": {name: getattr(row, f"n_{name}") for name in COUNTS},
        "best": None if best is None else trial_view(best, row.name),
        "used": {"trials": row.numbers_made, "seconds": round(busy_seconds(row, now), 3)},
        "timing": {
            "search_seconds": round(row.search_seconds, 3),
            "busy_seconds": round(busy_seconds(row, now), 3),
        },
        "size": row.size,
        "created_at": rfc3339(row.created_at),
        "updated_at": rfc3339(row.updated_at),
    }


def event_view(row: Row[Any]) -> dict[str, Any]:
    """An event as it is streamed."""
    return {
        "id": row.id,
        "event": row.event,
        "study": row.study,
        "number": row.number,
        "at": rfc3339(row.at),
        "data": None if row.data is None else json.loads(row.data),
    }


def busy_seconds(row: Row[Any], now: float) -> float:
    """Server seconds in which at least one trial of the study ran."""
    running = 0.0 if row.busy_since is None else max(0.0, now - row.busy_since)
    return float(row.busy_seconds) + running


def worker_view(row: Row[Any], running: list[dict[str, Any]], is_live: bool) -> dict[str, Any]:
    """A worker and what it runs."""
    return {
        "id": row.id,
        "name": row.name,
        "host": row.host,
        "slots": row.slots,
        "devices": json.loads(row.devices),
        "runners": json.loads(row.runners),
        "allow": json.loads(row.allow),
        "labels": json.loads(row.labels),
        "state": ("draining" if row.draining else "live") if is_live else "lost",
        "running": running,
        "created_at": rfc3339(row.created_at),
        "heartbeat_at": rfc3339(row.heartbeat_at),
    }
