"""What of a task reaches an optimizer's trials, and what is refused or warned of because of it."""

import pytest

from tuner.errors import Invalid
from tuner.optimizers.check import cautions, check_precision, check_splits
from tuner.optimizers.reach import reach
from tuner.optimizers.registry import names

TASK = {"dataset": "digits", "batch_size": 32}


def fixed(value, **more):
    return {"type": "fixed", "value": value, **more}


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ({}, [32]),
        ({"batch_size": fixed(16)}, [16]),
        ({"adam.batch_size": fixed(16)}, [16]),
        ({"sgd.batch_size": fixed(16)}, [32]),
        ({"batch_size": fixed(16), "adam.batch_size": fixed(8)}, [16]),
        ({"batch_size": {"type": "int", "low": 8, "high": 64}}, [8, 64]),
        ({"batch_size": {"type": "categorical", "choices": [4, 5, 6]}}, [4, 5, 6]),
        ({"batch_size": fixed(16, when={"optimizer": ["adam"]})}, [16]),
        ({"batch_size": fixed(16, when={"optimizer": ["sgd"]})}, [32]),
        ({"batch_size": fixed(16, when={"schedule": ["cosine"]})}, [16, 32]),
    ],
)
def test_a_key_reaches_a_trial_by_the_rule_of_names(parameters, values):
    found = reach("batch_size", "adam", TASK, parameters)
    assert [value for _, value in found] == values
    assert all(path.endswith("batch_size") for path, _ in found)


def test_what_nobody_gives_reaches_nothing():
    assert reach("clip_norm", "adam", TASK, {}) == []


DECAY = {"lbfgs.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2}}


@pytest.mark.parametrize(
    ("task", "space", "path"),
    [
        ({"decay_on": "weights", "weight_decay": 0.1}, {}, "trial.task.decay_on"),
        ({"decay_on": "weights"}, DECAY, "trial.task.decay_on"),
        (
            {},
            {**DECAY, "decay_on": {"type": "categorical", "choices": ["all", "weights"]}},
            "space.parameters.decay_on",
        ),
        (
            {},
            {"layer_decay": {"type": "float", "low": 0.5, "high": 1.0}},
            "space.parameters.layer_decay",
        ),
    ],
)
def test_a_method_for_the_whole_model_takes_no_decay_on_some_weights(task, space, path):
    check_splits(task, [], ["adam"], parameters=space)
    with pytest.raises(Invalid, match="lbfgs") as caught:
        check_splits(task, [], ["adam", "lbfgs"], parameters=space)
    assert caught.value.errors[0].path == path


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"lbfgs.decay_on": fixed("all"), **DECAY},
        {"lbfgs.weight_decay": fixed(0.0)},
        {"adam.weight_decay": {"type": "float", "low": 1e-6, "high": 1e-2}},
    ],
)
def test_decay_on_weights_goes_with_a_method_that_does_not_decay(space):
    check_splits({"decay_on": "weights"}, [], ["adam", "lbfgs"], parameters=space)
    check_splits({"decay_on": "weights", "weight_decay": 0.1}, [], ["prodigy"])


ALL = ["float32", "bfloat16", "float16"]
TAKEN = dict.fromkeys(names(), ALL)
TAKEN |= dict.fromkeys(["lbfgs", "newton_cg", "adahessian"], ALL[:1])
TAKEN |= dict.fromkeys(["sam", "sam_adamw"], ALL[:2])


def check(name, precision, gpus=1.0):
    check_precision({"precision": precision}, {}, [name], [], gpus)


@pytest.mark.parametrize("name", names())
def test_second_order_takes_float32_and_sharpness_no_float16(name):
    for precision in TAKEN[name]:
        check(name, precision)
    for precision in set(ALL) - set(TAKEN[name]):
        with pytest.raises(Invalid) as caught:
            check(name, precision)
        (mistake,) = caught.value.errors
        assert (mistake.path, mistake.found) == ("trial.task.precision", precision)
        assert mistake.allowed == TAKEN[name]


def test_float16_needs_a_gpu_and_every_optimizer_of_a_group_counts():
    check("adam", "bfloat16", gpus=0.0)
    with pytest.raises(Invalid, match="GPU"):
        check("adam", "float16", gpus=0.0)
    with pytest.raises(Invalid, match="adahessian"):
        check_precision({"precision": "bfloat16"}, {}, ["adam"], ["adahessian"], 1)
    space = {"precision": {"type": "categorical", "choices": ["float32", "bfloat16"]}}
    with pytest.raises(Invalid, match=r"lbfgs\.precision") as caught:
        check_precision({}, space, ["adam", "lbfgs"], [], 0)
    assert caught.value.errors[0].path == "space.parameters.precision"
    space["precision"]["when"] = {"optimizer": ["adam"]}
    check_precision({}, space, ["adam", "lbfgs"], [], 0)


def test_curvature_from_small_batches_is_warned_of():
    (said,) = cautions(TASK, {}, ["adam", "lbfgs"], 1079)
    assert said.startswith("trial.task.batch_size: lbfgs")
    assert "1079" in said
    assert len(cautions(TASK, {}, ["lbfgs", "newton_cg"], None)) == 2
    for space in ({"lbfgs.batch_size": fixed(65536)}, {"batch_size": fixed(1079)}):
        assert cautions({}, space, ["adam", "lbfgs"], 1079) == []
    assert cautions({"dataset": "digits"}, {}, ["lbfgs"], 1079) == []
    assert cautions(TASK, {}, ["adam", "gd"], 1079) == []


def test_a_clipped_line_search_is_warned_of():
    (said,) = cautions({"clip_norm": 1.0}, {}, ["adam", "newton_cg"], 1079)
    assert said.startswith("trial.task.clip_norm: newton_cg")
