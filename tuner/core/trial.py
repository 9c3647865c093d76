"""A trial on the wire, and the values that pass between study manager, samplers and pruners."""

from __future__ import annotations

from typing import Any, TypedDict

from tuner.core.parameter import Scalar

MetricValue = float | str


class SamplerRecord(TypedDict, total=False):
    """What the sampler knew when it made a trial (with it the suggestion can be repeated)."""

    name: str
    index: int
    unseen: int


class Trial(TypedDict):
    """A trial as every reader sees it; times are RFC 3339 in UTC."""

    study: str
    number: int
    state: str
    params: dict[str, Scalar]
    values: dict[str, MetricValue]
    diverged: bool
    reason: str | None
    message: str | None
    attempt: int
    worker_id: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    user_attrs: dict[str, Any]
    sampler: SamplerRecord | None


class LeasedTrial(Trial, total=False):
    """A trial as the holder of its lease gets it."""

    lease: str
    lease_expires_at: str
    runner: dict[str, Any] | None
    resources: dict[str, float] | None
    timeout: float | None
    grace: float
    checkpoint: dict[str, Any] | None


class MeasurementRow(TypedDict):
    """One reported value."""

    attempt: int
    step: int
    values: dict[str, MetricValue]
