"""Groups of a task as they are checked at creation, before any model exists."""

import pytest

from tuner.core.study import StudySpec
from tuner.errors import Invalid, UnknownName
from tuner.optimizers.registry import parameter_names
from tuner.service.specification import define
from tuner.tasks.check import check_parameters, check_study, used_optimizers, validate

KNOWN = parameter_names()
GROUPS = [
    {"name": "head", "match": "head", "optimizer": "lion", "beta2": 0.9},
    {"name": "norms", "type": "LayerNorm", "weight_decay": 0.0},
]
TASK = {"dataset": "digits", "groups": GROUPS}
LINE = {"type": "float", "low": 0.1, "high": 1.0}


def test_a_task_keeps_its_groups():
    assert validate(TASK, optimizers=KNOWN)["groups"] == GROUPS


def test_trials_use_the_chosen_optimizers_and_those_of_the_groups():
    assert list(used_optimizers(TASK, ["adam"], KNOWN)) == ["adam", "lion"]
    assert list(used_optimizers({"dataset": "digits"}, ["adam"], KNOWN)) == ["adam"]


def test_parameters_of_named_groups_and_of_their_optimizers_are_known():
    space = dict.fromkeys(["head.lr_factor", "head.beta2", "norms.lr", "lion.lr", "adam.lr"], LINE)
    used = used_optimizers(TASK, ["adam"], KNOWN)
    check_parameters(TASK, space, used)
    for name in ("norms.beta3", "tail.lr", "head.momentum", "sgd.lr"):
        with pytest.raises(UnknownName):
            check_parameters(TASK, [name], used)


def test_a_group_may_set_what_every_chosen_optimizer_has():
    task = {"dataset": "digits", "groups": [{"match": "x", "momentum": 0.5}]}
    validate(task, optimizers=KNOWN)
    used_optimizers(task, ["momentum", "nesterov"], KNOWN)
    with pytest.raises(UnknownName) as caught:
        used_optimizers(task, ["momentum", "adam"], KNOWN)
    assert caught.value.errors[0].path == "trial.task.groups[0].momentum"
    space = {"optimizer": {"type": "categorical", "choices": ["momentum", "adam"]}}
    with pytest.raises(UnknownName):
        check_study(task, space, KNOWN)


@pytest.mark.parametrize(
    ("groups", "path"),
    [
        ([{"match": "x", "learning_rate": 1}], "trial.task.groups[0].learning_rate"),
        ([{"match": "x"}, {"match": "y", "optimizer": "adann"}], "trial.task.groups[1].optimizer"),
        ([{"name": "x"}], "trial.task.groups[0]"),
        ({"match": "x"}, "trial.task.groups"),
        ([{"match": "x"}] * 65, "trial.task.groups"),
        ([{"match": "x", "lr": float("nan")}], "trial.task.groups[0].lr"),
        ([{"match": "x", "lr_factor": True}], "trial.task.groups[0].lr_factor"),
    ],
)
def test_a_mistake_is_answered_with_its_path(groups, path):
    with pytest.raises(Invalid) as caught:
        validate({"dataset": "digits", "groups": groups}, optimizers=KNOWN)
    assert caught.value.errors[0].path == path


STUDY = {
    "name": "a",
    "objective": "val_loss",
    "space": {"optimizers": ["adam"], "parameters": {"head.lr_factor": LINE}},
    "trial": {"task": TASK},
}


def created(**changes):
    return define(StudySpec.read({**STUDY, **changes}))


def test_a_study_with_groups_is_created():
    assert "head.lr_factor" in created().space.parameters


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        (
            {"space": {"optimizers": ["adam", "lbfgs"], "parameters": {"head.lr_factor": LINE}}},
            "trial.task.groups",
        ),
        (
            {"space": {"optimizers": ["adam"], "parameters": {"adam.beta1": {"low": -0.5}}}},
            "space.parameters.adam.beta1.low",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_when_the_study_is_created(changes, path):
    with pytest.raises(Invalid) as caught:
        created(**changes)
    assert caught.value.errors[0].path == path
