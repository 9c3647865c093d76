"""What a trial sends while it runs: rows in batches, one by one, or not any more."""

import pytest

from tuner.client.calls import Retry
from tuner.errors import AlreadyReported, LeaseLost, NotFound, Unavailable


def test_reports_are_sent_in_batches(server, make_trial):
    trial = make_trial()
    for step in range(64):
        trial.report(step, loss=1.0 / (step + 1))
    sent = server.calls("report")
    assert len(sent) == 1
    assert [row["step"] for row in sent[0].json["measurements"]] == list(range(64))


def test_with_a_pruner_each_report_awaits_the_decision(server, answering, decide, make_trial):
    answering["report"] = lambda seen: decide(
        "pruned" if seen.json["measurements"][0]["step"] >= 2 else None
    )
    trial = make_trial(has_pruner=True)
    trial.report(1, loss=0.5)
    assert trial.should_stop() is None
    trial.report(2, loss=0.5)
    assert trial.should_stop() == "pruned"
    assert len(server.calls("report")) == 2


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
    client.transport._retry = Retry(0.01, 0.01, 0.001)
    answering["report"] = lambda seen: make_reply(503)
    trial = make_trial(has_pruner=True)
    for step in range(100):
        trial.report(step, loss=0.5)
    assert trial.should_stop() is None
    with pytest.raises(Unavailable):
        trial.tell(0.5)
    del answering["report"]
    trial.tell(0.5)
    rows = [row["step"] for seen in server.calls("report") for row in seen.json["measurements"]]
    assert rows[-100:] == list(range(100))
    assert len(server.calls("tell")) == 1


def test_one_bad_row_does_not_hold_up_the_others(
    server, answering, make_reply, decide, make_trial
):
    def answer(seen):
        steps = [row["step"] for row in seen.json["measurements"]]
        if 2 in steps:
            return make_reply(409, AlreadyReported("step 2 has 0.1").to_problem())
        return decide()

    answering["report"] = answer
    trial = make_trial()
    for step in (1, 2, 3):
        trial.report(step, loss=0.5)
    with pytest.raises(AlreadyReported, match="step 2"):
        trial.flush()
    trial.tell(0.5)
    taken = [[row["step"] for row in seen.json["measurements"]] for seen in server.calls("report")]
    assert taken == [[1, 2, 3], [1], [2], [3]]


def test_a_row_is_taken_also_when_it_brings_the_error_of_an_earlier_one(
    server, client, answering, make_reply, make_trial, until
):
    answering["report"] = lambda seen: make_reply(409, AlreadyReported("step 1").to_problem())
    trial = make_trial()
    trial.report(1, loss=0.5)
    trial._reporter._last_call = 0.0
    client.pump.watch(trial._reporter)
    until(lambda: trial._reporter._error)
    del answering["report"]
    with pytest.raises(AlreadyReported):
        trial.report(2, loss=0.25)
    trial.flush()
    assert server.calls("report")[-1].json["measurements"][0]["step"] == 2


def test_a_worker_may_pass_on_a_stop_and_renew_at_once(server, answering, make_reply, make_trial):
    trial = make_trial()
    assert trial.renew() is None
    trial.ask_to_stop("preempted")
    assert trial.should_stop() == "preempted"
    answering["heartbeat"] = lambda seen: make_reply(409, LeaseLost("lost").to_problem())
    assert trial.renew() == "lease-lost"
    trial.ask_to_stop("paused")
    assert trial.should_stop() == "lease-lost"
