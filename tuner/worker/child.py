"""What runs inside a trial's process: one job in, its outcome out; the agent tells the server."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import random
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tuner.client.client import Client
from tuner.client.embedded import read_owner
from tuner.client.endpoint import Address
from tuner.client.reporter import LEASE_LOST
from tuner.client.runner import Outcome, describe, failed, stopped
from tuner.client.trial import Trial
from tuner.core.lifecycle import Reason
from tuner.errors import Conflict, Invalid, TunerError, Unavailable, WorkerError
from tuner.settings import embedded_store
from tuner.worker import runners, wire
from tuner.worker.command import say_refused

_RETRY_S: Final = 1.0
_MOST_TEXT: Final = 1000


class OwnerFile:
    """The endpoint of an embedded store, for a trial: it follows the owner, and never starts one.

    An owner that a trial started would be a descendant of the trial, and end with it.
    """

    def __init__(self, file: Path, address: Address) -> None:
        self._file = file
        self._last = address

    def address(self) -> Address:
        """The last known address."""
        return self._last

    def renew(self, lost: Address) -> Address:
        """The address of the present owner, if there is one."""
        del lost
        self._last = read_owner(self._file) or self._last
        return self._last

    def hint(self) -> str:
        """What a trial can do."""
        return "The worker starts the store's owner again."


def main(link: socket.socket) -> None:
    """Receive the job, run it, send the outcome; ends the process.

    A process that user code has forked and that comes back here must not speak for the trial.
    """
    pid = os.getpid()
    code = 1
    try:
        atexit._clear()  # what the fork server registered is not this process's to do
        job = wire.receive(link)
        prepare(job)
        message = _run(job, link)
        if os.getpid() == pid:
            wire.send(link, {**message, "torch": "torch" in sys.modules})
            code = 0
            atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001  the last resort: what happened is in the trial's log
        traceback.print_exc()
    finally:
        _flush()
        os._exit(code)


def prepare(job: Mapping[str, Any]) -> None:
    """Make the process the trial's own: environment, folder, import path, threads, random state."""
    os.environ.update(job["env"])  # noqa: TID251  the trial's own environment is made here
    os.chdir(job["cwd"])
    for entry in reversed(job["path"]):
        if entry not in sys.path:
            sys.path.insert(0, entry)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    _reseed()
    _limit_threads(max(1, int(job["cpus"])))


def _reseed() -> None:
    """Forks of one server would all draw the same numbers from the libraries' global generators."""
    random.seed()
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        numpy.random.seed()
    if torch is not None:
        torch.default_generator.seed()


def _limit_threads(count: int) -> None:
    """Libraries loaded before the fork have read their variables already."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    if "threadpoolctl" in sys.modules:
        importlib.import_module("threadpoolctl").threadpool_limits(count)


def _run(job: Mapping[str, Any], link: socket.socket) -> dict[str, Any]:
    """The message for the agent: the outcome, and whether no such trial can run here."""
    try:
        client = _connect(job["connect"])
        trial = Trial.attach(
            client,
            job["trial"]["study"],
            job["trial"],
            Path(job["checkpoint_dir"]),
            metrics=job.get("metrics"),
            has_pruner=job.get("has_pruner"),
        )
    except TunerError as error:
        return {"outcome": asdict(failed(describe(error)))}
    threading.Thread(target=_listen, args=(link, trial), name="tuner-stop", daemon=True).start()
    try:
        outcome = runners.run(job, trial)
    except WorkerError as error:
        why = str(error)[:_MOST_TEXT]
        outcome = Outcome("release", reason=Reason.PREEMPTED, message=why)
        return {"outcome": asdict(outcome), "fatal": why}
    if outcome.trace:
        with contextlib.suppress(OSError):  # a full disk must not cost the reason
            sys.stderr.write(outcome.trace)
    is_command = "command" in job["runner"]
    return {"outcome": asdict(_send_rest(trial, outcome, is_command))}


def _connect(connect: Mapping[str, Any]) -> Client:
    client = Client(connect["url"], connect["token"])
    if connect["database_url"] is not None:
        file = embedded_store(connect["database_url"]).owner_file
        client.transport.endpoint = OwnerFile(file, client.transport.endpoint.address())
    return client


def _listen(link: socket.socket, trial: Trial) -> None:
    """Pass on what the agent asks; it asks only to stop."""
    try:
        while True:
            trial.ask_to_stop(str(wire.receive(link)["stop"]))
    except (EOFError, OSError):
        return


def _send_rest(trial: Trial, outcome: Outcome, is_command: bool) -> Outcome:
    """Send the reports that wait; with the server away, for as long as the agent lets us live.

    A report that is refused ends a Python trial, as it would have when it was made; a command
    cannot be told, and its log names it.
    """
    while True:
        try:
            trial.flush()
        except Unavailable:
            time.sleep(_RETRY_S)
        except TunerError as error:
            if is_command and isinstance(error, Conflict | Invalid):
                say_refused(error)
                continue
            return failed(describe(error)) if outcome.state == "complete" else outcome
        else:
            lost = trial.stop_reason == LEASE_LOST
            return stopped(LEASE_LOST) if lost else outcome


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
