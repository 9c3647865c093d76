"""A checkpoint and what was reported before it go to the server together."""

import pytest

from tuner.client.calls import Retry
from tuner.client.trial import Trial
from tuner.errors import AlreadyReported


def test_what_was_reported_before_a_checkpoint_is_sent_with_it(server, make_trial, tmp_path):
    trial = make_trial(checkpoint_dir=tmp_path)
    trial.report(1, loss=0.5)
    trial.report(2, loss=0.25)
    trial.log("not urgent")
    trial.save_checkpoint({"step": 2}, 2)
    assert len(server.seen) == 1
    body = server.calls("report")[0].json
    assert [row["step"] for row in body["measurements"]] == [1, 2]
    assert body["checkpoint"]["step"] == 2


def test_an_attempt_goes_on_from_the_checkpoint_whose_reports_the_server_has(
    client, leased, answering, make_reply, make_trial, tmp_path
):
    client.transport._retry = Retry(0.01, 0.01, 0.001)
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
    server, answering, make_reply, decide, make_trial, tmp_path
):
    def answer(seen):
        if seen.json["measurements"]:
            return make_reply(409, AlreadyReported("step 1").to_problem())
        return decide()

    answering["report"] = answer
    trial = make_trial(checkpoint_dir=tmp_path)
    trial.report(1, loss=0.5)
    trial.save_checkpoint({"step": 1}, 1)
    with pytest.raises(AlreadyReported):
        trial.should_stop()
    trial.flush()
    assert server.calls("report")[-1].json["checkpoint"]["step"] == 1


def test_a_checkpoint_on_another_machine_is_said_and_not_loaded(client, leased, answering):
    data = leased(checkpoint={"path": "gone/checkpoint-0000000000000001.json", "step": 1})
    trial = Trial(client, data, metrics=("loss",), has_pruner=False)
    with pytest.warns(RuntimeWarning, match="not on this machine"):
        assert trial.load_checkpoint() is None
    trial.abandon()
