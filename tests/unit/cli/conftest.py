import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tuner.cli.main import main


class Ran(NamedTuple):
    """How one command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, without settings of the user's."""
    for name in ("TUNER_URL", "TUNER_TOKEN", "TUNER_DATABASE_URL", "TUNER_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def tuner(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command line in this process, in the empty folder."""

    def run(*args: str) -> Ran:
        code = main(args)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def imported() -> Callable[..., set[str]]:
    """Which modules a fresh process has imported after a command line."""

    def run(*args: str) -> set[str]:
        code = (
            "import sys\nfrom tuner.cli.main import main\n"
            f"main({list(args)!r})\nprint('MODULES', *sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
        return set(done.stdout.rpartition("MODULES")[2].split())

    return run
