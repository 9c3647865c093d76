"""Trials on GPUs: discovery leaves CUDA alone, trials see their devices and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tuner
from tuner.settings import child_environment, visible_gpus
from tuner.worker.agent import Agent
from tuner.worker.allow import Allow
from tuner.worker.devices import choose, discover
from tuner.worker.local import LocalWorkers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not discover(), reason="no GPU: NVML finds no device on this machine"),
]
OBJECTIVE = """
import os, torch


def see(trial):
    trial.log("visible=" + os.environ["CUDA_VISIBLE_DEVICES"])
    trial.log("count=" + str(torch.cuda.device_count()))
    return float(torch.ones(8, device="cuda").sum()) if torch.cuda.is_available() else 0.0
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "gpu_jobs.py").write_text(OBJECTIVE)
    monkeypatch.chdir(tmp_path)
    with tuner.Client(database_url=f"sqlite:///{tmp_path / 'tuner.db'}") as client:
        yield client


def run(client: tuner.Client, name: str, trial: dict, trials: int = 2, slots: int = 2) -> None:
    client.create_study(
        name,
        space={"x": tuner.Float(0, 1)},
        objective="loss" if "python" in trial else "val_loss",
        sampler="random",
        budget={"trials": trials},
        trial=trial,
    )
    with LocalWorkers(client, name, slots=slots, allow=Allow.everything()) as local:
        while local.alive and client.get_study(name).state != "finished":
            local.join(0.2)
    assert client.get_study(name).counts["complete"] == trials


def test_discovery_does_not_touch_cuda():
    code = (
        "import torch; from tuner.worker.devices import discover; assert discover();"
        "assert not torch.cuda.is_initialized(); import os; pid = os.fork()\n"
        "if pid == 0: torch.ones(1, device='cuda'); os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", code], env=child_environment(), check=True, timeout=120)


def test_preloading_leaves_cuda_usable_in_forks():
    code = (
        "import tuner.training.preload, torch, os; pid = os.fork()\n"
        "if pid == 0: torch.ones(1, device='cuda'); os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0"
    )
    env = child_environment({"PYTORCH_NVML_BASED_CUDA_CHECK": "1"})
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=120)


def test_two_halves_run_on_one_gpu_at_the_same_time(client):
    trial = {"python": "gpu_jobs:see", "resources": {"gpus": 0.5, "cpus": 1}}
    run(client, "halves", trial)
    uuid = choose("auto", visible_gpus())[0].uuid
    for number in (0, 1):
        text = "".join(item["text"] for item in client.rest.trial_log("halves", number)["items"])
        assert uuid in text
        assert "count=1" in text
        assert client.rest.get_trial("halves", number)["values"] == {"loss": 8.0}


def test_a_trial_without_a_gpu_sees_none(client):
    run(client, "none", {"python": "gpu_jobs:see", "resources": {"gpus": 0, "cpus": 1}}, trials=1)
    text = "".join(item["text"] for item in client.rest.trial_log("none", 0)["items"])
    assert "count=0" in text


def test_a_built_in_task_trains_on_its_gpu(client):
    task = {"dataset": "digits", "model": "mlp", "epochs": 2, "optimizer": "adam"}
    run(client, "task", {"task": task, "resources": {"gpus": 1, "cpus": 1}}, slots=1)
    text = "".join(item["text"] for item in client.rest.trial_log("task", 0)["items"])
    assert "training on cuda" in text


def test_the_worker_registers_its_gpus(client):
    pool = Agent(client).pool
    assert [device["kind"] for device in pool.describe()] == ["cuda"] * len(pool.gpus)
    assert all(device["memory_bytes"] > 2**30 for device in pool.describe())
