"""Samplers and pruners at work in a study: the real pool, real pruners."""

from __future__ import annotations

import os
import signal

import pytest

from tuner.core.messages import Ask
from tuner.errors import TunerError, Unavailable
from tuner.service import handing

TPE = {"name": "tpe", "n_startup": 3, "seed": 5}
SPACE = {
    "x": {"type": "float", "low": 0.0, "high": 1.0},
    "kind": {"type": "categorical", "choices": ["a", "b"]},
    "y": {"type": "float", "low": 0.0, "high": 1.0, "when": {"kind": ["b"]}},
}
ASHA = {"name": "asha", "min_step": 1, "max_step": 9, "reduction_factor": 3}


def score(params):
    return (params["x"] - 0.3) ** 2 + (params.get("y", 0.5) - 0.7) ** 2


def search(service, name, most):
    """One worker: ask, tell, ask, …; the parameters in order."""
    made = []
    for _ in range(most):
        (trial,) = service.ask(name)
        made.append(trial)
        service.tell(trial, score(trial["params"]))
    return made


def test_one_worker_with_a_model_repeats_exactly(fresh_service):
    service = fresh_service
    runs = []
    for _ in range(2):
        name = service.new_study(space=SPACE, sampler=TPE, budget={"trials": 10})
        runs.append(search(service, name, 5))
        service.reopen()
        runs[-1] += search(service, name, 5)
    assert [t["params"] for t in runs[0]] == [t["params"] for t in runs[1]]
    assert len({str(t["params"]) for t in runs[0]}) == 10
    assert [t["sampler"]["unseen"] for t in runs[0]] == [0] * 10
    assert service.study(name)["timing"]["search_seconds"] > 0


def test_concurrent_asks_of_a_model_are_filled_distinct_and_say_what_they_have_not_seen(
    fresh_service,
):
    service = fresh_service
    name = service.new_study(space=SPACE, sampler=TPE, budget={"trials": 12})
    search(service, name, 4)
    answers = service.together(*(service.manager.ask(name, Ask(count=2)) for _ in range(4)))
    asked = [trial for answer in answers for trial in answer.body["trials"]]
    assert sorted(t["number"] for t in asked) == list(range(4, 12))
    assert all("x" in t["params"] and "kind" in t["params"] for t in asked)
    assert len({str(t["params"]) for t in asked}) == 8
    assert all(0 <= t["sampler"]["unseen"] <= 8 for t in asked)
    for trial in asked:
        service.tell(trial, score(trial["params"]))
    assert service.study(name)["state"] == "finished"


def test_a_killed_pool_process_is_replaced(service):
    name = service.new_study(space=SPACE, sampler=TPE)
    search(service, name, 4)
    (process,) = service.manager._pool._executor._processes.values()
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    (trial,) = service.ask(name)
    assert "x" in trial["params"]


class Failing:
    """A suggester whose model fails so many times."""

    def __init__(self, service, error, times=1):
        self.suggester = service.manager._suggester
        self.fit = self.suggester._fit
        self.error = error
        self.left = times
        self.suggester._fit = self

    async def __call__(self, *args):
        if self.left:
            self.left -= 1
            raise self.error
        return await self.fit(*args)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(Unavailable("no process"), Unavailable), (ZeroDivisionError("bug"), TunerError)],
)
def test_a_sampler_that_fails_gives_the_trials_back_and_the_call_can_be_repeated(
    service, error, raised
):
    name = service.new_study(space=SPACE, sampler=TPE)
    Failing(service, error)
    with pytest.raises(raised) as caught:
        service.ask(name, 2, key=f"k-{name}")
    assert caught.value.code == raised.code
    assert service.study(name)["counts"]["waiting"] == 2
    again = service.ask(name, 2, key=f"k-{name}")
    assert [(t["number"], t["attempt"]) for t in again] == [(0, 2), (1, 2)]
    assert all("x" in trial["params"] for trial in again)
    assert service.ask(name, 2, key=f"k-{name}") == again


class Died(BaseException):
    """The server ended in the middle of a call."""


def test_a_call_that_a_crash_cut_short_goes_on_from_its_reservation(fresh_service, monkeypatch):
    service = fresh_service
    name = service.new_study(space=SPACE, sampler=TPE)

    async def die(*args):
        raise Died

    monkeypatch.setattr(handing.Handing, "_fill", die)
    with pytest.raises(Died):
        service.ask(name, key="k")
    monkeypatch.undo()
    assert service.trial(name, 0)["state"] == "running"
    service.reopen()
    (trial,) = service.ask(name, key="k")
    assert (trial["number"], trial["attempt"]) == (0, 1)
    assert "x" in trial["params"]
    assert service.study(name)["used"]["trials"] == 1


def test_a_call_whose_reservation_ran_out_begins_anew(fresh_service, monkeypatch):
    service = fresh_service
    name = service.new_study(space=SPACE, sampler=TPE)

    async def die(*args):
        raise Died

    monkeypatch.setattr(handing.Handing, "_fill", die)
    with pytest.raises(Died):
        service.ask(name, key="k")
    monkeypatch.undo()
    service.reopen()
    assert service.expire(61) == 1, "after a restart nobody computes the parameters any more"
    (other,) = service.ask(name)
    assert other["number"] == 0
    (trial,) = service.ask(name, key="k")
    assert trial["number"] == 1


def test_the_time_of_a_fit_does_not_run_against_the_lease(service):
    name = service.new_study(space=SPACE, sampler=TPE)
    suggester = service.manager._suggester
    fit = suggester._fit

    async def slow(*args):
        service.clock.advance(30)
        assert await service.manager.sweep() == 0
        return await fit(*args)

    suggester._fit = slow
    try:
        (trial,) = service.ask(name, lease_seconds=5)
    finally:
        suggester._fit = fit
    assert service.expire(5) == 0
    assert service.expire(1) == 1
    assert service.trial(name, trial["number"])["params"] == trial["params"]


def test_restarts_do_not_change_a_history_free_search(fresh_service):
    service = fresh_service
    for sampler in ("random", "qmc", {"name": "grid"}):
        space = {"x": {"type": "int", "low": 0, "high": 40}}
        plain = service.new_study(space=space, sampler=sampler)
        cut = service.new_study(space=space, sampler=sampler)
        together = [t["params"] for t in service.ask(plain, 9)]
        one_by_one = []
        for i in range(9):
            one_by_one += [t["params"] for t in service.ask(cut)]
            if i % 3 == 0:
                service.reopen()
        assert one_by_one == together


# --- pruners


def test_asha_stops_a_bad_trial_at_a_rung_and_lets_a_good_one_go_on(service):
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial, value in zip(trials[:3], (0.1, 0.2, 0.3), strict=True):
        assert service.report(trial, (1, {"loss": value}))["reason"] in (None, "pruned")
    bad = service.report(trials[3], (1, {"loss": 9.0}))
    assert (bad["should_stop"], bad["reason"]) == (True, "pruned")
    assert service.heartbeat(trials[3])["reason"] == "pruned"
    assert service.report(trials[3], (2, {"loss": 8.0}))["should_stop"] is True
    assert service.report(trials[0], (2, {"loss": 0.1}))["should_stop"] is False
    ended = service.tell(trials[3], state="pruned")
    assert (ended["state"], ended["reason"]) == ("pruned", None)


def test_a_rung_takes_the_first_report_at_or_after_it(service):
    name = service.new_study(pruner={**ASHA, "min_step": 3})
    trials = service.ask(name, 4)
    for trial, value in zip(trials[:3], (0.1, 0.2, 0.3), strict=True):
        service.report(trial, (4, {"loss": value}))
    assert service.report(trials[3], (2, {"loss": 9.0}))["should_stop"] is False
    assert service.report(trials[3], (5, {"loss": 9.0}))["should_stop"] is True


def test_a_diverged_report_is_the_worst_and_a_restart_forgets_no_rung(fresh_service):
    service = fresh_service
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial, value in zip(trials[:3], (0.1, 0.2, 0.3), strict=True):
        service.report(trial, (1, {"loss": value}))
    service.reopen()
    assert service.report(trials[3], (1, {"loss": "NaN"}))["reason"] == "pruned"


def test_maximizing_prunes_the_low_ones(service):
    name = service.new_study(objective=["loss", "maximize"], pruner=ASHA)
    trials = service.ask(name, 4)
    for trial, value in zip(trials[:3], (0.7, 0.8, 0.9), strict=True):
        service.report(trial, (1, {"loss": value}))
    assert service.report(trials[3], (1, {"loss": 0.1}))["should_stop"] is True


def test_a_trial_that_reaches_the_last_step_is_not_stopped(service):
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial in trials[:3]:
        service.report(trial, (9, {"loss": 0.1}))
    assert service.report(trials[3], (9, {"loss": 9.0}))["should_stop"] is False


def test_a_trial_that_jumps_to_the_last_step_counts_at_the_rungs_it_passed(service):
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial in trials[:3]:
        service.report(trial, (9, {"loss": 0.1}))
    assert service.report(trials[3], (1, {"loss": 9.0}))["reason"] == "pruned"


def test_a_batch_that_ends_at_the_last_step_is_not_stopped_in_between(service):
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial in trials[:3]:
        service.report(trial, (1, {"loss": 0.1}))
    answer = service.report(trials[3], (1, {"loss": 9.0}), (9, {"loss": 9.0}))
    assert answer["should_stop"] is False


def test_another_stop_comes_before_the_pruner(service):
    name = service.new_study(pruner=ASHA)
    trials = service.ask(name, 4)
    for trial in trials[:3]:
        service.report(trial, (1, {"loss": 0.1}))
    service.run(service.manager.stop_trial(name, 3))
    assert service.report(trials[3], (1, {"loss": 9.0}))["reason"] == "cancelled"
