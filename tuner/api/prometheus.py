"""Prometheus metrics: how requests went, and what the study manager counts. No study names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_KNOWN_METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"})
_STREAMS: Final = frozenset({"/api/v1/events", "/api/v1/studies/{name}/events"})

# Name of the manager's value: whether it only grows, its label, what it is.
_KNOWN: Final[dict[str, tuple[bool, str, str]]] = {
    "trials": (False, "state", "Trials of all studies by state."),
    "studies": (False, "state", "Studies by state."),
    "lease_expiries": (True, "kind", "Leases that ran out since the server started."),
    "sampler_fits": (True, "sampler", "Fits of samplers' models since the server started."),
    "sampler_seconds": (True, "sampler", "Seconds spent in fits since the server started."),
}


class RequestMetrics:
    """Request latencies by method, route template and status class, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._seconds = Histogram(
            "tuner_request_seconds",
            "Seconds from a request's arrival to the end of its answer, streams excepted.",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._children: dict[tuple[str, str | None, int], Any] = {}

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one request; a path that no route matched counts as `none`.

        Args:
            method: The HTTP method.
            route: The route's template, e.g. `/api/v1/studies/{name}`.
            status: The answer's status; 0 if the caller went away before one.
            seconds: How long it took.
        """
        if route in _STREAMS:
            return
        key = (method, route, status // 100)
        child = self._children.get(key)
        if child is None:
            kind = f"{status // 100}xx" if status else "none"
            name = method if method in _KNOWN_METHODS else "other"
            child = self._seconds.labels(name, route or "none", kind)
            if name != "other":
                self._children[key] = child
        child.observe(seconds)


def render(requests: RequestMetrics, values: Mapping[str, Any]) -> bytes:
    """The metrics page.

    Args:
        requests: The request latencies.
        values: The manager's metrics: a number, or numbers by label.
    """
    snapshot = CollectorRegistry(auto_describe=False)
    snapshot.register(_Values(values))
    return generate_latest(requests.registry) + generate_latest(snapshot)


class _Values:
    """A collector over the manager's numbers at one moment."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def collect(self) -> Iterable[Metric]:
        """One family for each name."""
        for name, value in self.values.items():
            yield _family(name, value)


def _family(name: str, value: Any) -> Metric:
    counts, label, help_text = _KNOWN.get(name, (False, "kind", name.replace("_", " ")))
    labels = [label] if isinstance(value, Mapping) else []
    family: CounterMetricFamily | GaugeMetricFamily
    if counts:
        family = CounterMetricFamily(f"tuner_{name}", help_text, labels=labels)
    else:
        family = GaugeMetricFamily(f"tuner_{name}", help_text, labels=labels)
    parts = value.items() if isinstance(value, Mapping) else [(None, value)]
    for key, number in parts:
        family.add_metric([] if key is None else [str(key)], float(number))
    return family
