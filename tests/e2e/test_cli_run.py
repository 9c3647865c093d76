"""`tuner study run` as a user meets it: real processes, signals, a second terminal."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)
# All trials but the first two wait while there is a file named hold.
TRAIN = """
import json, os, sys, time
from pathlib import Path
x, pause = float(sys.argv[1]), float(sys.argv[2])
while int(os.environ["TUNER_TRIAL"]) > 1 and Path(__file__).with_name("hold").exists():
    time.sleep(0.02)
if pause < 0:
    sys.exit("the data are gone")
for step in (1, 2, 3):
    print("tuner: " + json.dumps({"step": step, "loss": x * x / step}), flush=True)
    time.sleep(pause)
"""
WAIT_S = 100.0


@pytest.fixture
def folder(folder: Path) -> Path:
    (folder / "train.py").write_text(TRAIN)
    return folder


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
    page = tuner("study", "trials", "quad", "--json").json
    assert [trial["number"] for trial in page["items"]] == list(range(12))


def test_an_interrupted_run_gives_trials_back_and_goes_on(folder, start, tuner, until):
    write_study(folder, 8, 0)
    (folder / "hold").touch()
    first = start("study", "run", "s.json", "--workers", "2")
    # the second terminal
    until(lambda: (folder / "tuner.db").exists())
    until(lambda: tuner("study", "best", "quad").code == 0)
    os.killpg(first.pid, signal.SIGINT)
    out, err = first.communicate(timeout=WAIT_S)
    assert (first.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "stays active" in err
    study = tuner("study", "show", "quad", "--json").json
    assert study["state"] == "active"
    assert study["counts"]["running"] == 0
    done = study["counts"]["complete"]
    assert 1 <= done <= 2
    (folder / "hold").unlink()
    code, _, err = tuner("study", "run", "s.json", "--workers", "2")
    assert code == 0
    assert "Going on with study quad" in err
    page = tuner("study", "trials", "quad", "--json").json
    assert [trial["state"] for trial in page["items"]] == ["complete"] * 8
    assert len(tuner("study", "export", "quad").out.splitlines()) == 8
    assert tuner("study", "report", "quad").out.startswith("# ")


def test_a_second_interrupt_ends_at_once(folder, start, tuner, until, is_gone):
    """Also trials that ignore the first signal; they are given back none the less."""
    (folder / "train.py").write_text(
        "import os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(folder)!r}, 'started').write_text(str(os.getpid()) + ' ')\n"
        "time.sleep(600)\n"
    )
    trial = {"command": [sys.executable, str(folder / "train.py"), "{x}"], "grace": 600}
    write_study(folder, 8, 0, trial=trial)
    run = start("study", "run", "s.json", "--workers", "1")
    started = folder / "started"
    until(lambda: started.exists() and started.read_text().endswith(" "))
    pid = int(started.read_text())
    os.killpg(run.pid, signal.SIGINT)
    while "Ctrl-C again" not in (line := run.stderr.readline()):
        assert line, "it has ended"
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(timeout=WAIT_S) == 130
    until(lambda: is_gone(pid))
    study = tuner("study", "show", "quad", "--json").json
    assert (study["counts"]["running"], study["counts"]["waiting"]) == (0, 1)


def test_a_run_whose_reader_has_gone_gives_trials_back(folder, spawn, tuner):
    """As of `2>&1 | head -3`."""
    write_study(folder, 8, 0)
    (folder / "hold").touch()
    often = "import tuner.cli.progress as p; p._LINE_EVERY_S = 0"
    program = f"{often}; import sys; from tuner.cli.main import main; sys.exit(main())"
    args = ("study", "run", "s.json", "--workers", "1")
    run = spawn("-c", program, *args, stderr=subprocess.STDOUT)
    while "running 1 · complete 2" not in (line := run.stdout.readline()):
        assert line, "it has ended"
        assert "Traceback" not in line
    run.stdout.close()
    assert run.wait(timeout=WAIT_S) == 130
    study = tuner("study", "show", "quad", "--json").json
    assert study["state"] == "active"
    assert study["counts"] == {**study["counts"], "complete": 2, "running": 0, "waiting": 1}


def test_a_run_whose_reader_was_never_there_is_not_begun(folder, spawn, tuner):
    write_study(folder, 8, 0)
    read, write = os.pipe()
    os.close(read)
    run = spawn("-m", "tuner", "study", "run", "s.json", stderr=write)
    os.close(write)
    assert run.wait(timeout=WAIT_S) == 130
    assert tuner("study", "show", "quad", "--json").json["counts"]["complete"] == 0


def test_a_run_that_needs_more_gpus_than_there_are_makes_no_study(folder, tuner):
    trial = {"python": "json:loads", "resources": {"gpus": 1}}
    write_study(folder, 8, 0, trial=trial)
    code, out, err = tuner("study", "run", "s.json", "--devices", "cpu")
    assert (code, out) == (1, "")
    assert "needs 1 GPUs, and this worker has 0" in err
    assert "Created" not in err
    assert tuner("study", "show", "quad").code == 3


def test_a_run_without_a_result_says_why_and_is_exit_1(folder, tuner):
    write_study(folder, 3, -1)
    code, out, err = tuner("study", "run", "s.json", "--workers", "1")
    assert (code, out) == (1, "")
    assert "finished without a result" in err
    assert "error: 3 trials" in err
    assert "the data are gone" in err
    assert "the data are gone" in tuner("trial", "log", "quad", "0").out


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
        log = tuner("trial", "log", name, "0").out
        assert "a report was not taken: " in log
        assert "has already reported loss = 4" in log


def test_a_changed_budget_is_applied_and_other_changes_are_refused(folder, tuner):
    write_study(folder, 2, 0)
    assert tuner("study", "run", "s.json").code == 0
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


def test_watch_follows_a_run_from_another_terminal(folder, start, tuner, until):
    write_study(folder, 6, 0)
    assert tuner("study", "create", "--file", "s.json").code == 0
    file = folder / "events.jsonl"
    with file.open("w") as out:
        events = start("study", "watch", "quad", "--json", stdout=out)
    plain = start("study", "watch", "quad")

    def is_followed() -> bool:
        assert tuner("study", "edit", "quad", "--tag", "team=vision").code == 0
        return "study." in file.read_text()

    # what happens before it has connected it does not see
    until(is_followed)
    assert tuner("study", "run", "s.json", "--workers", "2").code == 0
    _, err = events.communicate(timeout=WAIT_S)
    assert (events.returncode, err) == (0, "")
    seen = [json.loads(line) for line in file.read_text().splitlines()]
    assert {event["study"] for event in seen} == {"quad"}
    ids = [event["id"] for event in seen]
    assert ids == sorted(set(ids))
    _, err = plain.communicate(timeout=WAIT_S)
    assert plain.returncode == 0
    assert "6/6 trials" in err


def test_a_terminal_gets_live_progress(folder, start):
    write_study(folder, 4, 0.1)
    leader, follower = pty.openpty()
    run = start("study", "run", "s.json", "--workers", "2", stderr=follower)
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
