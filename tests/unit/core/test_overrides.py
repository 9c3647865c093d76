"""How a study's entries are laid over what the shorthand made."""

from __future__ import annotations

import pytest

from tuner.core.overrides import merge
from tuner.errors import InvalidSpace

MADE = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "sgd.lr": {
        "type": "float",
        "low": 1e-4,
        "high": 1.0,
        "scale": "log",
        "default": 0.1,
        "role": "learning_rate",
        "prior": {"mean": -3.0, "std": 1.0},
        "when": {"optimizer": ["sgd"]},
    },
    "adam.lr": {
        "type": "float",
        "low": 1e-5,
        "high": 0.1,
        "scale": "log",
        "default": 1e-3,
        "when": {"optimizer": ["adam"]},
    },
}
X = {"type": "float", "low": 0, "high": 1}


def test_an_override_keeps_its_place_and_changes_only_what_it_gives():
    space = merge(MADE, {"x": X, "sgd.lr": {"high": 0.5}})
    assert list(space.parameters) == ["optimizer", "sgd.lr", "adam.lr", "x"]
    lr = space["sgd.lr"]
    assert (lr.low, lr.high, lr.scale, lr.default, lr.role) == (
        1e-4,
        0.5,
        "log",
        0.1,
        "learning_rate",
    )
    assert lr.prior.mean == -3.0
    assert lr.when == {"optimizer": ("sgd",)}


@pytest.mark.parametrize(
    ("entry", "scale"),
    [
        ({"log": True}, "log"),
        ({"log": False}, "linear"),
        ({"scale": "linear"}, "linear"),
        ({"scale": "one_minus_log", "high": 0.5}, "one_minus_log"),
        ({"high": 0.5}, "log"),
    ],
)
def test_log_and_scale_replace_each_other(entry, scale):
    assert merge(MADE, {"sgd.lr": entry})["sgd.lr"].scale == scale


def test_another_type_replaces_everything_but_when():
    lr = merge(MADE, {"sgd.lr": {"type": "categorical", "choices": [0.1, 0.01]}})["sgd.lr"]
    assert lr.type == "categorical"
    assert (lr.role, lr.default) == (None, None)
    assert lr.when == {"optimizer": ("sgd",)}
    again = merge(MADE, {"sgd.lr": {"type": "float", "high": 0.5}})["sgd.lr"]
    assert (again.low, again.role) == (1e-4, "learning_rate")


@pytest.mark.parametrize(
    ("entry", "default"),
    [
        ({"low": 0.2}, 0.2),
        ({"high": 0.05}, 0.05),
        ({"high": 0.5}, 0.1),
        ({"low": 0.2, "default": 0.3}, 0.3),
        ({"low": 0.0, "scale": "linear", "step": 0.25}, 0.0),
    ],
)
def test_a_default_that_falls_out_moves_to_the_nearest_legal_value(entry, default):
    assert merge(MADE, {"sgd.lr": entry})["sgd.lr"].default == pytest.approx(default)


def test_a_narrowed_choice_of_optimizers_still_needs_its_values():
    with pytest.raises(InvalidSpace, match="can never be 'adam'"):
        merge(MADE, {"optimizer": {"choices": ["sgd"]}})


@pytest.mark.parametrize(
    ("entries", "path", "nearest"),
    [
        ({"sgd.lr": {"when": {"optimizer": ["adam"]}}}, "sgd.lr.when", None),
        ({"sgd.lr": {"type": "fixed", "value": 1, "when": {}}}, "sgd.lr.when", None),
        ({"sgd.lrr": {"high": 1}}, "sgd.lrr", "sgd.lr"),
        ({"zzz": {"high": 1}}, "zzz", None),
        ({"sgd.lr": {"hgh": 1}}, "sgd.lr.hgh", "high"),
        ({"sgd.lr": {"choices": [1]}}, "sgd.lr.choices", None),
        ({"sgd.lr": {"high": "x"}}, "sgd.lr.high", None),
        ({"sgd.lr": {"low": 2.0}}, "sgd.lr.low", None),
        ({"sgd.lr": {"default": 2.0}}, "sgd.lr.default", None),
    ],
)
def test_a_wrong_override_is_refused_with_path_and_nearest_name(entries, path, nearest):
    with pytest.raises(InvalidSpace) as caught:
        merge(MADE, entries)
    assert caught.value.errors[0].path == f"space.parameters.{path}"
    assert caught.value.errors[0].nearest == nearest
