"""All REST calls as methods that send at once; the same names as coroutines in `async_client`."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, ParamSpec, TypeVar

from tuner.client import operations
from tuner.client.operation import Operation
from tuner.client.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")


def _send(make: Callable[P, Operation[T]]) -> Callable[Concatenate[Rest, P], T]:
    def method(self: Rest, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.transport.send(make(*args, **kwargs))

    update_wrapper(method, make)
    return method


class Rest:
    """The REST API, call by call; see `operations` for arguments and answers."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

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
