"""The code for PyTorch alone makes what `tuner.training` makes."""

import pytest
import torch

from tuner.optimizers import registry
from tuner.optimizers.torch_code import CALLS, SHAPES, optimizer_call, schedule_lines
from tuner.training import build_optimizer, build_scheduler

SCHEDULE = {"schedule": "constant", "warmup": 0.0, "lr_end": 0.03, "lr_drops": 3, "lr_power": 1.5}


def values_of(name, **changes):
    return {p.name: p.default for p in registry.get(name).parameters} | changes


def built(name, values):
    model = torch.nn.Linear(2, 2)
    ours = build_optimizer(
        model, {"optimizer": name, **{f"{name}.{key}": value for key, value in values.items()}}
    )
    namespace = {"torch": torch, "model": model}
    exec(f"optimizer = {optimizer_call(name, values)}", namespace)  # noqa: S102  our own code
    return ours, namespace["optimizer"]


@pytest.mark.parametrize("name", CALLS)
def test_every_call_makes_the_same_optimizer(name):
    ours, theirs = built(name, values_of(name, lr=0.0123456789))
    assert type(ours) is type(theirs)
    assert ours.defaults == theirs.defaults


def test_nesterov_without_momentum_is_written_without_the_flag():
    ours, theirs = built("nesterov", values_of("nesterov", momentum=0.0))
    assert ours.defaults == theirs.defaults


@pytest.mark.parametrize("name", sorted(set(registry.names()) - set(CALLS)))
def test_methods_that_torch_lacks_have_no_call(name):
    assert optimizer_call(name, values_of(name)) is None


def test_adam_without_bias_correction_has_no_call():
    assert optimizer_call("adam", values_of("adam", bias_correction=False)) is None


@pytest.mark.parametrize("warmup", [0.0, 0.25])
@pytest.mark.parametrize("schedule", SHAPES)
def test_every_schedule_scales_as_ours(schedule, warmup):
    values = {**SCHEDULE, "schedule": schedule, "warmup": warmup}
    lines = schedule_lines(values)
    if not lines:
        assert (schedule, warmup) == ("constant", 0.0)
        return
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    ours = build_scheduler(optimizer, values, 40)
    namespace = {"torch": torch, "optimizer": optimizer, "total_steps": 40}
    exec("import math\n" + "\n".join(lines), namespace)  # noqa: S102  our own code
    expected = [ours.lr_lambdas[0](step) for step in range(41)]
    assert [namespace["factor"](step) for step in range(41)] == pytest.approx(expected)
    assert isinstance(namespace["scheduler"], torch.optim.lr_scheduler.LambdaLR)


def test_an_unknown_schedule_has_no_lines():
    assert schedule_lines({**SCHEDULE, "schedule": "plateau"}) is None
