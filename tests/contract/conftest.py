"""An API over a real study manager, called in process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tuner.api.app import create_app
from tuner.service.manager import Manager

BASE = "/api/v1"
LINE = {"x": {"type": "float", "low": 0.0, "high": 1.0}}


class Api:
    """Calls an application over one manager; everything runs in one event loop."""

    def __init__(self, runner: asyncio.Runner, manager: Manager) -> None:
        self.runner = runner
        self.manager = manager
        self.app = create_app(manager)
        self.names = 0

    def call(
        self,
        method: str,
        path: str,
        *,
        app: FastAPI | None = None,
        host: str = "localhost",
        **options: Any,
    ) -> httpx2.Response:
        """One request."""

        async def send() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=app or self.app)
            async with httpx2.AsyncClient(
                transport=transport, base_url=f"http://{host}"
            ) as client:
                return await client.request(method, path, **options)

        return self.runner.run(send())

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.call("GET", BASE + path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> httpx2.Response:
        if body is not None:
            options["json"] = body
        return self.call("POST", BASE + path, **options)

    def post_text(self, path: str, text: str | bytes, **headers: str) -> httpx2.Response:
        headers = {"content-type": "application/json", **headers}
        return self.call("POST", BASE + path, content=text, headers=headers)

    def new_study(self, **fields: Any) -> str:
        """A new study on a line, sampled at random; returns its name."""
        self.names += 1
        body = {
            "name": f"study-{self.names}",
            "objective": ["loss", "minimize"],
            "space": LINE,
            "sampler": "random",
            **fields,
        }
        answer = self.post("/studies", body)
        assert answer.status_code == 201, answer.text
        return str(body["name"])

    def ask(self, study: str, **body: Any) -> dict[str, Any]:
        """One leased trial."""
        answer = self.post(f"/studies/{study}/ask", {"lease_seconds": 600, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()["trials"][0]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    file: Path = tmp_path_factory.mktemp("api") / "tuner.db"
    with asyncio.Runner() as runner:
        manager = runner.run(Manager.open(f"sqlite:///{file}"))
        try:
            yield Api(runner, manager)
        finally:
            runner.run(manager.close())


def problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Check that an answer is a complete problem, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = json.loads(answer.content)
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["type"] == f"urn:tuner:error:{body['code']}"
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["detail"]
    if code is not None:
        assert body["code"] == code
    for mistake in body.get("errors", ()):
        assert set(mistake) == {"path", "found", "allowed", "nearest"}
    return body


@pytest.fixture(name="problem")
def problem_fixture() -> Any:
    return problem
