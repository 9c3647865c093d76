"""Clipping, label smoothing and early stopping: what they do, and that a pause changes nothing."""

import math

import pytest
import torch

from tuner.training import run_task, take_step
from tuner.training.methods.adahessian import AdaHessian
from tuner.training.methods.sam import sharpness_aware

TASK = {"dataset": "digits", "model": "mlp", "epochs": 4, "batch_size": 128, "width": 16}


@pytest.fixture
def train(make_trial):
    """Train one trial and give it back."""

    def run(task, params, **options):
        trial = make_trial(dict(params), **options)
        run_task(task, trial)
        return trial

    return run


def step(make_optimizer, clip_norm):
    """One step on 50·‖w‖² from (3, 4), whose gradient is 100·w, in two tensors."""
    weights = [torch.nn.Parameter(torch.tensor([value], dtype=torch.float64)) for value in (3, 4)]
    optimizer = make_optimizer(weights)
    take_step(optimizer, lambda: 50 * sum(w.square().sum() for w in weights), None, clip_norm)
    return torch.cat([w.detach() for w in weights])


@pytest.mark.parametrize("clip_norm", [0.5, 5.0, 499.0])
def test_a_long_gradient_keeps_its_direction_and_gets_the_length(clip_norm):
    moved = step(lambda weights: torch.optim.SGD(weights, lr=1.0), clip_norm)
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(start - moved, clip_norm * start / 5)


@pytest.mark.parametrize("clip_norm", [None, 501.0])
def test_a_short_gradient_stays(clip_norm):
    moved = step(lambda weights: torch.optim.SGD(weights, lr=0.01), clip_norm)
    torch.testing.assert_close(moved, torch.zeros(2, dtype=torch.float64))


def test_the_gradient_at_the_worst_point_is_clipped_too():
    moved = step(lambda w: sharpness_aware(torch.optim.SGD)(w, lr=1.0, rho=0.05), 0.5)
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    torch.testing.assert_close(start - moved, 0.5 * start / 5)


def test_a_gradient_with_a_graph_is_clipped_as_that_of_a_scaled_loss():
    # AdaHessian's step m̂/√v̂ does not depend on the scale of the loss, but on eps beside it.
    def make(weights):
        return AdaHessian(weights, lr=1.0, eps=1.0)

    moved = step(make, 50.0)
    start = torch.tensor([3.0, 4.0], dtype=torch.float64)
    scale = 50.0 / 500.0
    torch.testing.assert_close(start - moved, scale * 100 * start / (scale * 100 + 1))


def test_a_line_search_is_not_clipped(train):
    task = {"dataset": "wine", "epochs": 2}
    params = {"optimizer": "lbfgs", "lbfgs.max_iter": 3}
    clipped = train({**task, "clip_norm": 1e-3}, params)
    assert clipped.rows == train(task, params).rows
    assert [line for line in clipped.lines if line.startswith("warning")] == [
        "warning: the optimizer searches along a line, so clip_norm is not used"
    ]


@pytest.mark.parametrize("name", ["sgd", "sam", "adahessian"])
def test_clipping_matters_where_gradients_are_long_only(train, name):
    params = {"optimizer": name}
    free = train(TASK, params).rows
    assert train(TASK, {**params, "clip_norm": 1e-3}).rows != free
    assert train(TASK, {**params, f"{name}.clip_norm": 1e6}).rows == free or name == "adahessian"


def test_clipping_keeps_a_rate_that_is_too_high_from_diverging(train):
    task = {"dataset": "diabetes", "epochs": 4, "batch_size": 32}
    params = {"optimizer": "sgd", "lr": 10.0}
    assert not math.isfinite(list(train(task, params).rows.values())[-1]["train_loss"])
    clipped = train({**task, "clip_norm": 0.01}, params)
    assert math.isfinite(clipped.rows[4]["train_loss"])


def test_smoothing_is_in_the_training_loss_and_not_in_the_validation_loss(train):
    # At a rate of almost zero the model stays as it began, the same for both.
    params = {"optimizer": "sgd", "lr": 1e-30}
    plain = train(TASK, params).rows[1]
    smooth = train({**TASK, "label_smoothing": 0.5}, params).rows[1]
    assert smooth["val_loss"] == plain["val_loss"]
    assert smooth["train_loss"] != plain["train_loss"]


def test_smoothing_makes_the_model_less_sure(train):
    task = {**TASK, "epochs": 15, "batch_size": 32}
    plain = train(task, {"optimizer": "adam", "lr": 1e-2}).rows[15]
    smooth = train({**task, "label_smoothing": 0.3}, {"optimizer": "adam", "lr": 1e-2}).rows[15]
    # The least smoothed loss is the entropy of the smoothed labels.
    right, wrong = 0.73, 0.03
    least = -right * math.log(right) - 9 * wrong * math.log(wrong)
    assert plain["train_loss"] < 0.1 < least < smooth["train_loss"]
    assert smooth["val_accuracy"] > 0.9


STALLING = {"dataset": "wine", "epochs": 40, "batch_size": 32, "patience": 3}
FAST = {"optimizer": "adam", "lr": 3e-2, "schedule": "cosine"}


def test_patience_ends_a_trial_that_no_longer_gets_better(train):
    ended = train(STALLING, FAST)
    losses = [row["val_loss"] for row in ended.rows.values()]
    assert len(losses) < 40
    assert losses.index(min(losses)) == len(losses) - 4
    assert any("ended early" in line for line in ended.lines)
    assert not ended.saved
    whole = train({**STALLING, "patience": 40}, FAST)
    assert list(whole.rows) == list(range(1, 41))
    assert {epoch: whole.rows[epoch] for epoch in ended.rows} == ended.rows


def test_a_pause_keeps_the_count_of_epochs_without_a_better_one(train):
    ended = train(STALLING, FAST)
    stopped = train(STALLING, FAST, stop_at=len(ended.rows) - 1, reason="paused")
    resumed = train(STALLING, FAST, checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == ended.rows


@pytest.mark.parametrize("name", ["sgd", "adam", "sam", "adahessian"])
def test_a_clipped_and_smoothed_training_resumes_exactly(train, name):
    task = {**TASK, "clip_norm": 0.1, "label_smoothing": 0.1, "patience": 2}
    params = {"optimizer": name, "schedule": "step"}
    whole = train(task, params)
    stopped = train(task, params, stop_at=1, reason="preempted")
    resumed = train(task, params, checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == whole.rows
