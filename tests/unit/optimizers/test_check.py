"""What is refused of a space and of groups before the first trial."""

import pytest

from tuner.errors import Invalid
from tuner.optimizers.check import check_ranges, check_splits
from tuner.optimizers.expand import expand
from tuner.optimizers.registry import names


@pytest.mark.parametrize("size", ["small", "medium", "large"])
def test_every_expansion_is_legal(size):
    check_ranges(expand(names(), size), names())


@pytest.mark.parametrize(
    ("name", "domain", "path"),
    [
        ("adam.beta1", {"type": "float", "low": 0.5, "high": 1.0}, "adam.beta1.high"),
        ("lr", {"type": "float", "low": -0.1, "high": 1.0}, "lr.low"),
        ("lbfgs.history", {"type": "float", "low": 2.5, "high": 9.0}, "lbfgs.history.low"),
        ("adam.eps", {"type": "fixed", "value": -1.0}, "adam.eps.value"),
        ("momentum", {"type": "categorical", "choices": [0.9, 1.5]}, "momentum.choices[1]"),
    ],
)
def test_a_bound_that_an_optimizer_is_not_defined_for_is_refused(name, domain, path):
    with pytest.raises(Invalid) as caught:
        check_ranges({name: domain}, ["adam", "momentum", "lbfgs"])
    assert caught.value.errors[0].path == f"space.parameters.{path}"


def test_parameters_of_other_things_are_left_alone():
    space = {"dropout": {"type": "float", "low": -5, "high": 7}, "sgd.lr": {"low": -1, "high": 1}}
    check_ranges({**space, "head.lr_factor": {"low": -1, "high": 1}}, ["adam"])


@pytest.mark.parametrize(
    ("task", "groups", "path"),
    [
        ({}, [{"match": "x"}], "trial.task.groups"),
        ({"layer_decay": 0.9}, [], "trial.task.layer_decay"),
    ],
)
def test_a_method_for_the_whole_model_is_refused_with_layers_of_their_own(task, groups, path):
    check_splits(task, groups, ["adam", "sgd"])
    check_splits({"layer_decay": 1.0}, [], ["lbfgs"])
    with pytest.raises(Invalid, match="newton_cg") as caught:
        check_splits(task, groups, ["adam", "newton_cg"])
    assert caught.value.errors[0].path == path


def test_a_group_cannot_have_a_method_for_the_whole_model():
    with pytest.raises(Invalid, match="lbfgs") as caught:
        check_splits({}, [{"match": "a"}, {"match": "b", "optimizer": "lbfgs"}], ["adam"])
    assert caught.value.errors[0].path == "trial.task.groups[1].optimizer"
