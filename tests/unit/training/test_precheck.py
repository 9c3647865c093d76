"""What is found out about a task before its first trial, and what is left to its trials."""

from __future__ import annotations

import logging
import sys

import pytest

from tuner.errors import BadData, Invalid
from tuner.training.precheck import check

CODE = """
import torch
from torch import nn

def load():
    x = torch.linspace(-1, 1, 90).reshape(30, 3)
    return x, (x[:, 0] > 0).long()

def short():
    return torch.zeros(3, 3), torch.zeros(2)

def build(params, data):
    width = params["wide"]
    return nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))

def seven(params, data):
    return nn.Linear(3, 7)

def wide_only(params, data):
    return nn.Linear(3, 2 if params["wide"] > 4 else 7)

def raises(params, data):
    raise RuntimeError("needs\\nthe cluster")
"""
NARROW, WIDE = ({"optimizer": "adam", "adam.lr": 0.1, "wide": width} for width in (4, 8))


@pytest.fixture
def task(tmp_path, monkeypatch):
    (tmp_path / "looked_at.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)

    def make(model="build", data="load", **more):
        names = {"data": f"looked_at:{data}", "model": f"looked_at:{model}"}
        return {**names, "reads": ["wide"], "epochs": 1, **more}

    yield make
    sys.modules.pop("looked_at", None)


def test_a_task_that_can_be_trained_passes(task):
    check(task(), [NARROW])


def test_a_model_of_the_wrong_shape_is_refused(task):
    with pytest.raises(Invalid, match=r"shape \(2, 7\) for 2 examples, expected \(2, 2\)"):
        check(task("seven"), [NARROW, WIDE])


def test_a_model_that_is_right_for_one_setting_passes(task):
    check(task("wide_only"), [NARROW, WIDE])
    with pytest.raises(Invalid, match="7"):
        check(task("wide_only"), [NARROW])


def test_a_pattern_that_describes_no_weight_of_an_own_model_is_refused(task):
    check(task(groups=[{"match": "2.*", "lr_factor": 0.1}]), [NARROW])
    with pytest.raises(Invalid, match="head") as caught:
        check(task(groups=[{"match": "head.*", "lr_factor": 0.1}]), [NARROW, WIDE])
    assert caught.value.errors[0].path == "trial.task.groups[0]"


def test_data_that_no_trial_can_use_are_refused_at_once(task):
    with pytest.raises(BadData, match=r"3 .*2"):
        check(task(data="short"), [NARROW, WIDE])


def test_code_that_raises_is_left_to_its_trials_and_told_of(task, caplog):
    with caplog.at_level(logging.WARNING):
        check(task("raises"), [NARROW, WIDE])
    (record,) = caplog.records
    assert "RuntimeError: needs the cluster" in record.getMessage()


def test_code_that_does_not_import_is_refused_with_its_key(task):
    with pytest.raises(BadData, match="Did you mean 'build'") as caught:
        check(task("biuld"), [NARROW])
    assert caught.value.errors[0].path == "trial.task.model"
