"""Advice and recommendations on the command line: a real study, its next one, run as proposed."""

import json
import sys
from functools import partial

import pytest
from ruamel.yaml import YAML

import tuner as package

pytestmark = pytest.mark.timeout(300)
TRAIN = """
import json, math, sys
lr = float(sys.argv[1])
for step in range(1, 13):
    loss = abs(math.log(lr / 10.0)) + 1 / step
    print("tuner: " + json.dumps({"step": step, "val_loss": loss}))
"""
STUDY = """
name: edge
objective: val_loss
space: {lr: {type: float, low: 0.001, high: 1.0, log: true, points: 4}}
sampler: grid
trial: {command: [PYTHON, train.py, "{lr}"]}
tags: {team: vision}
"""


@pytest.fixture(scope="module")
def folder(shared_folder):
    """A folder in which a study can be run."""
    (shared_folder / "train.py").write_text(TRAIN)
    study = STUDY.replace("PYTHON", json.dumps(sys.executable))
    (shared_folder / "study.yaml").write_text(study)
    return shared_folder


@pytest.fixture(scope="module")
def tuner(folder, run_command):
    return partial(run_command, folder, sys.executable, "-m", "tuner")


@pytest.fixture(scope="module")
def first_run(tuner):
    return tuner("study", "run", "study.yaml")


def test_a_run_ends_with_the_most_important_advice(first_run):
    code, _, talk = first_run
    assert code == 0, talk
    assert "The best value lies at the edge of its range: lr at its high bound 1" in talk
    assert "tuner study advise edge" in talk


def test_advice_is_text_or_json(first_run, tuner):
    code, out, _ = tuner("study", "advise", "edge")
    assert code == 0
    assert "[edge-of-range]" in out
    assert "$ tuner study advise edge --code edge-of-range --write edge-wider.yaml" in out
    found = tuner("study", "advise", "edge", "--json", "--code", "edge-of-range").json
    assert [item["code"] for item in found["advice"]] == ["edge-of-range"]
    assert found["advice"][0]["evidence"]["parameters"][0]["proposed"] == 10.0


def test_the_proposed_study_runs_and_finds_better(first_run, tuner, folder):
    command = ["study", "advise", "edge", "--code", "edge-of-range", "--write", "wider.yaml"]
    code, out, talk = tuner(*command)
    assert (code, out) == (0, "")
    assert "tuner study run wider.yaml" in talk
    data = YAML(typ="safe", pure=True).load((folder / "wider.yaml").read_text())
    assert data["tags"] == {"team": "vision"}
    code, _, talk = tuner("study", "run", "wider.yaml")
    assert code == 0, talk
    best = [tuner("study", "best", name, "--json").json for name in ("edge", "edge-wider")]
    assert best[1]["values"]["val_loss"] < best[0]["values"]["val_loss"]


def test_a_code_that_gave_no_advice_is_refused(first_run, tuner):
    code, _, talk = tuner("study", "advise", "edge", "--code", "edge-of-rang")
    assert code == 2
    assert "Did you mean 'edge-of-range'?" in talk
    code, _, talk = tuner("study", "advise", "edge", "--code", "too-few-trials", "--write", "x")
    assert code == 2
    assert "nothing to write" in talk


def test_the_client_gives_the_same_advice(first_run, folder):
    with package.Client(database_url=f"sqlite:///{folder / 'tuner.db'}") as client:
        advice = client.get_study("edge").advice()
        assert advice[0]["code"] in ("edge-of-range", "too-few-trials")
        assert client.recommend("linear", examples=500, batch="full")["optimizers"][0]["name"] == (
            "lbfgs"
        )


def test_a_recommendation_is_text_json_or_a_file(tuner, folder):
    code, out, talk = tuner("optimizers", "recommend", "--dataset", "digits", "--trials", "60")
    assert code == 0
    assert "nesterov" in out
    assert "--write study.yaml" in talk
    args = ["optimizers", "recommend", "--model", "gru", "--examples", "50000"]
    found = tuner(*args, "--json").json
    assert found["settings"][0]["key"] == "clip_norm"
    code, out, _ = tuner(*args, "--trials", "10", "--write", "one.yaml")
    data = YAML(typ="safe", pure=True).load((folder / "one.yaml").read_text())
    assert data["budget"] == {"trials": 10}
    code, _, talk = tuner("optimizers", "recommend", "--model", "cnm")
    assert code == 2
    assert "cnn" in talk
