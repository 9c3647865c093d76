"""Server-sent events: in order, resumable, and ended by deletion and shutdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tuner.api.app import create_app
from tuner.api.context import Context
from tuner.api.events import follow, render

PATIENCE_S = 60


class Stream:
    """An open response whose chunks are read as they come."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[str | None] = asyncio.Queue()
        self.head: dict[str, Any] = {}
        self.gone = asyncio.Event()

    async def events(self, count: int) -> list[dict[str, Any]]:
        """The next `count` events."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            chunk = await asyncio.wait_for(self.chunks.get(), PATIENCE_S)
            assert chunk is not None, "the stream ended"
            if chunk.startswith("id:"):
                lines = dict(line.split(": ", 1) for line in chunk.strip().splitlines())
                found.append(
                    {**json.loads(lines["data"]), "id": int(lines["id"]), "event": lines["event"]}
                )
        return found

    async def end(self) -> None:
        """Wait until the server ends the stream."""
        while await asyncio.wait_for(self.chunks.get(), PATIENCE_S) is not None:
            pass


@asynccontextmanager
async def opened(app: Any, path: str, **headers: str) -> AsyncIterator[Stream]:
    """The stream of `path`, closed by the caller at the end."""
    stream = Stream()

    async def receive() -> dict[str, Any]:
        await stream.gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            stream.head = message
        elif message.get("body"):
            await stream.chunks.put(message["body"].decode())
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await stream.chunks.put(None)

    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": f"/api/v1{route}",
        "raw_path": route.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 9),
        "headers": [
            (b"host", b"localhost"),
            *(
                (name.replace("_", "-").encode(), value.encode())
                for name, value in headers.items()
            ),
        ],
    }
    task = asyncio.create_task(app(scope, receive, send))
    try:
        first = await asyncio.wait_for(stream.chunks.get(), PATIENCE_S)
        assert first == ": tuner\n\n"
        yield stream
    finally:
        stream.gone.set()
        await asyncio.wait_for(task, PATIENCE_S)


async def enqueue(api: Any, study: str, x: float = 0.5) -> None:
    await api.manager.add_trials(study, {"params": {"x": x}})


def test_a_new_stream_has_only_what_happens_from_now_on(api: Any) -> None:
    study = api.new_study()
    api.post(f"/studies/{study}/trials", {"params": {"x": 0.1}})

    async def run() -> list[dict[str, Any]]:
        async with opened(api.app, f"/studies/{study}/events") as stream:
            head = dict(stream.head["headers"])
            assert head[b"content-type"].startswith(b"text/event-stream")
            assert head[b"cache-control"] == b"no-cache"
            await enqueue(api, study)
            return await stream.events(1)

    (event,) = api.runner.run(run())
    assert event["study"] == study
    assert event["number"] == 1
    assert event["event"] == "trial.enqueued"
    assert event["at"].endswith("Z")


@pytest.mark.parametrize("by", ["header", "query", "both"])
def test_a_stream_goes_on_after_the_last_event_seen(api: Any, by: str) -> None:
    study = api.new_study()

    async def run() -> tuple[list[int], list[int]]:
        async with opened(api.app, f"/studies/{study}/events?last_event_id=0") as stream:
            for _ in range(4):
                await enqueue(api, study)
            seen = [event["id"] for event in await stream.events(5)]
        query = f"?last_event_id={seen[1] if by == 'query' else 0}" if by != "header" else ""
        headers = {} if by == "query" else {"last_event_id": str(seen[1])}
        async with opened(api.app, f"/studies/{study}/events{query}", **headers) as stream:
            return seen, [event["id"] for event in await stream.events(3)]

    seen, again = api.runner.run(run())
    assert again == seen[2:]
    assert seen == sorted(seen)


def test_the_common_stream_has_all_studies_a_studys_own_only_its(api: Any) -> None:
    one, two = api.new_study(), api.new_study()

    async def run() -> tuple[list[Any], list[Any]]:
        async with (
            opened(api.app, "/events") as both,
            opened(api.app, f"/studies/{two}/events") as only,
        ):
            await enqueue(api, one)
            await enqueue(api, two)
            return await both.events(2), await only.events(1)

    both, only = api.runner.run(run())
    assert [event["study"] for event in both] == [one, two]
    assert [event["study"] for event in only] == [two]


def test_many_events_come_once_each_and_in_order(api: Any) -> None:
    study = api.new_study()

    async def run() -> list[dict[str, Any]]:
        async with opened(api.app, f"/studies/{study}/events") as stream:
            await api.manager.add_trials(study, {"trials": [{"params": {"x": 0.5}}] * 1200})
            await asyncio.gather(*(enqueue(api, study) for _ in range(30)))
            return await stream.events(1230)

    events = api.runner.run(run())
    assert [event["number"] for event in events] == list(range(1230))


def test_deleting_a_study_ends_its_stream_only(api: Any) -> None:
    study, other = api.new_study(), api.new_study()

    async def run() -> list[dict[str, Any]]:
        async with (
            opened(api.app, "/events") as all_of_them,
            opened(api.app, f"/studies/{study}/events") as own,
        ):
            await api.manager.delete_study(study)
            await own.end()
            await enqueue(api, other)
            return await all_of_them.events(2)

    events = api.runner.run(run())
    assert [(event["event"], event["study"]) for event in events] == [
        ("study.deleted", study),
        ("trial.enqueued", other),
    ]


def test_closing_the_server_ends_every_stream_and_readiness(api: Any, problem: Any) -> None:
    study = api.new_study()
    app = create_app(api.manager)

    async def run() -> None:
        async with (
            opened(app, "/events") as one,
            opened(app, f"/studies/{study}/events") as two,
        ):
            assert app.state.context.activity.in_flight == 2
            app.state.context.closing.set()
            await one.end()
            await two.end()
        assert app.state.context.activity.in_flight == 0

    api.runner.run(run())
    assert api.call("GET", "/healthz", app=app).status_code == 200
    answer = api.call("GET", "/readyz", app=app)
    problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_reader_that_goes_away_leaves_nothing_behind(api: Any) -> None:
    async def run() -> None:
        async with opened(api.app, "/events"):
            pass
        tasks = [task for task in asyncio.all_tasks() if "follow" in repr(task)]
        assert not tasks

    api.runner.run(run())


def test_a_silent_stream_is_kept_alive(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuner.api.events.KEEP_ALIVE_S", 0.0)
    monkeypatch.setattr("tuner.api.events.POLL_S", 0.01)

    async def run() -> list[str]:
        stream = follow(Context(api.manager), None, 2**40)
        texts = [await anext(stream) for _ in range(3)]
        await stream.aclose()
        return texts

    assert api.runner.run(run()) == [": tuner\n\n", ": keep-alive\n\n", ": keep-alive\n\n"]


def test_text_in_an_event_cannot_make_lines_of_its_own() -> None:
    text = render({"id": 1, "event": "x", "study": "a\n\nid: 9\ndata: {}", "number": None})
    assert text.count("\n") == 4


@pytest.mark.parametrize("value", ["-1", "x", "", "1" * 40, str(2**63)])
def test_a_last_event_that_is_none_is_refused(api: Any, problem: Any, value: str) -> None:
    problem(api.get("/events", headers={"Last-Event-ID": value}), 422)
