"""Request bodies: read within the limit, parsed strictly, and turned into the core's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from tuner.api.access import too_large
from tuner.api.context import context
from tuner.core.model import parse
from tuner.core.wire import loads
from tuner.errors import Invalid

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
LONG_BYTES: Final = 64 * 1024


async def read(request: Request) -> Any:
    """The body as plain data.

    Raises:
        Refused: If it is too large, also when its length was not announced.
        Invalid: If it is empty or not strict JSON.
    """
    body = await _bytes(request)
    if not body:
        raise Invalid("The body is empty, expected JSON.", hint="See /docs for this call.")
    return await _off_loop(body, loads, body)


async def read_as(request: Request, model: type[M], *, optional: bool = False) -> M:
    """The body as `model`.

    Args:
        request: The request.
        model: One of `tuner.core.messages`.
        optional: Whether an empty body stands for `{}`.

    Raises:
        Refused: If it is too large.
        Invalid: With the path of each mistake.
    """
    body = await _bytes(request)
    if not body:
        if not optional:
            raise Invalid("The body is empty, expected JSON.", hint="See /docs for this call.")
        return parse(model, {})
    return await _off_loop(body, _message, body, model)


def _message(body: bytes, model: type[M]) -> M:
    data = loads(body)
    if not isinstance(data, dict):
        raise Invalid("The body is not a JSON object.")
    return parse(model, data)


async def _off_loop(body: bytes, work: Callable[..., T], *args: Any) -> T:
    """Do `work` here, or in a thread if the body is so long that other requests would wait."""
    if len(body) < LONG_BYTES:
        return work(*args)
    return await asyncio.to_thread(work, *args)


async def _bytes(request: Request) -> bytes:
    limit = context(request).max_body_bytes
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks) if len(chunks) > 1 else (chunks[0] if chunks else b"")
