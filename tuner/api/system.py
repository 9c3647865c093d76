"""Health, readiness, metrics, the schema of study files, and the pages about the API itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response

from tuner.api import docs_page
from tuner.api.answers import ok
from tuner.api.context import context, manager
from tuner.api.inputs import no_query
from tuner.api.operations import documented
from tuner.api.operations import router as new_router
from tuner.api.prometheus import CONTENT_TYPE, render
from tuner.api.study_schema import study_schema
from tuner.errors import SchemaOutdated, Unavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

router = new_router("system", prefix="")
_TEXT: Final = {"schema": {"type": "string"}}
_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


@router.get(**documented("/healthz", answers={200: "Alive"}))
async def health(request: Request) -> Response:
    """The process lives."""
    no_query(request)
    return ok({"status": "ok"})


@router.get(**documented("/readyz", answers={200: "Ready"}))
async def ready(request: Request) -> Response:
    """The database is reachable and has the right schema, and the server is not ending."""
    no_query(request)
    if context(request).closing.is_set():
        raise Unavailable("The server is shutting down.")
    state = await manager(request).ready()
    if not state.get("ready"):
        raise _not_ready(state)
    return ok(state)


@router.get(**documented("/metrics", content={"text/plain": _TEXT}))
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus; no study names in them."""
    no_query(request)
    values = await manager(request).metrics()
    page = Response(render(context(request).metrics, values))
    page.headers["Content-Type"] = CONTENT_TYPE
    return page


@router.get(**documented("/api/v1/schemas/study", answers={200: "JsonSchema"}))
async def schema_study(request: Request) -> Response:
    """The JSON Schema of study files with every option."""
    no_query(request)
    return ok(study_schema())


@router.get(**documented("/openapi.json", answers={200: "OpenAPI"}))
async def openapi(request: Request) -> Response:
    """This description of the API (OpenAPI 3.1)."""
    no_query(request)
    return ok(_description(request))


@router.get(**documented("/docs", content={"text/html": _TEXT}))
async def docs(request: Request) -> Response:
    """The same as a page; it loads nothing from elsewhere."""
    no_query(request)
    page = docs_page.render(_description(request))
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _CSP})


def _description(request: Request) -> dict[str, Any]:
    return cast("FastAPI", request.app).openapi()


def _not_ready(state: dict[str, Any]) -> Unavailable:
    parts = "; ".join(f"{key}: {value}" for key, value in state.items() if key != "ready")
    outdated = state.get("database") in (True, "ok", "reachable")
    cls = SchemaOutdated if outdated else Unavailable
    hint = "Run `tuner db upgrade`." if outdated else "Try again."
    return cls(f"The server is not ready ({parts}).", hint=hint)
