"""What every optimizer keeps of its entry: names and refusals, state, cost, bounds, devices."""

import math
from functools import partial

import pytest
import torch

from tuner.errors import Invalid, UnknownName
from tuner.optimizers.registry import ENTRIES, names
from tuner.training import build_optimizer, take_step

# What they keep depends on the weights' shape.
SHAPED = {"muon", "lbfgs", "soap", "shampoo"}


def test_the_plain_name_goes_before_the_optimizers_own_and_that_before_the_default(make_quadratic):
    def rate(params):
        return build_optimizer(make_quadratic(), params).param_groups[0]["lr"]

    assert rate({"optimizer": "adam"}) == 1e-3
    assert rate({"optimizer": "adam", "adam.lr": 0.02, "sgd.lr": 0.5}) == 0.02
    assert rate({"optimizer": "adam", "adam.lr": 0.02, "lr": 0.03}) == 0.03


def test_parameters_without_an_optimizer_are_refused(make_quadratic):
    with pytest.raises(Invalid, match="missing") as caught:
        build_optimizer(make_quadratic(), {"lr": 0.1})
    assert caught.value.errors[0].path == "optimizer"


def test_an_unknown_optimizer_is_refused_with_the_nearest(make_quadratic):
    with pytest.raises(UnknownName) as caught:
        build_optimizer(make_quadratic(), {"optimizer": "adagrd"})
    assert caught.value.errors[0].nearest == "adagrad"


@pytest.mark.parametrize(
    ("params", "path", "near"),
    [
        ({"optimizer": "sgd", "sgd.momentum": 0.9}, "sgd.momentum", None),
        ({"optimizer": "adam", "adam.lrr": 1}, "adam.lrr", "lr"),
        ({"optimizer": "sgd", "adam.epsil": 0.9}, "adam.epsil", "eps"),
    ],
)
def test_a_parameter_that_an_optimizer_does_not_have_is_refused(
    make_quadratic, params, path, near
):
    with pytest.raises(UnknownName) as caught:
        build_optimizer(make_quadratic(), params)
    (field,) = caught.value.errors
    assert (field.path, field.nearest) == (path, near)
    assert all(name in str(caught.value) for name in field.allowed)
    assert near is None or f"did you mean {near!r}" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["sgd.batch_size", "sgd.warmup", "sgd.my_noise", "lion.beta1", "my.momentum", "lrr"]
)
def test_own_names_and_those_of_tasks_and_schedules_may_stand_beside_an_optimizers(
    make_quadratic, key
):
    assert build_optimizer(make_quadratic(), {"optimizer": "sgd", key: 0.5})


def floats_in(state):
    if isinstance(state, dict | list):
        return sum(floats_in(v) for v in (state.values() if isinstance(state, dict) else state))
    return state.numel() if torch.is_tensor(state) and state.dim() > 0 else 0


@pytest.mark.parametrize("name", sorted(set(names()) - SHAPED))
def test_the_state_is_as_large_as_the_entry_says(make_quadratic, name):
    model = make_quadratic()
    optimizer = build_optimizer(model, {"optimizer": name})
    take_step(optimizer, model)
    assert floats_in(optimizer.state[model.w]) == ENTRIES[name].cost.state * model.w.numel()


@pytest.mark.parametrize("name", sorted(set(names()) - {"muon", "lbfgs", "newton_cg"}))
def test_a_step_costs_what_the_entry_says(make_quadratic, name):
    model = make_quadratic()
    cost = ENTRIES[name].cost
    assert cost.functions == cost.gradients
    taken = take_step(build_optimizer(model, {"optimizer": name}), model)
    assert taken.evaluations == cost.functions + cost.products


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        *((name, "lr", -0.1) for name in names()),
        ("sgd", "lr", math.nan),
        ("sgd", "lr", "0.1"),
        ("adam", "beta1", 1.0),
        ("adam", "bias_correction", "no"),
        ("lbfgs", "history", 0),
        ("lbfgs", "history", 2.5),
        ("rmsprop", "lr", True),
        ("ademamix", "slow_warmup", 0),
    ],
)
def test_a_value_that_the_method_cannot_take_is_refused_before_the_first_step(name, key, value):
    with pytest.raises(Invalid) as caught:
        build_optimizer(torch.nn.Linear(2, 2), {"optimizer": name, key: value})
    assert caught.value.errors[0].path.endswith(f".{key}")


BOUNDS = [
    (name, parameter.name, value)
    for name in names()
    for parameter in ENTRIES[name].parameters
    for value in (parameter.choices or (parameter.low, parameter.high, parameter.default))
]


@pytest.mark.parametrize(("name", "key", "value"), BOUNDS)
def test_every_bound_choice_and_default_can_be_trained(name, key, value):
    build_optimizer(torch.nn.Linear(2, 2), {"optimizer": name, f"{name}.{key}": value})


def _cross_entropy(model, x, y):
    return torch.nn.functional.cross_entropy(model(x), y)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", names())
def test_on_cuda_every_optimizer_agrees_with_the_cpu(name):
    weights = {}
    for device in ("cpu", "cuda:0"):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
        x, y = torch.randn(16, 4), torch.randint(0, 3, (16,))
        model, x, y = model.double().to(device), x.double().to(device), y.to(device)
        optimizer = build_optimizer(model, {"optimizer": name})
        loss = partial(_cross_entropy, model, x, y)
        for _ in range(3):
            take_step(optimizer, loss, model)
        weights[device] = torch.cat([w.detach().flatten().cpu() for w in model.parameters()])
    torch.testing.assert_close(weights["cuda:0"], weights["cpu"], rtol=1e-5, atol=1e-7)


def test_the_weights_instead_of_the_model_are_refused_with_what_to_write():
    model = torch.nn.Linear(2, 1)
    for given in (model.parameters(), list(model.parameters()), None):
        with pytest.raises(TypeError, match=r"build_optimizer\(model, trial\.params\)"):
            build_optimizer(given, {"optimizer": "sgd"})
