"""Studies through the manager, on both databases: creating, changing, budgets, lists, deleting."""

from __future__ import annotations

import pytest

from tuner.errors import BudgetSpent, Conflict, Invalid, StudyExists, StudyNotFound, TrialNotFound


def test_creating_answers_the_study_written_out(service):
    answer = service.run(service.manager.create_study(service.body(name="written-out")))
    assert answer.status == 201
    assert answer.body["objectives"] == [
        {"metric": "loss", "direction": "minimize", "from": "last"}
    ]
    assert answer.body["sampler"] == {"name": "random", "seed": 0}
    assert answer.body["counts"] == dict.fromkeys(
        ("waiting", "running", "complete", "pruned", "fail"), 0
    )
    assert answer.body["state"] == "active"
    assert answer.body["best"] is None
    assert answer.body == service.study("written-out")


def test_a_dry_run_shows_the_expanded_space_and_stores_nothing(service):
    body = service.body(name="dry", space={"optimizers": ["sgd", "adam"]})
    answer = service.run(service.manager.create_study(body, dry_run=True))
    assert answer.status == 200
    assert answer.body["space"] == {
        "optimizers": {"names": ["sgd", "adam"]},
        "parameters": {},
    }
    assert "adam.lr" in answer.body["expanded_space"]["parameters"]
    with pytest.raises(StudyNotFound):
        service.study("dry")


def test_the_same_specification_again_finds_the_study_and_another_is_refused(service):
    body = service.body(tags={"team": "a"})
    assert service.run(service.manager.create_study(body)).status == 201
    longer = {**body, "sampler": {"name": "random"}, "objectives": [{"metric": "loss"}]}
    del longer["objective"]
    again = service.run(service.manager.create_study(longer))
    assert again.status == 200
    with pytest.raises(StudyExists, match="tags"):
        service.run(service.manager.create_study({**body, "tags": {"team": "b"}}))


def test_the_same_specification_is_the_study_as_it_now_stands(service):
    name = service.new_study(budget={"trials": 3})
    service.change(name, budget={"trials": 5}, tags={"a": 1})
    now = service.body(name=name, budget={"trials": 5}, tags={"a": 1})
    assert service.run(service.manager.create_study(now)).status == 200
    with pytest.raises(StudyExists, match="budget"):
        service.run(service.manager.create_study(service.body(name=name, tags={"a": 1})))


def test_concurrent_equal_creations_make_one_study(service):
    body = service.body()
    answers = service.together(*(service.manager.create_study(body) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] * 7 + [201]


def test_mistakes_are_found_at_creation_with_their_path(service):
    for fields, path in (
        ({"sampler": "randm"}, "sampler.name"),
        ({"pruner": {"name": "asha", "metric": "acc"}}, "pruner.metric"),
        ({"trial": {"task": {"dataset": "digits", "model": "mlpp"}}}, "trial.task.model"),
        ({"trial": {"command": ["x", "{y}"]}}, "trial.command[1]"),
        ({"space": {"optimizers": ["sgdd"]}}, "space.optimizers[0]"),
        ({"budget": {"trials": 0}}, "budget.trials"),
    ):
        with pytest.raises(Invalid) as caught:
            service.run(service.manager.create_study(service.body(**fields)))
        assert caught.value.errors[0].path == path


def test_a_task_without_optimizers_to_choose_trains_its_own(service):
    task = {"dataset": "digits", "model": "mlp"}
    space = {"lr": {"type": "float", "low": 1e-4, "high": 0.1}}
    fields = {"objective": ["val_loss", "minimize"], "space": space, "trial": {"task": task}}
    assert service.run(service.manager.create_study(service.body(**fields))).status == 201
    fields["space"] = space | {"momentum": {"type": "float", "low": 0, "high": 1}}
    with pytest.raises(Invalid, match="momentum"):
        service.run(service.manager.create_study(service.body(**fields)))
    fields["trial"] = {"task": task | {"optimizer": "momentum"}}
    assert service.run(service.manager.create_study(service.body(**fields))).status == 201


def test_a_metric_must_be_one_of_every_data_set_that_a_trial_may_choose(service):
    fields = {
        "objective": ["val_accuracy", "maximize"],
        "space": {"dataset": {"type": "categorical", "choices": ["wine", "diabetes"]}},
        "trial": {"task": {"dataset": "wine"}},
    }
    with pytest.raises(Invalid) as caught:
        service.run(service.manager.create_study(service.body(**fields)))
    assert caught.value.errors[0].path == "objectives[0].metric"


# --- states


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


# --- budgets


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
    from tuner.core.messages import Ask

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


def test_a_wrong_change_changes_nothing(service):
    name = service.new_study(budget={"trials": 5})
    for body, path in (
        ({"budget": {"trials": -1}}, "budget.trials"),
        ({"budget": {"trails": 3}}, "budget.trails"),
        ({"tags": {"a": [1]}}, "tags.a"),
    ):
        with pytest.raises(Invalid) as caught:
            service.change(name, **body)
        assert caught.value.errors[0].path == path
    assert service.study(name)["budget"] == {"trials": 5}
    assert service.change(name, budget={"trials": None})["budget"] == {}


# --- lists, deleting


def test_studies_are_listed_by_name_page_by_page(fresh_service):
    service = fresh_service
    names = ["b", "B", "a-1", "a_1", "a.1", "A", "z", "Z-2"]
    for name in names:
        service.new_study(name=name)
    service.change("z", state="finished")
    for size in (1, 3, 4, 8, 9):
        found, cursor = [], None
        while True:
            page = service.run(service.manager.list_studies(limit=size, cursor=cursor))
            found += [item["name"] for item in page["items"]]
            cursor = page["next_cursor"]
            assert (cursor is None) == (len(found) == len(names))
            if cursor is None:
                break
        assert found == sorted(names)
    finished = service.run(service.manager.list_studies(state="finished"))
    assert [item["name"] for item in finished["items"]] == ["z"]
    matching = service.run(service.manager.list_studies(q="A_"))
    assert [item["name"] for item in matching["items"]] == ["a_1"]
    with pytest.raises(Invalid, match="active"):
        service.run(service.manager.list_studies(state="activ"))
    with pytest.raises(Invalid, match="cursor"):
        service.run(service.manager.list_studies(cursor="!!"))


def test_a_deleted_study_is_gone_with_everything_and_its_name_is_free(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.report(trial, (1, {"loss": 1.0}))
    service.run(service.manager.delete_study(name))
    with pytest.raises(StudyNotFound):
        service.study(name)
    with pytest.raises(StudyNotFound):
        service.tell(trial, 1.0)
    with pytest.raises(StudyNotFound):
        service.run(service.manager.delete_study(name))
    service.new_study(name=name)
    assert service.trials(name) == []
    with pytest.raises(TrialNotFound):
        service.trial(name, 0)
    (new,) = service.ask(name)
    with pytest.raises(Conflict):
        service.tell(trial, 1.0)
    service.tell(new, 1.0)
