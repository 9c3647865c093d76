import numpy
import pytest

import tuner
from tuner.core.space_spec import SpaceSpec
from tuner.errors import InvalidSpace


def test_the_shorthand_and_parameters_join_into_the_form_of_a_study_file():
    space = tuner.space.optimizers("sgd", "adam", size="small") | {
        "batch_size": tuner.Int(16, 256, log=True),
        "adam.lr": {"low": 1e-5},
    }
    assert space.to_json() == {
        "optimizers": {"names": ["sgd", "adam"], "size": "small"},
        "parameters": {
            "batch_size": {"type": "int", "scale": "log", "low": 16, "high": 256},
            "adam.lr": {"low": 1e-5},
        },
    }
    assert SpaceSpec.read(space.to_json()).optimizers is not None


def test_a_mapping_may_stand_on_either_side():
    left = {"x": tuner.Float(0, 1)} | tuner.space.optimizers("sgd")
    right = tuner.space.optimizers("sgd") | {"x": tuner.Float(0, 1)}
    assert left == right


def test_an_override_keeps_its_place_and_changes_the_keys_it_gives():
    space = tuner.space.optimizers("sgd") | {
        "a": tuner.Float(0.1, 1, log=True, default=0.9),
        "b": tuner.Int(1, 3),
    }
    changed = (space | {"a": {"high": 0.5, "scale": "linear"}}).to_json()["parameters"]
    assert list(changed) == ["a", "b"]
    assert changed["a"] == {
        "type": "float", "scale": "linear", "low": 0.1, "high": 0.5, "default": 0.5
    }  # fmt: skip


def test_log_and_scale_replace_each_other_in_overrides_of_the_shorthand():
    space = tuner.space.optimizers("sgd") | {"sgd.lr": {"log": True, "low": 1e-4}}
    changed = space | {"sgd.lr": {"scale": "linear"}}
    assert changed.to_json()["parameters"]["sgd.lr"] == {"low": 1e-4, "scale": "linear"}


def test_a_complete_parameter_replaces_another():
    space = tuner.space.optimizers("sgd") | {"a": tuner.Float(0, 1, default=0.5)}
    replaced = (space | {"a": tuner.Categorical(["x", "y"])}).to_json()["parameters"]["a"]
    assert replaced == {"type": "categorical", "choices": ["x", "y"]}


def test_joining_leaves_the_parts_as_they_were():
    base = tuner.space.optimizers("sgd")
    base | {"a": tuner.Float(0, 1)}
    assert base.to_json()["parameters"] == {}


def test_two_shorthands_join():
    joined = tuner.space.optimizers("sgd") | tuner.space.optimizers("adam", "sgd", size="large")
    assert joined.to_json()["optimizers"] == {"names": ["sgd", "adam"], "size": "large"}


@pytest.mark.parametrize(
    "make",
    [
        lambda: tuner.Float(1, 0),
        lambda: tuner.Float(0, 1, log=True),
        lambda: tuner.Float(0, 1, default=2),
        lambda: tuner.Float(0, float("inf")),
        lambda: tuner.Float("0", 1),
        lambda: tuner.Float(0.1, 1, log=True, step=0.1),
        lambda: tuner.Float(0.1, 1, scale="lg"),
        lambda: tuner.Int(0, 1.5),
        lambda: tuner.Int(0, 2, when={"a": []}),
        lambda: tuner.Categorical([]),
        lambda: tuner.Categorical("abc"),
        lambda: tuner.Categorical(["a", "a"]),
        lambda: tuner.Categorical(["a"], default="b"),
        lambda: tuner.Fixed([1]),
        lambda: tuner.space.optimizers(),
        lambda: tuner.space.optimizers("sgd", "sgd"),
        lambda: tuner.space.optimizers("sgd", size="huge"),
        lambda: tuner.space.optimizers("sgd") | {"a b": tuner.Fixed(1)},
        lambda: tuner.space.optimizers("sgd") | {"a": 3},
        lambda: tuner.space.optimizers("sgd") | {"a": {"type": "float", "low": 1, "high": 0}},
    ],
)
def test_a_mistake_is_said_where_it_is_made(make):
    with pytest.raises(InvalidSpace):
        make()


def test_values_of_other_number_types_become_plain():
    made = tuner.Float(numpy.float64(0.5), numpy.int64(1))
    assert (type(made.low), type(made.high)) == (float, float)
    assert tuner.Categorical((numpy.int64(1), "1", True)).choices == (1, "1", True)
