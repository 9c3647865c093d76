import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tuner.client import operations
from tuner.client.async_client import AsyncClient
from tuner.client.calls import Retry, Timeouts
from tuner.client.endpoint import Address, Fixed
from tuner.client.operation import Operation, Repeat, read_json
from tuner.client.transport import Transport
from tuner.errors import (
    BY_CODE,
    Conflict,
    Invalid,
    LeaseLost,
    NotFound,
    SchemaOutdated,
    ServerUnreachable,
    TunerError,
    Unauthorized,
    Unavailable,
)


@pytest.fixture
def unheard() -> Iterator[socket.socket]:
    """A port that is this test's own, and where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held


def url_of(place: socket.socket) -> str:
    return f"http://127.0.0.1:{place.getsockname()[1]}"


def test_a_call_carries_token_body_and_key(server, transport, make_reply):
    server.replies(make_reply(body={"trials": []}))
    assert transport.send(operations.ask("digits", 2)) == {"trials": []}
    seen = server.seen[0]
    assert (seen.method, seen.path) == ("POST", "/api/v1/studies/digits/ask")
    assert seen.json == {"count": 2, "lease_seconds": 60}
    assert seen.headers["authorization"] == "Bearer secret-token"
    assert seen.headers["content-type"] == "application/json"
    assert len(seen.headers["idempotency-key"]) == 36


def test_the_key_is_kept_for_retries_and_new_for_the_next_call(server, transport, make_reply):
    server.replies(make_reply(drop=True), make_reply(503), make_reply(502), make_reply())
    transport.send(operations.ask("digits"))
    transport.send(operations.ask("digits"))
    keys = [seen.headers["idempotency-key"] for seen in server.seen]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert keys[4] != keys[0]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_trouble_is_tried_again(server, transport, make_reply, status):
    server.replies(make_reply(status), make_reply(body={"name": "s"}))
    assert transport.send(operations.get_study("s")) == {"name": "s"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_is_not_tried_again(server, transport, make_reply, status):
    server.replies(make_reply(status, {"code": "x", "detail": "no"}))
    with pytest.raises(TunerError):
        transport.send(operations.get_study("s"))
    assert len(server.seen) == 1


def test_retry_after_is_honoured(server, transport, make_reply):
    server.replies(make_reply(503, headers={"retry-after": "1"}), make_reply())
    begun = time.monotonic()
    transport.send(operations.get_study("s"))
    assert time.monotonic() - begun >= 1.0


def test_a_retry_after_beyond_the_patience_gives_the_error_at_once(server, transport, make_reply):
    server.replies(
        make_reply(503, {"code": "database-unavailable", "detail": "gone"}, {"retry-after": "50"})
    )
    with pytest.raises(Unavailable, match="gone"):
        transport.send(operations.get_study("s"))
    assert len(server.seen) == 1


def test_an_outdated_schema_does_not_go_away_by_waiting(server, transport, make_reply):
    server.replies(make_reply(503, {"code": "schema-outdated", "detail": "old", "hint": "up"}))
    with pytest.raises(SchemaOutdated, match="old up"):
        transport.send(operations.get_study("s"))
    assert len(server.seen) == 1


@pytest.mark.parametrize("cls", sorted(BY_CODE.values(), key=lambda cls: cls.code))
def test_every_error_arrives_as_its_class(server, transport, make_reply, cls):
    problem = {**cls("What happened.", hint="Do this.").to_problem(), "request_id": "r-1"}
    retry = Retry(seconds=0.0, first_seconds=0.0)
    server.replies(make_reply(cls.status, problem))
    with Transport_of(server.url, retry) as short, pytest.raises(cls) as caught:
        short.send(operations.get_study("s"))
    assert type(caught.value) is cls
    assert (caught.value.message, caught.value.hint) == ("What happened.", "Do this.")
    assert caught.value.request_id == "r-1"


class Transport_of:  # noqa: N801  reads as a context
    def __init__(self, url: str, retry: Retry) -> None:
        self.made = Transport(Fixed(url), Timeouts(20.0, 20.0, 20.0), retry)

    def __enter__(self) -> Transport:
        return self.made

    def __exit__(self, *args: object) -> None:
        self.made.close()


def test_an_answer_of_something_else_names_address_status_and_text(server, transport, make_reply):
    headers = {"content-type": "text/plain"}
    server.replies(make_reply(404, b"no such\npage", headers))
    with pytest.raises(NotFound) as caught:
        transport.send(operations.get_study("s"))
    assert f"GET {server.url}/api/v1/studies/s answered 404" in str(caught.value)
    assert "no such page" in str(caught.value)


def test_a_redirect_is_not_followed_with_the_token(server, transport, make_reply):
    server.replies(make_reply(302, b"", {"location": "http://elsewhere.example/"}))
    with pytest.raises(TunerError, match=r"a redirect to http://elsewhere\.example/"):
        transport.send(operations.get_study("s"))
    assert len(server.seen) == 1


def test_a_success_that_is_not_json_says_so(server, transport, make_reply):
    server.replies(make_reply(200, b"<html>", {"content-type": "text/html"}))
    with pytest.raises(TunerError, match=r"answered 200 with a body that is not JSON"):
        transport.send(operations.get_study("s"))


def test_an_unreachable_server_is_named_with_what_to_do(unheard):
    with (
        Transport_of(url_of(unheard), Retry(0.05, 0.05, 0.001)) as short,
        pytest.raises(ServerUnreachable) as caught,
    ):
        short.send(operations.get_study("s"))
    assert url_of(unheard) in caught.value.message
    assert "tuner server start" in caught.value.hint


def test_a_server_that_starts_late_is_waited_for(unheard):
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"

    def serve() -> None:
        unheard.listen()
        connection, _ = unheard.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    thread = threading.Timer(0.2, serve)
    thread.start()
    with Transport_of(url_of(unheard), Retry(60.0, 60.0, 0.01)) as patient:
        assert patient.send(operations.ready()) == {}
    thread.join()


def test_a_slow_answer_runs_into_the_time_limit_and_is_tried_again(server, make_reply):
    release = threading.Event()

    def answer(seen):
        if len(server.seen) == 1:
            release.wait(60)
        return make_reply(body={"n": len(server.seen)})

    server.answer = answer
    made = Transport(Fixed(server.url), Timeouts(1.0, 0.1, 0.1), Retry(60.0, 60.0, 0.001))
    assert made.send(operations.get_study("s"))["n"] >= 2
    release.set()
    made.close()


def test_a_call_that_may_not_be_repeated_is_not(server, transport, make_reply):
    server.replies(make_reply(drop=True))
    with pytest.raises(Unavailable, match="may have been done or not"):
        transport.send(operations.retry_trial("s", 1))
    assert len(server.seen) == 1


def test_a_deletion_whose_answer_was_lost_is_done(server, transport, make_reply):
    gone = make_reply(404, {"code": "study-not-found", "detail": "no"})
    server.replies(make_reply(drop=True), gone)
    assert transport.send(operations.delete_study("s")) is None
    with pytest.raises(NotFound):
        transport.send(operations.delete_study("s"))


def test_no_error_and_no_repr_shows_the_token(server, transport, make_reply):
    server.replies(make_reply(401, {"code": "unauthorized", "detail": "wrong token"}))
    with pytest.raises(Unauthorized) as caught:
        transport.send(operations.get_study("s"))
    shown = f"{caught.value!r} {caught.value} {Address('http://h', 'secret-token')!r}"
    assert "secret" not in shown


@pytest.mark.parametrize(
    "url", ["ftp://h", "localhost:8000", "http://", "http://h:x", "http://u:pw@h", "http://h?a=1"]
)
def test_what_is_no_address_is_refused_without_quoting_secrets(url):
    with pytest.raises(Invalid) as caught:
        Fixed(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "a b", "ä", "x\n"])
def test_a_token_that_no_header_can_carry_is_refused_unquoted(token):
    with pytest.raises(Invalid) as caught:
        Fixed("http://h", token)
    assert caught.value.errors[0].found is None


def test_addresses_are_brought_to_one_form():
    assert Fixed("http://h:1/api/v1/").address().url == "http://h:1"
    assert Fixed("https://h/prefix/").address().url == "https://h/prefix"
    assert Fixed("http://[::1]:8").address().url == "http://[::1]:8"


def test_calls_of_many_threads_share_the_transport(server, transport, make_reply):
    server.answer = lambda seen: make_reply(body={"path": seen.path})
    results: dict[int, str] = {}

    def work(i: int) -> None:
        results[i] = transport.send(operations.get_study(f"s{i}"))["path"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: f"/api/v1/studies/s{i}" for i in range(16)}


def test_the_async_client_retries_with_the_same_key(server, make_reply):
    server.replies(make_reply(drop=True), make_reply(503), make_reply(body={"trials": []}))

    async def call() -> dict:
        retry = Retry(20.0, 20.0, 0.001)
        async with AsyncClient(server.url, "secret-token", retry=retry) as client:
            return await client.ask("digits")

    assert asyncio.run(call()) == {"trials": []}
    assert len({seen.headers["idempotency-key"] for seen in server.seen}) == 1
    assert len(server.seen) == 3


def test_the_async_client_raises_typed_errors(server, make_reply):
    server.replies(make_reply(409, LeaseLost("lost").to_problem()))

    async def call() -> None:
        async with AsyncClient(server.url) as client:
            await client.heartbeat("s", 1, "L")

    with pytest.raises(LeaseLost):
        asyncio.run(call())


def test_streams_go_on_after_the_last_event_seen(server, client, make_reply):
    stream = {"content-type": "text/event-stream"}
    first = b': hello\n\nid: 4\nevent: trial.started\ndata: {"study":"s","number":1}\n\n'
    second = b'id: 5\nevent: study.finished\ndata: {"study":"s","number":null}\n\n'
    server.replies(make_reply(200, first, stream), make_reply(200, second, stream))
    events = client.events("s", last_event_id=3)
    got = [next(events), next(events)]
    events.close()
    assert [(e["id"], e["event"], e["number"]) for e in got] == [
        (4, "trial.started", 1),
        (5, "study.finished", None),
    ]
    assert [seen.headers["last-event-id"] for seen in server.seen] == ["3", "4"]


def test_a_stream_that_is_refused_raises_the_typed_error(server, client, make_reply):
    server.replies(make_reply(404, {"code": "study-not-found", "detail": "no"}))
    with pytest.raises(NotFound, match="no"):
        next(client.events("s"))


def test_an_unknown_code_falls_back_to_the_class_of_its_status(server, transport, make_reply):
    server.replies(make_reply(409, {"code": "from-the-future", "detail": "no"}))
    with pytest.raises(Conflict) as caught:
        transport.send(Operation("GET", "/x", read_json, repeat=Repeat.SAFE))
    assert type(caught.value) is Conflict
