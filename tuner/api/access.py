"""Who may call, and in which form: host, token, origin, content type and length.

This is a layer before all routes, so that a new route is closed unless it is named here.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from tuner.api import problems
from tuner.api.problems import Refused
from tuner.errors import Forbidden, Unauthorized

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
ANY_HOST: Final = "*"
_JSON: Final = b"application/json"
_REMEMBERED: Final = 64


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
        self._seen: set[str] = set()

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
        headers: dict[bytes, bytes] = {}
        hosts = 0
        for name, value in scope["headers"]:
            headers[name] = value
            hosts += name == b"host"
        host = headers.get(b"host", b"").decode("latin-1")
        if hosts != 1 or not self._knows(host):
            raise _unknown_host(host)
        if self.token is not None and scope["path"] not in OPEN_PATHS:
            self._check_token(headers.get(b"authorization", b""))
        if scope["method"] not in SAFE_METHODS:
            _check_origin(headers, host)
            self._check_body(headers)

    def _knows(self, host: str) -> bool:
        if host in self._seen:
            return True
        name = normal_host(host)
        known = is_loopback_name(name) or name in self.hosts or ANY_HOST in self.hosts
        if known and len(self._seen) < _REMEMBERED:
            self._seen.add(host)
        return known

    def _check_token(self, header: bytes) -> None:
        scheme, _, given = header.partition(b" ")
        if not given:
            raise Unauthorized(
                "This server needs a token.",
                hint="Send it as `Authorization: Bearer …`, or set TUNER_TOKEN for the client.",
            )
        right = hmac.compare_digest(given.strip(), self.token or b"")
        if scheme.lower() != b"bearer" or not right:
            raise Unauthorized("The token is not this server's.", hint="Check TUNER_TOKEN.")

    def _check_body(self, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers:
            return
        if length is not None and not length.isdigit():
            raise Refused(400, "bad-length", "Bad length", "Content-Length is not a number.")
        if length is not None and int(length[:20]) > self.max_body_bytes:
            raise too_large(self.max_body_bytes)
        if length != b"0" and (
            headers.get(b"content-type") != _JSON or b"content-encoding" in headers
        ):
            _check_content_type(headers)


def _unknown_host(host: str) -> Refused:
    return Refused(
        400,
        "host-not-allowed",
        "Host not allowed",
        f"The Host header {host[:200]!r} is not a name of this server.",
        hint="Use localhost, or start the server with this name among its allowed hosts.",
    )


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


def _check_origin(headers: dict[bytes, bytes], host: str) -> None:
    """Refuse what another site's page makes a browser send (no preflight guards an empty POST)."""
    given = headers.get(b"origin")
    if given is not None:
        origin = given.decode("latin-1")
        if origin.partition("://")[2].lower() != host.strip().lower():
            raise Forbidden(
                f"The page {origin[:200]!r} may not change anything here.",
                hint="Call from the server's own pages, or without a browser.",
            )
    if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
        raise Forbidden("Another site's page may not change anything here.")


def _check_content_type(headers: dict[bytes, bytes]) -> None:
    given = headers.get(b"content-type", b"").decode("latin-1")
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    kind, _, rest = given.partition(";")
    charset = rest.strip().lower().replace('"', "").replace(" ", "")
    is_json = kind.strip().lower() == "application/json" and charset in ("", "charset=utf-8")
    if is_json and encoding.strip().lower() == "identity":
        return
    shown = f"{given[:200]!r}" + ("" if encoding == "identity" else f" in {encoding[:40]!r}")
    raise Refused(
        415,
        "unsupported-media-type",
        "Unsupported media type",
        f"The body's content type is {shown}, expected application/json.",
        hint="Send JSON in UTF-8 with `Content-Type: application/json`, not compressed.",
    )
