"""The outermost layer: request ids, metrics, activity, and the answer to unexpected errors."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tuner.api import problems
from tuner.api.context import SCOPE_KEY, Context

_ID: Final = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_log = logging.getLogger("tuner.api")


class Recorder:
    """Plain ASGI: gives each request an id and records how long which route took.

    A caller's own `X-Request-Id` is kept if it is 8 to 64 letters, digits, `.`, `_` or `-`.
    """

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self.app = app
        self.context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with an id, and record how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope[problems.REQUEST_ID] = request_id
        scope[SCOPE_KEY] = self.context
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode("ascii")),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        began = time.perf_counter()
        self.context.activity.begin()
        try:
            await self.app(scope, receive, send_with_id)
        except ClientDisconnect:
            _log.debug("%s: the caller went away", request_id)
        except Exception:
            _log.exception("%s: %s %s failed", request_id, scope["method"], scope["path"])
            if status:
                raise  # the answer has begun: the server closes the connection
            await problems.internal_error(scope)(scope, receive, send_with_id)
        finally:
            self.context.activity.end()
            route = getattr(scope.get("route"), "path", None)
            self.context.metrics.observe(
                scope["method"], route, status, time.perf_counter() - began
            )


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            given: str = value.decode("ascii")
            return given
    return secrets.token_hex(8)
