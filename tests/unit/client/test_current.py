"""The current trial: of an objective, and of a script that a worker has started."""

import pytest

import tuner
from tuner.client.runner import ACTIVE


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
    body = server.calls("report")[0].json
    assert body["lease"] == "L4"
    assert body["checkpoint"]["step"] == 1
    assert trial.load_checkpoint() == {"epoch": 1}
    trial.abandon()
    trial._client.close()
