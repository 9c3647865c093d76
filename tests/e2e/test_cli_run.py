"""`tuner study run` as a user meets it: real processes, signals, a second terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.settings import child_environment

TRAIN = """
import json, os, sys, time
x, pause = float(sys.argv[1]), float(sys.argv[2])
if pause < 0:
    sys.exit("the data are gone")
for step in (1, 2, 3):
    print("tuner: " + json.dumps({"step": step, "loss": x * x / step}), flush=True)
    time.sleep(pause)
"""
WAIT_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a training script, whose store's owner is ended afterwards."""
    (tmp_path / "train.py").write_text(TRAIN)
    yield tmp_path
    owner = tmp_path / "tuner.db.owner.json"
    if owner.exists():
        os.kill(json.loads(owner.read_text())["pid"], signal.SIGTERM)
        wait_for(lambda: not owner.exists())


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a command line in a session of its own, as a terminal would."""
    started: list[subprocess.Popen[str]] = []

    def run(*args: str, **extra: Any) -> subprocess.Popen[str]:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **extra}
        process = subprocess.Popen(
            [sys.executable, "-m", "tuner", *args],
            cwd=folder,
            env=child_environment({"XDG_CONFIG_HOME": str(folder / "config")}),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            **given,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture
def tuner(start) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line to its end: exit code, stdout, stderr."""

    def run(*args: str) -> tuple[int, str, str]:
        process = start(*args)
        out, err = process.communicate(timeout=WAIT_S)
        assert "Traceback" not in err
        return process.returncode, out, err

    return run


def wait_for(condition: Callable[[], Any], seconds: float = WAIT_S) -> Any:
    """Wait until `condition` holds, and return its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def write_study(folder: Path, trials: int, pause: float, **changes: Any) -> None:
    study = {
        "name": "quad",
        "objective": ["loss", "minimize"],
        "space": {
            "optimizer": {"type": "categorical", "choices": ["a", "b"]},
            "x": {"type": "float", "low": 0.5, "high": 1, "points": 10},
        },
        "sampler": "grid",
        "budget": {"trials": trials},
        "trial": {"command": [sys.executable, str(folder / "train.py"), "{x}", str(pause)]},
        **changes,
    }
    (folder / "s.json").write_text(json.dumps(study))


def test_a_run_prints_the_best_of_each_optimizer_and_is_done_the_second_time(folder, tuner):
    write_study(folder, 12, 0)
    code, out, err = tuner("study", "run", "s.json", "--workers", "2")
    assert (code, err.splitlines()[0]) == (0, "Created study quad.")
    assert "12/12 trials" in err
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["OPTIMIZER", "TRIAL", "LOSS"]
    assert [line.split()[0] for line in lines[1:]] == ["a", "b"]
    code, again, err = tuner("study", "run", "s.json")
    assert (code, again) == (0, out)
    assert "finished" in err
    page = json.loads(tuner("study", "trials", "quad", "--json")[1])
    assert [trial["number"] for trial in page["items"]] == list(range(12))


def test_an_interrupted_run_gives_trials_back_and_goes_on(folder, start, tuner):
    write_study(folder, 8, 0.2)
    first = start("study", "run", "s.json", "--workers", "2")
    # the second terminal
    wait_for(lambda: (folder / "tuner.db").exists())
    wait_for(lambda: tuner("study", "best", "quad")[0] == 0)
    os.killpg(first.pid, signal.SIGINT)
    out, err = first.communicate(timeout=WAIT_S)
    assert (first.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "stays active" in err
    study = json.loads(tuner("study", "show", "quad", "--json")[1])
    assert study["state"] == "active"
    assert study["counts"]["running"] == 0
    done = study["counts"]["complete"]
    assert 1 <= done < 8
    code, _, err = tuner("study", "run", "s.json", "--workers", "2")
    assert code == 0
    assert "Going on with study quad" in err
    page = json.loads(tuner("study", "trials", "quad", "--json")[1])
    assert [trial["state"] for trial in page["items"]] == ["complete"] * 8
    assert len(tuner("study", "export", "quad")[1].splitlines()) == 8
    assert tuner("study", "report", "quad")[1].startswith("# ")


def test_a_second_interrupt_ends_at_once(folder, start, tuner):
    """Also trials that ignore the first signal; they are given back none the less."""
    (folder / "train.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(folder)!r}, 'started').write_text(str(os.getpid()) + ' ')\n"
        "time.sleep(60)\n"
    )
    trial = {"command": [sys.executable, str(folder / "train.py"), "{x}"], "grace": 50}
    write_study(folder, 8, 0, trial=trial)
    run = start("study", "run", "s.json", "--workers", "1")
    started = folder / "started"
    pid = int(
        wait_for(
            lambda: started.exists() and started.read_text().endswith(" ") and started.read_text()
        )
    )
    os.killpg(run.pid, signal.SIGINT)
    while "Ctrl-C again" not in wait_for(run.stderr.readline):
        pass
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(timeout=20) == 130
    wait_for(lambda: not is_alive(pid), 10)
    study = json.loads(tuner("study", "show", "quad", "--json")[1])
    assert (study["counts"]["running"], study["counts"]["waiting"]) == (0, 1)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_without_a_result_says_why_and_is_exit_1(folder, tuner):
    write_study(folder, 3, -1)
    code, out, err = tuner("study", "run", "s.json", "--workers", "1")
    assert (code, out) == (1, "")
    assert "finished without a result" in err
    assert "error: 3 trials" in err
    assert "the data are gone" in err
    assert "the data are gone" in tuner("trial", "log", "quad", "0")[1]


def test_what_is_refused_of_a_commands_reports_is_named_in_its_log_and_ends_nothing(folder, tuner):
    lines = [{"step": 1, "loss": 4}, {"step": 1, "loss": 5}, {"step": 2, "loss": 3, "self": 1}]
    script = "import sys, time\nfor line in sys.argv[1:]:\n    print(line, flush=True)\n"
    (folder / "early.py").write_text(script + "    time.sleep(1.5)\n")  # sent one by one
    (folder / "late.py").write_text(script)  # sent all at the end
    braces = str.maketrans({"{": "{{", "}": "}}"})
    said = [f"tuner: {json.dumps(line)}".translate(braces) for line in lines]
    for name in ("early", "late"):
        command = [sys.executable, str(folder / f"{name}.py"), *said]
        write_study(folder, 1, 0, name=name, trial={"command": command})
        code, out, err = tuner("study", "run", "s.json", "--json")
        assert code == 0, err
        assert json.loads(out)["best"]["values"] == {"loss": 3.0}
        log = tuner("trial", "log", name, "0")[1]
        assert "a report was not taken: " in log
        assert "has already reported loss = 4" in log


def test_a_changed_budget_is_applied_and_other_changes_are_refused(folder, tuner):
    write_study(folder, 2, 0)
    assert tuner("study", "run", "s.json")[0] == 0
    write_study(folder, 4, 0, tags={"team": "vision"})
    code, out, err = tuner("study", "run", "s.json", "--json")
    assert code == 0
    assert "Changed budget of study quad: trials=2 -> trials=4." in err
    assert "Changed tags" in err
    assert json.loads(out)["counts"]["complete"] == 4
    write_study(folder, 4, 0, sampler="random")
    code, out, err = tuner("study", "run", "s.json")
    assert (code, out) == (5, "")
    assert "sampler" in err
    assert "--name quad-2" in err


def test_watch_follows_a_run_from_another_terminal(folder, start, tuner):
    write_study(folder, 6, 0.1)
    assert tuner("study", "create", "--file", "s.json")[0] == 0
    events, plain = start("study", "watch", "quad", "--json"), start("study", "watch", "quad")
    assert tuner("study", "run", "s.json", "--workers", "2")[0] == 0
    out, err = events.communicate(timeout=WAIT_S)
    assert (events.returncode, err) == (0, "")
    seen = [json.loads(line) for line in out.splitlines()]
    assert {event["study"] for event in seen} == {"quad"}
    ids = [event["id"] for event in seen]
    assert ids == sorted(set(ids))
    _, err = plain.communicate(timeout=WAIT_S)
    assert plain.returncode == 0
    assert "6/6 trials" in err


def test_a_terminal_gets_live_progress(folder, start):
    write_study(folder, 4, 0.1)
    leader, follower = pty.openpty()
    run = start(
        "study", "run", "s.json", "--workers", "2", stderr=follower, stdout=subprocess.PIPE
    )
    os.close(follower)
    seen = b""
    try:
        while chunk := os.read(leader, 65_536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert run.wait(timeout=WAIT_S) == 0
    text = seen.decode()
    for words in ("quad", "4/4", "complete 4", "best loss", "\x1b["):
        assert words in text
