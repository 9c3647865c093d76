"""Routes: how an endpoint is called without FastAPI's lenient parsing, and how it is documented."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from tuner.api.inputs import Query
from tuner.api.problems import CONTENT_TYPE
from tuner.api.schemas import ref

BASE: Final = "/api/v1"
PROBES: Final = frozenset({"/healthz", "/readyz"})
KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again within a day gets the first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}
LAST_EVENT: Final[dict[str, Any]] = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "Go on after this event; without it only new events come.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
_PATHS: Final[dict[str, dict[str, Any]]] = {
    "name": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
    "number": {"type": "integer", "minimum": 0, "maximum": 999_999_999_999_999},
    "id": {"type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,200}$"},
}
_TITLES: Final = {
    400: "The Host header or the request's form is refused",
    401: "A token is needed",
    403: "Another site's page may not do this",
    404: "Not found",
    409: "It does not fit the present state",
    413: "The body is too large",
    415: "The body is not application/json",
    422: "The input is wrong: path, found, allowed, nearest for each mistake",
    500: "The server failed",
    503: "The database is not there; try again",
}


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request itself and reads it strictly.

    Those of `PROBES` answer HEAD as well.

    FastAPI documents it, but its parsing and dependencies (most of a small request's cost) are
    left out.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette matches; a route is never included under another prefix."""
        match, child_scope = Route.matches(self, scope)
        if match is not Match.NONE:
            child_scope["route"] = self
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the endpoint; errors are turned into problems by the layer around all routes."""
        # load balancers ask by HEAD; the web server leaves the body out
        is_probe = scope["method"] == "HEAD" and self.path in PROBES
        if not is_probe and scope["method"] not in (self.methods or ()):
            raise HTTPException(405)
        response: Response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def router(noun: str, prefix: str = BASE) -> APIRouter:
    """The router of one noun; operation ids are `<noun>_<function>`."""
    return APIRouter(
        prefix=prefix,
        tags=[noun],
        route_class=DirectRoute,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
    )


def operation_id(route: Any) -> str:
    """`<tag>_<function>`, e.g. `studies_create`."""
    return f"{route.tags[0]}_{route.name}" if getattr(route, "tags", None) else str(route.name)


def documented(  # noqa: PLR0913  keywords of one declaration
    path: str,
    *,
    body: str | None = None,
    optional_body: bool = False,
    answers: dict[int, str | None] | None = None,
    content: dict[str, dict[str, Any]] | None = None,
    parameters: tuple[Query | dict[str, Any], ...] = (),
    example: Any = None,
    name: str | None = None,
    missing: bool = False,
) -> dict[str, Any]:
    """The keywords of a route that document what its endpoint does.

    Args:
        path: The path template, for its parameters.
        body: The component schema of the request body.
        optional_body: Whether an empty body stands for `{}`.
        answers: Status to component schema (None: no content); the first is the usual one.
        content: Media types of the usual answer where it is not JSON.
        parameters: Query parameters and headers.
        example: An example of the body.
        name: The operation's name where it is not the function's.
        missing: Whether it answers 404 though its path names nothing.
    """
    given = answers or {200: None}
    responses = {str(code): _answer(schema) for code, schema in given.items()}
    usual = next(iter(given))
    if content is not None:
        responses[str(usual)]["content"] = content
    extra: dict[str, Any] = {"responses": responses | _problems(path, body, missing)}
    listed = [
        {"name": name, "in": "path", "required": True, "schema": _PATHS[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]
    listed += [item.document() if isinstance(item, Query) else item for item in parameters]
    if listed:
        extra["parameters"] = listed
    if body is not None:
        media: dict[str, Any] = {"schema": ref(body)}
        if example is not None:
            media["example"] = example
        extra["requestBody"] = {
            "required": not optional_body,
            "content": {"application/json": media},
        }
    described = {"path": path, "status_code": usual, "openapi_extra": extra}
    return described if name is None else {**described, "name": name}


def _answer(schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {"description": "Done"}
    return {"description": schema, "content": {"application/json": {"schema": ref(schema)}}}


def _problems(path: str, body: str | None, missing: bool) -> dict[str, Any]:
    codes = [400, 401, 422, 500, 503]
    if missing or "{" in path:
        codes.append(404)
    codes += [403, 409, 413, 415] if body is not None else [403, 409]
    problem = {"content": {CONTENT_TYPE: {"schema": ref("Problem")}}}
    return {str(code): {"description": _TITLES[code], **problem} for code in sorted(codes)}
