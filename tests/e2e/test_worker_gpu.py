"""Finding GPUs, and loading torch before a fork, leave CUDA usable in the trials."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tuner.settings import child_environment, visible_gpus
from tuner.worker.agent import make_pool
from tuner.worker.devices import choose, discover
from tuner.worker.executors.process import SERVER_ENV

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not discover(), reason="no GPU: NVML finds no device on this machine"),
]
FORK = """
import os, torch
assert not torch.cuda.is_initialized()
pid = os.fork()
if pid == 0:
    torch.ones(1, device="cuda")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.parametrize(
    "before",
    [
        "from tuner.worker.devices import discover; assert discover()",
        "import tuner.training.preload",
        "import torch, torch._dynamo",
    ],
)
def test_a_fork_can_use_cuda_after(before):
    code = f"{before}\n{FORK}"
    env = child_environment(SERVER_ENV)
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=120)


def test_a_worker_registers_its_gpus_by_uuid():
    gpus = choose("auto", visible_gpus())
    described = make_pool("auto", None).describe()
    assert [device["uuid"] for device in described] == [gpu.uuid for gpu in gpus]
    assert all(device["kind"] == "cuda" for device in described)
    assert all(device["memory_bytes"] > 2**30 for device in described)


def test_gpus_are_chosen_by_their_place_among_the_visible_ones():
    gpus = choose("auto", None)
    assert choose("cuda:0", gpus[-1].uuid) == [gpus[-1]]
