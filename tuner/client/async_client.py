"""All REST calls as coroutines; the operations are the sync client's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import update_wrapper
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from tuner.client import operations
from tuner.client.calls import Retry
from tuner.client.client import find_endpoint, retry_of, timeouts_of
from tuner.client.events import Event, read_events_async
from tuner.client.operation import Operation
from tuner.client.transport import AsyncTransport

P = ParamSpec("P")
T = TypeVar("T")


def _send(
    make: Callable[P, Operation[T]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.transport.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


class AsyncClient:
    """The REST API as coroutines, on a server or on the embedded store, for one event loop.

    Args:
        url: As `Client`.
        token: As `Client`.
        database_url: As `Client`.
        timeout: As `Client`.
        create: As `Client`.
        retry: As `Client`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        database_url: str | None = None,
        timeout: float | None = None,
        create: bool = True,
        retry: Retry | None = None,
    ) -> None:
        endpoint = find_endpoint(url, token, database_url, create)
        self.transport = AsyncTransport(
            endpoint, timeouts_of(timeout), retry or retry_of(endpoint)
        )

    create_study = _send(operations.create_study)
    ensure_study = _send(operations.ensure_study)
    list_studies = _send(operations.list_studies)
    get_study = _send(operations.get_study)
    change_study = _send(operations.change_study)
    confirm_study = _send(operations.confirm_study)
    delete_study = _send(operations.delete_study)
    study_schema = _send(operations.study_schema)
    best = _send(operations.best)
    pareto = _send(operations.pareto)
    importance = _send(operations.importance)
    advice = _send(operations.advice)
    study_report = _send(operations.study_report)
    export = _send(operations.export)
    comparison = _send(operations.comparison)
    ask = _send(operations.ask)
    add_trials = _send(operations.add_trials)
    list_trials = _send(operations.list_trials)
    get_trial = _send(operations.get_trial)
    measurements = _send(operations.measurements)
    trial_log = _send(operations.trial_log)
    append_log = _send(operations.append_log)
    report = _send(operations.report)
    heartbeat = _send(operations.heartbeat)
    release = _send(operations.release)
    stop_trial = _send(operations.stop_trial)
    retry_trial = _send(operations.retry_trial)
    tell = _send(operations.tell)
    register_worker = _send(operations.register_worker)
    list_workers = _send(operations.list_workers)
    drain_worker = _send(operations.drain_worker)
    lease_trials = _send(operations.lease_trials)
    worker_heartbeat = _send(operations.worker_heartbeat)
    list_optimizers = _send(operations.list_optimizers)
    recommend = _send(operations.recommend)
    get_optimizer = _send(operations.get_optimizer)
    list_samplers = _send(operations.list_samplers)
    list_pruners = _send(operations.list_pruners)
    ready = _send(operations.ready)

    def events(
        self, study: str | None = None, last_event_id: int | None = None
    ) -> AsyncIterator[Event]:
        """Events of one study or of all, as they happen, for ever; reconnects by itself."""
        return read_events_async(self.transport, study, last_event_id)

    async def close(self) -> None:
        """Close the connections."""
        await self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
