"""The names of weights are those of the models, and patterns are checked against them."""

import itertools

import pytest

from tuner.errors import Invalid
from tuner.tasks.check import complete
from tuner.tasks.layers import check_layers, weight_names
from tuner.tasks.registry import DATASETS, MODELS
from tuner.training.models import build_model


@pytest.mark.parametrize("model", MODELS)
def test_names_are_those_of_the_model_that_is_trained(model):
    for depth, norm, dropout in itertools.product(
        (0, 1, 3), ("none", "batch", "layer"), (0.0, 0.5)
    ):
        task = {"dataset": "digits", "model": model, "depth": depth, "norm": norm, "width": 4}
        built = build_model(DATASETS["digits"], complete({**task, "dropout": dropout}))
        names = weight_names(model, depth=depth, norm=norm != "none", dropout=dropout > 0)
        assert sorted(names) == sorted(name for name, _ in built.named_parameters())


def task(*patterns, **options):
    groups = [{"match": pattern, "lr_factor": 0.1} for pattern in patterns]
    return {"dataset": "digits", "model": "mlp", "groups": groups, **options}


DEEP = {"depth": {"type": "int", "low": 1, "high": 4}}


@pytest.mark.parametrize("pattern", ["4", "4.*", "*.bias", "?.weight", "[24]"])
def test_a_pattern_matches_names_of_weights_and_modules(pattern):
    assert check_layers(task(pattern), {}) == []


@pytest.mark.parametrize(
    ("given", "space"),
    [
        (task("6"), {}),
        (task("head"), DEEP),
        (task("*.bias", "weight"), {}),
        (task("encoder.*", model="transformer"), {}),
    ],
)
def test_a_pattern_that_matches_no_weight_of_any_trial_is_refused(given, space):
    with pytest.raises(Invalid, match="describes no weight of the model") as caught:
        check_layers(given, space)
    (mistake,) = caught.value.errors
    assert mistake.path == f"trial.task.groups[{len(given['groups']) - 1}].match"
    assert mistake.allowed


@pytest.mark.parametrize(
    ("pattern", "space"),
    [
        ("6", DEEP),
        ("2", {"dropout": {"type": "float", "low": 0.0, "high": 0.5}}),
        ("2", {"norm": {"type": "categorical", "choices": ["none", "batch"]}}),
        ("2", {"model": {"type": "categorical", "choices": ["mlp", "linear"]}}),
        ("6", {"depth": {"type": "fixed", "value": 3, "when": {"optimizer": ["adam"]}}}),
    ],
)
def test_a_pattern_that_matches_in_some_trials_only_is_warned_of(pattern, space):
    (said,) = check_layers(task(pattern), space)
    assert said.startswith(f"trial.task.groups[0].match: '{pattern}' describes no weight")


def test_a_space_that_always_chooses_hides_the_tasks_own():
    fixed = {"depth": {"type": "fixed", "value": 3}}
    assert check_layers(task("6", depth=1), fixed) == []
    assert check_layers(task("6"), {"adam.depth": fixed["depth"]})


def test_types_and_tasks_without_groups_are_left_to_the_training():
    given = {"dataset": "digits", "groups": [{"type": "LayerNorm", "lr_factor": 0.1}]}
    assert check_layers(given, {}) == check_layers({"dataset": "digits"}, {}) == []
