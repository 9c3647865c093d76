"""Confirmation trials: fresh seeds, and the test set once, with the weights of the best epoch."""

import io

import pytest
import torch
from torch.nn import functional

from tuner.tasks.check import metrics
from tuner.tasks.registry import CONFIRMATION_ONLY, MODELS
from tuner.training import run_task
from tuner.training.datasets import load
from tuner.training.replicates import BestWeights, fresh_seed, replicate_of

TASK = {"dataset": "wine", "model": "mlp", "epochs": 8, "batch_size": 16, "norm": "batch"}
PARAMS = {"optimizer": "adam", "lr": 0.1, "dropout": 0.2}


@pytest.fixture
def train(make_trial):
    """Train one trial and give it back."""

    def run(task=TASK, params=PARAMS, **options):
        trial = make_trial(dict(params), **options)
        run_task(task, trial)
        return trial

    return run


def test_a_seed_is_fresh_for_every_repetition_and_legal():
    seeds = [fresh_seed(seed, n) for seed in (0, 1, 2**53 - 1) for n in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)
    assert [fresh_seed(seed, 0) for seed in (0, 7)] == [0, 7]


def test_a_trial_that_says_nothing_is_no_repetition():
    assert replicate_of(object()) == 0


def test_repetitions_differ_from_the_trial_and_each_other_and_repeat_themselves(train):
    losses = [train(replicate=n).rows[8]["val_loss"] for n in (0, 1, 2, 1)]
    assert len(set(losses)) == 3
    assert losses[1] == losses[3]


def test_only_a_repetition_measures_the_test_set_and_only_at_its_last_step(train):
    plain, repeated = train(), train(replicate=1)
    assert all(set(row) == set(metrics(TASK)) for row in plain.rows.values())
    *before, last = repeated.rows.values()
    assert all(set(row) == set(metrics(TASK)) for row in before)
    assert set(last) - set(metrics(TASK)) == CONFIRMATION_ONLY


def test_the_test_set_gets_the_weights_of_the_best_epoch(train):
    # With the fresh seed given as the task's own, the same training is stopped at its best epoch.
    repeated = train(replicate=3)
    losses = [row["val_loss"] for row in repeated.rows.values()]
    best = losses.index(min(losses)) + 1
    assert best < 8
    task = {**TASK, "seed": fresh_seed(0, 3)}
    (saved,) = train(task, stop_at=best, reason="paused").saved
    model = torch.nn.Sequential(
        torch.nn.Linear(13, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Dropout(0.2),
        torch.nn.Linear(64, 64), torch.nn.BatchNorm1d(64), torch.nn.ReLU(), torch.nn.Dropout(0.2),
        torch.nn.Linear(64, 3),
    )  # fmt: skip
    model.load_state_dict(saved[1]["model"])
    model.eval()
    data = load("wine", 0.2)
    with torch.no_grad():
        output = model(data.test_x)
    last = repeated.rows[8]
    assert last["test_loss"] == functional.cross_entropy(output, data.test_y).item()
    right = (output.argmax(1) == data.test_y).sum().item()
    assert last["test_accuracy"] == right / len(data.test_y)


@pytest.mark.parametrize("stop_at", [2, 7])
def test_a_resumed_repetition_equals_an_uninterrupted_one(train, stop_at):
    whole = train(replicate=2)
    stopped = train(replicate=2, stop_at=stop_at, reason="preempted")
    assert not any("test_loss" in row for row in stopped.rows.values())
    buffer = io.BytesIO()
    torch.save(stopped.saved[0][1], buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    resumed = train(replicate=2, checkpoint=state)
    assert {**stopped.rows, **resumed.rows} == whole.rows
    assert "test_loss" in resumed.rows[8]


def test_a_repetition_that_patience_ends_is_measured_and_a_pruned_one_is_not(train):
    ended = train({**TASK, "epochs": 60, "patience": 2}, replicate=1)
    assert len(ended.rows) < 60
    assert "test_loss" in list(ended.rows.values())[-1]
    for reason in ("budget", "cancelled"):
        stopped = train(replicate=1, stop_at=3, reason=reason)
        assert not any("test_loss" in row for row in stopped.rows.values())


def test_a_diverged_repetition_is_not_measured(train):
    task = {"dataset": "diabetes", "batch_size": 16}
    trial = train(task, {"optimizer": "sgd", "lr": 1e30}, replicate=1)
    assert len(trial.rows) == 1
    assert "test_loss" not in trial.rows[1]


def test_without_a_test_set_there_is_nothing_to_measure(train):
    trial = train({**TASK, "test": 0.0}, replicate=1)
    assert "test_loss" not in trial.rows[8]


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_confirmed(train, model):
    dataset = "digits" if MODELS[model].images_only else "diabetes"
    task = {"dataset": dataset, "model": model, "epochs": 1, "width": 8, "channels": 4}
    row = train(task, {}, replicate=1).rows[1]
    assert row["test_loss"] > 0
    assert ("test_accuracy" in row) is (dataset == "digits")


def test_weights_that_were_never_measured_are_not_tested():
    best = BestWeights()
    best.note(float("nan"), torch.nn.Linear(1, 1))
    assert best.state() == {"least": float("inf"), "weights": None}
