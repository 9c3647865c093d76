"""Events as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypedDict

import httpx2

from tuner.client import operations
from tuner.client.transport import AsyncTransport, Transport
from tuner.core.wire import loads
from tuner.errors import TunerError


class Event(TypedDict):
    """Something that happened; `number` is the trial's, None for what concerns the study."""

    id: int
    event: str
    study: str | None
    number: int | None
    at: str | None
    data: dict[str, Any]


def read_events(
    transport: Transport, study: str | None, last_event_id: int | None
) -> Iterator[Event]:
    """Events after `last_event_id`, for ever."""
    for event in follow(transport, study, last_event_id):
        if event is not None:
            yield event


def follow(
    transport: Transport, study: str | None, last_event_id: int | None
) -> Iterator[Event | None]:
    """As `read_events`, with None whenever a connection has been made.

    Whoever looks at the state then and finds nothing new misses nothing that comes later.
    """
    for item in transport.stream(operations.events(study), last_event_id):
        event = None if item is None else parse_event(item)
        if event is not None or item is None:
            yield event


async def read_events_async(
    transport: AsyncTransport, study: str | None, last_event_id: int | None
) -> AsyncIterator[Event]:
    """As `read_events`."""
    async for item in transport.stream(operations.events(study), last_event_id):
        event = None if item is None else parse_event(item)
        if event is not None:
            yield event


def parse_event(item: httpx2.ServerSentEvent) -> Event | None:
    """An event of the stream; None for one without an id or without a JSON object (keep-alive)."""
    try:
        data = loads(item.data) if item.data else None
    except TunerError:
        return None
    if not isinstance(data, dict) or not (item.id.isdigit() or "id" in data):
        return None
    return {
        "id": int(data.get("id", item.id)),
        "event": str(data.get("event", item.event)),
        "study": data.get("study"),
        "number": data.get("number"),
        "at": data.get("at"),
        "data": data.get("data") or {},
    }
