"""The server as a process: who owns a file, where it listens, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tuner.api import listening
from tuner.api.ownership import Ownership
from tuner.api.serve import serve
from tuner.errors import Conflict, Invalid, StoreOwned
from tuner.settings import EmbeddedStore, embedded_store

START_S = 60
END_S = 60


class Process:
    """A server in a process of its own; its first line says where it is."""

    def __init__(self, call: str) -> None:
        code = (
            "import sys\n"
            "from tuner.api.serve import serve, serve_embedded\n"
            "from tuner.errors import TunerError\n"
            "try:\n"
            f"    sys.exit({call})\n"
            "except TunerError as error:\n"
            "    sys.stderr.write(str(error) + '\\n')\n"
            "    sys.exit(error.exit_code)\n"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True
        )
        self.line = self._first_line()

    @property
    def url(self) -> str:
        assert self.line.startswith("tuner serves "), self.line
        return self.line.removeprefix("tuner serves ").strip()

    def _first_line(self) -> str:
        assert self.process.stderr is not None
        watchdog = threading.Timer(START_S, self.process.kill)
        watchdog.start()
        try:
            return self.process.stderr.readline()
        finally:
            watchdog.cancel()

    def end(self, sig: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; exit code and what it wrote."""
        self.process.send_signal(sig)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, text = self.process.communicate(timeout=END_S)
        return self.process.returncode, text


@pytest.fixture
def start() -> Iterator[Callable[[str], Process]]:
    """Starts servers and makes sure that none outlives its test."""
    started: list[Process] = []

    def begin(call: str) -> Process:
        started.append(Process(call))
        return started[-1]

    yield begin
    for item in started:
        if item.process.poll() is None:
            item.process.kill()
        item.process.communicate()


@pytest.fixture
def store(tmp_path: Path) -> EmbeddedStore:
    return embedded_store(str(tmp_path / "tuner.db"))


def owner_of(store: EmbeddedStore) -> dict[str, Any]:
    return dict(json.loads(store.owner_file.read_text()))


def get(url: str, path: str, token: str | None = None) -> httpx2.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx2.get(url + path, headers=headers, timeout=20, trust_env=False)


def test_an_owner_publishes_its_address_for_this_user_only(
    start: Any, store: EmbeddedStore
) -> None:
    server = start(f"serve_embedded({str(store.file)!r})")
    owner = owner_of(store)
    assert set(owner) == {"url", "token", "pid", "started_at"}
    assert owner["pid"] == server.process.pid
    assert owner["url"] == server.url
    assert owner["url"].startswith("http://127.0.0.1:")
    assert len(owner["token"]) >= 32
    assert owner["started_at"].endswith("Z")
    assert store.owner_file.stat().st_mode & 0o777 == 0o600
    assert get(server.url, "/healthz").status_code == 200
    assert get(server.url, "/api/v1/studies").status_code == 401
    assert get(server.url, "/api/v1/studies", owner["token"]).json()["items"] == []
    code, text = server.end()
    assert (code, text) == (0, "")
    assert not store.owner_file.exists()
    assert store.file is not None
    assert store.file.exists()


def test_a_second_owner_is_refused_naming_the_first(start: Any, store: EmbeddedStore) -> None:
    first = start(f"serve_embedded({str(store.file)!r})")
    for call in (
        f"serve_embedded({str(store.file)!r})",
        f"serve('sqlite:///{store.file}', port=0)",
    ):
        second = start(call)
        code, rest = second.wait()
        assert code == 5
        assert str(first.process.pid) in second.line
        assert first.url in second.line
        assert rest == ""
    assert get(first.url, "/healthz").status_code == 200


def test_a_killed_owner_leaves_nothing_that_stops_the_next(
    start: Any, store: EmbeddedStore
) -> None:
    first = start(f"serve_embedded({str(store.file)!r})")
    first.end(signal.SIGKILL)
    assert store.owner_file.exists()
    second = start(f"serve_embedded({str(store.file)!r})")
    assert owner_of(store)["pid"] == second.process.pid
    assert get(second.url, "/api/v1/studies", owner_of(store)["token"]).status_code == 200


def test_the_owner_after_a_killed_one_has_its_address_for_scripts_that_know_no_other(
    start: Any, store: EmbeddedStore
) -> None:
    first = start(f"serve_embedded({str(store.file)!r})")
    token = owner_of(store)["token"]
    first.end(signal.SIGKILL)
    second = start(f"serve_embedded({str(store.file)!r})")
    assert second.url == first.url
    assert get(first.url, "/api/v1/studies", token).status_code == 200


def test_a_port_that_somebody_else_has_taken_is_left_to_them(
    start: Any, store: EmbeddedStore
) -> None:
    first = start(f"serve_embedded({str(store.file)!r})")
    first.end(signal.SIGKILL)
    port = int(first.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        assert start(f"serve_embedded({str(store.file)!r})").url != first.url


def test_an_idle_owner_ends_by_itself(start: Any, store: EmbeddedStore) -> None:
    server = start(f"serve_embedded({str(store.file)!r}, idle_s=0.3)")
    code, text = server.wait()
    assert (code, text) == (0, "")
    assert not store.owner_file.exists()


def test_an_owner_stays_for_an_open_stream_and_a_live_lease(
    start: Any, store: EmbeddedStore
) -> None:
    server = start(f"serve_embedded({str(store.file)!r}, idle_s=2)")
    token = owner_of(store)["token"]
    headers = {"Authorization": f"Bearer {token}"}
    study = {
        "name": "s",
        "objective": "loss",
        "space": {"x": {"type": "float", "low": 0, "high": 1}},
        "sampler": "random",
    }
    with httpx2.Client(
        base_url=server.url, headers=headers, timeout=20, trust_env=False
    ) as client:
        with client.stream("GET", "/api/v1/events") as stream:
            assert stream.status_code == 200
            time.sleep(3)
            assert server.process.poll() is None
        assert client.post("/api/v1/studies", json=study).status_code == 201
        asked = client.post("/api/v1/studies/s/ask", json={"lease_seconds": 600}).json()
        time.sleep(3)
        assert server.process.poll() is None
        body = {"lease": asked["trials"][0]["lease"], "state": "pruned"}
        assert client.post("/api/v1/studies/s/trials/0/tell", json=body).status_code == 200
    assert server.wait()[0] == 0


@pytest.mark.parametrize("call", ["serve_embedded({!r})", "serve({!r}, port=0)"])
def test_an_owner_whose_files_are_removed_ends_and_spares_the_next_ones(
    start: Any, tmp_path: Path, call: str
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    store = embedded_store(str(folder / "tuner.db"))
    first = start(call.format(str(store.file)))
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    second = start(call.format(str(store.file)))
    code, text = first.wait()
    assert code == 0
    assert "is gone" in text
    assert owner_of(store)["pid"] == second.process.pid
    assert get(second.url, "/healthz").status_code == 200


def test_an_owner_whose_database_is_removed_ends_and_the_next_one_begins_anew(
    start: Any, store: EmbeddedStore
) -> None:
    first = start(f"serve_embedded({str(store.file)!r})")
    store.file.unlink()
    code, text = first.wait()
    assert code == 0
    assert "tuner.db is gone" in text
    assert not store.owner_file.exists()
    second = start(f"serve_embedded({str(store.file)!r})")
    assert get(second.url, "/readyz").status_code == 200
    assert store.file.exists()


@pytest.mark.parametrize(("sig", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_streams_and_the_server(
    start: Any, store: EmbeddedStore, sig: int, code: int
) -> None:
    server = start(f"serve({store.database_url!r}, port=0)")
    address = f"{server.url}/api/v1/events"
    with httpx2.stream("GET", address, timeout=20, trust_env=False) as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": tuner"
        server.process.send_signal(sig)
        assert set(lines) == {""}
    assert server.wait() == (code, "")


def test_a_server_on_a_file_is_its_owner_without_token_too(
    start: Any, store: EmbeddedStore
) -> None:
    server = start(f"serve({store.database_url!r}, port=0)")
    owner = owner_of(store)
    assert owner["url"] == server.url
    assert get(server.url, "/api/v1/studies", owner["token"]).status_code == 200
    assert get(server.url, "/api/v1/studies").status_code == 200


def test_a_port_in_use_is_said_in_one_line(start: Any, store: EmbeddedStore) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(f"serve({store.database_url!r}, port={port})")
        code, rest = server.wait()
    assert code == 5
    assert str(port) in server.line
    assert rest == ""


def test_a_foreign_file_is_refused_in_one_line(start: Any, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("these are notes, not a database\n" * 100)
    server = start(f"serve('sqlite:///{file}', port=0)")
    code, rest = server.wait()
    assert code == 6
    assert "not a database" in server.line
    assert rest == ""
    assert file.read_text().startswith("these are notes")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "0", "203.0.113.9"])  # noqa: S104
def test_beyond_loopback_a_token_is_needed(store: EmbeddedStore, host: str) -> None:
    with pytest.raises(Invalid, match="token"):
        serve(store.database_url, host=host, port=0)
    assert store.file is not None
    assert not store.file.exists()
    assert not store.lock_file.exists()


def test_with_a_token_a_server_beyond_loopback_knows_its_names(
    start: Any, store: EmbeddedStore
) -> None:
    token = "t" * 20
    server = start(
        f"serve({store.database_url!r}, host='0.0.0.0', port=0, token={token!r},"
        " allowed_hosts=['gpu-box'])"
    )
    assert owner_of(store) | {"token": token} == owner_of(store)
    assert server.url.startswith("http://127.0.0.1:")
    for host, status in (
        ("gpu-box:8000", 200),
        (socket.gethostname(), 200),
        ("evil.example", 400),
    ):
        headers = {"Host": host, "Authorization": f"Bearer {token}"}
        answer = httpx2.get(
            f"{server.url}/api/v1/studies", headers=headers, timeout=20, trust_env=False
        )
        assert answer.status_code == status, host
    assert get(server.url, "/api/v1/studies").status_code == 401


@pytest.mark.parametrize(
    ("port", "host"), [(-1, "127.0.0.1"), (65_536, "127.0.0.1"), (0, "no such host")]
)
def test_an_address_that_is_none_is_refused(port: int, host: str) -> None:
    with pytest.raises(Invalid):
        listening.bind(host, port)


def test_another_machines_address_cannot_be_bound() -> None:
    with pytest.raises(Conflict, match=r"203\.0\.113\.9"):
        listening.bind("203.0.113.9", 0)


def test_an_owner_without_an_address_is_waited_for(store: EmbeddedStore) -> None:
    first = Ownership.acquire(store)
    with pytest.raises(StoreOwned):
        Ownership.acquire(store, wait_s=0)
    later = threading.Timer(0.3, first.release)
    later.start()
    second = Ownership.acquire(store, wait_s=30)
    second.publish("http://127.0.0.1:1", "secret")
    with pytest.raises(StoreOwned, match=str(os.getpid())):
        Ownership.acquire(store, wait_s=30)
    second.release()
    assert not store.owner_file.exists()
    Ownership.acquire(store, wait_s=0).release()
