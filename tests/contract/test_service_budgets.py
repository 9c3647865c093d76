"""What ends a study: trials, seconds, a target, a grid; on both databases."""

from __future__ import annotations

import pytest

from tuner.core.messages import Ask
from tuner.errors import BudgetSpent


def test_a_budget_of_trials_is_handed_out_exactly(service):
    name = service.new_study(budget={"trials": 5})
    assert [t["number"] for t in service.ask(name, 3)] == [0, 1, 2]
    last = service.ask(name, 10)
    assert [t["number"] for t in last] == [3, 4]
    assert service.ask(name) == []
    assert service.study(name)["state"] == "active"
    for number in range(5):
        service.tell({**service.trial(name, number), "lease": _lease(service, name, number)}, 1.0)
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", "budget of trials used")
    with pytest.raises(BudgetSpent):
        service.change(name, state="active")
    with pytest.raises(BudgetSpent):
        service.add(name, {"params": {"x": 0.5}})
    assert service.change(name, budget={"trials": 6})["state"] == "active"
    assert [t["number"] for t in service.ask(name, 3)] == [5]


def _lease(service, name, number):
    """The lease of a running trial, taken over by letting it run out."""
    trial = service.trial(name, number)
    if trial["state"] == "running":
        service.expire()
    (again,) = [t for t in service.ask(name) if t["number"] == number]
    return again["lease"]


def test_sixteen_concurrent_asks_never_exceed_the_budget(service):
    name = service.new_study(budget={"trials": 20})
    answers = service.together(
        *(service.manager.ask(name, Ask(count=1 + i % 3)) for i in range(16))
    )
    numbers = [t["number"] for answer in answers for t in answer.body["trials"]]
    assert sorted(numbers) == list(range(20))
    assert service.study(name)["counts"]["running"] == 20


def test_enqueued_trials_count_and_imported_ones_do_not(service):
    name = service.new_study(budget={"trials": 2})
    service.add(name, {"params": {"x": 0.1}})
    service.add(name, {"params": {"x": 0.2}, "state": "complete", "values": {"loss": 1.0}})
    assert [t["number"] for t in service.ask(name, 5)] == [0, 2]
    with pytest.raises(BudgetSpent, match="0 of 2"):
        service.add(name, {"params": {"x": 0.1}})


def test_attempts_do_not_count_against_the_budget(service):
    name = service.new_study(budget={"trials": 1})
    (trial,) = service.ask(name)
    service.release(trial)
    assert service.study(name)["state"] == "active"
    (again,) = service.ask(name)
    assert again["attempt"] == 2
    service.tell(again, 1.0)
    assert service.study(name)["state"] == "finished"


def test_seconds_count_only_while_a_trial_runs(service):
    name = service.new_study(budget={"seconds": 100})
    service.clock.advance(1000)
    (trial,) = service.ask(name, lease_seconds=1000)
    service.clock.advance(60)
    service.tell(trial, 1.0)
    service.clock.advance(1000)
    assert service.study(name)["used"]["seconds"] == 60
    (second,) = service.ask(name, lease_seconds=1000)
    service.clock.advance(39)
    service.run(service.manager.sweep())
    assert service.heartbeat(second)["should_stop"] is False
    service.clock.advance(1)
    service.run(service.manager.sweep())
    assert service.heartbeat(second)["reason"] == "budget"
    assert service.ask(name) == []
    assert service.tell(second, state="pruned")["state"] == "pruned"
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", "budget of seconds used")
    assert service.change(name, budget={"seconds": 200})["state"] == "active"


def test_two_running_trials_use_the_seconds_once(service):
    name = service.new_study(budget={"seconds": 100})
    first, second = service.ask(name, 2, lease_seconds=1000)
    service.clock.advance(30)
    service.tell(first, 1.0)
    service.clock.advance(30)
    service.tell(second, 1.0)
    assert service.study(name)["used"]["seconds"] == 60


def test_a_paused_study_whose_seconds_run_out_stops_what_runs(service):
    name = service.new_study(budget={"seconds": 10})
    (trial,) = service.ask(name, lease_seconds=1000)
    service.change(name, state="paused")
    service.clock.advance(11)
    service.run(service.manager.sweep())
    assert service.heartbeat(trial)["reason"] == "budget"


def test_a_target_ends_the_study_and_stops_the_others(service):
    name = service.new_study(budget={"target": 0.1})
    first, second, third = service.ask(name, 3)
    service.tell(first, 0.2)
    assert service.heartbeat(second)["should_stop"] is False
    service.tell(second, 0.1)
    assert service.heartbeat(third)["reason"] == "budget"
    assert service.ask(name) == []
    service.tell(third, state="pruned")
    assert service.study(name)["state_reason"] == "target reached"


@pytest.mark.parametrize("value", ["NaN", "-Infinity"])
def test_a_diverged_trial_meets_no_target(service, value):
    name = service.new_study(budget={"target": 0.1})
    (trial,) = service.ask(name)
    assert service.tell(trial, value)["diverged"] is True
    assert service.study(name)["state"] == "active"


def test_an_infeasible_trial_meets_no_target(service):
    constraints = [{"metric": "size", "at_most": 1}]
    name = service.new_study(budget={"target": 0.1}, constraints=constraints)
    first, second = service.ask(name, 2)
    service.tell(first, values={"loss": 0.0, "size": 2})
    assert service.study(name)["state"] == "active"
    service.tell(second, values={"loss": 0.0, "size": 1})
    assert service.study(name)["state"] == "finished"


def test_a_target_of_a_maximized_objective_is_reached_from_below(service):
    name = service.new_study(objective=["loss", "maximize"], budget={"target": 0.9})
    first, second = service.ask(name, 2)
    service.tell(first, 0.5)
    assert service.study(name)["state"] == "active"
    service.tell(second, 0.95)
    assert service.study(name)["state"] == "finished"


def test_an_exhausted_grid_finishes_the_study(service):
    space = {"x": {"type": "int", "low": 1, "high": 2}, "y": {"type": "int", "low": 1, "high": 2}}
    name = service.new_study(space=space, sampler="grid")
    imported = {"params": {"x": 1, "y": 1}, "state": "complete", "values": {"loss": 0.0}}
    service.add(name, imported)
    service.add(name, {"params": {"x": 2, "y": 2}})
    asked = service.ask(name, 10)
    assert [(t["params"]["x"], t["params"]["y"]) for t in asked] == [
        (2, 2),
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
    ]
    for trial in asked:
        assert service.study(name)["state"] == "active"
        service.tell(trial, 1.0)
    study = service.study(name)
    assert (study["state"], study["state_reason"], study["size"]) == (
        "finished",
        "grid exhausted",
        4,
    )


def test_raising_trials_does_not_wake_an_exhausted_grid(service):
    space = {"x": {"type": "int", "low": 1, "high": 1}}
    name = service.new_study(space=space, sampler="grid", budget={"trials": 1})
    service.tell(service.ask(name)[0], 1.0)
    assert service.change(name, budget={"trials": 5})["state"] == "finished"
    assert service.study(name)["state_reason"] == "grid exhausted"


@pytest.mark.parametrize(
    ("budget", "way"),
    [
        ({"trials": 1}, "--trials N"),
        ({"target": 0.5}, "--target VALUE"),
        ({"seconds": 5}, "--seconds N"),
    ],
)
def test_resuming_a_study_that_is_over_says_what_to_raise(service, budget, way):
    name = service.new_study(budget=budget)
    (trial,) = service.ask(name)
    service.clock.advance(6)
    service.tell(trial, 0.1)
    assert service.study(name)["state"] == "finished"
    with pytest.raises(BudgetSpent) as caught:
        service.change(name, state="active")
    assert caught.value.hint.endswith(way)
