"""What a trial takes as a report and as its end."""

import math

import numpy
import pytest

from tuner.client.calls import Retry
from tuner.client.trial import Trial
from tuner.errors import InvalidMetric, LeaseLost, TrialFinished, Unavailable


def test_a_metric_may_have_any_name_that_a_server_takes(server, make_trial):
    trial = make_trial()
    trial.report(1, **{"self": 2.0, "val loss": 0.5})
    trial.flush()
    row = server.calls("report")[0].json["measurements"][0]
    assert row["values"] == {"self": 2.0, "val loss": 0.5}


def test_values_that_are_not_finite_are_reported_as_such(server, make_trial):
    trial = make_trial()
    trial.report(0, loss=math.nan, other=math.inf)
    trial.tell(-math.inf)
    row = server.calls("report")[0].json["measurements"][0]
    assert row["values"] == {"loss": "NaN", "other": "Infinity"}
    assert server.calls("tell")[0].json["values"] == {"loss": "-Infinity"}


def test_scalars_of_libraries_are_taken(server, make_trial):
    trial = make_trial()
    trial.report(numpy.int64(3), loss=numpy.float32(0.5), n=numpy.int64(2), a=numpy.array(1.5))
    trial.flush()
    row = server.calls("report")[0].json["measurements"][0]
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


def test_the_study_is_asked_for_what_a_worker_does_not_say(
    server, client, leased, answering, make_reply, a_study
):
    answering["digits"] = lambda seen: make_reply(body=a_study(pruner={"name": "median"}))
    trial = Trial.attach(client, "digits", leased())
    trial.report(1, loss=0.5)
    trial.tell(0.5)
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["digits", "report", "tell"]


def test_what_waits_is_sent_before_the_tell(server, make_trial):
    trial = make_trial()
    trial.report(1, loss=0.5)
    trial.log("hello")
    assert server.seen == []
    trial.tell(0.5)
    assert [seen.path.rpartition("/")[2] for seen in server.seen] == ["report", "log", "tell"]
    assert server.calls("tell")[0].json == {
        "lease": "lease-0", "state": "complete", "values": {"loss": 0.5}
    }  # fmt: skip
    assert server.calls("log")[0].json["text"] == "hello\n"


def test_tell_takes_a_value_values_by_metric_or_nothing(server, make_trial):
    make_trial().tell({"loss": 1, "params": 3})
    make_trial(metrics=("loss", "size")).tell([1, 2])
    make_trial().tell(None)
    make_trial().tell(state="fail", reason="error", message="broke")
    bodies = [seen.json for seen in server.calls("tell")]
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


def test_a_tell_whose_answer_was_lost_is_told_again_whatever_became_of_the_lease(
    client, server, answering, make_reply, make_trial
):
    client.transport._retry = Retry(0.01, 0.01, 0.001)
    trial = make_trial()
    answering["tell"] = lambda seen: make_reply(drop=True)
    with pytest.raises(Unavailable):
        trial.tell(0.5)
    answering["heartbeat"] = lambda seen: make_reply(409, LeaseLost("ended").to_problem())
    trial.renew()
    answering["tell"] = lambda seen: make_reply(body={"state": "complete"})
    assert trial.tell(0.5) == {"state": "complete"}
