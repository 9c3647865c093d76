"""Commands: no shell, reports on stdout, SIGTERM and grace, exit codes."""

from __future__ import annotations

import sys

import pytest

from tuner.errors import InvalidMetric
from tuner.worker.command import read_report
from tuner.worker.endings import of_exit

PYTHON = [sys.executable, "-c"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'tuner: {"step": 3, "val_loss": 0.31}\n', (3, {"val_loss": 0.31})),
        (b'tuner:{"step": 0, "a": 1, "b": "NaN"}', (0, {"a": 1.0})),
        (b'tuner: {"step": 1, "a": Infinity}', (1, {"a": float("inf")})),
    ],
)
def test_report_lines_are_read(line, expected):
    step, metrics = read_report(line)
    metrics.pop("b", None)
    assert (step, metrics) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"tuner: hello",
        b"tuner: []",
        b'tuner: {"loss": 1}',
        b'tuner: {"step": 1.5, "a": 1}',
        b'tuner: {"step": true, "a": 1}',
        b'tuner: {"step": 1, "a": "x"}',
        b"tuner: \xff",
        b'tuner: {"step": 1, "a": true}',
        b'tuner: {"step": 1, "a": null}',
        b"tuner: " + b"[" * 60_000,
    ],
)
def test_other_lines_are_refused(line):
    with pytest.raises((ValueError, InvalidMetric)):
        read_report(line)


def test_placeholders_are_filled_in_and_no_shell_reads_them(bench):
    show = "import sys; print(sys.argv[1:], file=sys.stderr); sys.exit(4)"
    argv = [*PYTHON, show, "--x={x}", "$HOME; {{ok}}", ["--momentum", "{momentum}"], ["-v", "{x}"]]
    key = bench.command(argv)
    outcome = bench.end(key).outcome
    assert outcome.message == "['--x=1.5', '$HOME; {ok}', '-v', '1.5']"
    assert (outcome.state, outcome.reason) == ("fail", "error")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("no-such-program-anywhere", "there is no program 'no-such-program-anywhere' in PATH."),
        ("./run.shh", "Did you mean './run.sh'?"),
        ("./plain", "chmod +x ./plain"),
        ("train.py", "Write [python, train.py, …]"),
        ("run.sh", "Write [sh, run.sh, …]"),
        ("./orphan", "./orphan cannot be started: No such file"),
    ],
)
def test_a_program_that_is_not_there_gives_the_trial_back_and_says_what_to_do(
    bench, program, said
):
    for name in ("plain", "train.py", "run.sh", "orphan"):
        (bench.folder / name).write_text("#!/no/such/interpreter\n")
    for name in ("run.sh", "orphan"):
        (bench.folder / name).chmod(0o700)
    end = bench.end(bench.command([program, "{x}"]))
    assert (end.outcome.action, end.outcome.message) == ("release", end.fatal)
    assert said in end.fatal


def test_a_program_that_the_parameters_name_fails_the_trial_if_it_is_not_there(bench):
    end = bench.end(bench.command(["./variant-{x}"]))
    assert (end.outcome.state, end.fatal) == ("fail", None)
    assert "cannot be started" in end.outcome.message


def test_the_last_line_of_stderr_is_the_message(bench):
    key = bench.command([*PYTHON, "raise ValueError('bad shape')"])
    outcome = bench.end(key).outcome
    assert outcome.message == "ValueError: bad shape"
    assert "Traceback" in bench.log(key)


def test_exit_0_takes_what_was_reported(bench):
    outcome = bench.end(bench.command([*PYTHON, "print('hello')"])).outcome
    assert (outcome.action, outcome.state, outcome.values) == ("tell", "complete", None)


def test_running_out_of_memory_shows_in_the_last_line(bench):
    outcome = bench.end(bench.command([*PYTHON, "raise MemoryError()"])).outcome
    assert outcome.reason == "oom"


def test_a_line_that_is_no_report_is_said_in_the_log(bench):
    key = bench.command([*PYTHON, "print('tuner: oops')"])
    bench.end(key)
    assert "this line is no report" in bench.log(key)


def test_a_stop_is_sigterm_and_the_exit_after_it_ends_by_the_reason(bench):
    script = """
import signal, sys, time
from pathlib import Path
def leave(*_):
    Path('left').touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
Path('pids').write_text('1')
time.sleep(600)
"""
    key = bench.command([*PYTHON, script.replace("{", "{{").replace("}", "}}")], grace=10)
    bench.pids()
    bench.executor.ask_to_stop(key, "pruned")
    outcome = bench.end(key).outcome
    assert (outcome.action, outcome.state) == ("tell", "pruned")
    assert (bench.folder / "left").exists()


def test_a_command_that_ignores_sigterm_is_killed_after_the_grace(bench, gone):
    script = """
import os, signal, subprocess, sys, time
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'])
Path('draft').write_text(str(os.getpid()) + ' ' + str(child.pid))
Path('draft').rename('pids')
time.sleep(600)
"""
    key = bench.command([*PYTHON, script], grace=0.3)
    pids = bench.pids(count=2)
    bench.executor.ask_to_stop(key, "cancelled")
    outcome = bench.end(key).outcome
    assert (outcome.state, outcome.reason) == ("fail", "cancelled")
    assert gone(pids)


@pytest.mark.parametrize(
    ("code", "kills", "reason"),
    [
        (-9, 0, "killed"),
        (-9, 1, "oom"),
        (137, 0, "killed"),
        (-11, 0, "error"),
        (-15, 0, "killed"),
        (1, 0, "error"),
        (0, 0, "no-result"),
        (143, 0, "error"),
        (255, 0, "error"),
    ],
)
def test_exit_codes_say_why(code, kills, reason):
    assert of_exit(code, "", kills).reason == reason


def test_no_line_keeps_the_rest_of_the_output_from_being_read(bench):
    write = "print('tuner:' + 60_000 * '['); print('x' * 300_000); print('the end')"
    key = bench.command([*PYTHON, write])
    assert bench.end(key).outcome.state == "complete"
    assert bench.log(key).endswith("the end\n")


def test_the_checkpoint_folder_is_there_and_stays_if_something_is_in_it(bench):
    write = """
import os, pathlib
folder = pathlib.Path(os.environ['TUNER_CHECKPOINT_DIR'])
(folder / 'state').write_text(folder.is_dir() and 'kept')
"""
    folder = bench.folder / "own"
    given = {"env": {"TUNER_CHECKPOINT_DIR": str(folder)}, "checkpoint_dir": str(folder)}
    assert bench.end(bench.command([*PYTHON, write], **given)).outcome.state == "complete"
    assert (folder / "state").read_text() == "kept"
    bench.end(bench.command([*PYTHON, "pass"]))
    assert not (bench.folder / "checkpoints").exists()


def test_a_silent_descendant_that_holds_the_output_open_does_not_hold_the_trial(bench, gone):
    start = """
import subprocess, sys, pathlib
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
pathlib.Path('draft').write_text(str(child.pid))
pathlib.Path('draft').rename('pids')
"""
    key = bench.command([*PYTHON, start])
    pids = bench.pids(count=1)
    assert bench.end(key).outcome.state == "complete"
    assert gone(pids)
