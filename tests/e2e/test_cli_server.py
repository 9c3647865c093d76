"""`tuner server start` and `worker start` in processes of their own, with a token."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuner.settings import child_environment

WAIT_S = 60.0
TOKEN = "a-token-for-tests"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(*args: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tuner", *args],
            cwd=tmp_path,
            env=child_environment({"XDG_CONFIG_HOME": str(tmp_path / "config"), **env}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=WAIT_S)


@pytest.fixture
def server(start) -> tuple[str, subprocess.Popen[str]]:
    """The address of a server with a token on a free port."""
    process = start("server", "start", "--port", "0", TUNER_TOKEN=TOKEN)
    line = process.stderr.readline()
    assert line.startswith("tuner serves http://127.0.0.1:")
    return line.split()[-1], process


@pytest.fixture
def tuner(start, server) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line against the server."""

    def run(*args: str, **env: str) -> tuple[int, str, str]:
        process = start(*args, **{"TUNER_URL": server[0], "TUNER_TOKEN": TOKEN, **env})
        out, err = process.communicate(timeout=WAIT_S)
        assert "Traceback" not in err
        return process.returncode, out, err

    return run


def test_a_wrong_token_is_exit_4_and_is_never_printed(tuner):
    assert tuner("study", "list")[0] == 0
    for env in ({"TUNER_TOKEN": "wrong-token"}, {"TUNER_TOKEN": ""}):
        code, out, err = tuner("study", "list", **env)
        assert (code, out) == (4, "")
        assert 1 <= len(err.splitlines()) <= 2
        assert "wrong-token" not in err
    assert tuner("study", "list", "--token", TOKEN, TUNER_TOKEN="wrong-token")[0] == 0


def test_flags_beat_the_environment_and_that_beats_the_config_file(tuner, server, tmp_path):
    (tmp_path / "tuner.toml").write_text('url = "http://127.0.0.1:9"\n')
    assert tuner("study", "list", TUNER_URL="")[0] == 6
    assert tuner("study", "list")[0] == 0
    assert tuner("study", "list", "--url", server[0], TUNER_URL="http://127.0.0.1:9")[0] == 0
    (tmp_path / "other.toml").write_text(f'url = "{server[0]}"\n')
    assert tuner("study", "list", "--config", "other.toml", TUNER_URL="")[0] == 0


def test_a_worker_runs_what_it_allows_until_nothing_is_left(tuner, tmp_path):
    script = tmp_path / "train.py"
    script.write_text("import sys\nprint('tuner: {\"step\": 1, \"loss\": ' + sys.argv[1] + '}')\n")
    command = f"{sys.executable} {script} {{x}}"
    args = ["--param", "x=float:0:1", "--metric", "loss", "--sampler", "random", "--trials", "3"]
    assert tuner("study", "create", "c", *args, "--command", command)[0] == 0
    allow = ["--allow", f"cmd:{command}"]
    code, _, err = tuner("worker", "start", "--until-idle", "--slots", "2", *allow)
    assert code == 0, err
    counts = json.loads(tuner("study", "show", "c", "--json")[1])["counts"]
    assert counts["complete"] == 3
    # it signed itself off
    assert json.loads(tuner("worker", "list", "--json")[1])["items"] == []


def test_a_worker_is_listed_while_it_runs(start, server):
    env = {"TUNER_URL": server[0], "TUNER_TOKEN": TOKEN}
    worker = start("worker", "start", "--slots", "3", "--name", "mine", **env)
    assert "serves" in worker.stderr.readline()
    deadline = time.monotonic() + WAIT_S
    while "mine" not in (listed := start("worker", "list", **env).communicate(timeout=WAIT_S)[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (row,) = [line.split() for line in listed.splitlines() if "mine" in line]
    assert row[3:5] == ["live", "3"]


def test_an_interrupted_worker_is_exit_130_and_a_terminated_one_0(start, server):
    env = {"TUNER_URL": server[0], "TUNER_TOKEN": TOKEN}
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        worker = start("worker", "start", "--slots", "1", **env)
        assert "serves" in worker.stderr.readline()
        worker.send_signal(number)
        assert worker.wait(timeout=WAIT_S) == code


def test_a_server_ends_on_ctrl_c_with_130(server):
    _, process = server
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_beyond_this_machine_a_token_is_required(start):
    process = start("server", "start", "--host", "0.0.0.0", "--port", "0")  # noqa: S104  refused
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (2, "")
    assert "TUNER_TOKEN" in err
    assert len(err.splitlines()) <= 2
