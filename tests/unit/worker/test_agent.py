"""The agent with real processes, a scripted source of trials, and a server that takes all."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tuner.client.client import Client
from tuner.errors import Invalid
from tuner.worker import agent as agent_module
from tuner.worker import aside
from tuner.worker import attempt as attempt_module
from tuner.worker.agent import Agent
from tuner.worker.allow import Allow
from tuner.worker.sources import Free, Leases, Taken

# The trials' processes need not import this module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
STUDY = {"objectives": [{"metric": "loss"}], "pruner": {"name": "none"}}
GONE = {"objective": "gone.pkl"}


class Script:
    """A source that answers each call by the next step, and is over after the last.

    A step is a list of trials, or a function of the names that were left out, which gives one; a
    function that gives None is asked again at the next call.
    """

    def __init__(self, *steps: Any, studies: tuple[str, ...] | None = None) -> None:
        self.studies = studies
        self.steps = list(steps)
        self.free_slots = 0

    def take(self, worker_id: str, free: Free, lease_seconds: float, without: Any) -> Taken:
        self.free_slots = free.slots
        if not self.steps:
            return Taken([], is_over=True)
        step = self.steps[0]
        trials = step(without) if callable(step) else step
        if trials is None:
            return Taken([])
        self.steps.pop(0)
        return Taken(trials, {trial["study"]: STUDY for trial in trials})


def trial(study: str, number: int = 0, runner: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "study": study,
        "number": number,
        "lease": f"{study}-{number}",
        "attempt": 1,
        "params": {},
        "grace": 0.2,
        "runner": runner or {"objective": "good.pkl"},
        **fields,
    }


def once_left(study: str, *trials: dict[str, Any]) -> Callable[[Any], Any]:
    """A step that waits until the study is left out."""
    return lambda without: list(trials) if study in without else None


@pytest.fixture
def work(server, tmp_path, monkeypatch) -> Callable[..., Agent]:
    """Runs an agent in a folder with an objective, until it ends by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Path("good.pkl").write_bytes(cloudpickle.dumps(lambda trial: 0.5))
    Path("slow.pkl").write_bytes(cloudpickle.dumps(until_there))
    Path("stuck.pkl").write_bytes(cloudpickle.dumps(stuck))

    def run(source: Any, stop: threading.Event | None = None, **options: Any) -> Agent:
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            source = source(client) if callable(source) else source
            agent = Agent(client, devices="cpu", source=source, **{"slots": 2, **options})
            agent.run(stop or threading.Event())
        return agent

    return run


def until_there(trial: Any) -> float:
    while not Path("go").exists():
        if trial.should_stop() is not None:
            break
        time.sleep(0.01)
    return 0.25


def stuck(trial: Any) -> None:
    """Cannot be killed: the process that would kill it stands still."""
    Path("server").write_text(str(os.getppid()))
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(600)


def test_a_study_that_cannot_run_here_is_left_alone_and_others_go_on(work, server, caplog):
    stop = threading.Event()

    def end(without: Any) -> None:
        if "good/0" in server.told("tell"):
            stop.set()

    script = Script([trial("bad", runner=GONE)], once_left("bad", trial("good")), end)
    assert work(script, stop).error is None
    assert server.told("release")["bad/0"]["reason"] == "preempted"
    assert "gone.pkl" in server.told("release")["bad/0"]["message"]
    assert server.told("tell")["good/0"]["values"] == {"loss": 0.5}
    left = [r.getMessage() for r in caplog.records if "left alone" in r.getMessage()]
    assert [text.partition(":")[0] for text in left] == [
        "study bad is left alone",
        "study bad was left alone",
    ]


def test_the_other_running_trials_of_the_study_go_on(work, server):
    def then(without: Any) -> Any:
        if "bad" not in without:
            return None
        Path("go").touch()
        return []

    slow = {"objective": "slow.pkl"}
    work(Script([trial("bad", 0, slow), trial("bad", 1, GONE)], then))
    assert server.told("tell")["bad/0"]["values"] == {"loss": 0.25}
    assert list(server.told("release")) == ["bad/1"]


def test_what_was_leased_before_its_study_was_left_alone_goes_back(work, server):
    script = Script([trial("bad", runner=GONE)], once_left("bad", trial("bad", 1)))
    work(script)
    assert server.told("tell") == {}
    told = server.told("release")
    assert told["bad/1"]["message"] == told["bad/0"]["message"]


def test_a_study_is_taken_again_after_its_pause(work, server, monkeypatch):
    monkeypatch.setattr(aside, "_FIRST_S", 0.0)

    def mended(without: Any) -> Any:
        if "bad/0" not in server.told("release"):
            return None
        assert without == ()
        return [trial("bad", 1)]

    assert work(Script([trial("bad", runner=GONE)], mended)).error is None
    assert list(server.told("tell")) == ["bad/1"]


def test_a_worker_of_this_study_only_ends_and_gives_the_others_back(work, server):
    trials = [trial("bad", 0, {"objective": "slow.pkl"}), trial("bad", 1, GONE)]
    agent = work(Script(trials, lambda without: None, studies=("bad",)))
    assert "gone.pkl" in agent.error
    assert "left alone" not in agent.error
    assert {place: body["reason"] for place, body in server.told("release").items()} == {
        "bad/0": "preempted",
        "bad/1": "preempted",
    }


def test_a_worker_ends_when_all_studies_that_it_serves_are_left_alone(work):
    script = Script(
        [trial("a", runner=GONE)],
        once_left("a", trial("b", runner=GONE)),
        lambda without: None,
        studies=("a", "b"),
    )
    agent = work(script)
    assert "Study a is left alone: " in agent.error
    assert "Study b is left alone: " in agent.error


def test_until_idle_with_nothing_but_studies_left_alone_is_an_error(work, server):
    script = Script(
        [trial("bad", runner=GONE)], once_left("bad", trial("good")), lambda without: None
    )
    agent = work(script, until_idle=True)
    assert agent.error.startswith("Study bad is left alone: ")
    assert list(server.told("tell")) == ["good/0"]


def test_until_idle_does_not_end_by_an_answer_from_before_a_trial_went_back(work, server):
    """The call is under way while the trial ends and waits again."""

    def late(without: Any) -> Any:
        Path("go").touch()
        while "s/0" not in server.told("tell"):
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        return []

    script = Script([trial("s", 0, {"objective": "slow.pkl"})], late, [trial("s", 1)])
    work(script, until_idle=True)
    assert list(server.told("tell")) == ["s/0", "s/1"]


def test_a_server_that_cannot_leave_a_study_out_ends_the_worker_by_and_by(work, server):
    def refuse(without: Any) -> Any:
        if not without:
            return None
        Path("go").touch()
        raise Invalid.at("exclude", "unknown key exclude.")

    slow = {"objective": "slow.pkl"}
    agent = work(Script([trial("good", 0, slow), trial("bad", 1, GONE)], refuse))
    assert agent.error.startswith("Study bad is left alone: ")
    assert "too old" in agent.error
    assert list(server.told("tell")) == ["good/0"]


def test_what_the_worker_may_not_run_is_left_alone(work, server):
    script = Script(
        [trial("s", runner={"python": "jobs:f"})], lambda without: None, studies=("s",)
    )
    agent = work(script, allow=Allow.patterns(["other:f"]))
    assert "not allowed" in agent.error
    assert list(server.told("release")) == ["s/0"]


def test_a_lease_that_comes_twice_runs_once(work, server):
    again = trial("s", 0, {"objective": "slow.pkl"})

    def then(without: Any) -> Any:
        Path("go").touch()
        return [again, trial("s", 1)]

    work(Script([again], then), slots=3)
    assert sorted(server.told("tell")) == ["s/0", "s/1"]
    assert server.told("release") == {}


def test_a_worker_whose_folder_is_gone_gives_trials_back(work, server, tmp_path, monkeypatch):
    def leave(without: Any) -> Any:
        here = tmp_path / "here"
        here.mkdir()
        monkeypatch.chdir(here)
        here.rmdir()
        return [trial("s")]

    agent = work(Script(leave, lambda without: None, studies=("s",)))
    assert "No trial can be started on this worker" in agent.error
    assert list(server.told("release")) == ["s/0"]


def test_a_worker_outlives_whoever_cleans_temporary_files(work, server, tmp_path):
    def clean(without: Any) -> Any:
        (folder,) = tmp_path.glob("tuner-worker-*")
        shutil.rmtree(folder)
        return [trial("s")]

    work(Script(clean))
    assert list(server.told("tell")) == ["s/0"]
    assert list(tmp_path.glob("tuner-worker-*")) == []


def test_a_source_that_breaks_does_not_end_what_runs(work, server, caplog):
    def broken(without: Any) -> Any:
        script.steps.pop(0)
        raise RuntimeError("no more threads")

    def then(without: Any) -> Any:
        Path("go").touch()
        return []

    script = Script([trial("s", 0, {"objective": "slow.pkl"})], broken, then)
    assert work(script).error is None
    assert list(server.told("tell")) == ["s/0"]
    assert "lease: RuntimeError: no more threads" in caplog.text


def test_a_worker_that_is_to_end_does_not_wait_for_a_lease_call_that_hangs(work, monkeypatch):
    monkeypatch.setattr(agent_module, "_SETTLE_S", 0.1)
    stop, hanging = threading.Event(), threading.Event()

    def hang(without: Any) -> Any:
        stop.set()
        hanging.wait(60)
        return []

    work(Script(hang), stop)
    assert not hanging.is_set()
    hanging.set()


def test_a_trial_whose_study_cannot_be_read_goes_back(work, server, caplog):
    """It was deleted, or the server went away, between the lease and this call."""
    caplog.set_level(logging.INFO, "tuner")
    server.leasable = [trial("deleted")]
    stop = threading.Event()

    class Watched(Leases):
        def take(self, *args: Any) -> Taken:
            taken = super().take(*args)
            server.leasable = []
            if not taken.trials:
                stop.set()
            return taken

    agent = work(lambda client: Watched(client, None), stop)
    assert agent.error is None
    assert server.told("release")["deleted/0"]["message"] == "The study could not be read."


def test_a_trial_that_cannot_be_killed_is_told_and_keeps_its_slot(work, server, monkeypatch):
    monkeypatch.setattr(attempt_module, "_STUCK_S", 0.1)
    slots = []

    def resume(without: Any) -> Any:
        if "s/0" not in server.told("tell"):
            return None
        slots.append(script.free_slots)
        os.kill(int(Path("server").read_text()), signal.SIGCONT)
        return [] if script.free_slots == 2 else None

    script = Script([trial("s", 0, {"objective": "stuck.pkl"}, timeout=3)], resume)
    work(script)
    assert server.told("tell")["s/0"]["reason"] == "timeout"
    assert (slots[0], slots[-1]) == (1, 2)
