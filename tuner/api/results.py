"""What studies have found: best trials, importance, reports, exports and comparisons."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from tuner.api.answers import document, ok
from tuner.api.context import manager
from tuner.api.inputs import Query, check_study_name, no_query, query, study_name
from tuner.api.operations import documented
from tuner.api.operations import router as new_router
from tuner.errors import Invalid

router = new_router("studies")
_TEXT: Final = {"schema": {"type": "string"}}
_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_REPORT: Final = Query(
    "format", "The report's form.", "choice", "json", choices=("json", "md", "html")
)
_MOST_STUDIES: Final = 32
_STUDIES: Final = Query(
    "studies", "Names of studies, at least one and at most 32.", "text", high=128, many=True
)
_EXPORT: Final = Query(
    "format", "The table's form.", "choice", "jsonl", choices=("jsonl", "csv", "parquet")
)


@router.get(**documented("/studies/{name}/best", answers={200: "Trial"}))
async def best(request: Request) -> Response:
    """The best feasible, finite, complete trial."""
    no_query(request)
    return ok(await manager(request).best(study_name(request)))


@router.get(**documented("/studies/{name}/pareto", answers={200: "Front"}))
async def pareto(request: Request) -> Response:
    """The trials that no other trial beats in every objective."""
    no_query(request)
    return ok(await manager(request).pareto(study_name(request)))


@router.get(**documented("/studies/{name}/importance", answers={200: "Importance"}))
async def importance(request: Request) -> Response:
    """How much each parameter matters."""
    no_query(request)
    return ok(await manager(request).importance(study_name(request)))


@router.get(**documented("/studies/{name}/advice", answers={200: "AdviceAnswer"}))
async def advice(request: Request) -> Response:
    """What to do next, and the training problems recognised."""
    no_query(request)
    return document(await manager(request).advice(study_name(request)))


@router.get(
    **documented(
        "/studies/{name}/report",
        parameters=(_REPORT,),
        content={
            "application/json": {"schema": {"type": "object"}},
            "text/markdown": _TEXT,
            "text/html": _TEXT,
        },
    )
)
async def report(request: Request) -> Response:
    """The study's report."""
    form = query(request, _REPORT)["format"]
    return document(await manager(request).study_report(study_name(request), form))


@router.get(
    **documented(
        "/studies/{name}/export",
        parameters=(_EXPORT,),
        content={
            "application/jsonl": _TEXT,
            "text/csv": _TEXT,
            "application/vnd.apache.parquet": _BYTES,
        },
    )
)
async def export(request: Request) -> Response:
    """All trials of the study, one a line or row."""
    form = query(request, _EXPORT)["format"]
    name = study_name(request)
    return document(await manager(request).export(name, form), f"{name}.{form}")


@router.get(
    **documented(
        "/comparison",
        parameters=(_STUDIES, _REPORT),
        content={
            "application/json": {"schema": {"type": "object"}},
            "text/markdown": _TEXT,
            "text/html": _TEXT,
        },
        missing=True,
    )
)
async def compare(request: Request) -> Response:
    """Several studies of the same optimizers side by side, each one task."""
    given = query(request, _STUDIES, _REPORT)
    names = [name for name in given["studies"] or () if name]
    if not 1 <= len(set(names)) <= _MOST_STUDIES:
        raise Invalid.at(
            "studies",
            f"expected names of 1 to {_MOST_STUDIES} studies.",
            found=len(set(names)),
            allowed=f"1 to {_MOST_STUDIES} names",
        )
    for name in names:
        check_study_name(name)
    return document(await manager(request).comparison(names, given["format"]))
