"""Trials: ask, enqueue, import, list, read, stop, retry."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import answered, ok
from tuner.api.context import manager
from tuner.api.inputs import (
    CURSOR,
    LIMIT,
    Query,
    idempotency_key,
    no_query,
    query,
    study_name,
    trial_number,
)
from tuner.api.json_body import read, read_as
from tuner.api.operations import KEY, documented
from tuner.api.operations import router as new_router
from tuner.core.lifecycle import TrialState
from tuner.core.messages import Ask

router = new_router("trials")
_ONE: Final = "/studies/{name}/trials/{number}"
_STATE: Final = Query(
    "state",
    "Only trials in these states; repeat it or separate by commas.",
    "choice",
    choices=tuple(state.value for state in TrialState),
    many=True,
)
_SORT: Final = Query("sort", "`number`, `value`, or with `-` before it the reverse.", high=200)


@router.post(
    **documented(
        "/studies/{name}/ask",
        body="Ask",
        optional_body=True,
        answers={200: "AskedTrials"},
        parameters=(KEY,),
        example={"count": 4, "worker_id": "gpu-box", "lease_seconds": 60},
    )
)
async def ask(request: Request) -> Response:
    """Lease trials to run: waiting ones first, then new ones; an empty list when nothing is left."""
    no_query(request)
    name, key = study_name(request), idempotency_key(request)
    body = await read_as(request, Ask, optional=True)
    return answered(await manager(request).ask(name, body, key=key))


@router.post(
    **documented(
        "/studies/{name}/trials",
        body="AddedTrials",
        answers={201: "AddedAnswer"},
        parameters=(KEY,),
        example={"params": {"batch_size": 32}},
    )
)
async def add(request: Request) -> Response:
    """Enqueue parameters, or with `state` import finished trials; all of them or none."""
    no_query(request)
    name, key = study_name(request), idempotency_key(request)
    data = await read(request)
    return answered(await manager(request).add_trials(name, data, key=key))


@router.get(
    **documented(
        "/studies/{name}/trials",
        name="list",
        answers={200: "TrialPage"},
        parameters=(LIMIT, CURSOR, _STATE, _SORT),
    )
)
async def list_all(request: Request) -> Response:
    """List trials by number, unless `sort` says otherwise."""
    name = study_name(request)
    given = query(request, LIMIT, CURSOR, _STATE, _SORT)
    return ok(await manager(request).list_trials(name, states=given.pop("state"), **given))


@router.get(**documented(_ONE, answers={200: "Trial"}))
async def get(request: Request) -> Response:
    """Read a trial."""
    no_query(request)
    return ok(await manager(request).get_trial(study_name(request), trial_number(request)))


@router.get(
    **documented(
        f"{_ONE}/measurements", answers={200: "MeasurementPage"}, parameters=(LIMIT, CURSOR)
    )
)
async def measurements(request: Request) -> Response:
    """What a trial has reported, by attempt and step."""
    name, number = study_name(request), trial_number(request)
    given = query(request, LIMIT, CURSOR)
    return ok(await manager(request).measurements(name, number, **given))


@router.get(**documented(f"{_ONE}/log", answers={200: "TrialLog"}))
async def log(request: Request) -> Response:
    """A trial's log."""
    no_query(request)
    return ok(await manager(request).trial_log(study_name(request), trial_number(request)))


@router.post(**documented(f"{_ONE}/stop", answers={200: "Trial"}))
async def stop(request: Request) -> Response:
    """Ask a running trial to stop (`cancelled`), or end a waiting one."""
    no_query(request)
    return ok(await manager(request).stop_trial(study_name(request), trial_number(request)))


@router.post(**documented(f"{_ONE}/retry", answers={200: "Trial"}))
async def retry(request: Request) -> Response:
    """Put a failed trial back into the queue as one more attempt."""
    no_query(request)
    return ok(await manager(request).retry_trial(study_name(request), trial_number(request)))
