"""Bodies of the REST calls. Server and client share them, so no field list is written twice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from tuner.core.lifecycle import Reason
from tuner.core.model import Value, field_error
from tuner.core.names import METRIC_NAME
from tuner.core.wire import decode_metric, encode_metric, is_rounded

MAX_STEP: Final = 2**53
DEFAULT_LEASE_S: Final = 60.0
# one SQL parameter each; the databases take some ten thousands in a statement
MAX_STUDIES: Final = 10_000
LeaseSeconds = Annotated[float, Field(ge=1, le=86_400)]
Lease = Annotated[str, Field(min_length=1, max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=256)]
StudyName = Annotated[str, Field(min_length=1, max_length=128)]
Metric = StrictFloat | StrictInt | StrictStr


def _decoded(values: Any, at: str) -> Any:
    """Metric values as floats, non-finite ones from their strings."""
    if not isinstance(values, Mapping):
        return values
    result = {}
    for name, value in values.items():
        if not isinstance(name, str) or not METRIC_NAME.fullmatch(name):
            raise field_error("is not a metric name.", at=f"{at}.{name}", found=str(name)[:80])
        number = decode_metric(value)
        if is_rounded(value):
            raise field_error(
                f"found {value}, which no float holds exactly; send it as a float to have it "
                "rounded, or a smaller number, as a difference.",
                at=f"{at}.{name}",
                found=value,
                allowed="a float, or an integer that a float holds exactly (all to 2**53)",
            )
        if number is None:
            allowed = 'a number, "NaN", "Infinity" or "-Infinity"'
            raise field_error(
                f"found {value!r}, expected {allowed}.",
                at=f"{at}.{name}",
                found=str(value)[:80],
                allowed=allowed,
            )
        result[name] = encode_metric(number)
    return result


class Values(Value):
    """Base of bodies with metric values: `metrics` gives them as floats."""

    @model_validator(mode="before")
    @classmethod
    def _metrics(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("values") is not None:
            return {**data, "values": _decoded(data["values"], "values")}
        return data


class Measurement(Values):
    """Metrics at one step; a step counts work done, e.g. epochs."""

    step: Annotated[int, Field(ge=0, le=MAX_STEP)]
    values: dict[str, Metric] = Field(min_length=1, max_length=1000)


class Checkpoint(Value):
    """Where a trial's newest checkpoint is kept (the server stores the reference only)."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    step: Annotated[int, Field(ge=0, le=MAX_STEP)]


class Ask(Value):
    """Body of ask."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1
    worker_id: Label | None = None
    lease_seconds: LeaseSeconds = DEFAULT_LEASE_S


class Report(Value):
    """Body of report; renews the lease."""

    lease: Lease
    measurements: tuple[Measurement, ...] = Field(default=(), max_length=10_000)
    checkpoint: Checkpoint | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "measurements")


class Heartbeat(Value):
    """Body of heartbeat."""

    lease: Lease


class Release(Value):
    """Body of release: give the trial back (`preempted`), or end the attempt by a reason."""

    lease: Lease
    reason: Annotated[Reason, Field(strict=False)] = Reason.PREEMPTED
    message: Annotated[str, Field(max_length=20_000)] | None = None


class Tell(Values):
    """Body of tell."""

    lease: Lease
    state: Literal["complete", "pruned", "fail"]
    values: dict[str, Metric] | None = None
    reason: Annotated[Reason, Field(strict=False)] | None = None
    message: Annotated[str, Field(max_length=20_000)] | None = None

    @model_validator(mode="after")
    def _reason_fits(self) -> Tell:
        if self.reason is not None and self.state != "fail":
            raise field_error(
                f"goes with state fail, not {self.state}.", at="reason", found=self.reason
            )
        return self


class Log(Value):
    """Body of log: text to append to a trial's log."""

    lease: Lease
    text: Annotated[str, Field(max_length=1_000_000)]


class NewTrial(Values):
    """A trial to enqueue, or with `state` a finished one to import."""

    params: dict[str, Any] = Field(default_factory=dict)
    state: Literal["complete", "pruned", "fail"] | None = None
    values: dict[str, Metric] | None = None
    measurements: tuple[Measurement, ...] = Field(default=(), max_length=100_000)
    reason: Annotated[Reason, Field(strict=False)] | None = None
    message: Annotated[str, Field(max_length=20_000)] | None = None
    user_attrs: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "measurements")


class NewTrials(Value):
    """Several trials, all or none."""

    trials: tuple[NewTrial, ...] = Field(min_length=1, max_length=10_000)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "trials")


class StudyChange(Value):
    """Body of PATCH study. `now` goes with state paused: running trials stop too."""

    state: Literal["active", "paused", "finished"] | None = None
    now: bool = False
    budget: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None
    compare: dict[str, Any] | None = None


class Confirm(Value):
    """Body of confirm: run the best settings again on fresh seeds."""

    seeds: Annotated[int, Field(ge=1, le=100)] = 5
    top: Annotated[int, Field(ge=1, le=100)] = 1


class Device(Value):
    """One device of a worker."""

    name: Label
    kind: Literal["cpu", "cuda"] = "cpu"
    memory_bytes: int | None = None
    uuid: str | None = None
    model: str | None = None


class NewWorker(Value):
    """Body of worker registration."""

    name: Label
    host: Label
    slots: Annotated[int, Field(ge=1, le=10_000)] = 1
    devices: tuple[Device, ...] = Field(default=(), max_length=1024)
    runners: tuple[Literal["task", "python", "command"], ...] = ("task",)
    allow: tuple[Annotated[str, Field(max_length=20_000)], ...] = Field(
        default=(), max_length=1000
    )
    labels: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "devices", "runners", "allow")


class Free(Value):
    """Free resources of a worker."""

    gpus: Annotated[float, Field(ge=0)] = 0
    cpus: Annotated[float, Field(ge=0)] = 1


class WorkerLease(Value):
    """Body of worker lease; `exclude` names studies that the worker leaves alone."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1
    free: Free = Free()
    studies: tuple[str, ...] | None = Field(default=None, max_length=MAX_STUDIES)
    exclude: tuple[StudyName, ...] = Field(default=(), max_length=MAX_STUDIES)
    lease_seconds: LeaseSeconds = DEFAULT_LEASE_S

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "studies", "exclude")


class WorkerHeartbeat(Value):
    """Body of worker heartbeat: all leases that the worker holds, and whether this is its last."""

    leases: tuple[Lease, ...] = Field(default=(), max_length=10_000)
    leaving: bool = False

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        return _tuples(data, "leases")


def as_float(value: Any) -> float:
    """A decoded metric value as a float (NaN for what is none)."""
    number = decode_metric(value)
    return math.nan if number is None else number


def _tuples(data: Any, *keys: str) -> Any:
    if not isinstance(data, Mapping):
        return data
    return {
        key: tuple(value) if key in keys and isinstance(value, list) else value
        for key, value in data.items()
    }
