"""Models, data, losses and metrics of the user's own, in the whole training loop."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from tuner.errors import BadData, Invalid, ObjectiveNotFound
from tuner.training import build_optimizer, run_task
from tuner.training.loop import effective_options

OWN = {"data": "own_code:load", "model": "own_code:build", "epochs": 3}
ADAM = {"optimizer": "adam", "lr": 1e-2}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    sys.modules.pop("own_code", None)


@pytest.fixture
def train(make_trial):
    def run(task, params=ADAM, **options):
        trial = make_trial(params, **options)
        run_task(task, trial)
        return trial

    return run


@pytest.mark.parametrize(
    "task",
    [
        OWN,
        {**OWN, "data": "own_code:load_named"},
        {**OWN, "data": "own_code:load_sets"},
        {**OWN, "data": "own_code:load_numbers"},
        {**OWN, "model": "own_code:build_alone"},
        {**OWN, "model": "own_code:build_of_params", "reads": {"width2": 5}},
        {**OWN, "model": "mlp"},
        {**OWN, "loss": "own_code:loss"},
        {**OWN, "model": "own_code:build_one_logit", "loss": "own_code:loss_of_logit"},
        {**OWN, "data": "own_code:load_tokens", "model": "own_code:build_tokens"},
        {"dataset": "digits", "model": "own_code:build_image", "epochs": 3, "batch_size": 256},
    ],
)
@pytest.mark.parametrize("optimizer", ["adam", "nesterov", "lbfgs"])
def test_every_kind_of_own_code_trains_with_every_kind_of_optimizer(train, task, optimizer):
    trial = train(task, {"optimizer": optimizer, **({} if optimizer == "lbfgs" else {"lr": 0.02})})
    assert list(trial.rows) == [1, 2, 3]
    assert trial.rows[3]["train_loss"] < trial.rows[1]["train_loss"]


def test_the_loop_is_a_plain_torch_loop_bit_for_bit(train):
    """Also with what trying the code first might have moved: dropout and running statistics."""
    task = {**OWN, "data": "own_code:load_named", "model": "own_code:build_with_norm"}
    own = {"loss": "own_code:loss", "metric": "own_code:right", "batch_size": 16, "test": 0.0}
    trial = train({**task, **own, "seed": 4}, {"optimizer": "momentum", "lr": 0.05})
    import own_code

    torch.manual_seed(4)
    model = own_code.build_with_norm(None, None)
    order = torch.Generator().manual_seed(4)
    optimizer = build_optimizer(model, {"optimizer": "momentum", "lr": 0.05})
    parts = own_code.load_named({})
    x, y, val_x, val_y = (torch.as_tensor(part) for part in parts.values())
    for epoch in (1, 2, 3):
        model.train()
        shuffled = torch.randperm(50, generator=order)
        for rows in shuffled.split(16):
            optimizer.zero_grad()
            own_code.loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            outputs = model(val_x)
        row = trial.rows[epoch]
        assert row["val_loss"] == functional.cross_entropy(outputs, val_y).item()
        assert row["val_right"] == pytest.approx(row["val_accuracy"])


def test_integers_are_classes_and_real_numbers_a_regression(train):
    assert "val_accuracy" in train(OWN).rows[1]
    assert "val_accuracy" not in train({**OWN, "data": "own_code:load_numbers"}).rows[1]
    assert "val_accuracy" not in train({**OWN, "kind": "regression"}).rows[1]


def test_accuracy_is_told_only_of_outputs_that_are_class_scores(train):
    task = {**OWN, "model": "own_code:build_one_logit", "loss": "own_code:loss_of_logit"}
    assert "val_accuracy" not in train(task).rows[1]
    assert "val_accuracy" in train({**OWN, "loss": "own_code:loss"}).rows[1]


def test_own_metrics_are_reported_by_their_names(train):
    one = train({**OWN, "metric": "own_code:right"}).rows[2]
    assert one["val_right"] == pytest.approx(one["val_accuracy"])
    assert train({**OWN, "metric": "own_code:several"}).rows[3]["val_count"] == 16


def test_a_trial_that_diverges_reports_own_metrics_that_are_not_finite(train):
    task = {**OWN, "data": "own_code:load_numbers", "metric": "own_code:several"}
    trial = train(task, {"optimizer": "sgd", "lr": 1e6})
    last = trial.rows[max(trial.rows)]
    assert not math.isfinite(last["val_loss"])
    assert math.isnan(last["val_right"])
    assert math.isnan(last["val_count"])


def test_parameters_reach_own_code_by_the_rule_of_names(train):
    task = {**OWN, "model": "own_code:build_of_params", "reads": ["width2"]}
    small = train(task, {**ADAM, "width2": 4}).rows[1]["params_million"]
    by_optimizer = train(task, {**ADAM, "adam.width2": 16}).rows[1]["params_million"]
    assert small < by_optimizer
    task = {**OWN, "data": "own_code:load_by_size", "reads": {"rows": 40}}
    assert effective_options(task, {})["rows"] == 40
    assert effective_options(task, {"rows": 60})["rows"] == 60
    train(task)


def test_a_parameter_that_is_not_there_is_named_with_what_to_do(train):
    task = {**OWN, "model": "own_code:build_of_params"}
    with pytest.raises(KeyError, match=r"'width2': name it in trial\.task\.reads"):
        train(task)
    with pytest.raises(KeyError, match="neither there nor in the space has it a value"):
        train({**task, "reads": ["width2"]})


def test_a_parameter_that_nothing_reads_is_said_in_the_log(train):
    lines = train({**OWN, "reads": {"width2": 4, "kernel": 3}}).lines
    assert [line for line in lines if "kernel" in line]
    assert not [line for line in lines if "width2" in line]


def test_a_trials_parameters_name_no_code_and_no_file():
    for params in ({"model": "own_code:build_alone"}, {"dataset": "secret.csv"}):
        task = {"dataset": "digits", "epochs": 1}
        with pytest.raises(Invalid, match="registered ones only"):
            effective_options(task, params)
    assert effective_options(OWN, {"loss": "os:abort"}).get("loss") is None
    assert effective_options({"dataset": "digits"}, {"model": "cnn"})["model"] == "cnn"


def test_a_paused_training_of_own_code_goes_on_bit_for_bit(train):
    task = {**OWN, "model": "own_code:build_with_norm", "metric": "own_code:right"}
    whole = train(task)
    stopped = train(task, stop_at=1, reason="paused")
    resumed = train(task, checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == whole.rows


@pytest.mark.parametrize(
    ("load", "said"),
    [
        ("bad_count", "gave tuple of 3; expected 2, 4 or 6 arrays"),
        ("bad_name", "gave 'trian_y'; did you mean 'train_y'?"),
        ("bad_half", "gave no train_y"),
        ("bad_text", "gave train_y as NoneType"),
        ("bad_ragged", "no array of numbers"),
        ("bad_rows", "x has 80 examples and y 79"),
        ("bad_nan", "x is nan in example"),
        ("bad_labels", "classes are numbered from 0; the target has -1"),
        ("bad_shape", "x_val has shape (3,), in training (6,)"),
        ("bad_set", "does not stack"),
    ],
)
def test_data_of_the_wrong_form_are_refused_for_every_trial(train, load, said):
    with pytest.raises(BadData) as caught:
        train({**OWN, "data": f"own_code:{load}"})
    assert said in str(caught.value)
    assert f"own_code:{load}" in str(caught.value)
    assert caught.value.errors[0].path == "trial.task.data"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "own_code:build_one_logit"}, "shape (2, 1) for 2 examples, expected (2, 2)"),
        (
            {"model": "own_code:build_flat", "data": "own_code:load_numbers"},
            "shape (2,) for 2 examples, expected (2, 1): own_code:load_numbers is a regression",
        ),
        ({"model": "own_code:build_pair"}, "gave a tuple, expected a tensor"),
        (
            {"model": "own_code:build_pair", "loss": "own_code:loss"},
            "gave a tuple, expected a tensor",
        ),
        (
            {"model": "own_code:build_sum", "loss": "own_code:loss"},
            "their first dimension must be the batch",
        ),
        ({"model": "own_code:build_nothing"}, "no weights to train"),
        ({"model": "own_code:build_frozen"}, "no weights to train"),
        ({"model": "own_code:build_text"}, "gave a str, expected a torch.nn.Module"),
    ],
)
def test_a_model_of_the_wrong_form_fails_its_trial_before_the_first_step(train, change, said):
    with pytest.raises(Invalid) as caught:
        train({**OWN, **change})
    assert said in str(caught.value)
    assert caught.value.errors[0].path == "trial.task.model"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"loss": "own_code:bad_loss_vector"}, "a tensor of shape (2,), expected one number"),
        ({"loss": "own_code:bad_loss_number"}, "a float, expected a tensor"),
        ({"loss": "own_code:bad_loss_detached"}, "without a gradient"),
        ({"metric": "own_code:bad_metric_text"}, "gave str for 'bad_metric_text'"),
        ({"metric": "own_code:bad_metric_name"}, "the task reports val_loss itself"),
        ({"model": "own_code:build_strange"}, "takes 3 arguments, and gets 2 at most"),
    ],
)
def test_a_loss_or_metric_of_the_wrong_form_ends_all_trials(train, change, said):
    with pytest.raises(BadData) as caught:
        train({**OWN, **change})
    assert said in str(caught.value)


@pytest.mark.parametrize("key", ["data", "model", "loss", "metric"])
@pytest.mark.parametrize(
    ("entrypoint", "said"),
    [
        ("no_such_code:f", "There is no module 'no_such_code'"),
        ("own_code:laod", "has no 'laod'"),
        ("own_code:value", "not a callable"),
    ],
)
def test_an_entrypoint_that_does_not_import_is_named(train, key, entrypoint, said):
    with pytest.raises(ObjectiveNotFound, match=said):
        train({**OWN, key: entrypoint})
