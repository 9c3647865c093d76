"""Confirmation on fresh seeds, for any study."""

from __future__ import annotations

import pytest

from tuner.core.messages import Confirm
from tuner.errors import BudgetSpent, Conflict, IdempotencyMismatch, NoResultYet

ASHA = {"name": "asha", "min_step": 1, "max_step": 9, "reduction_factor": 2}


def confirm(service, name, key=None, **body):
    answer = service.run(service.manager.confirm_study(name, Confirm(**body), key))
    assert answer.status == 201
    return answer.body["trials"]


def marks(trials):
    return [(t["user_attrs"]["confirms"], t["user_attrs"]["replicate"]) for t in trials]


def searched(service, losses, **fields):
    """A study whose search has had these losses."""
    fields = {"budget": {"trials": len(losses)}, **fields}
    name = service.new_study(**fields)
    for trial, loss in zip(service.ask(name, len(losses)), losses, strict=True):
        service.tell(trial, loss)
    return name


def test_the_best_setting_is_queued_with_its_very_parameters_and_the_study_goes_on(service):
    name = searched(service, [0.3, 0.1, 0.2])
    assert service.study(name)["state"] == "finished"
    queued = confirm(service, name, seeds=2)
    assert marks(queued) == [(1, 1), (1, 2)]
    assert {t["state"] for t in queued} == {"waiting"}
    best = service.trial(name, 1)
    assert all(t["params"] == best["params"] for t in queued)
    study = service.study(name)
    assert (study["state"], study["budget"]["trials"], study["used"]["trials"]) == ("active", 5, 5)
    asked = service.ask(name, 9)
    assert marks(asked) == marks(queued)
    for trial in asked:
        service.tell(trial, 0.0)
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", "budget of trials used")
    # a lucky replicate is no better setting
    assert study["best"]["number"] == 1
    front = service.run(service.manager.pareto(name))
    assert [item["number"] for item in front["items"]] == [1]


def test_again_adds_fresh_seeds_of_the_best_of_the_search(service):
    name = searched(service, [0.3, 0.1, 0.2])
    for trial in confirm(service, name, seeds=2):
        del trial
    for trial in service.ask(name, 2):
        service.tell(trial, 0.0)
    assert marks(confirm(service, name, seeds=2)) == [(1, 3), (1, 4)]


def test_several_settings_take_turns_and_one_that_was_tried_twice_counts_once(service):
    name = service.new_study(budget={"trials": 4})
    for x, loss in ((0.1, 0.3), (0.2, 0.1), (0.2, 0.1), (0.4, 0.2)):
        service.add(name, {"params": {"x": x}})
        (trial,) = service.ask(name)
        service.tell(trial, loss)
    assert marks(confirm(service, name, seeds=2, top=2)) == [(1, 1), (3, 1), (1, 2), (3, 2)]
    assert marks(confirm(service, name, seeds=1, top=100)) == [(1, 3), (3, 3), (0, 1)]


def test_trials_without_a_feasible_finite_result_are_not_confirmed(service):
    constraints = [{"metric": "size", "at_most": 1}]
    name = service.new_study(constraints=constraints)
    asked = service.ask(name, 4)
    service.tell(asked[0], values={"loss": 0.0, "size": 2})
    service.tell(asked[1], values={"loss": "NaN", "size": 1})
    service.tell(asked[2], state="fail")
    with pytest.raises(NoResultYet):
        confirm(service, name)
    service.tell(asked[3], values={"loss": 5.0, "size": 1})
    assert {pair[0] for pair in marks(confirm(service, name))} == {3}


def test_several_objectives_have_no_best_setting(service):
    name = service.new_study(objective=None, objectives=["a", "b"])
    with pytest.raises(Conflict, match="several objectives"):
        confirm(service, name)


def test_a_key_confirms_once(service):
    name = searched(service, [0.3])
    first = confirm(service, name, key=f"k-{name}", seeds=3)
    assert confirm(service, name, key=f"k-{name}", seeds=3) == first
    assert service.study(name)["counts"]["waiting"] == 3
    with pytest.raises(IdempotencyMismatch):
        confirm(service, name, key=f"k-{name}", seeds=4)


def test_a_study_that_still_searches_keeps_its_numbers_for_the_search(service):
    name = service.new_study(budget={"trials": 3})
    (trial,) = service.ask(name)
    service.tell(trial, 0.1)
    confirm(service, name, seeds=4)
    assert service.study(name)["budget"]["trials"] == 5
    service.change(name, budget={"trials": 7})
    assert len(service.ask(name, 20)) == 6


@pytest.mark.parametrize(
    ("budget", "why"),
    [({"target": 0.5}, "target reached"), ({"seconds": 10}, "budget of seconds used")],
)
def test_a_study_that_met_its_target_or_time_runs_its_confirmation_and_nothing_else(
    service, budget, why
):
    name = service.new_study(budget=budget)
    service.add(name, {"params": {"x": 0.9}})
    first, second = service.ask(name, 2, lease_seconds=1000)
    service.clock.advance(11)
    service.tell(first, 0.1)
    service.release(second)
    assert service.study(name)["state"] == "finished"
    confirm(service, name, seeds=2)
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("active", f"{why}; confirming")
    asked = service.ask(name, 9)
    assert marks(asked) == [(0, 1), (0, 2)]
    service.run(service.manager.sweep())
    assert service.heartbeat(asked[0])["should_stop"] is False
    for trial in asked:
        service.tell(trial, 0.2)
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", why)
    assert study["counts"]["waiting"] == 1


def test_stopping_the_study_stops_its_confirmation(service):
    name = searched(service, [0.3])
    confirm(service, name, seeds=2)
    (trial,) = service.ask(name)
    service.change(name, state="finished")
    assert service.heartbeat(trial)["reason"] == "cancelled"
    service.tell(trial, state="fail", reason="cancelled")
    assert service.ask(name) == []
    study = service.study(name)
    assert (study["state"], study["counts"]["waiting"]) == ("finished", 1)


def test_a_study_that_was_stopped_confirms_and_does_not_search_on(service):
    name = service.new_study(budget={"trials": 9})
    (trial,) = service.ask(name)
    service.tell(trial, 0.1)
    service.change(name, state="finished")
    confirm(service, name, seeds=2)
    asked = service.ask(name, 9)
    assert marks(asked) == [(0, 1), (0, 2)]
    for trial in asked:
        service.tell(trial, 0.2)
    assert service.study(name)["state"] == "finished"
    with pytest.raises(BudgetSpent):
        service.change(name, state="active")
    assert service.change(name, budget={"trials": 9})["state"] == "active"


def test_a_finished_study_that_was_paused_runs_its_confirmation(service):
    name = searched(service, [0.3])
    service.change(name, state="paused")
    confirm(service, name, seeds=1)
    assert service.study(name)["state"] == "active"


def test_replicates_are_not_pruned_and_teach_nothing(service):
    name = service.new_study(
        pruner=ASHA, sampler={"name": "tpe", "n_startup": 1}, budget={"trials": 6}
    )
    for trial in service.ask(name, 2):
        service.report(trial, (1, {"loss": 0.1}))
        service.tell(trial, 0.1)
    confirm(service, name, seeds=2)
    for trial in service.ask(name, 2):
        assert service.report(trial, (1, {"loss": 99.0}))["should_stop"] is False
        service.tell(trial, "NaN")
    twin = service.new_study(
        pruner=ASHA, sampler={"name": "tpe", "n_startup": 1}, budget={"trials": 6}
    )
    for trial in service.ask(twin, 2):
        service.tell(trial, 0.1)
    (after,), (without,) = service.ask(name), service.ask(twin)
    assert after["params"] == without["params"]
    # of three trials at the rung the best half goes on; two bad replicates would have saved it
    assert service.report(after, (1, {"loss": 9.0}))["reason"] == "pruned"


def test_a_lost_replicate_is_run_again_as_any_other_trial(service):
    name = searched(service, [0.3])
    confirm(service, name, seeds=1)
    (trial,) = service.ask(name)
    service.expire()
    (again,) = service.ask(name)
    assert (again["number"], again["attempt"]) == (trial["number"], 2)
    assert again["user_attrs"] == trial["user_attrs"]
