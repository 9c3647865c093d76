"""How trials end, and that nothing of them survives."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tuner.settings import child_environment
from tuner.worker.executors.base import Job

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and prctl")
SLEEPER = "[sys.executable, '-c', 'import time; time.sleep(600)']"


def test_what_the_objective_returns_is_the_outcome(bench):
    end = bench.end(bench.python("return {'loss': 0.25, 'more': float('inf')}"))
    assert end.code == 0
    assert end.outcome.action == "tell"
    assert end.outcome.state == "complete"
    assert end.outcome.values == {"loss": 0.25, "more": float("inf")}


def test_an_exception_fails_the_trial_and_its_traceback_is_in_the_log(bench):
    key = bench.python("raise ValueError('wrong shape')")
    outcome = bench.end(key).outcome
    assert (outcome.state, outcome.reason) == ("fail", "error")
    assert outcome.message == "ValueError: wrong shape"
    assert "raise ValueError('wrong shape')" in bench.log(key)


def test_running_out_of_memory_is_told_apart_from_an_error(bench):
    assert bench.end(bench.python("raise MemoryError")).outcome.reason == "oom"


def test_sys_exit_fails_the_trial(bench):
    outcome = bench.end(bench.python("sys.exit(3)")).outcome
    assert (outcome.state, outcome.reason) == ("fail", "error")
    assert "3" in outcome.message


def test_a_process_that_leaves_without_a_word_has_no_outcome(bench):
    end = bench.end(bench.python("os._exit(0)"))
    assert (end.code, end.outcome) == (0, None)


def test_a_segmentation_fault_ends_the_trial_only(bench):
    key = bench.python("import ctypes; ctypes.string_at(0)")
    other = bench.python("time.sleep(0.5); return 1.0")
    ends = {}
    while len(ends) < 2:
        ends.update({end.key: end for end in bench.poll(5)})
    assert ends[key].code == -signal.SIGSEGV
    assert ends[other].outcome.values == {"loss": 1.0}


@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("no_such_module_anywhere:f", "no_such_module_anywhere"),
        ("user_cod:f", "Did you mean 'user_code_0'?"),
        ("user_code_0:ff", "Did you mean 'f'?"),
        ("user_code_0.py:f", "Write user_code_0:f"),
        ("broken:f", "broken:f does not import: ZeroDivisionError: division by zero (broken.py"),
        ("leaving:f", "SystemExit: 3"),
        ("torn:f", "SyntaxError"),
    ],
)
def test_code_that_does_not_import_gives_the_trial_back_and_says_what_is_wrong(
    bench, entrypoint, said
):
    bench.end(bench.python("return 1.0"))
    for name, text in {"broken": "1 / 0", "leaving": "raise SystemExit(3)", "torn": "("}.items():
        (bench.folder / f"{name}.py").write_text(text)
    end = bench.end(bench.start(bench.job({"python": entrypoint})))
    assert (end.outcome.action, end.outcome.message) == ("release", end.fatal)
    assert said in end.fatal


def test_the_traceback_of_an_import_is_in_the_log(bench):
    (bench.folder / "broken.py").write_text("def f():\n    1 / 0\n\n\nf()\n")
    key = bench.start(bench.job({"python": "broken:f"}))
    bench.end(key)
    assert 'broken.py", line 2, in f' in bench.log(key)


def test_a_module_for_which_memory_runs_out_fails_its_trial_only(bench):
    (bench.folder / "large.py").write_text("raise MemoryError")
    end = bench.end(bench.start(bench.job({"python": "large:f"})))
    assert (end.outcome.state, end.outcome.reason, end.fatal) == ("fail", "oom", None)


def test_user_code_is_read_anew_for_each_trial(bench):
    assert bench.end(bench.python("return 1.0")).outcome.values == {"loss": 1.0}
    (bench.folder / "user_code_0.py").write_text("def f(trial):\n    return 2.5\n")
    job = bench.job({"python": "user_code_0:f"})
    bench.start(job)
    assert bench.end(job.key).outcome.values == {"loss": 2.5}


def test_each_trial_has_its_own_environment(bench):
    first = bench.end(bench.python("os.environ['LEAK'] = '1'; return len(os.environ['MARK'])"))
    assert first.outcome.state == "complete"
    key = bench.python("print(os.environ['MARK'], os.environ.get('LEAK')); return 0")
    bench.end(key)
    assert bench.log(key).split() == [key, "None"]


def test_trials_do_not_share_their_random_numbers(bench):
    code = "import numpy, random; return {'loss': numpy.random.rand(), 'r': random.random()}"
    first, second = (bench.end(bench.python(code)).outcome.values for _ in range(2))
    assert first["loss"] != second["loss"]
    assert first["r"] != second["r"]


def test_a_fork_of_the_objective_does_not_speak_for_the_trial(bench):
    code = """
        if os.fork() == 0:
            return 99.0
        time.sleep(0.3)
        return 1.0
    """
    assert bench.end(bench.python(code)).outcome.values == {"loss": 1.0}


def test_handlers_registered_by_user_code_run_at_the_end(bench):
    key = bench.python("import atexit; atexit.register(print, 'bye'); return 1.0")
    bench.end(key)
    assert "bye" in bench.log(key)


def test_huge_output_does_not_hold_up_the_trial(bench):
    key = bench.python("[print('x' * 1000) for _ in range(20_000)]; return 1.0")
    assert bench.end(key).outcome.state == "complete"
    assert len(bench.log(key)) == 20_000 * 1001


def test_kill_ends_grandchildren_too(bench, gone):
    key = bench.python(f"""
        child = subprocess.Popen({SLEEPER})
        Path('pids').write_text(f'{{os.getpid()}} {{child.pid}}')
        time.sleep(600)
    """)
    pids = bench.pids(count=2)
    bench.executor.kill(key)
    assert bench.end(key).code == -signal.SIGKILL
    assert gone(pids)


@LINUX
def test_kill_finds_descendants_that_left_the_group(bench, gone):
    key = bench.python(f"""
        child = subprocess.Popen({SLEEPER}, start_new_session=True)
        Path('pids').write_text(f'{{child.pid}}')
        time.sleep(600)
    """)
    pids = bench.pids()
    bench.executor.kill(key)
    bench.end(key)
    assert gone(pids)


@LINUX
def test_a_daemon_left_behind_ends_with_its_trial(bench, gone):
    key = bench.python(f"""
        if os.fork() == 0:
            os.setsid()
            child = subprocess.Popen({SLEEPER}, start_new_session=True)
            Path('pids').write_text(f'{{child.pid}}')
            os._exit(0)
        while not Path('pids').exists():
            time.sleep(0.01)
        return 1.0
    """)
    assert bench.end(key).outcome.state == "complete"
    assert gone(bench.pids())


@LINUX
def test_what_a_crashed_trial_leaves_behind_is_ended(bench, gone):
    key = bench.python(f"""
        child = subprocess.Popen({SLEEPER}, start_new_session=True)
        Path('pids').write_text(f'{{child.pid}}')
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert bench.end(key).code == -signal.SIGKILL
    assert gone(bench.pids())


@LINUX
def test_ending_one_trial_leaves_the_others_alone(bench):
    other = bench.python(f"""
        child = subprocess.Popen({SLEEPER}, start_new_session=True)
        Path('pids').write_text(f'{{child.pid}}')
        while not Path('go').exists():
            time.sleep(0.01)
        running = child.poll() is None
        return float(running)
    """)
    bench.pids()
    bench.end(bench.python("subprocess.Popen(['true'], start_new_session=True); return 0"))
    (bench.folder / "go").touch()
    assert bench.end(other).outcome.values == {"loss": 1.0}


def test_sigterm_can_be_ignored_but_sigkill_cannot(bench):
    key = bench.python("""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path('pids').write_text(str(os.getpid()))
        time.sleep(600)
    """)
    bench.pids()
    bench.executor.terminate(key)
    assert bench.poll(0.3) == []
    bench.executor.kill(key)
    assert bench.end(key).code == -signal.SIGKILL


def test_a_request_to_stop_reaches_the_objective(bench):
    key = bench.python("""
        Path('pids').write_text(str(os.getpid()))
        while trial.should_stop() is None:
            time.sleep(0.01)
        return 5.0
    """)
    bench.pids()
    bench.executor.ask_to_stop(key, "preempted")
    outcome = bench.end(key).outcome
    assert (outcome.action, outcome.reason) == ("release", "preempted")


AGENT = """
import sys, time
sys.path[:0] = [{tests!r}]
from pathlib import Path
from conftest import Bench
from tuner.worker.executors.process import ProcessExecutor
executor = ProcessExecutor()
bench = Bench(executor, Path({folder!r}))
bench.python({code!r})
while True:
    executor.poll(1)
"""


def test_trials_end_when_their_agent_is_killed(tmp_path, gone):
    code = textwrap.dedent(f"""
        child = subprocess.Popen({SLEEPER}, start_new_session=True)
        Path('pids').write_text(f'{{os.getpid()}} {{os.getppid()}} {{child.pid}}')
        time.sleep(600)
    """)
    script = AGENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path), code=code)
    agent = subprocess.Popen([sys.executable, "-c", script], env=child_environment())
    file = tmp_path / "pids"
    deadline = time.monotonic() + 30
    while not (file.exists() and len(file.read_text().split()) == 3):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = [int(word) for word in file.read_text().split()]
    agent.kill()
    agent.wait()
    if not sys.platform.startswith("linux"):
        pids = pids[:2]
    assert gone(pids)


@LINUX
def test_trials_end_with_their_fork_server_and_the_next_gets_a_new_one(own_bench, gone):
    bench = own_bench()
    key = bench.python("Path('pids').write_text(str(os.getpid())); time.sleep(600)")
    pids = bench.pids()
    os.kill(bench.executor.server_pid, signal.SIGKILL)
    end = bench.end(key)
    assert (end.code, end.outcome) == (None, None)
    assert "fork server" in end.message
    assert gone(pids)
    assert bench.end(bench.python("return 1.0")).outcome.values == {"loss": 1.0}


def test_fresh_interpreters_do_the_same_where_forking_is_not_safe(own_bench):
    bench = own_bench(fork=False)
    key = bench.python("print(trial.params['x']); return os.getpid() == os.getpgid(0)")
    end = bench.end(key)
    assert end.outcome.state == "fail"  # a boolean is no number
    assert bench.log(key).startswith("1.5")


def test_closing_ends_all_trials(own_bench, gone):
    bench = own_bench()
    bench.python("Path('pids').write_text(str(os.getpid())); time.sleep(600)")
    pids = bench.pids()
    bench.executor.close()
    assert gone(pids)


def test_torch_is_loaded_once_when_user_code_turns_out_to_need_it(own_bench):
    bench = own_bench()
    code = "loaded = 'torch' in sys.modules; import torch; return float(loaded)"
    assert bench.end(bench.python(code)).outcome.values == {"loss": 0.0}
    assert bench.end(bench.python(code), seconds=90).outcome.values == {"loss": 1.0}
    both = "import torch; return {'loss': torch.rand(()), 'threads': torch.get_num_threads()}"
    first, second = (bench.end(bench.python(both, cpus=2)).outcome.values for _ in range(2))
    assert first["loss"] != second["loss"]
    assert first["threads"] == 2


def test_a_lease_that_runs_already_is_refused(bench):
    job = bench.job({"python": "no_such_module_anywhere:f"})
    bench.start(job)
    with pytest.raises(ValueError, match="runs already"):
        bench.executor.start(job)
    assert bench.end(job.key).outcome.action == "release"


def test_a_job_whose_log_cannot_be_made_has_not_begun(bench):
    job = bench.job({"python": "no_such_module_anywhere:f"})
    nowhere = Job(job.key, job.data, bench.folder / "gone" / "log", preload=False)
    with pytest.raises(FileNotFoundError):
        bench.executor.start(nowhere)
    bench.start(job)
    assert bench.end(job.key).outcome.action == "release"


def test_why_no_trial_can_run_here_is_said_in_few_words(bench):
    job = bench.job({"objective": "x" * 5000})
    bench.start(job)
    end = bench.end(job.key)
    assert len(end.fatal) == 1000
    assert (end.outcome.action, end.outcome.message) == ("release", end.fatal)


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"


def test_a_full_disk_does_not_cost_the_reason_of_a_failure(bench):
    end = bench.end(bench.python(f"{FULL}; raise MemoryError"))
    assert end.outcome.reason == "oom"


@LINUX
def test_a_command_ends_although_its_log_takes_no_more(own_bench):
    bench = own_bench()
    bench.end(bench.python("return 1.0"))
    resource.prlimit(bench.executor.server_pid, resource.RLIMIT_FSIZE, (0, 0))
    script = "print('tuner: no report\\n' * 50_000)"
    job = bench.job({"command": [sys.executable, "-c", script]})
    bench.start(job)
    end = bench.end(job.key)
    assert (end.outcome.action, end.outcome.state) == ("tell", "complete")
