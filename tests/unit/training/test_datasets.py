"""Data sets: sizes, split, standardisation."""

import pytest
import torch

from tuner.tasks.registry import DATASETS, MODELS, OPTIONS
from tuner.training import run_task
from tuner.training.datasets import _LOADERS, load, split
from tuner.training.models import ACTIVATIONS, BUILDERS


def test_everything_that_tasks_offer_is_implemented():
    assert set(_LOADERS) == set(DATASETS)
    assert set(BUILDERS) == set(MODELS)
    assert tuple(ACTIVATIONS) == OPTIONS["activation"].choices


@pytest.mark.parametrize("spec", DATASETS.values(), ids=list(DATASETS))
def test_the_registry_tells_the_true_sizes(spec):
    data = load(spec.name, 0.2)
    assert len(data.train_x) + len(data.val_x) + len(data.test_x) == spec.rows
    assert data.train_x.shape[1] == spec.features
    for held_out in (data.val_x, data.test_x):
        assert len(held_out) == pytest.approx(0.2 * spec.rows, abs=spec.outputs)
    if spec.kind == "classification":
        for labels in (data.train_y, data.val_y, data.test_y):
            assert labels.unique().tolist() == list(range(spec.outputs))
    else:
        assert data.train_y.shape == (len(data.train_x), 1)


@pytest.mark.parametrize("name", DATASETS)
def test_the_training_examples_alone_set_the_scale(name):
    data = load(name, 0.2)
    constant = data.train_x.std(0) == 0
    assert data.train_x.mean(0).abs().max() < 1e-5
    assert (data.train_x.std(0, correction=0)[~constant] - 1).abs().max() < 1e-4
    assert data.val_x.mean(0).abs().max() > 1e-3
    assert torch.isfinite(data.val_x).all()


def test_no_example_is_in_two_parts():
    data = load("digits", 0.2)
    parts = [set(map(tuple, part.tolist())) for part in (data.train_x, data.val_x, data.test_x)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797


def test_the_split_is_kept_for_the_process_and_follows_the_share():
    assert load("wine", 0.2) is load("wine", 0.2)
    assert len(load("wine", 0.4).val_x) > len(load("wine", 0.2).val_x)


def test_without_a_test_set_its_examples_are_trained_on_and_the_others_stay():
    spec, y = DATASETS["digits"], load("digits", 0.2, options={"test": 0.0})
    assert y.test_x is None
    assert y.test_y is None
    labels = torch.arange(1797) % 10
    train, val, test = split(spec, labels, 0.2, 0.2)
    more, same, none = split(spec, labels, 0.2, 0.0)
    assert torch.equal(val, same)
    assert len(none) == 0
    assert torch.equal(torch.cat([train, test]).sort().values, more)


@pytest.mark.parametrize("shares", [(0.5, 0.4), (0.05, 0.5), (0.2, 0.01)])
def test_each_part_has_each_class_down_to_three_examples(shares):
    labels = torch.arange(30) % 10
    for part in split(DATASETS["digits"], labels, *shares):
        assert sorted(labels[part].tolist()) == list(range(10))


SIZE = {"examples": 900, "features": 7, "classes": 5}


@pytest.mark.parametrize("name", ["generated_classification", "generated_regression"])
def test_a_generated_set_has_the_size_asked_for_and_is_the_same_at_every_use(name):
    data = load(name, 0.2, "cpu", SIZE)
    parts = (data.train_y, data.val_y, data.test_y)
    assert data.spec.rows == sum(map(len, parts)) == 900
    assert data.spec.features == data.train_x.shape[1] == 7
    if name == "generated_classification":
        labels = torch.cat(parts)
        assert labels.bincount().tolist() == [180] * 5
    default = load(name, 0.2)
    assert len(default.train_x) + len(default.val_x) + len(default.test_x) == 2000
    again = load(name, 0.2, "cpu", SIZE)
    assert again is not data
    assert torch.equal(again.train_x, data.train_x)
    assert torch.equal(again.val_y, data.val_y)


@pytest.mark.parametrize("name", ["generated_classification", "generated_regression"])
def test_a_generated_set_takes_more_than_a_linear_model(name, make_trial):
    least = {}
    for model in ("linear", "mlp"):
        trial = make_trial({"optimizer": "adam", "lr": 1e-2})
        run_task({"dataset": name, "model": model, "epochs": 12, "examples": 3000}, trial)
        least[model] = min(row["val_loss"] for row in trial.rows.values())
    assert least["mlp"] < 0.8 * least["linear"]
    assert least["linear"] < 1.2


def test_a_resumed_training_on_a_generated_set_equals_an_uninterrupted_one(make_trial):
    task = {"dataset": "generated_classification", "model": "mlp", "epochs": 3, **SIZE}
    trials = []
    for options in ({}, {"stop_at": 1, "reason": "paused"}):
        trials.append(make_trial({"optimizer": "adam"}, **options))
        run_task(task, trials[-1])
    whole, stopped = trials
    resumed = make_trial({"optimizer": "adam"}, checkpoint=stopped.saved[0][1])
    run_task(task, resumed)
    assert {**stopped.rows, **resumed.rows} == whole.rows
