"""Logs and outcomes on their way to a server that is away."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tuner.client.client import Client
from tuner.client.runner import Outcome
from tuner.worker.attempt import Attempt
from tuner.worker.executors.base import Exit
from tuner.worker.logs import LogFile
from tuner.worker.resources import Allocation
from tuner.worker.settling import Settling


class Reads(LogFile):
    """Counts how often it is read, and waits for leave to go on."""

    def __init__(self, file, leave):
        super().__init__(file)
        self.count = 0
        self.leave = leave

    def read(self, final=False):
        self.count += 1
        self.leave.wait(20)
        return super().read(final)


@pytest.fixture
def attempt_of(tmp_path):
    def make(number, log=None):
        trial = {"lease": f"l-{number}", "study": "s", "number": number, "runner": {}}
        return Attempt(trial, Allocation(1), log or LogFile(tmp_path / f"log-{number}"))

    return make


def away():
    """A client of a port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Client(f"http://127.0.0.1:{probe.getsockname()[1]}")


def test_pieces_of_a_log_that_cannot_be_sent_do_not_pile_up(tmp_path, attempt_of):
    leave = threading.Event()
    attempts = [attempt_of(n, Reads(tmp_path / f"log-{n}", leave)) for n in range(5)]
    settling = Settling(away(), lambda lease: None)
    for _ in range(100):
        for attempt in attempts:
            settling.ship_log(attempt)
    leave.set()
    deadline = time.monotonic() + 20
    while any(attempt.is_shipping for attempt in attempts):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    settling.close(0)
    assert max(attempt.log.count for attempt in attempts) <= 2


def test_an_outcome_does_not_wait_for_the_logs_of_others(tmp_path, attempt_of, server):
    leave, settled = threading.Event(), threading.Event()
    client = Client(f"http://127.0.0.1:{server.server_port}")
    settling = Settling(client, lambda lease: settled.set())
    for number in range(20):
        settling.ship_log(attempt_of(number, Reads(tmp_path / f"log-{number}", leave)))
    settling.settle(attempt_of(99), Outcome("tell", "complete", {"loss": 1.0}))
    assert settled.wait(20)
    assert list(server.told("tell")) == ["s/99"]
    leave.set()
    settling.close(0)


def test_an_outcome_that_cannot_be_made_is_said_and_the_attempt_let_go(attempt_of, caplog):
    settled = []
    settling = Settling(away(), settled.append)
    attempt = attempt_of(0)
    attempt.reason = "a reason of a later version"
    settling.settle(attempt, Exit("l-0", 0))
    settling.close(0)
    assert settled == ["l-0"]
    assert "trial 0 of s: no outcome is sent" in caplog.text
