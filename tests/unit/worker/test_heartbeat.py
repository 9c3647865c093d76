"""What renews leases must outlive whatever happens, and end when it is told to."""

from __future__ import annotations

import threading
import time

import pytest

from tuner.client.client import Client
from tuner.worker import clock
from tuner.worker.heartbeat import Heartbeat


@pytest.fixture
def beat(server):
    made = []

    def make(lease_seconds):
        client = Client(f"http://127.0.0.1:{server.server_port}")
        register = lambda: client.rest.register_worker({})["id"]  # noqa: E731  one line says it
        nothing = lambda *_: None  # noqa: E731
        made.append(Heartbeat(client, register, nothing, nothing, lease_seconds))
        return made[-1]

    yield make
    for heartbeat in made:
        heartbeat.close()


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_that_makes_no_sense_does_not_end_the_renewals(server, beat, caplog):
    server.answers += [{"id": "w"}, {"stop": [{}]}, [], "text"]
    heartbeat = beat(0.3)
    heartbeat.hold("lease", 600, clock.now())
    until(lambda: len(server.calls) > 5)
    assert server.calls[-1] == ("/workers/w/heartbeat", {"leases": ["lease"]})
    assert "KeyError" in caplog.text


def test_a_heartbeat_that_is_closed_during_a_call_ends_with_that_call(server, beat):
    answered, go_on = threading.Event(), threading.Event()

    def slow(path, body):
        if path == "/workers":
            return 201, {"id": "w"}
        answered.set()
        go_on.wait(20)
        return 200, {}

    server.answer = slow
    heartbeat = beat(600)
    answered.wait(20)
    heartbeat.close()
    go_on.set()
    heartbeat._thread.join(5)
    assert not heartbeat._thread.is_alive()
