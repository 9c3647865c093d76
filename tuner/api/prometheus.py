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
    """Names ending in `_total` are counters, the rest are gauges; `x_by_y` has the label y."""
    base, _, label = name.partition("_by_")
    label = label.removesuffix("_total")
    is_counter = name.endswith("_total")
    full = f"tuner_{base.removesuffix('_total')}"
    help_text = f"{base.removesuffix('_total').replace('_', ' ').capitalize()}."
    labels = [label or "kind"] if isinstance(value, Mapping) else []
    cls = CounterMetricFamily if is_counter else GaugeMetricFamily
    family: Metric = cls(full, help_text, labels=labels)
    if isinstance(value, Mapping):
        for key, number in value.items():
            family.add_metric([str(key)], float(number))  # type: ignore[attr-defined]
    else:
        family.add_metric([], float(value))  # type: ignore[attr-defined]
    return family
