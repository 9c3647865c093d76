"""The schedules' factors, step by step."""

import math

import pytest
import torch

from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import OPTIONS
from tuner.training import build_scheduler
from tuner.training.schedules import NAMES, SHAPES, Settings, factor


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
    given = (OPTIONS[name].default for name in NAMES if name not in ("schedule", "warmup"))
    assert Settings() == Settings(*given)


LOSSES = [3.0, 2.0, 2.0, 2.5, 1.9, 1.9, 1.9, 1.9, 1.9, 1.9, 1.8, 2.0, 2.0, 2.0, 2.0, 1.9]


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateau_drops_as_torchs_does_which_counts_one_epoch_more(patience):
    ours, theirs = (
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5) for _ in range(2)
    )
    params = {"schedule": "plateau", "plateau_factor": 0.5, "plateau_patience": patience}
    scheduler = build_scheduler(ours, {**params, "lr_end": 0.1}, 2 * len(LOSSES))
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        theirs, factor=0.5, patience=patience - 1, threshold=0.0, min_lr=0.05, eps=0.0
    )
    seen = set()
    for loss in LOSSES:
        for _ in range(2):
            ours.step()
            scheduler.step()
        scheduler.observe(loss)
        reference.step(loss)
        assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
        assert scheduler.get_last_lr() == [ours.param_groups[0]["lr"]]
        seen.add(ours.param_groups[0]["lr"])
    assert len(seen) > 1


def test_plateau_counts_no_epoch_of_the_warm_up():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    params = {"schedule": "plateau", "plateau_patience": 2, "warmup": 0.5}
    scheduler = build_scheduler(optimizer, params, 12)
    seen = []
    for _ in range(12):
        optimizer.step()
        scheduler.step()
        scheduler.observe(1.0)
        seen.append(optimizer.param_groups[0]["lr"])
    # The first step at the full rate sets the mark, and two more bring the first drop.
    assert seen[:5] == pytest.approx([(t + 2) / 7 for t in range(5)])
    assert seen[5:] == pytest.approx([1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("schedule", sorted(set(SHAPES) - {"plateau"}))
def test_what_a_loop_observes_changes_nothing_but_plateau(schedule):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = build_scheduler(optimizer, {"schedule": schedule}, 20)
    seen = []
    for _ in range(20):
        seen.append(optimizer.param_groups[0]["lr"] / 0.5)
        optimizer.step()
        scheduler.step()
        scheduler.observe(1.0)
    assert seen == rates({"schedule": schedule}, 20)


def cycling(make, params, steps=20, upto=None):
    weights = [torch.nn.Parameter(torch.ones(1))]
    optimizer = make(weights)
    scheduler = build_scheduler(optimizer, params, steps)
    seen = []
    for _ in range(upto or steps):
        group = optimizer.param_groups[0]
        seen.append(group["betas"][0] if "betas" in group else group["momentum"])
        optimizer.step()
        scheduler.step()
    return seen, optimizer, scheduler


MOMENTA = {
    "momentum": lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.95),
    "beta1": lambda weights: torch.optim.AdamW(weights, lr=0.1, betas=(0.95, 0.99)),
}
ONE_CYCLE = {"schedule": "one_cycle", "momentum_low": 0.85}


@pytest.mark.parametrize("make", MOMENTA.values(), ids=MOMENTA)
def test_momentum_goes_down_while_the_rate_of_one_cycle_goes_up(make):
    seen, optimizer, _ = cycling(make, ONE_CYCLE)
    down = [0.95 - 0.1 * math.sin(math.pi * t / 12) ** 2 for t in range(6)]
    up = [0.95 - 0.1 * math.cos(math.pi * (t - 6) / 28) ** 2 for t in range(6, 20)]
    assert seen == pytest.approx(down + up)
    if "betas" in optimizer.param_groups[0]:
        assert optimizer.param_groups[0]["betas"][1] == 0.99


@pytest.mark.parametrize(
    "params",
    [
        {"schedule": "one_cycle"},
        {"schedule": "cosine", "momentum_low": 0.5},
        {"schedule": "one_cycle", "momentum_low": 0.97},
    ],
)
def test_momentum_stays_without_a_lower_one_to_go_to(params):
    for make in MOMENTA.values():
        assert set(cycling(make, params)[0]) == {0.95}


def test_momentum_waits_for_the_end_of_the_warm_up():
    seen, _, _ = cycling(MOMENTA["momentum"], {**ONE_CYCLE, "warmup": 0.5})
    assert seen[:11] == [0.95] * 11
    assert min(seen) == pytest.approx(0.85)


def test_an_optimizer_without_momentum_has_nothing_to_cycle():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    build_scheduler(optimizer, {**ONE_CYCLE, "momentum_low": 0.0}, 10)
    assert optimizer.param_groups[0]["momentum"] == 0


@pytest.mark.parametrize("make", MOMENTA.values(), ids=MOMENTA)
def test_a_cycle_goes_on_from_its_state(make):
    whole, _, _ = cycling(make, ONE_CYCLE)
    begun, optimizer, scheduler = cycling(make, ONE_CYCLE, upto=8)
    other = make([torch.nn.Parameter(torch.ones(1))])
    resumed = build_scheduler(other, ONE_CYCLE, 20)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for _ in range(12):
        group = other.param_groups[0]
        begun.append(group["betas"][0] if "betas" in group else group["momentum"])
        other.step()
        resumed.step()
    assert begun == whole


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


def test_other_arguments_are_refused_with_what_to_write():
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for given in ((model, {}), (optimizer, 100), (optimizer, "cosine")):
        with pytest.raises(TypeError, match=r"build_scheduler\(optimizer, trial\.params, total_s"):
            build_scheduler(*given, 100)
