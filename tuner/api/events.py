"""Server-sent events: what happens in one study or in all, resumable by event id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tuner.api.context import Context, context
from tuner.api.inputs import MAX_EVENT, Query, last_event_id, query, study_name
from tuner.api.operations import LAST_EVENT, documented
from tuner.api.operations import router as new_router
from tuner.core.wire import dumps
from tuner.errors import NotFound

router = new_router("events")
KEEP_ALIVE_S: Final = 15.0
# Writes of this process wake streams at once; those of others on the database are polled for.
POLL_S: Final = 1.0
BATCH: Final = 500
_AFTER: Final = Query(
    "last_event_id", "As the header, for callers that cannot set one.", "int", None, 0, MAX_EVENT
)
_STREAM: Final = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'id: 41\nevent: trial.complete\ndata: {"study":"digits","number":3,"at":"2026-11-20T09:12:31Z","data":{}}\n\n',
    }
}


@router.get(**documented("/events", name="all", parameters=(LAST_EVENT, _AFTER), content=_STREAM))
async def all_events(request: Request) -> Response:
    """Follow all studies (`text/event-stream`)."""
    return await _stream(request, None, _given(request))


@router.get(
    **documented(
        "/studies/{name}/events", name="study", parameters=(LAST_EVENT, _AFTER), content=_STREAM
    )
)
async def study_events(request: Request) -> Response:
    """Follow one study; the stream ends when the study is deleted."""
    after = _given(request)
    name = study_name(request)
    await context(request).manager.get_study(name)
    return await _stream(request, name, after)


def _given(request: Request) -> int | None:
    """The event to go on after: the header that a reconnecting browser sends, else the query."""
    in_query: int | None = query(request, _AFTER)[_AFTER.name]
    header = last_event_id(request)
    return in_query if header is None else header


async def _stream(request: Request, study: str | None, after: int | None) -> Response:
    shared = context(request)
    if after is None:
        after = await shared.manager.last_event_id()
    return StreamingResponse(
        follow(shared, study, after),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def follow(shared: Context, study: str | None, after: int) -> AsyncIterator[str]:
    """The text of a stream: events after `after`, and comments that keep it alive.

    Args:
        shared: The application's parts; the stream ends when it closes.
        study: The study to follow; None: all. The stream ends when it is gone.
        after: The id of the last event already seen.
    """
    yield ": tuner\n\n"
    closing = asyncio.ensure_future(shared.closing.wait())
    silent_since = time.monotonic()
    try:
        while not shared.closing.is_set():
            # The wait begins before the read, so nothing written in between is missed.
            waiting = asyncio.ensure_future(shared.manager.wait_events(POLL_S))
            try:
                await asyncio.sleep(0)
                batch = await shared.manager.events(study, after, BATCH)
                if not batch:
                    await asyncio.wait({waiting, closing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            for event in batch:
                after = event["id"]
                yield render(event)
            if batch:
                silent_since = time.monotonic()
            elif study is not None and not await _exists(shared, study):
                return
            elif time.monotonic() - silent_since >= KEEP_ALIVE_S:
                silent_since = time.monotonic()
                yield ": keep-alive\n\n"
    finally:
        closing.cancel()


def render(event: dict[str, Any]) -> str:
    """One event as lines of `text/event-stream`."""
    data = {key: value for key, value in event.items() if key not in ("id", "event")}
    return f"id: {event['id']}\nevent: {event['event']}\ndata: {dumps(data)}\n\n"


async def _exists(shared: Context, study: str) -> bool:
    try:
        await shared.manager.get_study(study)
    except NotFound:
        return False
    return True
