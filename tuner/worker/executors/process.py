"""Trials as processes of this machine, started by a fork server."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

from tuner.client.runner import Outcome
from tuner.settings import child_environment
from tuner.worker import forkserver, processes, wire
from tuner.worker.executors.base import Exit, Job

logger = logging.getLogger(__name__)
_CLOSE_S: Final = 10.0
# With one thread each, the libraries that are loaded start none, and the server can be forked.
SERVER_ENV: Final = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Asks the driver's management library, which leaves the process without a CUDA context.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}


@dataclass
class _Process:
    """A trial that runs."""

    link: socket.socket
    inbox: wire.Inbox
    pid: int | None = None
    outcome: Outcome | None = None
    fatal: str | None = None
    used_torch: bool = False


class ProcessExecutor:
    """An `Executor` of forked processes (fresh interpreters where forking is not safe)."""

    def __init__(self, fork: bool | None = None) -> None:
        self._fork = processes.IS_LINUX if fork is None else fork
        self._running: dict[str, _Process] = {}
        self._ended: list[Exit] = []
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._inbox: wire.Inbox | None = None
        self._preloaded: set[str] = set()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_write.settimeout(0)

    @property
    def server_pid(self) -> int | None:
        """The fork server's process, once there is one."""
        return None if self._server is None else self._server.pid

    def pid_of(self, key: str) -> int | None:
        """The process of a running trial, once it is known."""
        process = self._running.get(key)
        return None if process is None else process.pid

    def start(self, job: Job) -> None:
        """See `Executor`."""
        if job.key in self._running:
            raise ValueError(f"A trial with the lease {job.key!r} runs already.")
        control = self._connect()
        log = os.open(job.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            os.close(log)
            raise
        try:
            if job.preload:
                self._preload(control, forkserver.TASKS)
            process = _Process(ours, wire.Inbox(ours))
            self._running[job.key] = process
            start = {"do": "start", "id": job.key}
            wire.send(control, start, [theirs.fileno(), log])
            wire.send(ours, dict(job.data))
        except OSError as error:
            self._running.pop(job.key, None)
            ours.close()
            self._ended.append(Exit(job.key, None, None, f"The trial cannot be started: {error}."))
        finally:
            theirs.close()
            os.close(log)

    def poll(self, seconds: float) -> list[Exit]:
        """See `Executor`."""
        if not self._ended:
            watched: list[Any] = [self._wake_read, *(p.link for p in self._running.values())]
            watched = [w for w in watched if w.fileno() >= 0]
            if self._control is not None:
                watched.append(self._control)
            readable, _, _ = select.select(watched, [], [], seconds)
            if self._wake_read in readable:
                self._wake_read.recv(4096)
        for key in list(self._running):
            self._read_link(self._running[key])
        self._read_control()
        ended, self._ended = self._ended, []
        return ended

    def ask_to_stop(self, key: str, reason: str) -> None:
        """See `Executor`."""
        process = self._running.get(key)
        if process is not None and process.outcome is None:
            with contextlib.suppress(OSError):
                wire.send(process.link, {"stop": reason})

    def terminate(self, key: str) -> None:
        """See `Executor`."""
        self._order(key, do="signal", signal=int(signal.SIGTERM))

    def kill(self, key: str) -> None:
        """See `Executor`."""
        self._order(key, do="kill")

    def has_started(self, key: str) -> bool:
        """See `Executor`."""
        return self.pid_of(key) is not None

    def outcome_of(self, key: str) -> Outcome | None:
        """See `Executor`."""
        process = self._running.get(key)
        return None if process is None else process.outcome

    def wake(self) -> None:
        """See `Executor`."""
        with contextlib.suppress(OSError):
            self._wake_write.send(b"x")

    def close(self) -> None:
        """See `Executor`."""
        server = self._server
        self._drop_server()
        if server is not None:
            # It ends all that runs when its agent's side closes.
            try:
                server.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                processes.kill_tree(server.pid)
                server.wait()
        for process in self._running.values():
            process.link.close()
        self._running.clear()
        self._wake_read.close()
        self._wake_write.close()

    def _connect(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", forkserver.__name__, str(theirs.fileno())),
                    "fork" if self._fork else "fresh",
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=child_environment(SERVER_ENV),
                start_new_session=True,
            )
        self._control, self._inbox, self._preloaded = ours, wire.Inbox(ours), set()
        return ours

    def _preload(self, control: socket.socket, modules: tuple[str, ...]) -> None:
        if not self._preloaded.issuperset(modules):
            wire.send(control, {"do": "preload", "modules": modules})
            self._preloaded.update(forkserver.TORCH, modules)

    def _order(self, key: str, **order: Any) -> None:
        if self._control is not None and key in self._running:
            with contextlib.suppress(OSError):
                wire.send(self._control, {"id": key, **order})

    def _read_link(self, process: _Process) -> None:
        if process.link.fileno() < 0:
            return
        for message in process.inbox.read():
            process.outcome = Outcome(**message["outcome"])
            process.fatal = message.get("fatal")
            process.used_torch = bool(message.get("torch"))
        if process.inbox.is_closed:
            process.link.close()

    def _read_control(self) -> None:
        if self._inbox is None:
            return
        for message in self._inbox.read():
            process = self._running.get(message["id"])
            if process is None:
                continue
            if message["event"] == "started":
                process.pid = message["pid"]
                continue
            self._read_link(process)
            process.link.close()
            del self._running[message["id"]]
            text = message.get("message", "")
            end = Exit(message["id"], message.get("code"), process.outcome, text, process.fatal)
            self._ended.append(end)
            if process.used_torch and self._control is not None:
                # User code that needs torch will need it again.
                with contextlib.suppress(OSError):
                    self._preload(self._control, forkserver.TORCH)
        if self._inbox.is_closed:
            self._server_died()

    def _server_died(self) -> None:
        """Without its server a trial cannot be followed; it was killed with it."""
        code = self._server.wait() if self._server is not None else None
        logger.error("the fork server ended (%s); its trials end with it", code)
        self._drop_server()
        for key, process in self._running.items():
            if process.pid is not None:
                processes.kill_tree(process.pid)
            process.link.close()
            text = "The worker's fork server ended, and the trial with it."
            self._ended.append(Exit(key, None, process.outcome, text))
        self._running.clear()

    def _drop_server(self) -> None:
        if self._control is not None:
            self._control.close()
        self._server = self._control = self._inbox = None
