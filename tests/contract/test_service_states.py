"""Studies are paused, stopped and made active again, on both databases."""

from __future__ import annotations

import pytest

from tuner.errors import Conflict, Invalid


def test_a_paused_study_gives_nothing_and_goes_on_after_resume(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    assert service.change(name, state="paused")["state"] == "paused"
    assert service.ask(name) == []
    assert service.heartbeat(trial)["should_stop"] is False
    service.tell(trial, 1.0)
    assert service.change(name, state="active")["state"] == "active"
    assert len(service.ask(name)) == 1


def test_pause_now_stops_running_trials_which_go_back_to_the_queue(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.change(name, state="paused", now=True)
    assert service.heartbeat(trial)["reason"] == "paused"
    assert service.release(trial)["state"] == "waiting"
    service.change(name, state="active")
    (again,) = service.ask(name)
    assert (again["number"], again["attempt"]) == (trial["number"], 2)
    assert again["params"] == trial["params"]
    assert service.heartbeat(again)["should_stop"] is False


def test_now_goes_with_pause_only(service):
    name = service.new_study()
    with pytest.raises(Invalid, match="now"):
        service.change(name, now=True)


def test_a_stopped_study_cancels_what_runs_and_keeps_what_waits(service):
    name = service.new_study()
    service.add(name, {"params": {"x": 0.5}})
    (first, second) = service.ask(name, 2)
    service.release(first)
    stopped = service.change(name, state="finished")
    assert stopped["state"] == "active"
    assert "waiting for 1" in stopped["state_reason"]
    assert service.ask(name) == []
    assert service.heartbeat(second)["reason"] == "cancelled"
    service.tell(second, state="fail", reason="cancelled")
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", "stopped")
    assert study["counts"]["waiting"] == 1
    with pytest.raises(Conflict):
        service.add(name, {"params": {"x": 0.1}})
    assert service.change(name, state="active")["state"] == "active"
    assert [t["number"] for t in service.ask(name)] == [first["number"]]


def test_a_stopped_study_with_nothing_running_is_finished_at_once(service):
    name = service.new_study()
    assert service.change(name, state="finished")["state"] == "finished"


def test_a_larger_budget_makes_a_stopped_study_active_again(service):
    name = service.new_study(budget={"trials": 5})
    service.change(name, state="finished")
    assert service.change(name, budget={"trials": 4})["state"] == "finished"
    assert service.change(name, budget={"trials": 6})["state"] == "active"
    assert len(service.ask(name)) == 1


def test_a_limit_that_is_taken_away_makes_the_study_active_again(service):
    name = service.new_study(budget={"trials": 1, "target": 2.0})
    (trial,) = service.ask(name)
    service.tell(trial, 1.0)
    assert service.study(name)["state"] == "finished"
    study = service.change(name, budget={"trials": None})
    assert (study["budget"], study["state"]) == ({"target": 2.0}, "finished")
    study = service.change(name, budget={"target": None, "seconds": None})
    assert (study["budget"], study["state"]) == ({}, "active")
    assert [t["number"] for t in service.ask(name, 2)] == [1, 2]


def test_seconds_that_are_taken_away_make_the_study_active_again(service):
    name = service.new_study(budget={"seconds": 10})
    (trial,) = service.ask(name, lease_seconds=1000)
    service.clock.advance(11)
    service.tell(trial, 1.0)
    assert service.study(name)["state"] == "finished"
    study = service.change(name, budget={"seconds": None})
    assert (study["budget"], study["state"]) == ({}, "active")
    assert len(service.ask(name)) == 1


def test_a_larger_budget_wakes_a_finished_study_that_was_paused_after_its_end(service):
    name = service.new_study(budget={"trials": 1})
    (trial,) = service.ask(name)
    service.tell(trial, 1.0)
    service.change(name, state="paused")
    assert service.change(name, budget={"trials": 2})["state"] == "active"
