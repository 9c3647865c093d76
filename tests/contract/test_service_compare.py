"""Comparison studies: equal budgets, confirmation exactly once, peers of the same optimizer."""

from __future__ import annotations

import itertools

import pytest

from tuner.core.messages import Confirm, Tell
from tuner.core.model import parse
from tuner.errors import BudgetSpent, Invalid, StudyExists

NAMES = ["adamw", "nesterov", "lbfgs"]
ASHA = {"name": "asha", "min_step": 1, "max_step": 9, "reduction_factor": 2}
# how good each optimizer can be, and so the order of the best
FLOOR = {"adamw": 0.1, "nesterov": 0.2, "lbfgs": 0.3}


def compared(service, **fields):
    compare = {"optimizers": NAMES, "trials": 2, "seeds": 2, **fields.pop("compare", {})}
    return service.new_study(**{"space": {}, "compare": compare, **fields})


def loss_of(trial):
    """Later rounds are better; replicates are better than all, so none may count as the best."""
    if "confirms" in trial["user_attrs"]:
        return 0.0
    return FLOOR[trial["params"]["optimizer"]] + 1.0 / (1 + trial["number"])


def run(service, name, most=1000):
    """One worker: all trials in order."""
    done = []
    for _ in range(most):
        asked = service.ask(name)
        if not asked:
            return done
        done.append(asked[0])
        service.tell(asked[0], loss_of(asked[0]))
    return done


def optimizers(trials):
    return [trial["params"]["optimizer"] for trial in trials]


def pairs(service, name):
    return [
        (t["user_attrs"]["confirms"], t["user_attrs"]["replicate"])
        for t in service.trials(name)
        if t["user_attrs"]
    ]


def happened(service, name):
    """The events of a study that are about the study itself."""
    found = service.run(service.manager.events(name, after=0))
    return [item for item in found if item["event"].startswith("study.")]


@pytest.mark.parametrize("sampler", ["random", "qmc", {"name": "tpe", "n_startup": 2}])
def test_optimizers_take_turns_and_the_best_of_each_is_confirmed_on_fresh_seeds(service, sampler):
    name = compared(service, sampler=sampler)
    done = run(service, name)
    assert optimizers(done[:6]) == NAMES * 2
    # replicate 1 of every optimizer first; the second round was better
    assert optimizers(done[6:]) == NAMES * 2
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


def test_the_phase_and_the_events_say_what_happens(service):
    name = compared(service)
    states = []
    for _ in range(12):
        (trial,) = service.ask(name)
        study = service.study(name)
        at = study["comparison"]
        states.append((at["phase"], at["searched"], at["confirmed"], study["state_reason"]))
        service.tell(trial, loss_of(trial))
    assert states[0] == ("searching", 0, 0, None)
    assert states[5] == ("searching", 5, 0, None)
    assert states[6] == (
        "confirming", 6, 0, "confirming: 0 of 6 trials on fresh seeds have ended"
    )  # fmt: skip
    assert states[11][:3] == ("confirming", 6, 5)
    at = service.study(name)["comparison"]
    assert at["phase"] == "complete"
    assert (at["search_trials"], at["confirm_trials"]) == (6, 6)
    named = happened(service, name)
    assert [item["event"] for item in named] == [
        "study.created", "study.confirming", "study.finished"
    ]  # fmt: skip
    assert named[1]["data"] == {
        "trials": [6, 7, 8, 9, 10, 11], "confirms": [3, 4, 5], "left_out": []
    }  # fmt: skip


def test_nothing_is_confirmed_before_the_last_trial_of_the_search_has_ended(service):
    name = compared(service)
    asked = service.ask(name, 20)
    assert optimizers(asked) == NAMES * 2
    for trial in asked[:5]:
        service.tell(trial, loss_of(trial))
        answer = service.run(service.manager.ask(name, service.ask_body(5)))
        assert (answer.body["trials"], answer.body["study_state"]) == ([], "active")
    service.tell(asked[5], loss_of(asked[5]))
    assert len(service.ask(name, 20)) == 6


def test_twins_of_the_last_tell_confirm_once(service):
    name = compared(service)
    asked = service.ask(name, 6)
    for trial in asked[:5]:
        service.tell(trial, loss_of(trial))
    body = parse(Tell, {"lease": asked[5]["lease"], "state": "complete", "values": {"loss": 1.0}})
    tell = service.manager.tell
    service.together(*(tell(name, 5, body) for _ in range(6)))
    assert len(pairs(service, name)) == 6


def test_a_lost_last_trial_confirms_after_the_sweep_that_ended_it_and_once_after_a_restart(
    fresh_service,
):
    service = fresh_service
    name = compared(service, trial={"command": ["true"], "max_attempts": 1})
    asked = service.ask(name, 6)
    for trial in asked[:5]:
        service.tell(trial, loss_of(trial))
    service.expire()
    assert service.trial(name, 5)["state"] == "fail"
    first = pairs(service, name)
    # of the last optimizer its first trial is the best now
    assert first == [(3, 1), (4, 1), (2, 1), (3, 2), (4, 2), (2, 2)]
    service.reopen()
    service.change(name, tags={"a": 1})
    assert pairs(service, name) == first
    run(service, name)
    assert service.study(name)["state"] == "finished"
    assert pairs(service, name) == first


def test_optimizers_without_a_finite_result_are_left_out_and_named(service):
    name = compared(service)
    for trial in service.ask(name, 6):
        bad = trial["params"]["optimizer"] == "lbfgs"
        service.tell(trial, "NaN" if bad else loss_of(trial))
    assert pairs(service, name) == [(3, 1), (4, 1), (3, 2), (4, 2)]
    run(service, name)
    study = service.study(name)
    assert study["state_reason"] == "comparison complete; no finite result of lbfgs"
    (event,) = [e for e in happened(service, name) if e["event"] == "study.confirming"]
    assert event["data"]["left_out"] == ["lbfgs"]


def test_a_comparison_without_any_result_is_finished(service):
    name = compared(service)
    for trial in service.ask(name, 6):
        service.tell(trial, state="fail")
    study = service.study(name)
    assert (study["state"], pairs(service, name)) == ("finished", [])
    assert "adamw, nesterov, lbfgs" in study["state_reason"]


def test_a_failed_trial_that_is_retried_and_wins_is_confirmed_too(service):
    name = compared(service)
    for trial in service.ask(name, 6):
        if trial["number"] == 5:
            service.tell(trial, state="fail")
        else:
            service.tell(trial, loss_of(trial))
    run(service, name)
    before = pairs(service, name)
    service.run(service.manager.retry_trial(name, 5))
    assert service.study(name)["state"] == "active"
    (again,) = service.ask(name)
    service.tell(again, 0.01)
    assert pairs(service, name) == [*before, (5, 1), (5, 2)]
    run(service, name)
    assert service.study(name)["state"] == "finished"


def test_a_failed_replicate_is_not_replaced_and_can_be_retried(service):
    name = compared(service)
    for trial in service.ask(name, 6):
        service.tell(trial, loss_of(trial))
    first, *rest = service.ask(name, 20)
    service.tell(first, state="fail")
    for trial in rest:
        service.tell(trial, loss_of(trial))
    assert service.study(name)["state"] == "finished"
    assert len(pairs(service, name)) == 6
    service.run(service.manager.retry_trial(name, first["number"]))
    (again,) = service.ask(name)
    assert again["user_attrs"] == first["user_attrs"]


def test_a_larger_budget_tunes_on_and_confirms_what_is_better_then(service):
    name = compared(service)
    run(service, name)
    # N numbers: N // 3 of each optimizer, two of them to confirm
    study = service.change(name, budget={"trials": 17})
    assert (study["state"], study["compare"]["trials"]) == ("active", 3)
    done = run(service, name)
    assert optimizers(done[:3]) == NAMES
    assert [t["user_attrs"]["confirms"] for t in done[3:]] == [12, 13, 14] * 2
    study = service.study(name)
    assert (study["state"], study["budget"]["trials"]) == ("finished", 21)


def test_a_setting_that_stays_the_best_is_not_confirmed_twice(service):
    name = compared(service)
    run(service, name)
    service.change(name, compare={"trials": 3})
    for trial in service.ask(name, 3):
        service.tell(trial, 9.0)
    assert service.study(name)["state"] == "finished"
    assert len(pairs(service, name)) == 6


def test_a_budget_that_leaves_nothing_to_tune_is_refused(service):
    name = compared(service)
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


def test_enqueued_trials_take_no_turn_and_nothing_that_the_comparison_needs(service):
    name = compared(service)
    with pytest.raises(BudgetSpent, match="0 of 12"):
        service.add(name, {"params": {"optimizer": "adamw"}})
    name = compared(service, budget={"trials": 13})
    service.add(name, {"params": {"optimizer": "lbfgs"}})
    done = run(service, name)
    assert optimizers(done) == ["lbfgs", *NAMES * 4]
    assert service.study(name)["used"]["trials"] == 13


def test_the_marks_of_a_replicate_are_the_servers(service):
    name = service.new_study()
    for key in ("confirms", "replicate"):
        with pytest.raises(Invalid, match="fresh seed") as caught:
            service.add(name, {"params": {"x": 0.5}, "user_attrs": {key: 1}})
        assert caught.value.errors[0].path == f"user_attrs.{key}"
        assert "study confirm" in caught.value.hint


def test_an_export_is_imported_with_its_replicates(service):
    name = compared(service)
    run(service, name)
    keys = ("params", "state", "values", "user_attrs")
    exported = [{key: t[key] for key in keys} for t in service.trials(name)]
    copy = compared(service)
    service.add(copy, {"trials": exported})
    study = service.study(copy)
    assert (study["best"]["number"], study["counts"]["complete"]) == (3, 12)
    assert pairs(service, copy) == pairs(service, name)
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
def test_what_would_not_be_fair_is_refused_at_creation(service, fields, path):
    with pytest.raises(Invalid) as caught:
        compared(service, **fields)
    assert caught.value.errors[0].path == path


# --- seconds


def by_seconds(service, cost, failing=(), **compare):
    """Run a comparison by seconds; `cost` are the seconds of a trial of each optimizer."""
    name = service.new_study(space={}, compare={"optimizers": NAMES, "seeds": 1, **compare})
    done = []
    for _ in range(200):
        asked = service.ask(name, lease_seconds=1000)
        if not asked:
            break
        done += asked
        if "confirms" not in asked[0]["user_attrs"]:
            service.clock.advance(cost[asked[0]["params"]["optimizer"]])
        bad = asked[0]["params"]["optimizer"] in failing
        service.tell(asked[0], *([] if bad else [0.5]), state="fail" if bad else "complete")
    return name, done


def test_every_optimizer_gets_the_same_seconds_whatever_its_trials_cost(service):
    cost = {"adamw": 2.0, "nesterov": 4.0, "lbfgs": 7.0}
    name, done = by_seconds(service, cost, seconds=20)
    study = service.study(name)
    assert study["comparison"]["seconds"] == {"adamw": 20.0, "nesterov": 20.0, "lbfgs": 21.0}
    search = [t for t in done if not t["user_attrs"]]
    assert [optimizers(search).count(n) for n in NAMES] == [10, 5, 3]
    assert optimizers(done[-3:]) == NAMES
    assert study["state_reason"] == "comparison complete"
    assert study["size"] == len(search) == 18


def test_the_seconds_that_a_trial_reports_count_instead_of_those_of_its_process(service):
    name = service.new_study(space={}, compare={"optimizers": NAMES[:2], "seconds": 10})
    for trial in service.ask(name, 2, lease_seconds=1000):
        service.clock.advance(30)
        service.report(trial, (1, {"seconds": 2.0}), (2, {"seconds": 4.5, "loss": 1.0}))
        service.tell(trial)
    at = service.study(name)["comparison"]
    assert at["seconds"] == {"adamw": 4.5, "nesterov": 4.5}
    assert service.study(name)["state"] == "active"


def test_running_trials_count_with_what_they_are_expected_to_take(service):
    name = service.new_study(space={}, compare={"optimizers": NAMES[:2], "seconds": 10})
    first = service.ask(name, 2, lease_seconds=1000)
    service.clock.advance(4)
    for trial in first:
        service.tell(trial, 0.5)
    # 4 s used, 4 s a trial: two more each are expected to use up the 10 s
    assert optimizers(service.ask(name, 50, lease_seconds=1000)) == NAMES[:2] * 2
    assert service.study(name)["state"] == "active"


def test_an_optimizer_whose_first_trials_all_fail_is_given_up(service):
    cost = {"adamw": 5.0, "nesterov": 5.0, "lbfgs": 0.0}
    name, done = by_seconds(service, cost, failing=["lbfgs"], seconds=20)
    assert optimizers(done).count("lbfgs") == 10
    assert service.study(name)["state_reason"] == "comparison complete; no finite result of lbfgs"


def test_more_seconds_tune_on(service):
    name, _ = by_seconds(service, dict.fromkeys(NAMES, 5.0), seconds=10)
    assert service.study(name)["state"] == "finished"
    study = service.change(name, compare={"seconds": 15})
    assert (study["state"], study["compare"]["seconds"]) == ("active", 15)
    assert optimizers(service.ask(name, 3)) == NAMES


@pytest.mark.parametrize("sampler", ["qmc", {"name": "tpe", "n_startup": 2}])
def test_with_seconds_too_every_optimizer_is_searched_as_if_alone(service, sampler):
    """The rounds of an optimizer do not depend on the others' costs."""
    runs = []
    for lbfgs in (5.0, 1.0):
        cost = {"adamw": 3.0, "nesterov": 4.0, "lbfgs": lbfgs}
        name = service.new_study(
            space={}, sampler=sampler, compare={"optimizers": NAMES, "seeds": 0, "seconds": 15}
        )
        while asked := service.ask(name, lease_seconds=1000):
            service.clock.advance(cost[asked[0]["params"]["optimizer"]])
            service.tell(asked[0], 0.5)
        runs.append(
            {n: [t["params"] for t in service.trials(name) if optimizers([t]) == [n]]
             for n in NAMES}
        )  # fmt: skip
    assert runs[0]["adamw"] == runs[1]["adamw"]
    assert runs[0]["nesterov"] == runs[1]["nesterov"]
    assert len(runs[1]["lbfgs"]) == 15 > len(runs[0]["lbfgs"])
    assert runs[1]["lbfgs"][: len(runs[0]["lbfgs"])] == runs[0]["lbfgs"]


# --- pruners


def test_a_trial_is_compared_with_trials_of_its_optimizer_only(service):
    name = compared(service, compare={"trials": 4}, pruner=ASHA)
    asked = service.ask(name, 12)
    for trial, worse in zip(asked, itertools.count(1)):
        bad = trial["params"]["optimizer"] == "lbfgs"
        # all of lbfgs are far worse than the others, and each better than the one before
        answer = service.report(trial, (1, {"loss": 100.0 - worse if bad else 0.001 * -worse}))
        assert answer["reason"] is None
    name = compared(service, compare={"trials": 4}, pruner=ASHA)
    asked = service.ask(name, 12)
    reasons = [service.report(t, (1, {"loss": t["number"]}))["reason"] for t in asked]
    assert reasons == [None] * 3 + ["pruned"] * 9


def test_replicates_are_not_pruned_and_are_nobodys_peers(service):
    name = compared(service, pruner=ASHA)
    for trial in service.ask(name, 6):
        service.report(trial, (1, {"loss": 0.1}))
        service.tell(trial, 0.1)
    confirming = service.ask(name, 6)
    for trial in confirming:
        assert service.report(trial, (1, {"loss": 99.0}))["should_stop"] is False
    service.change(name, compare={"trials": 3})
    for trial in confirming:
        service.tell(trial, 99.0)
    for trial in service.ask(name, 3):
        # were the replicates peers, 0.2 would be among the best half
        assert service.report(trial, (1, {"loss": 0.2}))["reason"] == "pruned"


def test_confirm_by_hand_adds_fresh_seeds_to_a_comparison(service):
    name = compared(service)
    run(service, name)
    answer = service.run(service.manager.confirm_study(name, Confirm(seeds=1)))
    marks = [(t["user_attrs"]["confirms"], t["user_attrs"]["replicate"]) for t in
             answer.body["trials"]]  # fmt: skip
    assert marks == [(3, 3), (4, 3), (5, 3)]
    run(service, name)
    study = service.study(name)
    assert (study["state"], study["budget"]["trials"]) == ("finished", 15)


def test_a_comparison_that_was_stopped_confirms_without_going_on(service):
    name = compared(service, compare={"trials": 9})
    run(service, name, most=4)
    service.change(name, state="finished")
    service.run(service.manager.confirm_study(name, Confirm(seeds=2)))
    done = run(service, name)
    assert optimizers(done) == NAMES * 2
    assert [t["user_attrs"]["confirms"] for t in done[:3]] == [3, 1, 2]
    study = service.study(name)
    # 4 and 6 trials have room in the 33 that were planned
    assert (study["state"], study["budget"]["trials"]) == ("finished", 33)
