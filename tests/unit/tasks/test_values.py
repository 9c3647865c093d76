"""A trial's values against the options of tasks."""

import pytest

from tuner.errors import Invalid, UnknownName
from tuner.tasks.registry import OPTIONS
from tuner.tasks.values import read_value


def test_a_value_is_found_by_the_rule_of_names_else_it_is_the_default():
    params = {"optimizer": "sgd", "sgd.warmup": 0.2, "adam.warmup": 0.3}
    assert read_value(params, "warmup") == 0.2
    assert read_value({**params, "warmup": 0.1}, "warmup") == 0.1
    assert read_value({}, "warmup") == OPTIONS["warmup"].default


def test_none_counts_as_absent_where_it_is_the_default_and_nowhere_else():
    assert read_value({"momentum_low": None}, "momentum_low") is None
    with pytest.raises(Invalid, match="found None, expected a number"):
        read_value({"warmup": None}, "warmup")


def test_an_unknown_choice_is_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'cosine'") as caught:
        read_value({"schedule": "cosin"}, "schedule")
    assert caught.value.errors[0].path == "schedule"
    assert caught.value.errors[0].allowed == list(OPTIONS["schedule"].choices)


@pytest.mark.parametrize("value", [3, ["cosine"], True])
def test_what_is_no_text_is_refused_as_a_choice_with_all_there_are(value):
    with pytest.raises(Invalid, match="expected one of all, weights"):
        read_value({"decay_on": value}, "decay_on")


@pytest.mark.parametrize("value", ["0.1", True, -0.1, float("nan")])
def test_a_number_is_refused_by_its_type_or_its_range(value):
    with pytest.raises(Invalid, match="expected a number from") as caught:
        read_value({"layer_decay": value}, "layer_decay")
    assert caught.value.errors[0].path == "layer_decay"
