"""A real study manager called in process: directly, and through the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, text

from tuner.api.app import create_app
from tuner.core.messages import Ask, Heartbeat, Release, Report, StudyChange, Tell
from tuner.core.model import parse
from tuner.errors import TunerError
from tuner.service.manager import Manager
from tuner.storage.clock import ManualClock
from tuner.storage.postgres import sqlalchemy_url

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


class Crash(Exception):
    """The server died after the work and before the commit."""


class Service:
    """A study manager called step by step, with a clock that moves only when told to."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self.runner = runner
        self.url = url
        self.clock = ManualClock()
        self.names = 0
        self.manager = self._open()

    def _open(self) -> Manager:
        return self.runner.run(Manager.open(self.url, clock=self.clock, background=False))

    def close(self) -> None:
        self.runner.run(self.manager.close())

    def reopen(self) -> None:
        """Close the manager and open another one on the same database."""
        self.close()
        self.manager = self._open()

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def read(self, work: Any) -> Any:
        """What `work` finds in the database in one transaction."""

        async def reading() -> Any:
            return await asyncio.wrap_future(self.manager._database.read(work))

        return self.run(reading())

    def crash(self, call: Callable[[], Any]) -> None:
        """Make a call whose transaction is rolled back after all its work, before the commit."""
        database = self.manager._database
        write = database.write

        def broken(work: Any) -> Any:
            def work_and_die(tx: Any) -> None:
                work(tx)
                raise Crash

            return write(work_and_die)

        database.write = broken
        try:
            call()
        except (Crash, TunerError):
            pass
        finally:
            del database.write

    def together(self, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
        """Run calls at the same time; errors are returned in their places."""

        async def gather() -> list[Any]:
            return await asyncio.gather(*calls, return_exceptions=True)

        return self.runner.run(gather())

    def body(self, **fields: Any) -> dict[str, Any]:
        """A study file with a fresh name: one float, one objective, random search."""
        self.names += 1
        return {
            "name": f"study-{self.names}",
            "objective": ["loss", "minimize"],
            "space": LINE,
            "sampler": "random",
            **fields,
        }

    def new_study(self, **fields: Any) -> str:
        answer = self.run(self.manager.create_study(self.body(**fields)))
        assert answer.status == 201
        return str(answer.body["name"])

    def study(self, name: str) -> dict[str, Any]:
        return self.run(self.manager.get_study(name))

    def trial(self, name: str, number: int) -> dict[str, Any]:
        return self.run(self.manager.get_trial(name, number))

    def change(self, name: str, **body: Any) -> dict[str, Any]:
        return self.run(self.manager.change_study(name, parse(StudyChange, body)))

    def ask_body(self, count: int = 1, **more: Any) -> Ask:
        return parse(Ask, {"count": count, **more})

    def ask(self, name: str, count: int = 1, key: str | None = None, **more: Any) -> list[Any]:
        """Leased trials."""
        answer = self.run(self.manager.ask(name, self.ask_body(count, **more), key))
        assert answer.status == 200
        return list(answer.body["trials"])

    def add(self, name: str, data: Any, key: str | None = None) -> Any:
        """Enqueued or imported: the trial, or the list of trials."""
        answer = self.run(self.manager.add_trials(name, data, key))
        assert answer.status == 201
        return answer.body.get("trials", answer.body)

    def report(self, trial: dict[str, Any], *rows: tuple[int, dict[str, Any]], **more: Any) -> Any:
        """Report (step, values) rows with a leased trial's lease."""
        rows_ = [{"step": step, "values": values} for step, values in rows]
        body = parse(Report, {"lease": trial["lease"], "measurements": rows_, **more})
        return self.run(self.manager.report(trial["study"], trial["number"], body))

    def heartbeat(self, trial: dict[str, Any]) -> dict[str, Any]:
        body = Heartbeat(lease=trial["lease"])
        return self.run(self.manager.heartbeat(trial["study"], trial["number"], body))

    def tell(
        self, trial: dict[str, Any], loss: Any = None, key: str | None = None, **body: Any
    ) -> dict[str, Any]:
        """End an attempt: `complete` with `loss`, or as `body` says; the trial after it."""
        if loss is not None:
            body["values"] = {"loss": loss}
        body = {"lease": trial["lease"], "state": "complete", **body}
        answer = self.run(
            self.manager.tell(trial["study"], trial["number"], parse(Tell, body), key)
        )
        assert answer.status == 200
        return answer.body

    def release(self, trial: dict[str, Any], **body: Any) -> dict[str, Any]:
        body_ = parse(Release, {"lease": trial["lease"], **body})
        return self.run(self.manager.release(trial["study"], trial["number"], body_))

    def trials(self, name: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.run(self.manager.list_trials(name, limit=1000, **query))["items"])

    def expire(self, seconds: float = 61.0) -> int:
        """Let time pass and sweep; how many leases ran out."""
        self.clock.advance(seconds)
        return self.run(self.manager.sweep())


@contextmanager
def serving(url: str) -> Iterator[Service]:
    with asyncio.Runner() as runner:
        service = Service(runner, url)
        try:
            yield service
        finally:
            service.close()


@pytest.fixture
def service(shared_service: Service) -> Service:
    """A study manager on each kind of database, shared by a module; no lease is left over."""
    shared_service.expire(1e6)
    return shared_service


@pytest.fixture(scope="module", params=("sqlite", "postgresql"))
def shared_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if request.param == "sqlite":
        with serving(f"sqlite:///{tmp_path_factory.mktemp('service') / 'tuner.db'}") as made:
            yield made
        return
    with empty_database(request.getfixturevalue("postgres_server")) as url, serving(url) as made:
        yield made


@pytest.fixture
def fresh_service(database_url: str) -> Iterator[Service]:
    """A study manager on a database of its own."""
    with serving(database_url) as made:
        yield made


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    name = f"m{uuid4().hex[:12]}"
    engine = create_engine(sqlalchemy_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = engine.url.set(database=name, drivername="postgresql")
    yield url.render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
