"""When an attempt must stop, and what its end means."""

from __future__ import annotations

import signal
import time

import pytest

from tuner.worker.attempt import Attempt
from tuner.worker.executors.base import Exit
from tuner.worker.logs import LogFile
from tuner.worker.resources import Allocation


def attempt_of(bench, key, **changes):
    trial = {"lease": key, "study": "s", "number": 0, "runner": {"python": "m:f"}, "grace": 0.3}
    log = LogFile(bench.folder / f"{key}.log")
    return Attempt({**trial, **changes}, Allocation(1), log)


def follow(bench, attempt, seconds=20.0):
    """Watch until the process has ended; its end and the time it took."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        for end in bench.poll(0.02):
            if end.key == attempt.lease:
                attempt.log.read(final=True)
                return attempt.conclude(end), end
        attempt.watch(time.monotonic(), bench.executor)
    raise AssertionError("the attempt did not end")


def test_a_hanging_trial_times_out(bench):
    attempt = attempt_of(bench, bench.python("time.sleep(600)"), timeout=0.3)
    outcome, end = follow(bench, attempt)
    assert (outcome.action, outcome.state, outcome.reason) == ("tell", "fail", "timeout")
    assert "0.3 s" in outcome.message
    assert end.code == -signal.SIGTERM


def test_a_trial_that_ignores_sigterm_times_out_all_the_same(bench):
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    outcome, end = follow(bench, attempt_of(bench, bench.python(code), timeout=0.3))
    assert outcome.reason == "timeout"
    assert end.code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("pruned", ("tell", "pruned", None)),
        ("budget", ("tell", "pruned", None)),
        ("cancelled", ("tell", "fail", "cancelled")),
        ("paused", ("release", None, "preempted")),
        ("preempted", ("release", None, "preempted")),
        ("lease-lost", ("nothing", None, None)),
    ],
)
def test_a_hanging_trial_that_is_to_stop_ends_by_the_reason(bench, reason, expected):
    key = bench.python("Path('pids').write_text(str(os.getpid())); time.sleep(600)")
    bench.pids()
    attempt = attempt_of(bench, key)
    attempt.stop(reason, time.monotonic(), bench.executor)
    outcome, _ = follow(bench, attempt)
    assert (outcome.action, outcome.state, outcome.reason) == expected


def test_a_trial_that_finishes_although_it_was_to_stop_keeps_its_result(bench):
    key = bench.python("Path('pids').write_text('1'); time.sleep(0.5); return 1.0")
    bench.pids()
    attempt = attempt_of(bench, key, grace=10)
    attempt.stop("preempted", time.monotonic(), bench.executor)
    outcome, _ = follow(bench, attempt)
    assert outcome.values == {"loss": 1.0}


def test_a_process_that_does_not_end_after_its_outcome_is_ended(bench, monkeypatch):
    monkeypatch.setattr("tuner.worker.attempt._LINGER_S", 0.3)
    code = "import atexit; atexit.register(time.sleep, 600); return 1.0"
    outcome, end = follow(bench, attempt_of(bench, bench.python(code)))
    assert outcome.values == {"loss": 1.0}
    assert end.code == -signal.SIGKILL


def test_killed_from_outside_is_not_an_error_of_the_trial(bench):
    key = bench.python("os.kill(os.getpid(), signal.SIGKILL)")
    outcome, _ = follow(bench, attempt_of(bench, key))
    assert (outcome.state, outcome.reason) == ("fail", "killed")


def test_a_crash_is_an_error_and_quotes_the_last_line(bench):
    key = bench.python("print('about to crash'); os.abort()")
    outcome, _ = follow(bench, attempt_of(bench, key))
    assert outcome.reason == "error"
    assert "SIGABRT" in outcome.message
    assert "about to crash" in outcome.message


def test_leaving_without_a_word_is_no_result(bench):
    outcome, _ = follow(bench, attempt_of(bench, bench.python("os._exit(0)")))
    assert outcome.reason == "no-result"


def test_a_trial_that_could_not_start_counts_as_killed(bench):
    attempt = attempt_of(bench, "lease-x")
    outcome = attempt.conclude(Exit("lease-x", None, None, "The trial cannot be started."))
    assert (outcome.reason, outcome.message) == ("killed", "The trial cannot be started.")
