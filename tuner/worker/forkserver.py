"""The process that starts trials: it loads slow libraries once and forks, and it ends with its agent.

It runs no user code. Each trial becomes the leader of a session of its own. The server adopts
whatever a trial leaves behind and ends it together with the trial; when the agent ends, however it
ends, all trials do. Where forking without exec is not safe (macOS, or a library that has touched
the GPU), it starts fresh interpreters instead.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from tuner.worker import child, processes, wire

logger = logging.getLogger(__name__)
# What built-in tasks load, and what user code that trains with torch does (the first step of an
# optimizer loads the second).
TASKS: Final = ("tuner.training.preload",)
TORCH: Final = ("torch", "torch._dynamo")
_LOOK_S: Final = 1.0
_PASSES: Final = 100
_PASS_S: Final = 0.005


class ForkServer:
    """Starts trials and collects their ends.

    Args:
        control: Messages from and to the agent.
        fork: Whether trials are forked; else each is a fresh interpreter.
    """

    def __init__(self, control: socket.socket, fork: bool) -> None:
        self._control = control
        self._inbox = wire.Inbox(control)
        self._fork = fork
        self._agent = os.getppid()
        self._leaders: dict[int, str] = {}
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()

    def serve(self) -> None:
        """Work until the agent ends or closes its side."""
        for fd in (self._wake_read, self._wake_write):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        processes.adopt_orphans()
        while not self._is_over():
            watched: list[Any] = [self._control, self._wake_read]
            select.select(watched, [], [], _LOOK_S)
            self._drain_wakeups()
            for message in self._inbox.read():
                self._obey(message)
            self._collect()
        while self._leaders:
            for pid in self._leaders:
                processes.kill_tree(pid)
            self._collect()

    def _is_over(self) -> bool:
        # A fork of the agent may keep its side of the socket open, so the parent counts too.
        return self._stopping or self._inbox.is_closed or os.getppid() != self._agent

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _drain_wakeups(self) -> None:
        try:
            while os.read(self._wake_read, 4096):
                pass
        except BlockingIOError:
            return

    def _obey(self, message: dict[str, Any]) -> None:
        what = message["do"]
        if what == "start":
            link, log = self._inbox.fds[:2]
            del self._inbox.fds[:2]
            self._start(message["id"], link, log)
        elif what == "preload":
            self._preload(message["modules"])
        else:
            pid = next((p for p, key in self._leaders.items() if key == message["id"]), None)
            if pid is not None and what == "kill":
                processes.kill_tree(pid)
            elif pid is not None:
                processes.signal_tree(pid, int(message["signal"]))

    def _preload(self, modules: Sequence[str]) -> None:
        if not self._fork:
            return
        try:
            for name in modules:
                importlib.import_module(name)
        except ImportError as error:
            logger.warning("nothing preloaded: %s", error)
            return
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized():
            logger.warning("a preloaded library has touched CUDA; trials start afresh from now on")
            self._fork = False
        # What is loaded stays for good; untouched by collections, its memory stays shared.
        gc.collect()
        gc.freeze()

    def _start(self, key: str, link: int, log: int) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(event="failed", id=key, message=f"The trial cannot be started: {error}.")
        else:
            if pid == 0:
                self._become_trial(parent, link, log)
            self._leaders[pid] = key
            self._tell(event="started", id=key, pid=pid)
        finally:
            os.close(link)
            os.close(log)

    def _become_trial(self, parent: int, link: int, log: int) -> None:
        """In the new process: never returns."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            processes.die_with(parent)
            processes.adopt_orphans()
            for fd in (self._wake_read, self._wake_write):
                os.close(fd)
            self._control.close()
            nothing = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((nothing, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.close(nothing)
            os.close(log)
            if self._fork:
                child.main(socket.socket(fileno=link))
            else:
                os.set_inheritable(link, True)  # noqa: FBT003  it takes no keywords
                os.execv(sys.executable, [sys.executable, "-P", "-m", child.__name__, str(link)])  # noqa: S606  no shell is the point
        finally:
            os._exit(1)

    def _collect(self) -> None:
        """Tell of trials that have ended, after ending what they leave behind."""
        self._end_strangers()
        for pid in list(self._leaders):
            status = _end_of(pid)
            if status is None:
                continue
            key = self._leaders.pop(pid)
            for _ in range(_PASSES):
                if not self._end_strangers():
                    break
                time.sleep(_PASS_S)
            self._tell(event="exited", id=key, code=os.waitstatus_to_exitcode(status))

    def _end_strangers(self) -> bool:
        """Kill and collect children that are no leaders; whether there were any.

        A living leader adopts its own orphans, so these come from trials that have ended.
        """
        strangers = [pid for pid in processes.children() if pid not in self._leaders]
        tree = processes.parents() if strangers else {}
        for pid in strangers:
            for below in processes.descendants(pid, tree):
                processes.send(below, processes.KILL)
            processes.send(pid, processes.KILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return bool(strangers)

    def _tell(self, **message: Any) -> None:
        try:
            wire.send(self._control, message)
        except OSError:
            self._stopping = True


def _end_of(pid: int) -> int | None:
    """The wait status of a leader that has ended, its group ended too; None if it lives."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        # Not collected yet, the leader keeps its number: the group is certainly its own.
        processes.send_group(pid, processes.KILL)
        return os.waitpid(pid, 0)[1]
    ended, status = os.waitpid(pid, os.WNOHANG)  # macOS before Python 3.13
    if ended:
        processes.send_group(pid, processes.KILL)
    return status if ended else None


def main(argv: list[str]) -> None:
    """Run as `forkserver FD fork|fresh`, with the control socket at FD."""
    logging.basicConfig(format="tuner fork server: %(message)s")
    ForkServer(socket.socket(fileno=int(argv[1])), fork=argv[2] == "fork").serve()


if __name__ == "__main__":
    main(sys.argv)
