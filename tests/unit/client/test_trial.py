import gc
import math
import time

import numpy
import pytest

import tuner
from tuner.client.runner import ACTIVE
from tuner.client.trial import Trial
from tuner.errors import (
    AlreadyReported,
    InvalidMetric,
    LeaseLost,
    NotFound,
    TrialFinished,
    Unavailable,
)

GO_ON = {"should_stop": False, "reason": None, "lease_expires_at": "2026-11-20T00:01:00Z"}


def calls(server, verb):
    return [seen for seen in server.seen if seen.path.endswith(f"/{verb}")]


@pytest.fixture
def answering(server, make_reply):
    """The server takes everything; `outcomes` overrides by verb."""
    outcomes = {}

    def answer(seen):
        verb = seen.path.rpartition("/")[2]
        if verb in outcomes:
            return outcomes[verb](seen)
        return make_reply(body=GO_ON if verb in ("report", "heartbeat") else {"number": 0})

    server.answer = answer
    return outcomes


@pytest.fixture
def make_trial(client, leased, answering):
    def make(**options):
        options = {"metrics": ("loss",), "has_pruner": False, **options}
        return Trial(client, leased(), **options)

    return make


def test_reports_are_sent_in_batches(server, make_trial):
    trial = make_trial()
    for step in range(64):
        trial.report(step, loss=1.0 / (step + 1))
    sent = calls(server, "report")
    assert len(sent) == 1
    assert [row["step"] for row in sent[0].json["measurements"]] == list(range(64))


def test_what_waits_is_sent_before_the_tell(server, make_trial):
    trial = make_trial()
    trial.report(1, loss=0.5)
    trial.log("hello")
    assert server.seen == []
    trial.tell(0.5)
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["report", "log", "tell"]
    assert calls(server, "tell")[0].json == {
        "lease": "lease-0", "state": "complete", "values": {"loss": 0.5}
    }  # fmt: skip
    assert calls(server, "log")[0].json["text"] == "hello\n"


def test_what_waits_is_sent_in_the_background_after_a_second(server, make_trial):
    trial = make_trial()
    trial.report(1, loss=0.5)
    deadline = time.monotonic() + 10
    while not calls(server, "report") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(calls(server, "report")) == 1
    assert trial.should_stop() is None


def test_with_a_pruner_each_report_awaits_the_decision(server, answering, make_reply, make_trial):
    answering["report"] = lambda seen: make_reply(
        body={
            **GO_ON,
            "should_stop": seen.json["measurements"][0]["step"] >= 2,
            "reason": "pruned",
        }
    )
    trial = make_trial(has_pruner=True)
    trial.report(1, loss=0.5)
    assert trial.should_stop() is None
    trial.report(2, loss=0.5)
    assert trial.should_stop() == "pruned"
    assert len(calls(server, "report")) == 2


def test_a_lost_lease_is_a_reason_to_stop_and_nothing_more_is_sent(
    server, answering, make_reply, make_trial
):
    answering["report"] = lambda seen: make_reply(409, LeaseLost("lost").to_problem())
    trial = make_trial(has_pruner=True)
    trial.report(1, loss=0.5)
    assert trial.should_stop() == "lease-lost"
    trial.report(2, loss=0.4)
    trial.log("x")
    with pytest.raises(LeaseLost):
        trial.tell(0.4)
    assert len(server.seen) == 1


def test_a_deleted_study_ends_its_trials_in_the_same_way(answering, make_reply, make_trial):
    answering["report"] = lambda seen: make_reply(404, NotFound("gone").to_problem())
    trial = make_trial(has_pruner=True)
    trial.report(1, loss=0.5)
    assert trial.should_stop() == "lease-lost"


def test_trouble_with_the_network_does_not_stop_the_training(
    client, server, answering, make_reply, make_trial
):
    client.transport._retry = tuner.client.calls.Retry(0.01, 0.01, 0.001)
    answering["report"] = lambda seen: make_reply(503)
    trial = make_trial(has_pruner=True)
    for step in range(100):
        trial.report(step, loss=0.5)
    assert trial.should_stop() is None
    with pytest.raises(Unavailable):
        trial.tell(0.5)
    del answering["report"]
    trial.tell(0.5)
    rows = [row["step"] for seen in calls(server, "report") for row in seen.json["measurements"]]
    assert rows[-100:] == list(range(100))
    assert len(calls(server, "tell")) == 1


def test_one_bad_row_does_not_hold_up_the_others(server, answering, make_reply, make_trial):
    def answer(seen):
        steps = [row["step"] for row in seen.json["measurements"]]
        if 2 in steps:
            return make_reply(409, AlreadyReported("step 2 has 0.1").to_problem())
        return make_reply(body=GO_ON)

    answering["report"] = answer
    trial = make_trial()
    for step in (1, 2, 3):
        trial.report(step, loss=0.5)
    with pytest.raises(AlreadyReported, match="step 2"):
        trial.flush()
    trial.tell(0.5)
    taken = [
        [row["step"] for row in seen.json["measurements"]] for seen in calls(server, "report")
    ]
    assert taken == [[1, 2, 3], [1], [2], [3]]


def test_a_row_is_taken_also_when_it_brings_the_error_of_an_earlier_one(
    server, answering, make_reply, make_trial
):
    answering["report"] = lambda seen: make_reply(409, AlreadyReported("step 1").to_problem())
    trial = make_trial()
    trial.report(1, loss=0.5)
    trial._reporter._last_call -= 60
    trial._reporter.tick()
    del answering["report"]
    with pytest.raises(AlreadyReported):
        trial.report(2, loss=0.25)
    trial.flush()
    assert calls(server, "report")[-1].json["measurements"][0]["step"] == 2


def test_a_metric_may_have_any_name_that_a_server_takes(server, make_trial):
    trial = make_trial()
    trial.report(1, **{"self": 2.0, "val loss": 0.5})
    trial.flush()
    row = calls(server, "report")[0].json["measurements"][0]
    assert row["values"] == {"self": 2.0, "val loss": 0.5}


def test_values_that_are_not_finite_are_reported_as_such(server, make_trial):
    trial = make_trial()
    trial.report(0, loss=math.nan, other=math.inf)
    trial.tell(-math.inf)
    row = calls(server, "report")[0].json["measurements"][0]
    assert row["values"] == {"loss": "NaN", "other": "Infinity"}
    assert calls(server, "tell")[0].json["values"] == {"loss": "-Infinity"}


def test_scalars_of_libraries_are_taken(server, make_trial):
    trial = make_trial()
    trial.report(numpy.int64(3), loss=numpy.float32(0.5), n=numpy.int64(2), a=numpy.array(1.5))
    trial.flush()
    row = calls(server, "report")[0].json["measurements"][0]
    assert row == {"step": 3, "values": {"loss": 0.5, "n": 2.0, "a": 1.5}}


@pytest.mark.parametrize(
    ("step", "metrics"),
    [
        (-1, {"loss": 1.0}), (1.5, {"loss": 1.0}), (True, {"loss": 1.0}), ("1", {"loss": 1.0}),
        (2**54, {"loss": 1.0}), (1, {}), (1, {"loss": "0.3"}), (1, {"loss": None}),
        (1, {"loss": True}), (1, {"loss": [1.0]}), (1, {" loss": 1.0}), (1, {"": 1.0}),
        (1, {"x" * 129: 1.0}),
    ],
)  # fmt: skip
def test_a_bad_report_is_refused_before_it_is_sent(server, make_trial, step, metrics):
    trial = make_trial()
    with pytest.raises(InvalidMetric):
        trial.report(step, **metrics)
    trial.flush()
    assert server.seen == []


def test_tell_takes_a_value_values_by_metric_or_nothing(server, make_trial):
    make_trial().tell({"loss": 1, "params": 3})
    make_trial(metrics=("loss", "size")).tell([1, 2])
    make_trial().tell(None)
    make_trial().tell(state="fail", reason="error", message="broke")
    bodies = [seen.json for seen in calls(server, "tell")]
    assert bodies[0]["values"] == {"loss": 1.0, "params": 3.0}
    assert bodies[1]["values"] == {"loss": 1.0, "size": 2.0}
    assert "values" not in bodies[2]
    assert bodies[3] == {
        "lease": "lease-0", "state": "fail", "reason": "error", "message": "broke"
    }  # fmt: skip


def test_one_value_for_several_objectives_is_refused(make_trial):
    with pytest.raises(InvalidMetric, match="loss, size"):
        make_trial(metrics=("loss", "size")).tell(1.0)


def test_a_trial_that_was_told_or_given_back_takes_no_report(server, make_trial):
    told, released = make_trial(), make_trial()
    told.tell(0.5)
    released.release()
    sent = len(server.seen)
    with pytest.raises(TrialFinished, match=r"told: complete.*step 3"):
        told.report(3, loss=0.4)
    with pytest.raises(TrialFinished, match="given back"):
        released.report(3, loss=0.4)
    assert len(server.seen) == sent


def test_the_lease_is_renewed_in_the_background_until_the_tell(server, make_trial):
    trial = make_trial(lease_seconds=0.3)
    deadline = time.monotonic() + 10
    while len(calls(server, "heartbeat")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(calls(server, "heartbeat")) >= 2
    trial.tell(1.0)
    n_calls = len(server.seen)
    time.sleep(0.4)
    assert len(server.seen) == n_calls


def test_a_heartbeat_brings_the_reason_to_stop(answering, make_reply, make_trial):
    answering["heartbeat"] = lambda seen: make_reply(
        body={**GO_ON, "should_stop": True, "reason": "cancelled"}
    )
    trial = make_trial(lease_seconds=0.15)
    deadline = time.monotonic() + 10
    while trial.stop_reason is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert trial.should_stop() == "cancelled"


def test_a_trial_that_nobody_holds_is_not_kept_alive(server, client, make_trial):
    trial = make_trial(lease_seconds=0.3)
    del trial
    gc.collect()
    assert len(client.pump._reporters) == 0


def test_the_study_is_asked_for_what_a_worker_does_not_say(
    server, client, leased, answering, make_reply, a_study
):
    answering["digits"] = lambda seen: make_reply(body=a_study(pruner={"name": "median"}))
    trial = Trial.attach(client, "digits", leased())
    trial.report(1, loss=0.5)
    trial.tell(0.5)
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["digits", "report", "tell"]


def test_a_worker_may_pass_on_a_stop_and_renew_at_once(server, answering, make_reply, make_trial):
    trial = make_trial()
    assert trial.renew() is None
    trial.ask_to_stop("preempted")
    assert trial.should_stop() == "preempted"
    answering["heartbeat"] = lambda seen: make_reply(409, LeaseLost("lost").to_problem())
    assert trial.renew() == "lease-lost"
    trial.ask_to_stop("paused")
    assert trial.should_stop() == "lease-lost"


def test_a_tell_whose_answer_was_lost_is_told_again_whatever_became_of_the_lease(
    client, server, answering, make_reply, make_trial
):
    client.transport._retry = tuner.client.calls.Retry(0.01, 0.01, 0.001)
    trial = make_trial()
    answering["tell"] = lambda seen: make_reply(drop=True)
    with pytest.raises(Unavailable):
        trial.tell(0.5)
    answering["heartbeat"] = lambda seen: make_reply(409, LeaseLost("ended").to_problem())
    trial.renew()
    answering["tell"] = lambda seen: make_reply(body={"state": "complete"})
    assert trial.tell(0.5) == {"state": "complete"}


def test_inside_an_objective_the_current_trial_is_that_trial(make_trial):
    trial = make_trial()
    token = ACTIVE.set(trial)
    try:
        assert tuner.current_trial() is trial
    finally:
        ACTIVE.reset(token)


def test_outside_a_trial_there_is_no_current_one(monkeypatch):
    monkeypatch.delenv("TUNER_TRIAL", raising=False)
    with pytest.raises(tuner.errors.Invalid, match="runs no trial"):
        tuner.current_trial()


def test_a_script_finds_its_trial_in_the_environment(
    server, answering, make_reply, a_study, tmp_path, monkeypatch
):
    answering["digits"] = lambda seen: make_reply(body=a_study())
    (tmp_path / "p.json").write_text('{"x": 0.25}')
    for name, value in {
        "TUNER_URL": server.url, "TUNER_STUDY": "digits", "TUNER_TRIAL": "4",
        "TUNER_LEASE": "L4", "TUNER_PARAMS": str(tmp_path / "p.json"),
        "TUNER_CHECKPOINT_DIR": str(tmp_path / "ck"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    trial = tuner.current_trial()
    assert (trial.number, trial.params) == (4, {"x": 0.25})
    assert tuner.current_trial() is trial
    trial.save_checkpoint({"epoch": 1}, 1)
    trial.report(1, loss=0.5)
    trial.flush()
    body = calls(server, "report")[0].json
    assert body["lease"] == "L4"
    assert body["checkpoint"]["step"] == 1
    assert trial.load_checkpoint() == {"epoch": 1}
    trial.abandon()
    trial._client.close()


def test_what_was_reported_before_a_checkpoint_is_sent_with_it(server, make_trial, tmp_path):
    trial = make_trial(checkpoint_dir=tmp_path)
    trial.report(1, loss=0.5)
    trial.report(2, loss=0.25)
    trial.log("not urgent")
    trial.save_checkpoint({"step": 2}, 2)
    assert len(server.seen) == 1
    body = calls(server, "report")[0].json
    assert [row["step"] for row in body["measurements"]] == [1, 2]
    assert body["checkpoint"]["step"] == 2


def test_an_attempt_goes_on_from_the_checkpoint_whose_reports_the_server_has(
    client, leased, answering, make_reply, make_trial, tmp_path
):
    client.transport._retry = tuner.client.calls.Retry(0.01, 0.01, 0.001)
    trial = make_trial(checkpoint_dir=tmp_path)
    known = trial.save_checkpoint({"step": 0}, 0)
    answering["report"] = lambda seen: make_reply(503)
    for step in range(1, 6):
        trial.report(step, loss=0.5)
        trial.save_checkpoint({"step": step}, step)
    trial.abandon()  # it is killed here, and the rows are lost with it
    data = leased(checkpoint={"path": str(known), "step": 0})
    again = Trial(client, data, metrics=("loss",), has_pruner=False, checkpoint_dir=tmp_path)
    assert again.load_checkpoint() == {"step": 0}
    again.abandon()


def test_a_refused_row_does_not_hold_up_the_checkpoint(
    server, answering, make_reply, make_trial, tmp_path
):
    def answer(seen):
        if seen.json["measurements"]:
            return make_reply(409, AlreadyReported("step 1").to_problem())
        return make_reply(body=GO_ON)

    answering["report"] = answer
    trial = make_trial(checkpoint_dir=tmp_path)
    trial.report(1, loss=0.5)
    trial.save_checkpoint({"step": 1}, 1)
    with pytest.raises(AlreadyReported):
        trial.should_stop()
    trial.flush()
    assert calls(server, "report")[-1].json["checkpoint"]["step"] == 1


def test_a_checkpoint_on_another_machine_is_said_and_not_loaded(client, leased, answering):
    data = leased(checkpoint={"path": "gone/checkpoint-0000000000000001.json", "step": 1})
    trial = Trial(client, data, metrics=("loss",), has_pruner=False)
    with pytest.warns(RuntimeWarning, match="not on this machine"):
        assert trial.load_checkpoint() is None
    trial.abandon()
