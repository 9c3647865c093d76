"""The schedules' factors, step by step."""

import math

import pytest
import torch

from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import OPTIONS
from tuner.training import build_scheduler
from tuner.training.schedules import SHAPES, Settings, factor


def rates(params, steps, lr=0.5):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = build_scheduler(optimizer, params, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"] / lr)
        optimizer.step()
        scheduler.step()
    return seen


def test_the_schedules_are_those_that_tasks_offer():
    assert tuple(SHAPES) == OPTIONS["schedule"].choices


def test_constant_is_one():
    assert rates({}, 5) == [1.0] * 5


def test_linear_falls_evenly_and_takes_no_step_at_zero():
    assert rates({"schedule": "linear"}, 4) == pytest.approx([1.0, 0.75, 0.5, 0.25])


def test_cosine_is_half_a_wave():
    expected = [0.5 * (1 + math.cos(math.pi * t / 6)) for t in range(6)]
    assert rates({"schedule": "cosine"}, 6) == pytest.approx(expected)


def test_steps_are_even_and_end_at_the_chosen_factor():
    assert rates({"schedule": "step"}, 6) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    params = {"schedule": "step", "lr_end": 0.5, "lr_drops": 1}
    assert rates(params, 4) == pytest.approx([1, 1, 0.5, 0.5])


def test_exponential_falls_by_the_same_share_at_each_step():
    seen = rates({"schedule": "exponential", "lr_end": 0.0625}, 4)
    assert seen == pytest.approx([1, 0.5, 0.25, 0.125])


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_polynomial_is_a_power_of_what_is_left(power):
    params = {"schedule": "polynomial", "lr_power": power}
    assert rates(params, 4) == pytest.approx([(1 - t / 4) ** power for t in range(4)])


def test_one_cycle_rises_and_falls_along_half_cosines():
    seen = rates({"schedule": "one_cycle"}, 20)
    rise = [0.04 + 0.96 * math.sin(math.pi * t / 12) ** 2 for t in range(6)]
    fall = [math.cos(math.pi * (t - 6) / 28) ** 2 for t in range(6, 20)]
    assert seen == pytest.approx(rise + fall)
    assert max(seen) == seen[6] == pytest.approx(1.0)


def test_the_default_numbers_are_those_of_the_options():
    given = (OPTIONS[name].default for name in ("lr_end", "lr_drops", "lr_power"))
    assert Settings() == Settings(*given)


@pytest.mark.parametrize("schedule", SHAPES)
def test_warm_up_rises_evenly_to_the_first_rate_and_then_follows_the_schedule(schedule):
    seen = rates({"schedule": schedule, "warmup": 0.3}, 10)
    first = 0.04 if schedule == "one_cycle" else 1.0
    assert seen[:4] == pytest.approx([0.25 * first, 0.5 * first, 0.75 * first, first])
    assert seen[3:] == pytest.approx(rates({"schedule": schedule}, 7))


def test_beyond_the_last_step_the_factor_stays_at_the_end():
    assert factor("linear", 0.0, 10, 25) == 0.0
    assert factor("cosine", 0.5, 10, 25) == pytest.approx(0.0)
    assert factor("constant", 0.5, 10, 25) == 1.0
    assert factor("step", 0.0, 10, 25) == pytest.approx(0.01)


def test_names_are_found_by_the_rule_of_names():
    params = {"optimizer": "sgd", "sgd.schedule": "linear", "adam.schedule": "cosine"}
    assert rates(params, 4)[-1] == pytest.approx(0.25)


def test_an_unknown_schedule_is_refused_with_the_nearest():
    with pytest.raises(UnknownName) as caught:
        rates({"schedule": "cosin"}, 3)
    assert caught.value.errors[0].nearest == "cosine"


@pytest.mark.parametrize(
    ("params", "steps"),
    [({"warmup": 0.8}, 3), ({"lr_drops": 0}, 3), ({"lr_end": 0.0}, 3), ({}, 0)],
)
def test_a_number_out_of_range_or_no_steps_are_refused(params, steps):
    with pytest.raises(Invalid):
        rates(params, steps) if steps else build_scheduler(
            torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), params, steps
        )
