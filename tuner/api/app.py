"""The composition root: the study manager behind access checks, routes and problems."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.telemetry import TelemetryConfig

from tuner.api import (
    events,
    leases,
    problems,
    registries,
    results,
    schemas,
    studies,
    system,
    trials,
    workers,
)
from tuner.api.access import Access
from tuner.api.context import MAX_BODY_BYTES, Context
from tuner.api.recorder import Recorder

if TYPE_CHECKING:
    from tuner.service.manager import Manager

_QUIET: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
# Routes are tried in this order: the calls made for every trial come first.
_ROUTERS: Final = (
    leases.router,
    trials.router,
    workers.router,
    studies.router,
    results.router,
    events.router,
    *registries.ROUTERS,
    system.router,
)
_DESCRIPTION: Final = (
    "Hyperparameter studies: create a study, ask for trials, report, tell. Errors are"
    " application/problem+json. Metric values that are not finite are the strings NaN, Infinity"
    " and -Infinity."
)


class Api(FastAPI):
    """FastAPI whose description has the core's schemas."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 description, built once."""
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def create_app(
    manager: Manager,
    *,
    token: str | None = None,
    allowed_hosts: Iterable[str] = (),
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The application over an open manager; whoever opened the manager closes it.

    Args:
        manager: The study manager.
        token: The bearer token; None: none is needed.
        allowed_hosts: Host names beside the loopback ones; `*` takes any.
        max_body_bytes: The largest request body.
    """
    context = Context(manager, max_body_bytes)
    app = Api(
        title="tuner",
        version=version("tuner"),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        telemetry=_QUIET,
    )
    app.state.context = context
    # The routes themselves instead of included routers: one match less on each request.
    for router in _ROUTERS:
        app.router.routes.extend(router.routes)
    problems.install(app)
    app.add_middleware(
        Access, token=token, allowed_hosts=allowed_hosts, max_body_bytes=max_body_bytes
    )
    app.add_middleware(Recorder, context=context)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """End the streams with the server."""
    yield
    app.state.context.closing.set()


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description of `app`: FastAPI's paths with the core's schemas."""
    api = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    api["components"] = {
        "schemas": schemas.components(),
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    api["security"] = [{}, {"token": []}]
    for methods in api["paths"].values():
        for operation in methods.values():
            _tidy(operation)
    return api


def _tidy(operation: dict[str, Any]) -> None:
    """One-line summaries, and only the media types that an operation names itself."""
    text = operation.get("description", "")
    operation["summary"] = text.partition("\n")[0].rstrip(".:")
    for answer in operation["responses"].values():
        content = answer.get("content", {})
        if len(content) > 1 and content.get("application/json") == {"schema": {}}:
            del content["application/json"]
