"""The confirmation that ends a comparison: exactly once, and only what is due."""

from __future__ import annotations

import pytest

from tuner.core.messages import Confirm, Tell
from tuner.core.model import parse
from tuner.errors import Invalid

NAMES = ["adamw", "nesterov", "lbfgs"]


def test_nothing_is_confirmed_before_the_last_trial_of_the_search_has_ended(comparing, service):
    name = comparing.new()
    asked = service.ask(name, 20)
    assert comparing.optimizers(asked) == NAMES * 2
    for trial in asked[:5]:
        service.tell(trial, comparing.loss_of(trial))
        answer = service.run(service.manager.ask(name, service.ask_body(5)))
        assert (answer.body["trials"], answer.body["study_state"]) == ([], "active")
    service.tell(asked[5], comparing.loss_of(asked[5]))
    assert len(service.ask(name, 20)) == 6


def test_twins_of_the_last_tell_confirm_once(comparing, service):
    name = comparing.new()
    asked = service.ask(name, 6)
    for trial in asked[:5]:
        service.tell(trial, comparing.loss_of(trial))
    body = parse(Tell, {"lease": asked[5]["lease"], "state": "complete", "values": {"loss": 1.0}})
    tell = service.manager.tell
    service.together(*(tell(name, 5, body) for _ in range(6)))
    assert len(comparing.pairs(name)) == 6


def test_a_lost_last_trial_confirms_after_the_sweep_that_ended_it_and_once_after_a_restart(
    freshly_comparing,
):
    comparing, service = freshly_comparing, freshly_comparing.service
    name = comparing.new(trial={"command": ["true"], "max_attempts": 1})
    asked = service.ask(name, 6)
    for trial in asked[:5]:
        service.tell(trial, comparing.loss_of(trial))
    service.expire()
    assert service.trial(name, 5)["state"] == "fail"
    first = comparing.pairs(name)
    # of the last optimizer its first trial is the best now
    assert first == [(3, 1), (4, 1), (2, 1), (3, 2), (4, 2), (2, 2)]
    service.reopen()
    service.change(name, tags={"a": 1})
    assert comparing.pairs(name) == first
    comparing.run(name)
    assert service.study(name)["state"] == "finished"
    assert comparing.pairs(name) == first


def test_optimizers_without_a_finite_result_are_left_out_and_named(comparing, service):
    name = comparing.new()
    for trial in service.ask(name, 6):
        bad = trial["params"]["optimizer"] == "lbfgs"
        service.tell(trial, "NaN" if bad else comparing.loss_of(trial))
    assert comparing.pairs(name) == [(3, 1), (4, 1), (3, 2), (4, 2)]
    comparing.run(name)
    study = service.study(name)
    assert study["state_reason"] == "comparison complete; no finite result of lbfgs"
    (event,) = [e for e in comparing.events(name) if e["event"] == "study.confirming"]
    assert event["data"]["left_out"] == ["lbfgs"]


def test_a_comparison_without_any_result_is_finished(comparing, service):
    name = comparing.new()
    for trial in service.ask(name, 6):
        service.tell(trial, state="fail")
    study = service.study(name)
    assert (study["state"], comparing.pairs(name)) == ("finished", [])
    assert "adamw, nesterov, lbfgs" in study["state_reason"]


def test_a_failed_trial_that_is_retried_and_wins_is_confirmed_too(comparing, service):
    name = comparing.new()
    for trial in service.ask(name, 6):
        if trial["number"] == 5:
            service.tell(trial, state="fail")
        else:
            service.tell(trial, comparing.loss_of(trial))
    comparing.run(name)
    before = comparing.pairs(name)
    service.run(service.manager.retry_trial(name, 5))
    assert service.study(name)["state"] == "active"
    (again,) = service.ask(name)
    service.tell(again, 0.01)
    assert comparing.pairs(name) == [*before, (5, 1), (5, 2)]
    comparing.run(name)
    assert service.study(name)["state"] == "finished"


def test_a_failed_replicate_is_not_replaced_and_can_be_retried(comparing, service):
    name = comparing.new()
    for trial in service.ask(name, 6):
        service.tell(trial, comparing.loss_of(trial))
    first, *rest = service.ask(name, 20)
    service.tell(first, state="fail")
    for trial in rest:
        service.tell(trial, comparing.loss_of(trial))
    assert service.study(name)["state"] == "finished"
    assert len(comparing.pairs(name)) == 6
    service.run(service.manager.retry_trial(name, first["number"]))
    (again,) = service.ask(name)
    assert again["user_attrs"] == first["user_attrs"]


def test_a_setting_that_stays_the_best_is_not_confirmed_twice(comparing, service):
    name = comparing.new()
    comparing.run(name)
    service.change(name, compare={"trials": 3})
    for trial in service.ask(name, 3):
        service.tell(trial, 9.0)
    assert service.study(name)["state"] == "finished"
    assert len(comparing.pairs(name)) == 6


def test_the_marks_of_a_replicate_are_the_servers(service):
    name = service.new_study()
    for key in ("confirms", "replicate"):
        with pytest.raises(Invalid, match="fresh seed") as caught:
            service.add(name, {"params": {"x": 0.5}, "user_attrs": {key: 1}})
        assert caught.value.errors[0].path == f"user_attrs.{key}"
        assert "study confirm" in caught.value.hint


def test_confirm_by_hand_adds_fresh_seeds_to_a_comparison(comparing, service):
    name = comparing.new()
    comparing.run(name)
    answer = service.run(service.manager.confirm_study(name, Confirm(seeds=1)))
    marks = [(t["user_attrs"]["confirms"], t["user_attrs"]["replicate"]) for t in
             answer.body["trials"]]  # fmt: skip
    assert marks == [(3, 3), (4, 3), (5, 3)]
    comparing.run(name)
    study = service.study(name)
    assert (study["state"], study["budget"]["trials"]) == ("finished", 15)


def test_a_comparison_that_was_stopped_confirms_what_it_is_asked_for_and_no_more(
    comparing, service
):
    name = comparing.new(compare={"trials": 9})
    comparing.run(name, most=4)
    service.change(name, state="finished")
    service.run(service.manager.confirm_study(name, Confirm(seeds=1)))
    done = comparing.run(name)
    assert comparing.optimizers(done) == NAMES
    assert comparing.pairs(name) == [(3, 1), (1, 1), (2, 1)]
    study = service.study(name)
    # 4 and 3 trials have room in the 33 that were planned
    assert (study["state"], study["budget"]["trials"]) == ("finished", 33)
    service.run(service.manager.confirm_study(name, Confirm(seeds=1)))
    comparing.run(name)
    assert comparing.pairs(name)[3:] == [(3, 2), (1, 2), (2, 2)]


def test_a_stopped_comparison_that_was_confirmed_by_hand_can_still_go_on(comparing, service):
    name = comparing.new(compare={"trials": 3})
    comparing.run(name, most=4)
    service.change(name, state="finished")
    service.run(service.manager.confirm_study(name, Confirm(seeds=1)))
    comparing.run(name)
    assert service.change(name, state="active")["state"] == "active"
    done = comparing.run(name)
    assert comparing.optimizers([t for t in done if not t["user_attrs"]]) == [*NAMES[1:], *NAMES]
    # of each the last is the best
    assert comparing.pairs(name)[3:] == [(9, 1), (10, 1), (11, 1), (9, 2), (10, 2), (11, 2)]
    study = service.study(name)
    assert (study["state"], study["used"]["trials"]) == ("finished", 18)
    assert study["budget"]["trials"] >= 18
