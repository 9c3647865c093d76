"""What every request of one application shares."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from starlette.requests import Request

from tuner.api.prometheus import RequestMetrics

if TYPE_CHECKING:
    from tuner.service.manager import Manager

SCOPE_KEY: Final = "tuner.context"
MAX_BODY_BYTES: Final = 32 * 1024 * 1024


@dataclass
class Activity:
    """Whether anybody uses the application: requests in flight (streams too) and the last end."""

    in_flight: int = 0
    last: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """A request has arrived."""
        self.in_flight += 1

    def end(self) -> None:
        """A request has been answered, or its stream has ended."""
        self.in_flight -= 1
        self.last = time.monotonic()

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is in flight."""
        return 0.0 if self.in_flight else time.monotonic() - self.last


@dataclass
class Context:
    """One application's parts.

    Args:
        manager: The study manager.
        max_body_bytes: The largest request body that is read.
        closing: Set when the server is to end; streams end then.
    """

    manager: Manager
    max_body_bytes: int = MAX_BODY_BYTES
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    activity: Activity = field(default_factory=Activity)
    metrics: RequestMetrics = field(default_factory=RequestMetrics)


def context(request: Request) -> Context:
    """The parts of the application that serves `request` (`Recorder` puts them there)."""
    return cast("Context", request.scope[SCOPE_KEY])


def manager(request: Request) -> Manager:
    """The study manager of the application that serves `request`."""
    return context(request).manager
