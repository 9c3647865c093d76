"""What the holder of a trial's lease does: report, heartbeat, release, tell, log."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import answered, nothing, ok
from tuner.api.context import manager
from tuner.api.inputs import idempotency_key, no_query, study_name, trial_number
from tuner.api.json_body import read_as
from tuner.api.operations import KEY, documented
from tuner.api.operations import router as new_router
from tuner.core.messages import Heartbeat, Log, Release, Report, Tell

router = new_router("trials")
_ONE: Final = "/studies/{name}/trials/{number}"
_LEASE: Final = "opaque-lease"


@router.post(
    **documented(
        f"{_ONE}/report",
        body="Report",
        answers={200: "Lease"},
        example={"lease": _LEASE, "measurements": [{"step": 3, "values": {"val_loss": 0.31}}]},
    )
)
async def report(request: Request) -> Response:
    """Report measurements; renews the lease, and says whether to stop."""
    no_query(request)
    name, number = study_name(request), trial_number(request)
    body = await read_as(request, Report)
    return ok(await manager(request).report(name, number, body))


@router.post(
    **documented(
        f"{_ONE}/heartbeat", body="Heartbeat", answers={200: "Lease"}, example={"lease": _LEASE}
    )
)
async def heartbeat(request: Request) -> Response:
    """Renew the lease; answers as report."""
    no_query(request)
    name, number = study_name(request), trial_number(request)
    body = await read_as(request, Heartbeat)
    return ok(await manager(request).heartbeat(name, number, body))


@router.post(
    **documented(
        f"{_ONE}/release",
        body="Release",
        answers={200: "Trial"},
        example={"lease": _LEASE, "reason": "preempted"},
    )
)
async def release(request: Request) -> Response:
    """Give the trial back to the queue, or end the attempt by another reason."""
    no_query(request)
    name, number = study_name(request), trial_number(request)
    body = await read_as(request, Release)
    return ok(await manager(request).release(name, number, body))


@router.post(
    **documented(
        f"{_ONE}/tell",
        body="Tell",
        answers={200: "Trial"},
        parameters=(KEY,),
        example={"lease": _LEASE, "state": "complete", "values": {"val_loss": 0.07}},
    )
)
async def tell(request: Request) -> Response:
    """End the trial; a repeat with the same lease and body gets the first answer again."""
    no_query(request)
    name, number = study_name(request), trial_number(request)
    key = idempotency_key(request)
    body = await read_as(request, Tell)
    return answered(await manager(request).tell(name, number, body, key=key))


@router.post(
    **documented(
        f"{_ONE}/log",
        body="Log",
        answers={204: None},
        example={"lease": _LEASE, "text": "epoch 3 done\n"},
    )
)
async def append_log(request: Request) -> Response:
    """Append text to the trial's log."""
    no_query(request)
    name, number = study_name(request), trial_number(request)
    body = await read_as(request, Log)
    await manager(request).append_log(name, number, body)
    return nothing()
