"""`tuner server start` and `worker start` in processes of their own, with a token."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

WAIT_S = 100.0
TOKEN = "a-token-for-tests"


@pytest.fixture
def server(start) -> tuple[str, subprocess.Popen[str]]:
    """The address of a server with a token on a free port."""
    process = start("server", "start", "--port", "0", TUNER_TOKEN=TOKEN)
    line = process.stderr.readline()
    assert line.startswith("tuner serves http://127.0.0.1:")
    return line.split()[-1], process


@pytest.fixture
def tuner(tuner, server) -> Callable[..., Any]:
    """Runs a command line against the server."""

    def run(*args: str, **env: str) -> Any:
        return tuner(*args, **{"TUNER_URL": server[0], "TUNER_TOKEN": TOKEN, **env})

    return run


def test_a_wrong_token_is_exit_4_and_is_never_printed(tuner):
    assert tuner("study", "list").code == 0
    for env in ({"TUNER_TOKEN": "wrong-token"}, {"TUNER_TOKEN": ""}):
        code, out, err = tuner("study", "list", **env)
        assert (code, out) == (4, "")
        assert 1 <= len(err.splitlines()) <= 2
        assert "wrong-token" not in err
    assert tuner("study", "list", "--token", TOKEN, TUNER_TOKEN="wrong-token").code == 0


def test_flags_beat_the_environment_and_that_beats_the_config_file(tuner, server, folder):
    (folder / "tuner.toml").write_text('url = "http://127.0.0.1:9"\n')
    assert tuner("study", "list", TUNER_URL="").code == 6
    assert tuner("study", "list").code == 0
    assert tuner("study", "list", "--url", server[0], TUNER_URL="http://127.0.0.1:9").code == 0
    (folder / "other.toml").write_text(f'url = "{server[0]}"\n')
    assert tuner("study", "list", "--config", "other.toml", TUNER_URL="").code == 0


def test_a_worker_runs_what_it_allows_until_nothing_is_left(tuner, folder):
    script = folder / "train.py"
    script.write_text("import sys\nprint('tuner: {\"step\": 1, \"loss\": ' + sys.argv[1] + '}')\n")
    command = f"{sys.executable} {script} {{x}}"
    args = ["--param", "x=float:0:1", "--metric", "loss", "--sampler", "random", "--trials", "3"]
    assert tuner("study", "create", "c", *args, "--command", command).code == 0
    allow = ["--allow", f"cmd:{command}"]
    code, _, err = tuner("worker", "start", "--until-idle", "--slots", "2", *allow)
    assert code == 0, err
    counts = tuner("study", "show", "c", "--json").json["counts"]
    assert counts["complete"] == 3
    # it signed itself off
    assert tuner("worker", "list", "--json").json["items"] == []


def test_a_worker_is_listed_while_it_runs(start, server, tuner, until):
    env = {"TUNER_URL": server[0], "TUNER_TOKEN": TOKEN}
    worker = start("worker", "start", "--slots", "3", "--name", "mine", **env)
    assert "serves" in worker.stderr.readline()
    until(lambda: "mine" in tuner("worker", "list").out)
    listed = tuner("worker", "list").out.splitlines()
    (row,) = [line.split() for line in listed if "mine" in line]
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
