"""One logical call: its requests, when to try again, and what its answer means.

Nothing is sent here. The sync and the async transport drive the same `Call`: they send what it
says, hand it the response or the failure, and wait as long as it asks.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from secrets import SystemRandom
from typing import Any, Final, Generic, TypeVar

import httpx2

from tuner.client.endpoint import Address
from tuner.client.operation import Answer, Operation, Repeat
from tuner.core.wire import loads
from tuner.errors import SchemaOutdated, ServerUnreachable, TunerError, Unavailable, from_problem

T = TypeVar("T")
_RETRY_STATUS: Final = frozenset({429, 502, 503, 504})
_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_MAX_PAUSE_S: Final = 5.0
_MAX_RETRY_AFTER_S: Final = 60.0
_SHOWN: Final = 200
_RANDOM: Final = SystemRandom()


@dataclass(frozen=True)
class Retry:
    """How long a call is tried again.

    Args:
        seconds: From the first failure on, where a server has answered before.
        first_seconds: The same where none has answered yet: a wrong address is said soon.
        pause: First pause in seconds; doubles up to 5 s, with full jitter.
    """

    seconds: float = 30.0
    first_seconds: float = 1.5
    pause: float = 0.1


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, for an answer, and for one that needs computing."""

    connect: float = 5.0
    answer: float = 30.0
    slow: float = 300.0

    def of(self, operation: Operation[Any]) -> httpx2.Timeout:
        """The time limits of one request."""
        read = self.slow if operation.slow else self.answer
        return httpx2.Timeout(read, connect=self.connect)


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The call has succeeded."""

    value: T


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again after `seconds`; with `renew`, ask the endpoint for another address first.

    With `error` only another address is worth a try: raise it if there is none.
    """

    seconds: float
    renew: bool = False
    error: TunerError | None = None

    def at(self, lost: Address, found: Address) -> float:
        """Seconds to wait before trying `found`; none if it is another address than `lost`."""
        if found != lost:
            return 0.0
        if self.error is not None:
            raise self.error
        return self.seconds


class Call(Generic[T]):
    """The state of one logical call across its requests.

    Args:
        operation: What to do; a call that creates something gets one key for all its requests.
        retry: How long to try.
        reached: Whether a server has answered this client before.
    """

    def __init__(self, operation: Operation[T], retry: Retry, reached: bool) -> None:
        self.operation = operation
        self.content = operation.encode()
        self._retry = retry
        self._patience = retry.seconds if reached else min(retry.first_seconds, retry.seconds)
        self._key = str(uuid.uuid4()) if operation.repeat is Repeat.KEYED else None
        self._pauses = 0
        self._asked_who = False
        self._failed_at: float | None = None
        self._perhaps_done = False

    def headers(self, address: Address) -> dict[str, str]:
        """The headers of the next request."""
        headers = {"accept": "application/json, */*"}
        if self.content is not None:
            headers["content-type"] = "application/json"
        if address.token is not None:
            headers["authorization"] = f"Bearer {address.token}"
        if self._key is not None:
            headers["idempotency-key"] = self._key
        return headers

    def failed(self, error: httpx2.TransportError, address: Address, hint: str) -> Wait:
        """What to do when no answer came.

        Raises:
            ServerUnreachable: When the time for trying is up, naming the address.
            Unavailable: If the call may have arrived and may not be sent twice.
        """
        sent = not isinstance(error, _NOT_SENT)
        if sent and self.operation.repeat is Repeat.NEVER:
            raise Unavailable(
                f"{self.operation.method} {address.url}{self.operation.path} got no answer"
                f" ({_why(error)}); it may have been done or not.",
                hint="Look at the trial before you do it again.",
            ) from error
        self._perhaps_done = self._perhaps_done or sent
        pause = self._pause()
        if not self._has_time(pause):
            raise ServerUnreachable(
                f"No tuner server answers at {address.url} ({_why(error)}).", hint=hint
            ) from error
        return Wait(pause, renew=not sent)

    def answered(self, response: httpx2.Response, address: Address) -> Done[T] | Wait:
        """What an answer means.

        Raises:
            TunerError: The typed error that the server sent, or one that names address and status
                if the answer is not the service's.
        """
        status = response.status_code
        if 200 <= status < 300:
            return Done(self.operation.parse(self._answer(response, address)))
        error = error_of(response, self.operation.method, address.url + self.operation.path)
        done = self.operation.done
        if done is not None and self._perhaps_done and isinstance(error, done):
            return Done(self.operation.parse(self._answer(response, address)))
        if status == 401 and not self._asked_who:
            # At the address of an owner that has ended, another one may answer by now.
            self._asked_who = True
            return Wait(0.0, renew=True, error=error)
        if status not in _RETRY_STATUS or isinstance(error, SchemaOutdated):
            raise error
        if status in (502, 504):
            self._perhaps_done = True
            if self.operation.repeat is Repeat.NEVER:
                raise error
        pause = max(self._pause(), _retry_after(response.headers))
        if not self._has_time(pause):
            raise error
        return Wait(pause)

    def refused(self, response: httpx2.Response, address: Address) -> Wait:
        """What to do when a stream was not opened.

        Raises:
            TunerError: As `answered`; also for a success that is no stream.
        """
        outcome = self.answered(response, address)
        if isinstance(outcome, Wait):
            return outcome
        raise error_of(response, self.operation.method, address.url + self.operation.path)

    def _answer(self, response: httpx2.Response, address: Address) -> Answer:
        return Answer(
            response.status_code,
            response.headers.get("content-type", ""),
            response.content,
            address.url + self.operation.path,
        )

    def _pause(self) -> float:
        longest = min(self._retry.pause * 2.0**self._pauses, _MAX_PAUSE_S)
        self._pauses += 1
        return longest * (0.5 + 0.5 * _RANDOM.random())

    def _has_time(self, pause: float) -> bool:
        now = time.monotonic()
        if self._failed_at is None:
            self._failed_at = now
        return now + pause - self._failed_at <= self._patience


def error_of(response: httpx2.Response, method: str, url: str) -> TunerError:
    """The typed error of a response that is not a success."""
    status = response.status_code
    try:
        problem = loads(response.content)
    except TunerError:
        problem = None
    if isinstance(problem, Mapping) and "code" in problem:
        return from_problem(dict(problem), status)
    kind = response.headers.get("content-type", "no content type").partition(";")[0]
    detail = f"{method} {url} answered {status} {response.reason_phrase} ({kind})".rstrip()
    if response.has_redirect_location:
        detail += f", a redirect to {response.headers['location'][:_SHOWN]}"
    text = " ".join(response.text.split()) if kind.startswith("text/plain") else ""
    if text:
        detail += f": {text[:_SHOWN]}"
    return from_problem(
        {
            "detail": detail + ".",
            "hint": "This is not an answer of a tuner server; look at the address and at what"
            " stands between (a proxy, a login page).",
        },
        status,
    )


def _why(error: httpx2.TransportError) -> str:
    return str(error) or type(error).__name__


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds from a Retry-After header; dates and nonsense count as none."""
    text = headers.get("retry-after", "")
    if not text.isascii() or not text.isdigit():
        return 0.0
    return min(float(text), _MAX_RETRY_AFTER_S)
