"""Who may call: token on every route, host and origin for every method, type and size of bodies."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tuner.api.app import create_app

TOKEN = "a-token-of-this-test"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


@pytest.fixture(scope="module")
def closed(api: Any) -> Any:
    """The same application with a token."""
    return create_app(api.manager, token=TOKEN)


def filled(path: str) -> str:
    return path.replace("{name}", "nobody").replace("{number}", "7").replace("{id}", "nobody")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_every_route_but_two_needs_the_token(api: Any, closed: Any, problem: Any) -> None:
    for route in closed.routes:
        for method in route.methods:
            answer = api.call(method, filled(route.path), app=closed)
            if route.path in ("/healthz", "/readyz"):
                assert answer.status_code == 200
            else:
                problem(answer, 401, "unauthorized")
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/nowhere", "/healthz/", "//healthz", "/static/x.js"])
def test_an_unknown_path_needs_the_token_too(
    api: Any, closed: Any, problem: Any, path: str
) -> None:
    problem(api.call("GET", path, app=closed), 401)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN],
)
def test_a_wrong_token_is_refused(api: Any, closed: Any, problem: Any, header: str) -> None:
    answer = api.call("GET", "/docs", app=closed, headers={"Authorization": header})
    problem(answer, 401)
    assert TOKEN not in answer.text


def test_the_token_opens_every_door_but_never_in_the_query(
    api: Any, closed: Any, problem: Any
) -> None:
    for path in ("/docs", "/openapi.json", "/metrics", "/api/v1/studies"):
        assert api.call("GET", path, app=closed, headers=bearer(TOKEN)).status_code == 200
    lower = {"authorization": f"bearer {TOKEN}"}
    assert api.call("GET", "/metrics", app=closed, headers=lower).status_code == 200
    problem(api.call("GET", f"/api/v1/studies?token={TOKEN}", app=closed), 401)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/studies", "/nowhere"])
def test_a_foreign_host_is_refused_for_every_method(
    api: Any, problem: Any, method: str, path: str
) -> None:
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "128.0.0.1"):
        answer = api.call(method, path, headers={"Host": host})
        assert answer.status_code == 400
        if method != "HEAD":
            problem(answer, 400, "host-not-allowed")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:80"],
)
def test_loopback_names_pass_with_any_port(api: Any, host: str) -> None:
    assert api.call("GET", "/healthz", headers={"Host": host}).status_code == 200


def test_configured_names_pass(api: Any, problem: Any) -> None:
    named = create_app(api.manager, allowed_hosts=["GPU-box.lan"])
    for host in ("gpu-box.lan", "gpu-box.lan:8000", "gpu-box.lan."):
        assert api.call("GET", "/healthz", app=named, headers={"Host": host}).status_code == 200
    problem(api.call("GET", "/healthz", app=named, headers={"Host": "lan"}), 400)


def test_a_forwarded_host_does_not_help(api: Any, problem: Any) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
    problem(api.call("GET", "/healthz", headers=headers), 400)


def raw(api: Any, *headers: tuple[bytes, bytes], method: str = "GET", body: Any = ()) -> int:
    """The status of a request whose headers and body chunks are sent as they are."""
    chunks = list(body)
    started: list[int] = []

    async def receive() -> dict[str, Any]:
        part = chunks.pop(0) if chunks else b""
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "path": "/api/v1/studies",
        "raw_path": b"/api/v1/studies",
        "root_path": "",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9),
        "headers": list(headers),
    }
    api.runner.run(api.app(scope, receive, send))
    return started[0]


def test_a_missing_or_doubled_host_is_refused(api: Any) -> None:
    assert raw(api) == 400
    assert raw(api, (b"host", b"localhost"), (b"host", b"localhost")) == 400
    assert raw(api, (b"host", b"localhost")) == 200


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
def test_another_sites_page_changes_nothing(api: Any, problem: Any, method: str) -> None:
    study = api.new_study()
    path = f"/api/v1/studies/{study}"
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        problem(api.call(method, path, headers=headers), 403, "forbidden")
    assert api.get(f"/studies/{study}").status_code == 200


def test_the_servers_own_page_may_call(api: Any) -> None:
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    study = api.new_study()
    answer = api.call("DELETE", f"/api/v1/studies/{study}", headers=headers)
    assert answer.status_code == 204


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/jsonp",
        "application/vnd.api+json",
        "",
    ],
)
def test_a_body_of_another_type_is_refused(api: Any, problem: Any, kind: str) -> None:
    answer = api.call("POST", "/api/v1/studies", content=b"{}", headers={"Content-Type": kind})
    problem(answer, 415, "unsupported-media-type")


def test_a_compressed_body_is_refused(api: Any, problem: Any) -> None:
    problem(api.post_text("/studies", b"{}", **{"content-encoding": "gzip"}), 415)


@pytest.mark.parametrize(
    "kind", ["application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"']
)
def test_json_in_utf_8_is_taken(api: Any, problem: Any, kind: str) -> None:
    answer = api.call("POST", "/api/v1/studies", content=b"{}", headers={"Content-Type": kind})
    problem(answer, 422)


def test_a_body_that_is_too_long_is_refused_announced_or_not(api: Any) -> None:
    small = create_app(api.manager, max_body_bytes=1000)
    was, api.app = api.app, small
    host, kind = (b"host", b"localhost"), (b"content-type", b"application/json")
    try:
        announced = raw(api, host, kind, (b"content-length", b"1001"), method="POST")
        digits = raw(api, host, kind, (b"content-length", b"9" * 50), method="POST")
        chunked = raw(
            api,
            host,
            kind,
            (b"transfer-encoding", b"chunked"),
            method="POST",
            body=[b" " * 400] * 5,
        )
        fits = raw(
            api, host, kind, (b"content-length", b"1000"), method="POST", body=[b" " * 1000]
        )
    finally:
        api.app = was
    assert (announced, digits, chunked, fits) == (413, 413, 413, 422)


def test_a_length_that_is_no_number_is_refused(api: Any) -> None:
    for length in (b"-1", b"+5", b"1e3", b"", "٣".encode()):
        assert raw(api, (b"host", b"localhost"), (b"content-length", length), method="POST") == 400


def test_a_websocket_is_closed(api: Any) -> None:
    sent: list[dict[str, Any]] = []

    async def run() -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await api.app({"type": "websocket", "path": "/", "headers": []}, receive, send)

    api.runner.run(asyncio.wait_for(run(), 5))
    assert [message["type"] for message in sent] == ["websocket.close"]
