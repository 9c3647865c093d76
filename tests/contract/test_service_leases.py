"""What the holder of a lease may do, and what happens when it is lost; on both databases."""

from __future__ import annotations

import pytest

from tuner.core.messages import Log
from tuner.errors import (
    AlreadyReported,
    AlreadyTold,
    Conflict,
    Invalid,
    InvalidMetric,
    LeaseLost,
    TrialFinished,
)

COMMAND = {"command": ["true"]}


def rows(service, trial):
    page = service.run(service.manager.measurements(trial["study"], trial["number"], limit=1000))
    return [(r["attempt"], r["step"], r["values"]) for r in page["items"]]


# --- report


def test_a_report_is_stored_and_renews_the_lease(service):
    (trial,) = service.ask(service.new_study())
    service.clock.advance(50)
    answer = service.report(trial, (1, {"loss": 0.5, "acc": 0.1}), (2, {"loss": "Infinity"}))
    assert (answer["should_stop"], answer["reason"]) == (False, None)
    assert answer["lease_expires_at"] > trial["lease_expires_at"]
    assert service.expire(50) == 0
    assert rows(service, trial) == [
        (1, 1, {"loss": 0.5, "acc": 0.1}),
        (1, 2, {"loss": "Infinity"}),
    ]


def test_the_same_report_again_is_nothing_new(service):
    (trial,) = service.ask(service.new_study())
    for _ in range(2):
        service.report(trial, (1, {"loss": "NaN"}), (2, {"loss": 0.1}))
    service.report(trial, (2, {"loss": 0.1}), (3, {"loss": 1}))
    assert [step for _, step, _ in rows(service, trial)] == [1, 2, 3]


@pytest.mark.parametrize(("first", "second"), [(1.0, 2.0), ("NaN", 1.0), (1.0, "NaN")])
def test_another_value_for_a_step_is_refused_and_nothing_of_the_report_is_taken(
    service, first, second
):
    (trial,) = service.ask(service.new_study())
    service.report(trial, (5, {"loss": first}))
    with pytest.raises(AlreadyReported, match="step 5"):
        service.report(trial, (4, {"loss": 0.0}), (5, {"loss": second}), (6, {"loss": 0.0}))
    assert rows(service, trial) == [(1, 5, {"loss": first})]


def test_steps_come_in_any_order_and_the_highest_is_the_last(service):
    (trial,) = service.ask(service.new_study())
    service.report(trial, (3, {"loss": 3.0}))
    service.report(trial, (0, {"loss": 0.0}))
    service.report(trial, (2, {"loss": 2.0}))
    assert service.tell(trial)["values"] == {"loss": 3.0}


def test_each_attempt_reports_its_own_steps(service):
    name = service.new_study()
    (first,) = service.ask(name)
    service.report(first, (1, {"loss": 1.0}))
    service.release(first)
    (second,) = service.ask(name)
    service.report(second, (1, {"loss": 2.0}))
    assert rows(service, second) == [(1, 1, {"loss": 1.0}), (2, 1, {"loss": 2.0})]


def test_measurements_come_page_by_page(service):
    (trial,) = service.ask(service.new_study())
    service.report(trial, *((step, {"loss": 1.0, "acc": step / 7}) for step in range(7)))
    for size in (1, 3, 6, 7, 8):
        found, cursor = [], None
        while True:
            page = service.run(
                service.manager.measurements(
                    trial["study"], trial["number"], cursor=cursor, limit=size
                )
            )
            found += page["items"]
            cursor = page["next_cursor"]
            assert (cursor is None) == (len(found) == 7)
            if cursor is None:
                break
        assert [row["step"] for row in found] == list(range(7))
        assert all(set(row["values"]) == {"loss", "acc"} for row in found)


# --- tell


def test_told_values_win_over_reports_and_other_metrics_are_kept(service):
    (trial,) = service.ask(service.new_study())
    service.report(trial, (1, {"loss": 0.5, "acc": 0.9}))
    told = service.tell(trial, 0.25, values={"loss": 0.25, "size": 3})
    assert told["values"] == {"loss": 0.25}


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ({"metric": "loss", "from": "last"}, "NaN"),
        ({"metric": "loss", "from": "best"}, 0.2),
        ({"metric": "loss", "from": "best", "direction": "maximize"}, 0.9),
    ],
)
def test_the_objective_is_chosen_over_all_attempts_the_newest_where_a_step_repeats(
    service, objective, expected
):
    name = service.new_study(objective=objective)
    (first,) = service.ask(name)
    service.report(first, (1, {"loss": 0.1}), (2, {"loss": 0.9}))
    service.release(first)
    (second,) = service.ask(name)
    service.report(second, (1, {"loss": 0.2}), (3, {"loss": "NaN"}))
    assert service.tell(second)["values"] == {"loss": expected}


def test_constraints_take_the_last_report(service):
    constraints = [{"metric": "size", "at_most": 2}]
    name = service.new_study(constraints=constraints, objective={"metric": "loss", "from": "best"})
    first, second, third = service.ask(name, 3)
    service.report(first, (1, {"loss": 0.1, "size": 3}), (2, {"loss": 0.2, "size": 2}))
    service.report(second, (1, {"loss": 0.0, "size": 1}), (2, {"loss": 0.2, "size": 3}))
    assert service.tell(first)["values"] == {"loss": 0.1, "size": 2}
    service.tell(second)
    service.tell(third, 0.0)
    assert service.study(name)["best"]["number"] == first["number"]


def test_complete_without_a_value_is_refused_and_changes_nothing(service):
    (trial,) = service.ask(service.new_study())
    service.report(trial, (1, {"acc": 0.5}))
    before = service.trial(trial["study"], 0)
    with pytest.raises(InvalidMetric) as caught:
        service.tell(trial)
    assert caught.value.errors[0].path == "values.loss"
    assert service.trial(trial["study"], 0) == before
    assert service.heartbeat(trial)["should_stop"] is False
    service.tell(trial, 1.0)


def test_a_repeated_tell_gets_the_first_answer_and_another_is_refused(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    told = service.tell(trial, 1.0)
    assert service.tell(trial, 1) == told
    with pytest.raises(AlreadyTold):
        service.tell(trial, 2.0)
    with pytest.raises(AlreadyTold):
        service.release(trial)
    assert service.trial(name, 0)["values"] == {"loss": 1.0}


def test_a_repeated_tell_gets_the_first_answer_also_after_another_attempt_began(service):
    name = service.new_study(trial=COMMAND)
    (first,) = service.ask(name)
    told = service.tell(first, state="fail", reason="oom", message="out of memory")
    assert (told["state"], told["reason"]) == ("waiting", "oom")
    (second,) = service.ask(name)
    assert second["attempt"] == 2
    assert service.tell(first, state="fail", reason="oom", message="out of memory") == told
    with pytest.raises(AlreadyTold):
        service.tell(first, state="fail", reason="oom")
    service.tell(second, 1.0)
    assert service.tell(first, state="fail", reason="oom", message="out of memory") == told


@pytest.mark.parametrize(("reason", "ends"), [("oom", False), ("error", True), (None, True)])
def test_a_failed_attempt_is_repeated_only_for_reasons_to_retry(service, reason, ends):
    name = service.new_study(trial=COMMAND)
    (trial,) = service.ask(name)
    body = {"state": "fail"} if reason is None else {"state": "fail", "reason": reason}
    told = service.tell(trial, **body)
    assert told["state"] == ("fail" if ends else "waiting")
    assert told["reason"] == (reason or "error")


def test_attempts_are_used_up_by_reasons_to_retry_and_not_by_preemption(service):
    name = service.new_study(trial={**COMMAND, "max_attempts": 2, "retry_on": ["timeout"]})
    for reason in ("preempted", "timeout", "preempted"):
        (trial,) = service.ask(name)
        assert service.release(trial, reason=reason)["state"] == "waiting"
    (trial,) = service.ask(name)
    assert trial["attempt"] == 4
    last = service.tell(trial, state="fail", reason="timeout")
    assert (last["state"], last["reason"]) == ("fail", "timeout")
    assert [a["reason"] for a in service.trial(name, 0)["attempts"]] == [
        "preempted",
        "timeout",
        "preempted",
        "timeout",
    ]


def test_a_pruned_trial_keeps_what_was_told(service):
    name = service.new_study()
    first, second = service.ask(name, 2)
    service.report(first, (1, {"loss": 3.0}))
    assert service.tell(first, state="pruned")["state"] == "pruned"
    told = service.tell(second, 4.0, state="pruned")
    assert (told["state"], told["values"], told["diverged"]) == ("pruned", {"loss": 4.0}, False)
    assert service.study(name)["best"] is None


def test_a_reason_goes_with_fail_only(service):
    (trial,) = service.ask(service.new_study())
    with pytest.raises(Invalid, match="reason"):
        service.tell(trial, 1.0, reason="oom")


# --- release, stop, retry


def test_a_released_trial_waits_with_its_parameters_and_again_is_no_error(service):
    name = service.new_study()
    (trial,) = service.ask(name, worker_id="w")
    service.report(trial, (3, {"loss": 1.0}), checkpoint={"path": "c/3", "step": 3})
    for _ in range(2):
        given = service.release(trial)
        assert (given["state"], given["reason"]) == ("waiting", "preempted")
    (again,) = service.ask(name)
    assert again["params"] == trial["params"]
    assert again["checkpoint"] == {"path": "c/3", "step": 3}
    assert service.release(trial) == given


def test_releasing_by_another_reason_ends_the_attempt_by_it(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    ended = service.release(trial, reason="error", message="boom")
    assert (ended["state"], ended["reason"], ended["message"]) == ("fail", "error", "boom")


def test_stopping_asks_a_running_trial_and_ends_a_waiting_one(service):
    name = service.new_study()
    first, second = service.ask(name, 2)
    service.release(second)
    stop = service.manager.stop_trial
    assert service.run(stop(name, first["number"]))["state"] == "running"
    assert service.heartbeat(first)["reason"] == "cancelled"
    assert service.report(first, (1, {"loss": 1.0}))["reason"] == "cancelled"
    for _ in range(2):
        ended = service.run(stop(name, second["number"]))
        assert (ended["state"], ended["reason"]) == ("fail", "cancelled")
    service.tell(first, 1.0)
    with pytest.raises(TrialFinished):
        service.run(stop(name, first["number"]))
    assert service.study(name)["counts"]["fail"] == 1


def test_only_a_failed_trial_can_be_retried_as_one_more_attempt(service):
    name = service.new_study(budget={"trials": 2})
    first, second = service.ask(name, 2)
    retry = service.manager.retry_trial
    with pytest.raises(Conflict, match="running"):
        service.run(retry(name, 0))
    service.tell(first, 1.0)
    service.tell(second, state="fail", reason="error", message="boom")
    assert service.study(name)["state"] == "finished"
    with pytest.raises(Conflict, match="complete"):
        service.run(retry(name, 0))
    again = service.run(retry(name, 1))
    assert (again["state"], again["reason"], again["message"]) == ("waiting", None, None)
    assert again["finished_at"] is None
    assert service.study(name)["state"] == "active"
    (leased,) = service.ask(name)
    assert (leased["number"], leased["attempt"]) == (1, 2)
    service.tell(leased, 0.5)
    assert service.study(name)["best"]["number"] == 1


def test_a_retry_wakes_a_stopped_study(service):
    name = service.new_study()
    (trial,) = service.ask(name)
    service.tell(trial, state="fail")
    service.change(name, state="finished")
    service.run(service.manager.retry_trial(name, 0))
    assert service.study(name)["state"] == "active"
    assert len(service.ask(name)) == 1


# --- expiry


def test_an_expired_lease_puts_the_trial_back_and_then_fails_it(service):
    name = service.new_study()
    for attempt in (1, 2, 3):
        (trial,) = service.ask(name, lease_seconds=10)
        assert trial["attempt"] == attempt
        assert service.expire(10) == 0
        assert service.expire(0.001) == 1
    end = service.trial(name, 0)
    assert (end["state"], end["reason"]) == ("fail", "lost")
    assert [a["reason"] for a in end["attempts"]] == ["lost"] * 3


def test_a_renewed_lease_does_not_expire(service):
    (trial,) = service.ask(service.new_study(), lease_seconds=10)
    for _ in range(5):
        service.clock.advance(9)
        service.heartbeat(trial)
        assert service.run(service.manager.sweep()) == 0


def _calls(service, trial):
    yield lambda: service.report(trial, (9, {"loss": 9.0}))
    yield lambda: service.heartbeat(trial)
    yield lambda: service.tell(trial, 9.0)
    yield lambda: service.tell(trial, state="fail")
    yield lambda: service.release(trial)
    log = Log(lease=trial["lease"], text="x")
    yield lambda: service.run(service.manager.append_log(trial["study"], trial["number"], log))


@pytest.mark.parametrize("taken", [False, True])
def test_a_stale_lease_changes_nothing(service, taken):
    name = service.new_study()
    (stale,) = service.ask(name, lease_seconds=10)
    service.expire(11)
    held = service.ask(name) if taken else []
    before = (service.trial(name, 0), service.study(name), rows(service, stale))
    for call in _calls(service, stale):
        with pytest.raises(LeaseLost):
            call()
    assert (service.trial(name, 0), service.study(name), rows(service, stale)) == before
    for trial in held:
        assert service.heartbeat(trial)["should_stop"] is False


def test_a_lease_of_another_trial_is_no_lease(service):
    name = service.new_study()
    first, second = service.ask(name, 2)
    for call in _calls(service, {**first, "lease": second["lease"]}):
        with pytest.raises(LeaseLost):
            call()


def test_after_a_restart_no_lease_expires_before_one_full_lease(fresh_service):
    service = fresh_service
    name = service.new_study(budget={"seconds": 1000})
    (trial,) = service.ask(name, lease_seconds=30)
    service.clock.advance(29)
    service.run(service.manager.sweep())
    service.clock.advance(500)
    service.reopen()
    assert service.expire(29) == 0
    assert service.report(trial, (1, {"loss": 1.0}))["should_stop"] is False
    assert service.expire(31) == 1
    used = service.study(name)["used"]["seconds"]
    assert 80 <= used < 100, "the time away does not count"


def test_logs_are_kept_by_attempt_up_to_a_limit(service):
    name = service.new_study()

    def append(trial, text):
        service.run(service.manager.append_log(name, 0, Log(lease=trial["lease"], text=text)))

    (first,) = service.ask(name)
    append(first, "one\n")
    service.release(first)
    (second,) = service.ask(name)
    append(second, "two\n")
    append(second, "x" * 999_999)
    append(second, "lost")
    items = service.run(service.manager.trial_log(name, 0))["items"]
    assert [(i["attempt"], i["text"][:4]) for i in items[:3]] == [
        (1, "one\n"),
        (2, "two\n"),
        (2, "xxxx"),
    ]
    assert len(items) == 3
    assert items[2]["text"].endswith("not kept]\n")
