"""A REST call as a value: what to send, whether it may be repeated, how to read the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from tuner.core.wire import check_plain, dumps
from tuner.errors import Invalid, TunerError

T = TypeVar("T")


class Repeat(Enum):
    """What makes it right to send a call again whose answer was lost."""

    SAFE = "doing it twice is doing it once"
    KEYED = "the server knows the call by its Idempotency-Key"
    NEVER = "only when it certainly did not arrive"


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful response: what `Operation.parse` reads."""

    status: int
    content_type: str
    content: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            TunerError: If it is none; names the address and status.
        """
        try:
            return json.loads(self.content)
        except ValueError:
            raise TunerError(
                f"{self.url} answered {self.status} with a body that is not JSON"
                f" ({self.content_type or 'no content type'}, {len(self.content)} bytes).",
                hint="Is this the address of a tuner server?",
            ) from None


def read_json(answer: Answer) -> Any:
    """The body as JSON."""
    return answer.json()


def read_nothing(answer: Answer) -> None:
    """Nothing, the status says it all."""
    del answer


def read_text(answer: Answer) -> str:
    """The body as text."""
    return answer.content.decode("utf-8", "replace")


def read_bytes(answer: Answer) -> bytes:
    """The body as it is."""
    return answer.content


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One call.

    Args:
        method: The HTTP method.
        path: Path with quoted names, below the server's address.
        parse: Reads a successful answer.
        params: The query; lists become repeated names, None is left out.
        body: Plain JSON data, or None for no body.
        repeat: Whether the call may be sent again when its answer was lost.
        done: An error that, answered to a repeated call, says that the first one had worked.
        slow: Whether the server may compute for long (a model fit, a report).
    """

    method: str
    path: str
    parse: Callable[[Answer], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    repeat: Repeat = Repeat.SAFE
    done: type[TunerError] | None = None
    slow: bool = False

    @property
    def idempotent(self) -> bool:
        """Whether the call may be sent twice as it is, without a key."""
        return self.repeat is Repeat.SAFE

    @property
    def target(self) -> str:
        """Path and query."""
        query = {
            name: ("true" if value else "false") if isinstance(value, bool) else value
            for name, value in self.params.items()
            if value is not None
        }
        return f"{self.path}?{urlencode(query, doseq=True)}" if query else self.path

    def encode(self) -> bytes | None:
        """The body as bytes.

        Raises:
            Invalid: If it holds something that JSON has no exact form for, naming the path.
        """
        if self.body is None:
            return None
        try:
            return dumps(self.body).encode()
        except (TypeError, ValueError, RecursionError) as error:
            check_plain(self.body)
            raise Invalid(f"The body cannot be written as JSON: {error}.") from error
