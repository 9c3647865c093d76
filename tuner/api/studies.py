"""Studies: create, list, read, change, delete."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import answered, nothing, ok
from tuner.api.context import manager
from tuner.api.inputs import CURSOR, LIMIT, Query, idempotency_key, no_query, query, study_name
from tuner.api.json_body import read, read_as
from tuner.api.operations import KEY, documented
from tuner.api.operations import router as new_router
from tuner.api.study_schema import EXAMPLE
from tuner.core.lifecycle import StudyState
from tuner.core.messages import Confirm, StudyChange

router = new_router("studies")
_DRY_RUN: Final = Query(
    "dry_run", "Answer the expanded study and store nothing.", "bool", default=False
)
_STATE: Final = Query(
    "state", "Only studies in this state.", "choice", choices=tuple(s.value for s in StudyState)
)
_Q: Final = Query("q", "Only studies whose name contains this.", high=128)


@router.post(
    **documented(
        "/studies",
        body="NewStudy",
        answers={201: "Study", 200: "Study"},
        parameters=(_DRY_RUN, KEY),
        example=EXAMPLE,
    )
)
async def create(request: Request) -> Response:
    """Create a study.

    The same name with the same specification is answered with the existing study (200), with
    another one 409. With `dry_run` nothing is stored.
    """
    given = query(request, _DRY_RUN)
    key = idempotency_key(request)
    data = await read(request)
    return answered(await manager(request).create_study(data, dry_run=given["dry_run"], key=key))


@router.get(
    **documented(
        "/studies", name="list", answers={200: "StudyPage"}, parameters=(LIMIT, CURSOR, _STATE, _Q)
    )
)
async def list_all(request: Request) -> Response:
    """List studies by name."""
    return ok(await manager(request).list_studies(**query(request, LIMIT, CURSOR, _STATE, _Q)))


@router.get(**documented("/studies/{name}", answers={200: "Study"}))
async def get(request: Request) -> Response:
    """Read a study."""
    no_query(request)
    return ok(await manager(request).get_study(study_name(request)))


@router.patch(
    **documented(
        "/studies/{name}",
        body="StudyChange",
        answers={200: "Study"},
        example={"budget": {"trials": 120}},
    )
)
async def change(request: Request) -> Response:
    """Change a study's state, budget or tags."""
    no_query(request)
    name = study_name(request)
    body = await read_as(request, StudyChange)
    return ok(await manager(request).change_study(name, body))


@router.post(
    **documented(
        "/studies/{name}/confirm",
        body="Confirm",
        optional_body=True,
        answers={201: "Trials"},
        parameters=(KEY,),
        example={"seeds": 5, "top": 1},
    )
)
async def confirm(request: Request) -> Response:
    """Run the best settings again on fresh seeds; again: on further ones.

    In a comparison of optimizers the best `top` of each, else the best `top` of the study.
    """
    no_query(request)
    name, key = study_name(request), idempotency_key(request)
    body = await read_as(request, Confirm, optional=True)
    return answered(await manager(request).confirm_study(name, body, key=key))


@router.delete(**documented("/studies/{name}", answers={204: None}))
async def delete(request: Request) -> Response:
    """Delete a study with everything in it."""
    no_query(request)
    await manager(request).delete_study(study_name(request))
    return nothing()
