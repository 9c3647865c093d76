"""A real HTTP server on loopback that answers what a test has prepared, and trials on it."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tuner.client.calls import Retry, Timeouts
from tuner.client.client import Client
from tuner.client.endpoint import Fixed
from tuner.client.transport import Transport
from tuner.client.trial import Trial


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False  # close the connection without an answer


class LocalServer:
    """Answers each request by `answer(seen)`; keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], Reply] = lambda seen: Reply()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {key.lower(): value for key, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length))
                server.seen.append(seen)
                reply = server.answer(seen)
                if reply.drop:
                    self.close_connection = True
                    return
                body = reply.body
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                kind = "application/problem+json" if reply.status >= 400 else "application/json"
                self.send_response(reply.status)
                for name, value in {"content-type": kind, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *args: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def replies(self, *replies: Reply) -> None:
        """Answer with these in turn, the last one for ever."""
        left = list(replies)
        self.answer = lambda seen: left.pop(0) if len(left) > 1 else left[0]

    def calls(self, verb: str) -> list[Seen]:
        """What was seen of the calls whose path ends with this word."""
        return [seen for seen in self.seen if seen.path.endswith(f"/{verb}")]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


# Quick to try again, and never out of time because the machine is busy.
FAST = Retry(seconds=20.0, first_seconds=20.0, pause=0.001)
PATIENT = Timeouts(20.0, 20.0, 20.0)


@pytest.fixture
def server() -> Iterator[LocalServer]:
    local = LocalServer()
    yield local
    local.close()


@pytest.fixture
def transport(server: LocalServer) -> Iterator[Transport]:
    made = Transport(Fixed(server.url, "secret-token"), PATIENT, FAST)
    yield made
    made.close()


@pytest.fixture
def client(server: LocalServer) -> Iterator[Client]:
    with Client(server.url, "secret-token", timeout=20.0, retry=FAST) as made:
        yield made


@pytest.fixture
def make_reply() -> type[Reply]:
    return Reply


def study_json(**changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "objectives": [{"metric": "loss", "direction": "minimize", "from": "last"}],
        "pruner": {"name": "none"},
        "state": "active",
        "counts": {"waiting": 0, "running": 0, "complete": 0, "pruned": 0, "fail": 0},
        **changes,
    }


def leased_json(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "study": "digits",
        "number": number,
        "state": "running",
        "params": {"x": 0.5},
        "values": {},
        "attempt": 1,
        "user_attrs": {},
        "created_at": "2026-11-20T00:00:00Z",
        "lease": f"lease-{number}",
        **changes,
    }


@pytest.fixture
def a_study() -> Callable[..., dict[str, Any]]:
    return study_json


@pytest.fixture
def leased() -> Callable[..., dict[str, Any]]:
    return leased_json


def decision(reason: str | None = None) -> Reply:
    """The answer to a report or a heartbeat: go on, or stop for a reason."""
    stop = {"should_stop": reason is not None, "reason": reason}
    return Reply(body={**stop, "lease_expires_at": "2026-11-20T00:01:00Z"})


@pytest.fixture
def decide() -> Callable[..., Reply]:
    return decision


@pytest.fixture
def answering(server: LocalServer) -> dict[str, Callable[[Seen], Reply]]:
    """The server takes everything; what is put in here answers for its verb."""
    outcomes: dict[str, Callable[[Seen], Reply]] = {}

    def answer(seen: Seen) -> Reply:
        verb = seen.path.rpartition("/")[2]
        if verb in outcomes:
            return outcomes[verb](seen)
        return decision() if verb in ("report", "heartbeat") else Reply(body={"number": 0})

    server.answer = answer
    return outcomes


@pytest.fixture
def make_trial(client: Client, answering: Any) -> Callable[..., Trial]:
    """Makes a trial; only one that is `timed` sends something because time has passed."""

    def make(*, timed: bool = False, **options: Any) -> Trial:
        trial = Trial(
            client, leased_json(), **{"metrics": ("loss",), "has_pruner": False, **options}
        )
        if not timed:
            trial._reporter._last_call += 3600
        return trial

    return make
