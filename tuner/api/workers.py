"""Workers: register, list, lease, heartbeat, drain."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import answered, ok
from tuner.api.context import manager
from tuner.api.inputs import idempotency_key, no_query, worker_id
from tuner.api.json_body import read_as
from tuner.api.operations import KEY, documented
from tuner.api.operations import router as new_router
from tuner.core.messages import NewWorker, WorkerHeartbeat, WorkerLease

router = new_router("workers")


@router.post(
    **documented(
        "/workers",
        body="NewWorker",
        answers={201: "WorkerId"},
        parameters=(KEY,),
        example={"name": "gpu-box", "host": "gpu-box", "slots": 2, "runners": ["task"]},
    )
)
async def register(request: Request) -> Response:
    """Register a worker."""
    no_query(request)
    key = idempotency_key(request)
    body = await read_as(request, NewWorker)
    return answered(await manager(request).register_worker(body, key=key))


@router.get(**documented("/workers", name="list", answers={200: "WorkerPage"}))
async def list_all(request: Request) -> Response:
    """List workers with what they run."""
    no_query(request)
    return ok(await manager(request).list_workers())


@router.post(**documented("/workers/{id}/drain", answers={200: "Worker"}))
async def drain(request: Request) -> Response:
    """Give a worker no more trials; what it runs goes on."""
    no_query(request)
    return ok(await manager(request).drain_worker(worker_id(request)))


@router.post(
    **documented(
        "/workers/{id}/lease",
        body="WorkerLease",
        optional_body=True,
        answers={200: "AskedTrials"},
        parameters=(KEY,),
        example={
            "count": 2,
            "free": {"gpus": 1, "cpus": 8},
            "exclude": ["cars"],
            "lease_seconds": 60,
        },
    )
)
async def lease(request: Request) -> Response:
    """Lease trials that the worker may and can run, in turn from all active studies.

    `studies` names the only ones to take from, `exclude` those that the worker leaves alone.
    """
    no_query(request)
    worker, key = worker_id(request), idempotency_key(request)
    body = await read_as(request, WorkerLease, optional=True)
    return answered(await manager(request).lease(worker, body, key=key))


@router.post(
    **documented(
        "/workers/{id}/heartbeat",
        body="WorkerHeartbeat",
        optional_body=True,
        answers={200: "WorkerLeases"},
        example={"leases": ["opaque-lease"]},
    )
)
async def heartbeat(request: Request) -> Response:
    """Renew all leases of a worker; tells which trials are to stop, and which leases are lost."""
    no_query(request)
    worker = worker_id(request)
    body = await read_as(request, WorkerHeartbeat, optional=True)
    return ok(await manager(request).worker_heartbeat(worker, body))
