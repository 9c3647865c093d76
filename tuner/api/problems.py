"""Errors as `application/problem+json` (RFC 9457), the framework's own among them."""

from __future__ import annotations

import logging
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from tuner.core.wire import dumps
from tuner.errors import FieldError, Invalid, TunerError, Unauthorized

CONTENT_TYPE: Final = "application/problem+json"
REQUEST_ID: Final = "tuner.request_id"
RETRY_AFTER_S: Final = 1
_SEE: Final = "GET /openapi.json lists every path; /docs is its page."
_log = logging.getLogger("tuner.api")


class Refused(Exception):
    """A request refused for its form (host, size, content type), before it reached a study.

    Args:
        status: The HTTP status.
        code: The stable code on the wire.
        title: What kind of problem it is.
        detail: What happened, with the value.
        hint: What to do next.
        headers: Further response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        hint: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.hint = hint
        self.headers = headers or {}

    def to_problem(self) -> dict[str, Any]:
        """The problem object, without `request_id`."""
        problem: dict[str, Any] = {
            "type": f"urn:tuner:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.hint:
            problem["hint"] = self.hint
        return problem


def install(app: FastAPI) -> None:
    """Answer every error that a route raises with a problem; what is left is `Recorder`'s."""
    app.add_exception_handler(TunerError, _tuner_error)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)


def respond(error: TunerError | Refused, scope: Scope) -> Response:
    """The response for `error`."""
    if isinstance(error, Refused):
        return _response(error.to_problem(), error.status, scope, error.headers)
    headers: dict[str, str] = {}
    if error.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    if error.status >= 500:
        _log.warning("%s: %s", scope.get(REQUEST_ID), error)
    return _response(error.to_problem(), error.status, scope, headers)


def internal_error(scope: Scope) -> Response:
    """The response for an error nobody expected: no word of the error itself."""
    error = TunerError(
        "The server failed on this request.",
        hint="Its log has the cause under this request id.",
    )
    return _response(error.to_problem(), error.status, scope, {})


def _response(
    problem: dict[str, Any], status: int, scope: Scope, headers: dict[str, str]
) -> Response:
    problem["request_id"] = scope.get(REQUEST_ID)
    return Response(_encode(problem), status, headers, CONTENT_TYPE)


def _encode(problem: dict[str, Any]) -> bytes:
    """Problem text as UTF-8; what was found may hold what JSON cannot carry, so it is escaped."""
    try:
        return dumps(problem).encode("utf-8")
    except (ValueError, TypeError):
        plain: bytes = dumps(_plain(problem)).encode("utf-8", "backslashreplace")
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _tuner_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, TunerError):
        return internal_error(request.scope)
    return respond(error, request.scope)


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        return internal_error(request.scope)
    return respond(error, request.scope)


def _http_error(request: Request, error: Exception) -> Response:
    """The framework's own errors: no such path, no such method."""
    if not isinstance(error, HTTPException):
        return internal_error(request.scope)
    path = request.scope["path"]
    headers = dict(error.headers or {})
    if error.status_code == 404:
        refused = Refused(404, "not-found", "Not found", f"There is no path {path}.", hint=_SEE)
    elif error.status_code == 405:
        headers["Allow"] = _methods(request)
        detail = f"{path} does not take {request.method}; it takes {headers['Allow']}."
        refused = Refused(
            405, "method-not-allowed", "Method not allowed", detail, hint=_SEE, headers=headers
        )
    else:
        code = f"http-{error.status_code}"
        refused = Refused(
            error.status_code, code, "Request refused", str(error.detail), headers=headers
        )
    return respond(refused, request.scope)


def _methods(request: Request) -> str:
    """The methods that any route takes at the request's path."""
    path = request.scope["path"]
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            found |= route.methods or set()
    return ", ".join(sorted(found))


def _validation_error(request: Request, error: Exception) -> Response:
    """FastAPI's validation is not used, but what it would say stays in the common form."""
    if not isinstance(error, RequestValidationError):
        return internal_error(request.scope)
    fields = [
        FieldError(".".join(str(part) for part in item.get("loc", ())), None, item.get("msg"))
        for item in error.errors()
    ]
    message = "; ".join(f"{field.path}: {field.allowed}" for field in fields)
    return respond(Invalid(message, errors=fields), request.scope)
