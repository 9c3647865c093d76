"""Comparisons by trials: equal budgets, turns, phases, what is refused."""

from __future__ import annotations

import pytest

from tuner.errors import BudgetSpent, Invalid, StudyExists

NAMES = ["adamw", "nesterov", "lbfgs"]


@pytest.mark.parametrize("sampler", ["random", "qmc", {"name": "tpe", "n_startup": 2}])
def test_optimizers_take_turns_and_the_best_of_each_is_confirmed_on_fresh_seeds(
    comparing, service, sampler
):
    name = comparing.new(sampler=sampler)
    done = comparing.run(name)
    assert comparing.optimizers(done[:6]) == NAMES * 2
    # replicate 1 of every optimizer first; the second round was better
    assert comparing.optimizers(done[6:]) == NAMES * 2
    assert [t["user_attrs"] for t in done[6:]] == [
        {"confirms": number, "replicate": replicate}
        for replicate in (1, 2)
        for number in (3, 4, 5)
    ]
    assert [t["params"] for t in done[6:]] == [t["params"] for t in done[3:6]] * 2
    assert [t["sampler"] for t in done[6:]] == [None] * 6
    study = service.study(name)
    assert (study["state"], study["state_reason"]) == ("finished", "comparison complete")
    assert study["best"]["number"] == 3
    assert study["budget"] == {"trials": 12}
    assert study["used"]["trials"] == 12


def test_the_phase_and_the_events_say_what_happens(comparing, service):
    name = comparing.new()
    states = []
    for _ in range(12):
        (trial,) = service.ask(name)
        study = service.study(name)
        at = study["comparison"]
        states.append((at["phase"], at["searched"], at["confirmed"], study["state_reason"]))
        service.tell(trial, comparing.loss_of(trial))
    assert states[0] == ("searching", 0, 0, None)
    assert states[5] == ("searching", 5, 0, None)
    assert states[6] == (
        "confirming", 6, 0, "confirming: 0 of 6 trials on fresh seeds have ended"
    )  # fmt: skip
    assert states[11][:3] == ("confirming", 6, 5)
    at = service.study(name)["comparison"]
    assert at["phase"] == "complete"
    assert (at["search_trials"], at["confirm_trials"]) == (6, 6)
    named = comparing.events(name)
    assert [item["event"] for item in named] == [
        "study.created", "study.confirming", "study.finished"
    ]  # fmt: skip
    assert named[1]["data"] == {
        "trials": [6, 7, 8, 9, 10, 11], "confirms": [3, 4, 5], "left_out": []
    }  # fmt: skip


def test_a_larger_budget_tunes_on_and_confirms_what_is_better_then(comparing, service):
    name = comparing.new()
    comparing.run(name)
    # N numbers: N // 3 of each optimizer, two of them to confirm
    study = service.change(name, budget={"trials": 17})
    assert (study["state"], study["compare"]["trials"]) == ("active", 3)
    done = comparing.run(name)
    assert comparing.optimizers(done[:3]) == NAMES
    assert [t["user_attrs"]["confirms"] for t in done[3:]] == [12, 13, 14] * 2
    study = service.study(name)
    assert (study["state"], study["budget"]["trials"]) == ("finished", 21)


def test_a_budget_that_leaves_nothing_to_tune_is_refused(comparing, service):
    name = comparing.new()
    for body, path in (
        ({"budget": {"trials": 8}}, "budget.trials"),
        ({"compare": {"trials": 0}}, "compare.trials"),
        ({"compare": {"seconds": 5}}, "compare.seconds"),
        ({"compare": {"seeds": 5}}, "compare.seeds"),
    ):
        with pytest.raises(Invalid) as caught:
            service.change(name, **body)
        assert caught.value.errors[0].path == path
    plain = service.new_study()
    with pytest.raises(Invalid, match="compares nothing"):
        service.change(plain, compare={"trials": 3})
    study = service.change(name, tags={"a": 1})
    assert (study["compare"], study["budget"]) == ({"trials": 2, "seeds": 2}, {"trials": 12})


def test_enqueued_trials_take_no_turn_and_nothing_that_the_comparison_needs(comparing, service):
    name = comparing.new()
    with pytest.raises(BudgetSpent, match="0 of 12"):
        service.add(name, {"params": {"optimizer": "adamw"}})
    name = comparing.new(budget={"trials": 13})
    service.add(name, {"params": {"optimizer": "lbfgs"}})
    done = comparing.run(name)
    assert comparing.optimizers(done) == ["lbfgs", *NAMES * 4]
    assert service.study(name)["used"]["trials"] == 13


def test_an_export_is_imported_with_its_replicates(comparing, service):
    name = comparing.new()
    comparing.run(name)
    keys = ("params", "state", "values", "user_attrs")
    exported = [{key: t[key] for key in keys} for t in service.trials(name)]
    copy = comparing.new()
    service.add(copy, {"trials": exported})
    study = service.study(copy)
    assert (study["best"]["number"], study["counts"]["complete"]) == (3, 12)
    assert comparing.pairs(copy) == comparing.pairs(name)
    with pytest.raises(Invalid, match="same parameters"):
        service.add(copy, {"trials": [{**exported[7], "user_attrs": {"confirms": 0}}]})
    attrs = {"confirms": 0, "replicate": 1}
    with pytest.raises(Invalid, match="same parameters"):
        service.add(copy, {"trials": [{**exported[7], "user_attrs": attrs}]})


def test_the_same_comparison_again_is_the_same_study(service):
    body = service.body(space={}, compare=NAMES)
    first = service.run(service.manager.create_study(body))
    again = service.run(service.manager.create_study(body))
    assert (first.status, again.status) == (201, 200)
    assert first.body["comparison"] == again.body["comparison"]
    written = {key: first.body[key] for key in ("name", "objectives", "space", "sampler")}
    written |= {key: first.body[key] for key in ("pruner", "budget", "compare")}
    assert written["compare"] == {"trials": 20, "seeds": 5}
    assert service.run(service.manager.create_study(written)).status == 200
    other = {**written, "compare": {"trials": 21, "seeds": 4}}
    with pytest.raises(StudyExists, match="compare"):
        service.run(service.manager.create_study(other))


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"sampler": "grid"}, "sampler.name"),
        ({"budget": {"trials": 11}}, "budget.trials"),
        ({"space": {"optimizers": NAMES, "parameters": {
            "optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]}}}},
         "space.parameters.optimizer"),
        ({"space": {"optimizers": NAMES, "parameters": {
            "optimizer": {"type": "fixed", "value": "adamw"}}}}, "space.parameters.optimizer"),
    ],
)  # fmt: skip
def test_what_would_not_be_fair_is_refused_at_creation(comparing, fields, path):
    with pytest.raises(Invalid) as caught:
        comparing.new(**fields)
    assert caught.value.errors[0].path == path
