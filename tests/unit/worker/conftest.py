"""Real processes: an executor, and trials written as small modules."""

from __future__ import annotations

import os
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.worker import processes
from tuner.worker.executors.base import Exit, Job
from tuner.worker.executors.process import ProcessExecutor

NOWHERE = "http://127.0.0.1:9"


class Bench:
    """Starts trials and waits for what they do."""

    def __init__(self, executor: ProcessExecutor, folder: Path) -> None:
        self.executor = executor
        self.folder = folder
        self._count = 0
        self._open: set[str] = set()

    def job(self, runner: dict[str, Any], **changes: Any) -> Job:
        self._count += 1
        key = f"lease-{self._count}"
        trial = {"study": "s", "number": 0, "params": {"x": 1.5}, "lease": key, "attempt": 1}
        data = {
            "runner": runner,
            "trial": trial,
            "metrics": ["loss"],
            "has_pruner": False,
            "env": {"MARK": key},
            "cwd": str(self.folder),
            "path": [str(self.folder)],
            "cpus": 1,
            "grace": 0.5,
            "connect": {"url": NOWHERE, "token": None, "database_url": None},
            "checkpoint_dir": str(self.folder / "checkpoints"),
            **changes,
        }
        return Job(key, data, self.folder / f"{key}.log", preload=False)

    def python(self, code: str, **changes: Any) -> str:
        """Start `def f(trial)` with this code; its lease."""
        name = f"user_code_{self._count}"
        body = textwrap.indent(textwrap.dedent(code), "    ")
        text = f"import os, signal, subprocess, sys, time\nfrom pathlib import Path\n\n\ndef f(trial):\n{body}\n"
        (self.folder / f"{name}.py").write_text(text)
        return self.start(self.job({"python": f"{name}:f"}, **changes))

    def command(self, argv: list[Any], **changes: Any) -> str:
        return self.start(self.job({"command": argv}, **changes))

    def start(self, job: Job) -> str:
        self._open.add(job.key)
        self.executor.start(job)
        return job.key

    def poll(self, seconds: float) -> list[Exit]:
        ends = self.executor.poll(seconds)
        self._open.difference_update(end.key for end in ends)
        return ends

    def leave(self) -> None:
        """End what still runs, so that the next test meets nothing of it in the same executor."""
        for key in self._open:
            self.executor.kill(key)
        self.wait_for(lambda: not self._open, may_end=True)

    def end(self, key: str, seconds: float = 30.0) -> Exit:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for end in self.poll(0.2):
                if end.key == key:
                    return end
        raise AssertionError(f"{key} did not end within {seconds} s: {self.log(key)}")

    def log(self, key: str) -> str:
        file = self.folder / f"{key}.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def wait_for(self, condition: Callable[[], Any], seconds: float = 20.0, may_end: bool = False) -> Any:
        """Poll the executor until the condition holds; unless they may, no trial ends meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            ended = self.poll(0.02)
            assert may_end or ended == []
        raise AssertionError("it did not happen in time")

    def pids(self, name: str = "pids", count: int = 1) -> list[int]:
        """Process numbers that trials have written into a file, once there are `count`."""
        file = self.folder / name

        def written() -> list[int] | None:
            words = file.read_text().split() if file.exists() else []
            return [int(word) for word in words] if len(words) >= count else None

        found: list[int] = self.wait_for(written)
        return found


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    if processes.IS_LINUX:
        return pid in processes.parents()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether all of the processes have ended, waiting for it."""
    deadline = time.monotonic() + seconds
    while any(map(is_alive, pids)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture(scope="module")
def executor() -> Iterator[ProcessExecutor]:
    executor = ProcessExecutor()
    yield executor
    executor.close()


@pytest.fixture
def bench(executor: ProcessExecutor, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(executor, tmp_path)
    yield bench
    bench.leave()


@pytest.fixture
def own_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Makes benches with an executor of their own, closed at the end."""
    made: list[ProcessExecutor] = []

    def make(**options: Any) -> Bench:
        made.append(ProcessExecutor(**options))
        return Bench(made[-1], tmp_path)

    yield make
    for executor in made:
        executor.close()


@pytest.fixture(name="gone")
def gone_fixture() -> Callable[[list[int]], bool]:
    return gone
