"""The only HTTP of the client: a pool of kept connections, time limits, retries, event streams."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, TypeVar

import httpx2

from tuner.client.calls import Call, Done, Retry, Timeouts, Wait
from tuner.client.endpoint import Address, Endpoint, is_loopback
from tuner.client.operation import Operation

T = TypeVar("T")
_STREAM_TIMEOUT: Final = httpx2.Timeout(60.0, connect=5.0)
_RECONNECT_S: Final = 0.2
_LIMITS: Final = httpx2.Limits(max_connections=64, max_keepalive_connections=16)


def _stream_headers(call: Call[None], address: Address, last: int | None) -> dict[str, str]:
    headers = {**call.headers(address), "accept": "text/event-stream", "cache-control": "no-store"}
    if last is not None:
        headers["last-event-id"] = str(last)
    return headers


def _http_options(address: Address) -> dict[str, Any]:
    """Options of the pool: certificates are loaded (a quarter of a second) only for https."""
    return {
        "limits": _LIMITS,
        "follow_redirects": False,
        "verify": not address.url.startswith("http://"),
        "trust_env": not is_loopback(address.url),
    }


class Transport:
    """Sends operations and waits for their answers; safe to share between threads.

    Args:
        endpoint: Knows the address; an embedded store is found or started at the first call.
        timeouts: Limits of single requests.
        retry: How long calls are tried again.
    """

    def __init__(
        self, endpoint: Endpoint, timeouts: Timeouts | None = None, retry: Retry | None = None
    ) -> None:
        self.endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        self._reached = False
        self._pool: httpx2.Client | None = None
        self._pid = 0

    def send(self, operation: Operation[T], retry: Retry | None = None) -> T:
        """Do one call.

        Args:
            operation: What to do.
            retry: How long to try; None: as long as this transport does.

        Raises:
            TunerError: The server's typed error, or `ServerUnreachable`.
        """
        call = Call(operation, retry or self._retry, self._reached)
        timeout = self._timeouts.of(operation)
        address = self.endpoint.address()
        while True:
            try:
                response = self._http(address).request(
                    operation.method,
                    address.url + operation.target,
                    content=call.content,
                    headers=call.headers(address),
                    timeout=timeout,
                )
            except httpx2.TransportError as error:
                outcome: Done[T] | Wait = call.failed(error, address, self.endpoint.hint())
            else:
                self._reached = True
                outcome = call.answered(response, address)
            if isinstance(outcome, Done):
                return outcome.value
            address = self._wait(outcome, address)

    def stream(
        self, operation: Operation[None], last_event_id: int | None
    ) -> Iterator[httpx2.ServerSentEvent | None]:
        """Server-sent events from after `last_event_id` on, for ever; reconnects by itself.

        Yields:
            None whenever a connection has been made, then its events.

        Raises:
            TunerError: If the server refuses, or cannot be reached for as long as calls are tried.
        """
        last = last_event_id
        call = Call(operation, self._retry, self._reached)
        address = self.endpoint.address()
        while True:
            try:
                with self._http(address).stream(
                    operation.method,
                    address.url + operation.target,
                    headers=_stream_headers(call, address, last),
                    timeout=_STREAM_TIMEOUT,
                ) as response:
                    if response.status_code != 200:
                        response.read()
                        wait = call.refused(response, address)
                    else:
                        self._reached = True
                        yield None
                        for event in httpx2.EventSource(response):
                            call = Call(operation, self._retry, reached=True)
                            last = int(event.id) if event.id.isdigit() else last
                            yield event
                        wait = Wait(_RECONNECT_S)
            except httpx2.TransportError as error:
                wait = call.failed(error, address, self.endpoint.hint())
            address = self._wait(wait, address)

    def _wait(self, wait: Wait, address: Address) -> Address:
        found = self.endpoint.renew(address) if wait.renew else address
        time.sleep(wait.at(address, found))
        return found

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        if self._pool is not None and self._pid == os.getpid():
            self._pool.close()
        self._pool = None

    def _http(self, address: Address) -> httpx2.Client:
        """The pool of this process: a fork must not share its parent's sockets."""
        pool = self._pool
        if pool is None or self._pid != os.getpid():
            pool = httpx2.Client(**_http_options(address))
            self._pool, self._pid = pool, os.getpid()
            # Not at exit: what a script has buffered is sent then, by an atexit callback.
            weakref.finalize(self, pool.close).atexit = False
        return pool


class AsyncTransport:
    """As `Transport`, for one event loop."""

    def __init__(
        self, endpoint: Endpoint, timeouts: Timeouts | None = None, retry: Retry | None = None
    ) -> None:
        self.endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._retry = retry or Retry()
        self._reached = False
        self._pool: httpx2.AsyncClient | None = None

    async def send(self, operation: Operation[T]) -> T:
        """Do one call.

        Raises:
            TunerError: The server's typed error, or `ServerUnreachable`.
        """
        call = Call(operation, self._retry, self._reached)
        timeout = self._timeouts.of(operation)
        address = await asyncio.to_thread(self.endpoint.address)
        while True:
            try:
                response = await self._http(address).request(
                    operation.method,
                    address.url + operation.target,
                    content=call.content,
                    headers=call.headers(address),
                    timeout=timeout,
                )
            except httpx2.TransportError as error:
                outcome: Done[T] | Wait = call.failed(error, address, self.endpoint.hint())
            else:
                self._reached = True
                outcome = call.answered(response, address)
            if isinstance(outcome, Done):
                return outcome.value
            address = await self._wait(outcome, address)

    async def stream(
        self, operation: Operation[None], last_event_id: int | None
    ) -> AsyncIterator[httpx2.ServerSentEvent | None]:
        """As `Transport.stream`."""
        last = last_event_id
        call = Call(operation, self._retry, self._reached)
        address = await asyncio.to_thread(self.endpoint.address)
        while True:
            try:
                async with self._http(address).stream(
                    operation.method,
                    address.url + operation.target,
                    headers=_stream_headers(call, address, last),
                    timeout=_STREAM_TIMEOUT,
                ) as response:
                    if response.status_code != 200:
                        await response.aread()
                        wait = call.refused(response, address)
                    else:
                        self._reached = True
                        yield None
                        async for event in httpx2.EventSource(response):
                            call = Call(operation, self._retry, reached=True)
                            last = int(event.id) if event.id.isdigit() else last
                            yield event
                        wait = Wait(_RECONNECT_S)
            except httpx2.TransportError as error:
                wait = call.failed(error, address, self.endpoint.hint())
            address = await self._wait(wait, address)

    async def _wait(self, wait: Wait, address: Address) -> Address:
        found = address
        if wait.renew:
            found = await asyncio.to_thread(self.endpoint.renew, address)
        await asyncio.sleep(wait.at(address, found))
        return found

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.aclose()
        self._pool = None

    def _http(self, address: Address) -> httpx2.AsyncClient:
        if self._pool is None:
            self._pool = httpx2.AsyncClient(**_http_options(address))
        return self._pool
