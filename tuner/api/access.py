"""Who may call, and in which form: host, token, origin, content type and length.

This is a layer before all routes, so that a new route is closed unless it is named here.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.api import problems
from tuner.api.problems import Refused
from tuner.errors import Forbidden, Unauthorized

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
ANY_HOST: Final = "*"


class Access:
    """Plain ASGI: refuses a request before it reaches a route.

    Args:
        app: The application behind.
        token: The bearer token; None: none is needed.
        allowed_hosts: Host names beside the loopback ones; `*` takes any.
        max_body_bytes: The largest announced body.
    """

    def __init__(
        self, app: ASGIApp, token: str | None, allowed_hosts: Iterable[str], max_body_bytes: int
    ) -> None:
        self.app = app
        self.token = None if token is None else token.encode("utf-8")
        self.hosts = frozenset(normal_host(host) for host in allowed_hosts)
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it with a problem."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            try:
                self._check(scope)
            except (Refused, Unauthorized, Forbidden) as error:
                await problems.respond(error, scope)(scope, receive, send)
                return
            await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        self._check_host(host, len(headers.getlist("host")))
        if self.token is not None and scope["path"] not in OPEN_PATHS:
            self._check_token(headers)
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers, host)
            self._check_body(headers)

    def _check_host(self, host: str, given: int) -> None:
        name = normal_host(host)
        if given == 1 and (is_loopback_name(name) or name in self.hosts or ANY_HOST in self.hosts):
            return
        raise Refused(
            400,
            "host-not-allowed",
            "Host not allowed",
            f"The Host header {host[:200]!r} is not a name of this server.",
            hint="Use localhost, or start the server with this name among its allowed hosts.",
        )

    def _check_token(self, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if not given:
            raise Unauthorized(
                "This server needs a token.",
                hint="Send it as `Authorization: Bearer …`, or set TUNER_TOKEN for the client.",
            )
        right = hmac.compare_digest(given.strip().encode("utf-8"), self.token or b"")
        if scheme.lower() != "bearer" or not right:
            raise Unauthorized("The token is not this server's.", hint="Check TUNER_TOKEN.")

    def _check_body(self, headers: Headers) -> None:
        length = headers.get("content-length")
        if length is None and "transfer-encoding" not in headers:
            return
        if length is not None and (not length.isascii() or not length.isdigit()):
            raise Refused(400, "bad-length", "Bad length", "Content-Length is not a number.")
        if length is not None and int(length[:20]) > self.max_body_bytes:
            raise too_large(self.max_body_bytes)
        if length != "0":
            _check_content_type(headers)


def too_large(limit: int) -> Refused:
    """The refusal of a body longer than `limit` bytes."""
    return Refused(
        413,
        "body-too-large",
        "Body too large",
        f"The body is longer than {limit} bytes.",
        hint="Send less at once.",
        headers={"Connection": "close"},
    )


def normal_host(host: str) -> str:
    """The host of a Host header, lower case, without port, brackets and the final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    return host.removesuffix(".")


def is_loopback_name(host: str) -> bool:
    """Whether a host (as of `normal_host`) is a loopback name or address."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _check_origin(headers: Headers, host: str) -> None:
    """Refuse what another site's page makes a browser send (no preflight guards an empty POST)."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.strip().lower():
        raise Forbidden(
            f"The page {origin[:200]!r} may not change anything here.",
            hint="Call from the server's own pages, or without a browser.",
        )
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Forbidden("Another site's page may not change anything here.")


def _check_content_type(headers: Headers) -> None:
    given = headers.get("content-type", "")
    kind, _, rest = given.partition(";")
    charset = rest.strip().lower().replace('"', "").replace(" ", "")
    encoded = headers.get("content-encoding", "identity").strip().lower() != "identity"
    if kind.strip().lower() == "application/json" and charset in ("", "charset=utf-8"):
        if not encoded:
            return
        given = f"{given} ({headers.get('content-encoding')})"
    raise Refused(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        f"The body's content type is {given[:200]!r}, expected application/json.",
        hint="Send JSON in UTF-8 with `Content-Type: application/json`, not compressed.",
    )
