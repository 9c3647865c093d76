"""Command lines and scripts in processes of their own; what they leave running is ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tuner.settings import child_environment

# Only what hangs takes this long; tests have time limits of their own.
END_S = 500.0


class Ran(NamedTuple):
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment_in(folder: Path, **extra: str) -> dict[str, str]:
    """Nothing of the user's settings, and the commands that are installed with this Python."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()])
    own = {
        "PATH": programs,
        "OMP_NUM_THREADS": "1",
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }
    return child_environment({**own, **extra})


def process_in(folder: Path, *command: str, **options: Any) -> subprocess.Popen[str]:
    """A process in the folder and, as from a terminal, in a session of its own."""
    streams = {name: options.pop(name, subprocess.PIPE) for name in ("stdout", "stderr")}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment_in(folder, **options),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **streams,
    )


def clear_away(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def run_in(folder: Path, *command: str, **env: str) -> Ran:
    process = process_in(folder, *command, **env)
    try:
        out, err = process.communicate(timeout=END_S)
    finally:
        clear_away(process)
    assert "Traceback" not in err, err
    return Ran(process.returncode, out, err)


@pytest.fixture(scope="session")
def ran() -> type[Ran]:
    """The class of what a command line leaves."""
    return Ran


@pytest.fixture(scope="session")
def run_command() -> Callable[..., Ran]:
    """Runs a command in a folder to its end; names are variables of its environment."""
    return run_in


@pytest.fixture
def folder(tmp_path: Path, end_owner: Callable[[Path], None]) -> Iterator[Path]:
    """A folder of the test's own; the owner of its store is ended afterwards."""
    yield tmp_path
    end_owner(tmp_path / "tuner.db")


@pytest.fixture(scope="module")
def shared_folder(
    tmp_path_factory: pytest.TempPathFactory, end_owner: Callable[[Path], None]
) -> Iterator[Path]:
    """One for all tests of a module: starting an owner takes seconds."""
    folder = tmp_path_factory.mktemp("shared")
    yield folder
    end_owner(folder / "tuner.db")


@pytest.fixture
def spawn(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `python …` in the folder; `stdout`, `stderr`, and variables of its environment."""
    started: list[subprocess.Popen[str]] = []

    def begin(*args: str, **options: Any) -> subprocess.Popen[str]:
        started.append(process_in(folder, sys.executable, *args, **options))
        return started[-1]

    yield begin
    for process in reversed(started):
        clear_away(process)


@pytest.fixture
def start(spawn: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """Starts a command line of tuner in the folder."""
    return partial(spawn, "-m", "tuner")


@pytest.fixture
def python(folder: Path) -> Callable[..., Ran]:
    """Runs `python …` in the folder to its end."""
    return partial(run_in, folder, sys.executable)


@pytest.fixture
def tuner(python: Callable[..., Ran]) -> Callable[..., Ran]:
    """Runs a command line of tuner in the folder to its end."""
    return partial(python, "-m", "tuner")


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        # a zombie has ended; its parent has only not looked yet
        return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.fixture(scope="session")
def is_gone() -> Callable[[int], bool]:
    """Whether a process has ended."""
    return has_ended


@pytest.fixture(scope="session")
def end(until: Callable[..., Any]) -> Callable[[int, int], None]:
    """Sends a signal to a process and waits until it has ended."""

    def send(pid: int, how: int) -> None:
        os.kill(pid, how)
        until(lambda: has_ended(pid))

    return send


def read_owner_pid(store: Path) -> int | None:
    try:
        return int(json.loads(store.with_name(f"{store.name}.owner.json").read_text())["pid"])
    except (OSError, ValueError):
        return None


@pytest.fixture(scope="session")
def owner_pid() -> Callable[[Path], int | None]:
    """The process that owns a store's file, if one does."""
    return read_owner_pid


@pytest.fixture(scope="session")
def end_owner(end: Callable[[int, int], None]) -> Callable[[Path], None]:
    """Ends the process that owns a store's file, if one does."""

    def stop(store: Path) -> None:
        pid = read_owner_pid(store)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                end(pid, signal.SIGTERM)

    return stop
