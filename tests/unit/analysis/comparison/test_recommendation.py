"""What is recommended, and that its code runs."""

import pytest
import torch

from tuner.analysis.comparison.build import compare
from tuner.analysis.comparison.convergence import convergence
from tuner.analysis.comparison.recommendation import recommendation
from tuner.analysis.comparison.significance import significance
from tuner.optimizers import registry
from tuner.training.stepping import Needs, needs


@pytest.fixture
def recommended(contest_of):
    def build(trials, rows=(), **changes):
        contest = contest_of(trials, rows, **changes)
        return recommendation(contest, significance(contest), convergence(contest))

    return build


@pytest.fixture
def tied(make_trial, make_rows):
    """Two optimizers with the same values; the second in name takes half the seconds."""
    trials, rows = [], []
    for i, (name, pace) in enumerate([("adamw", 2.0), ("sgd", 1.0)]):
        trials.append(make_trial(10 * i, name, 0.5))
        for r in range(1, 6):
            number, value = 10 * i + r, 0.5 + 0.01 * r
            trials.append(make_trial(number, name, value, confirms=10 * i, replicate=r))
            rows += make_rows(number, "val_loss", [0.9, value])
            rows += make_rows(number, "seconds", [pace, 2 * pace])
    return trials, rows


def test_of_those_not_told_apart_the_soonest_is_taken(recommended, tied):
    found = recommended(*tied, compare={"target": 0.7})
    assert found["leader"] == "adamw"
    assert found["group"] == ["adamw", "sgd"]
    assert (found["optimizer"], found["cheapest_by"]) == ("sgd", "seconds")
    assert found["setting"] == 10


def test_a_cheap_optimizer_that_looks_worse_is_not_taken(recommended, make_trial, make_rows):
    trials, rows = [], []
    for i, (name, value) in enumerate([("adamw", 0.1), *((f"o{k}", 0.4) for k in range(8))]):
        trials.append(make_trial(10 * i, name, value))
        for r in range(1, 6):
            number = 10 * i + r
            trials.append(make_trial(number, name, value + 0.01 * r, confirms=10 * i, replicate=r))
            rows += make_rows(number, "val_loss", [value + 0.01 * r])
            rows += make_rows(number, "seconds", [9.0 if name == "adamw" else 1.0])
    found = recommended(trials, rows, compare={"target": 0.9})
    assert len(found["group"]) == 9
    assert found["close"] == ["adamw"]
    assert found["optimizer"] == "adamw"


def test_no_proof_of_a_difference_is_no_proof_that_there_is_none(
    recommended, make_trial, make_rows
):
    """The tests do not part the two, but the faster one's median is worse than all of the other."""
    trials, rows = [], []
    values = {"adamw": (0.51, 0.52, 0.53, 0.54, 0.55), "sgd": (0.50, 0.525, 0.58, 0.60, 0.62)}
    for i, (name, own) in enumerate(values.items()):
        trials.append(make_trial(10 * i, name, 0.5))
        for r, value in enumerate(own, start=1):
            number = 10 * i + r
            trials.append(make_trial(number, name, value, confirms=10 * i, replicate=r))
            rows += make_rows(number, "val_loss", [value])
            rows += make_rows(number, "seconds", [9.0 if name == "adamw" else 1.0])
    found = recommended(trials, rows, compare={"target": 0.9})
    assert found["group"] == ["adamw", "sgd"]
    assert (found["close"], found["optimizer"]) == (["adamw", "sgd"], "adamw")


def test_too_few_seeds_make_nobody_as_good_as_the_leader(recommended, tied):
    few = [t for t in tied[0] if t["user_attrs"].get("replicate", 0) <= 3]
    found = recommended(few, tied[1])
    assert found["close"] == ["adamw", "sgd"]
    assert (found["optimizer"], found["cheapest"]) == ("adamw", None)


def test_without_times_the_leader_is_taken(recommended, tied):
    found = recommended(tied[0])
    assert (found["optimizer"], found["cheapest"]) == ("adamw", None)


def test_without_a_result_there_is_none(recommended, make_trial):
    assert recommended([]) is None
    assert recommended([make_trial(0, "sgd", "NaN", diverged=True)]) is None


def test_an_unconfirmed_leader_is_said_to_be_one(recommended, make_trial):
    found = recommended([make_trial(0, "sgd", 0.5), make_trial(1, "adamw", 0.4)])
    assert (found["leader"], found["confirmed"]) == ("adamw", False)


def executed(code, model):
    namespace = {"model": model, "total_steps": 20}
    exec(code, namespace)  # noqa: S102  our own code, to see that it runs
    return namespace


@pytest.mark.parametrize("name", registry.names())
def test_the_code_runs_for_every_optimizer(recommended, make_trial, name):
    params = {
        "optimizer": name,
        f"{name}.lr": 0.01,
        "batch_size": 32,
        "schedule": "cosine",
        "warmup": 0.1,
    }
    found = recommended([make_trial(0, name, 0.5, params=params)])
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    ours = executed(found["tuner_code"], model)
    assert ours["params"] == params
    assert ours["optimizer"].param_groups[0]["initial_lr"] == 0.01
    if found["torch_code"] is None:
        assert name in found["why"]
        return
    plain = executed(found["torch_code"], model)
    assert type(plain["optimizer"]) is type(ours["optimizer"])
    assert plain["optimizer"].param_groups[0]["lr"] == ours["optimizer"].param_groups[0]["lr"]
    assert plain["factor"](7) == pytest.approx(ours["scheduler"].lr_lambdas[0](7))


@pytest.mark.parametrize("name", registry.names())
def test_the_code_says_how_to_step_where_step_alone_fails(recommended, make_trial, name):
    params = {"optimizer": name, f"{name}.lr": 0.01}
    written = recommended([make_trial(0, name, 0.5, params=params)])["tuner_code"]
    x = torch.ones(3, 4)
    model = torch.nn.Linear(4, 1)
    made = executed(written, model)
    made |= {"model": model, "x": x, "y": x[:, :1], "loss_fn": torch.nn.functional.mse_loss}
    lines = [line for line in written.splitlines() if line.startswith("# each step: ")]
    wanted = needs(made["optimizer"])
    assert bool(lines) == (wanted != Needs())
    before = model.weight.detach().clone()
    for line in lines:
        exec(line.removeprefix("# each step: "), made)  # noqa: S102 - the code under test
        assert not torch.equal(model.weight, before)


def test_the_code_says_that_the_batch_was_the_whole_training_set(recommended, make_trial):
    def said(name, **task):
        params = {"optimizer": name, f"{name}.lr": 0.01}
        changes = {"trial": {"task": {"dataset": "iris", "model": "mlp", **task}}}
        found = recommended([make_trial(0, name, 0.5, params=params)], **changes)
        return "whole training set" in found["tuner_code"]

    assert said("lbfgs")
    assert said("gd", batch_size=16)
    assert not said("lbfgs", batch_size=16)
    assert not said("adam")


def test_what_the_task_says_is_in_the_code(recommended, make_trial):
    task = {
        "dataset": "digits",
        "model": "mlp",
        "schedule": "linear",
        "groups": [{"match": "*.bias", "weight_decay": 0.0}],
    }
    trial = make_trial(0, "adamw", 0.5, params={"optimizer": "adamw", "adamw.lr": 0.01})
    found = recommended([trial], trial={"task": task})
    made = executed(found["tuner_code"], torch.nn.Sequential(torch.nn.Linear(3, 3)))
    assert made["params"]["schedule"] == "linear"
    assert len(made["optimizer"].param_groups) == 2
    assert found["torch_code"] is None
    assert "groups" in found["why"]


def test_layer_decay_needs_our_helper(recommended, make_trial):
    params = {"optimizer": "adamw", "adamw.lr": 0.01, "layer_decay": 0.5}
    found = recommended([make_trial(0, "adamw", 0.5, params=params)])
    assert found["torch_code"] is None
    assert len(executed(found["tuner_code"], torch.nn.Linear(3, 3))["optimizer"].param_groups) > 0


def test_an_optimizer_of_the_users_own_gets_its_parameters_only(recommended, make_trial):
    params = {"optimizer": "mine", "x": 1}
    found = recommended([make_trial(0, "mine", 0.5, params=params)])
    assert executed(found["tuner_code"], None)["params"] == params
    assert found["torch_code"] is None


def test_a_whole_comparison_is_recommended_from_confirmed_values(contest_of, compared):
    _, trials, rows = compared
    found = compare(contest_of(trials, rows))
    assert found["recommendation"]["leader"] == "adamw"
    assert found["recommendation"]["optimizer"] == "adamw"
    assert found["optimizers"] == ["adamw", "rmsprop", "nesterov", "sgd"]
