"""Studies as other tools write them are answered with the words that are used here."""

import re

import pytest
from ruamel.yaml import YAML

from tuner.core.foreign import range_hint, sweep_hint
from tuner.core.space import parse_parameter
from tuner.core.study import StudySpec
from tuner.errors import Invalid, InvalidSpace

SWEEP = {
    "program": "train.py",
    "method": "bayes",
    "metric": {"name": "val_loss", "goal": "minimize"},
    "parameters": {"lr": {"min": 1e-4, "max": 0.1, "distribution": "log_uniform_values"}},
}
STUDY = {
    "name": "a",
    "objective": "val_loss",
    "space": {"lr": {"type": "float", "low": 0, "high": 1}},
}


def test_a_sweep_is_told_what_its_keys_are_called_here():
    with pytest.raises(
        Invalid, match="Unknown keys: program, method, metric, parameters"
    ) as caught:
        StudySpec.read(SWEEP)
    for word in ("objective", "space", "sampler", "trial: {command", "name"):
        assert word in caught.value.hint
    assert [field.path for field in caught.value.errors] == ["program"]


@pytest.mark.parametrize("key", ["program", "method", "early_terminate", "run_cap"])
def test_a_study_with_one_key_of_a_sweep_is_too(key):
    with pytest.raises(Invalid, match="W&B sweep"):
        StudySpec.read({**STUDY, key: "x"})


def test_a_misplaced_key_of_ones_own_is_not_called_a_sweep():
    with pytest.raises(Invalid, match="unknown key 'command'") as caught:
        StudySpec.read({**STUDY, "command": ["python", "train.py"]})
    assert "W&B" not in str(caught.value)


@pytest.mark.parametrize(
    "parameter",
    [
        {"min": 0.1, "max": 1.0},
        {"values": [1, 2]},
        {"value": 3},
        {"distribution": "uniform", "min": 0, "max": 1},
        {"type": "float", "min": 0.1, "max": 1.0},
        {"type": "categorical", "values": ["a"]},
    ],
)
def test_a_range_of_a_sweep_is_told_how_it_is_written_here(parameter):
    with pytest.raises(InvalidSpace, match=r"low: 0\.001, high: 0\.1, log: true") as caught:
        StudySpec.read({**STUDY, "space": {"lr": parameter}})
    assert caught.value.errors


@pytest.mark.parametrize(
    "parameter", [{"type": "fixed"}, {"low": 0, "high": 1}, {"type": "float", "low": 0}]
)
def test_other_mistakes_keep_to_their_words(parameter):
    with pytest.raises(InvalidSpace) as caught:
        StudySpec.read({**STUDY, "space": {"lr": parameter}})
    assert not caught.value.hint


def test_what_the_hints_show_is_a_study():
    read = YAML(typ="safe").load
    study = {"name": "a", "space": {"lr": {"type": "float", "low": 0, "high": 1}}}
    for code in re.findall("`([a-z]+: [^`]+)`", sweep_hint(["program"])):
        study |= read(code)
    assert {"objective", "sampler", "pruner", "budget", "trial"} <= set(study)
    StudySpec.read(study)
    parameters = re.findall("`({[^`]+})`", range_hint({"min": 0}))
    assert [parse_parameter(read(text), "x").type for text in parameters] == [
        "float",
        "categorical",
        "fixed",
    ]
