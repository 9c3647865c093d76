"""Comparisons by seconds: every optimizer trains as long as the others."""

from __future__ import annotations

import pytest

from tuner.errors import Invalid

NAMES = ["adamw", "nesterov", "lbfgs"]


def test_every_optimizer_gets_the_same_seconds_whatever_its_trials_cost(comparing, service):
    cost = {"adamw": 2.0, "nesterov": 4.0, "lbfgs": 7.0}
    name, done = comparing.by_seconds(cost, seconds=20)
    study = service.study(name)
    assert study["comparison"]["seconds"] == {"adamw": 20.0, "nesterov": 20.0, "lbfgs": 21.0}
    search = [t for t in done if not t["user_attrs"]]
    assert [comparing.optimizers(search).count(n) for n in NAMES] == [10, 5, 3]
    assert comparing.optimizers(done[-3:]) == NAMES
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


def test_running_trials_count_with_what_they_are_expected_to_take(comparing, service):
    name = service.new_study(space={}, compare={"optimizers": NAMES[:2], "seconds": 10})
    first = service.ask(name, 2, lease_seconds=1000)
    service.clock.advance(4)
    for trial in first:
        service.tell(trial, 0.5)
    # 4 s used, 4 s a trial: two more each are expected to use up the 10 s
    assert comparing.optimizers(service.ask(name, 50, lease_seconds=1000)) == NAMES[:2] * 2
    assert service.study(name)["state"] == "active"


def test_an_optimizer_whose_first_trials_all_fail_is_given_up(comparing, service):
    cost = {"adamw": 5.0, "nesterov": 5.0, "lbfgs": 0.0}
    name, done = comparing.by_seconds(cost, failing=["lbfgs"], seconds=20)
    assert comparing.optimizers(done).count("lbfgs") == 10
    assert service.study(name)["state_reason"] == "comparison complete; no finite result of lbfgs"


def test_more_seconds_tune_on(comparing, service):
    name, _ = comparing.by_seconds(dict.fromkeys(NAMES, 5.0), seconds=10)
    assert service.study(name)["state"] == "finished"
    study = service.change(name, compare={"seconds": 15})
    assert (study["state"], study["compare"]["seconds"]) == ("active", 15)
    assert comparing.optimizers(service.ask(name, 3)) == NAMES


@pytest.mark.parametrize("sampler", ["qmc", {"name": "tpe", "n_startup": 2}])
def test_with_seconds_too_every_optimizer_is_searched_as_if_alone(comparing, service, sampler):
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
            {n: [t["params"] for t in service.trials(name) if comparing.optimizers([t]) == [n]]
             for n in NAMES}
        )  # fmt: skip
    assert runs[0]["adamw"] == runs[1]["adamw"]
    assert runs[0]["nesterov"] == runs[1]["nesterov"]
    assert len(runs[1]["lbfgs"]) == 15 > len(runs[0]["lbfgs"])
    assert runs[1]["lbfgs"][: len(runs[0]["lbfgs"])] == runs[0]["lbfgs"]


def test_a_trial_that_is_stopped_in_the_queue_counts_until_it_is_retried(service):
    name = service.new_study(space={}, compare={"optimizers": NAMES[:2], "seconds": 10})
    (trial,) = service.ask(name, lease_seconds=1000)
    service.clock.advance(3)
    service.release(trial, reason="preempted")
    service.clock.advance(50)
    service.run(service.manager.stop_trial(name, 0))
    at = service.study(name)["comparison"]
    assert (at["searched"], at["seconds"]) == (1, {"adamw": 3.0, "nesterov": 0.0})
    service.run(service.manager.retry_trial(name, 0))
    at = service.study(name)["comparison"]
    assert (at["searched"], at["seconds"]) == (0, {"adamw": 0.0, "nesterov": 0.0})


def test_a_budget_of_trials_too_keeps_the_numbers_of_the_confirmation_back(comparing, service):
    name = service.new_study(
        space={}, compare={"optimizers": NAMES, "seconds": 1000, "seeds": 2}, budget={"trials": 13}
    )
    first = service.ask(name, 50)
    assert comparing.optimizers(first) == [*NAMES * 2, NAMES[0]]
    for trial in first:
        service.tell(trial, comparing.loss_of(trial))
    done = comparing.run(name)
    assert comparing.pairs(name) == [(6, 1), (4, 1), (5, 1), (6, 2), (4, 2), (5, 2)]
    study = service.study(name)
    assert (len(done), study["state_reason"]) == (6, "comparison complete")
    assert study["used"]["trials"] == study["budget"]["trials"] == 13
    # three more of the search, and seeds for those that are the best then
    study = service.change(name, budget={"trials": 22})
    assert study["state"] == "active"
    assert len([t for t in comparing.run(name) if not t["user_attrs"]]) == 3


def test_a_budget_of_trials_that_leaves_nothing_beside_the_confirmation_is_refused(service):
    compare = {"optimizers": NAMES, "seconds": 5, "seeds": 2}
    with pytest.raises(Invalid, match="at least 9") as caught:
        service.new_study(space={}, compare=compare, budget={"trials": 8})
    assert caught.value.errors[0].path == "budget.trials"
