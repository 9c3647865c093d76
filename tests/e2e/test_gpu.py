"""Trials on a real GPU: discovery, sharing, isolation, running out of memory, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

import tuner
from tuner.worker.allow import Allow
from tuner.worker.devices import choose, discover
from tuner.worker.local import LocalWorkers

OBJECTIVES = '''
import os, time, torch

def look(trial):
    """Which GPUs a trial sees."""
    count = torch.cuda.device_count()
    trial.report(1, loss=float(count), visible=float(len(os.environ["CUDA_VISIBLE_DEVICES"])))

def together(trial):
    """Two trials on one GPU at the same time."""
    x = torch.ones(1000, 1000, device="cuda")
    begun = time.time()
    while time.time() - begun < 3:
        x = (x @ x).clamp(max=1)
    trial.report(1, loss=float(x.sum()), begun=begun, ended=time.time())

def too_much(trial):
    """More than any GPU has."""
    torch.empty(2**45, dtype=torch.uint8, device="cuda")
'''


pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not discover(), reason="needs a CUDA device"),
]


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "gpu_objectives.py").write_text(OBJECTIVES)
    monkeypatch.chdir(tmp_path)
    with tuner.Client(database_url=f"sqlite:///{tmp_path / 'tuner.db'}") as client:
        yield client


def run(client, name: str, trial: dict, trials: int, slots: int | None = None):
    study = client.create_study(
        name,
        space={"x": tuner.Float(0, 1)},
        objective=["loss", "minimize"],
        sampler="random",
        budget={"trials": trials},
        trial=trial,
    )
    with LocalWorkers(client, name, slots=slots, allow=Allow.everything()) as workers:
        for _ in study.watch():
            pass
        assert workers.error is None
    return study


def measured(client, study: str, number: int) -> dict[str, float]:
    rows = client.rest.measurements(study, number)["items"]
    return {name: value for row in rows for name, value in row["values"].items()}


def test_the_worker_finds_the_gpus_by_uuid():
    found = choose("auto", None)
    assert found
    assert all(gpu.uuid.startswith("GPU-") for gpu in found)


def test_a_trial_sees_the_gpu_it_was_given_and_no_other(client):
    spec = {"python": "gpu_objectives:look", "resources": {"gpus": 1}}
    run(client, "one", spec, 1)
    assert measured(client, "one", 0)["loss"] == 1


def test_a_trial_without_gpus_sees_none(client):
    spec = {"python": "gpu_objectives:look", "resources": {"gpus": 0}}
    run(client, "none", spec, 1)
    assert measured(client, "none", 0) == {"loss": 0, "visible": 0}


def test_two_halves_share_one_gpu_at_the_same_time(client):
    spec = {"python": "gpu_objectives:together", "resources": {"gpus": 0.5}}
    run(client, "halves", spec, 2)
    first, second = measured(client, "halves", 0), measured(client, "halves", 1)
    assert first["begun"] < second["ended"]
    assert second["begun"] < first["ended"]


def test_running_out_of_gpu_memory_is_its_own_reason(client):
    spec = {"python": "gpu_objectives:too_much", "resources": {"gpus": 1}, "max_attempts": 2}
    study = run(client, "oom", spec, 1)
    (trial,) = study.trials()
    assert (trial["state"], trial["reason"], trial["attempt"]) == ("fail", "oom", 2)


def test_the_built_in_task_trains_on_the_gpu(client):
    study = client.create_study(
        "digits",
        space=tuner.space.optimizers("adam", "momentum"),
        objective=["val_loss", "minimize"],
        sampler="random",
        budget={"trials": 4},
        trial={
            "task": {"dataset": "digits", "model": "cnn", "epochs": 3},
            "resources": {"gpus": 0.5},
        },
    )
    with LocalWorkers(client, "digits", allow=Allow.everything()):
        for _ in study.watch():
            pass
    assert study.refresh().data["counts"]["complete"] == 4
    assert study.best is not None
    assert study.best["values"]["val_loss"] < 2.3
