"""The loop: numbers repeat, resume exactly, and bad trainings end at once."""

import io
import math
import subprocess
import sys

import pytest
import torch

from tuner.errors import Invalid
from tuner.optimizers.registry import ENTRIES, names
from tuner.tasks.check import metrics
from tuner.tasks.registry import DATASETS, MODELS
from tuner.training import build_scheduler, run_task
from tuner.training.datasets import load
from tuner.training.loop import effective_options

TASK = {"dataset": "digits", "model": "mlp", "epochs": 4, "batch_size": 128, "width": 32}
PARAMS = {
    "optimizer": "adam",
    "adam.lr": 3e-3,
    "dropout": 0.2,
    "schedule": "cosine",
    "warmup": 0.1,
}
PAIRS = [(d, m) for d in DATASETS for m in MODELS if MODELS[m].takes(DATASETS[d])]


@pytest.fixture
def train(make_trial):
    """Train one trial and give it back."""

    def run(task=TASK, params=PARAMS, **options):
        trial = make_trial(dict(params), **options)
        assert run_task(task, trial) is None
        return trial

    return run


@pytest.mark.parametrize(("dataset", "model"), PAIRS)
def test_each_data_set_and_model_trains_and_reports_its_metrics(train, dataset, model):
    task = {"dataset": dataset, "model": model, "epochs": 3, "batch_size": 32, "width": 32}
    trial = train(task, {"optimizer": "adam", "lr": 3e-3})
    assert list(trial.rows) == [1, 2, 3]
    reported = [set(row) | set(trial.measured[step]) for step, row in trial.rows.items()]
    assert all(set(metrics(task)) <= names for names in reported)
    assert all(names <= set(metrics(task, sometimes=True)) for names in reported)
    assert trial.rows[3]["train_loss"] < trial.rows[1]["train_loss"]


@pytest.mark.parametrize("name", names())
def test_each_optimizer_learns_with_its_defaults(train, name):
    task = {**TASK, "batch_size": 32}
    metric = "val_loss"
    if ENTRIES[name].batch != "any":
        del task["batch_size"]
        metric = "train_loss"  # twenty iterations an epoch overfit in the second
    trial = train(task, {"optimizer": name})
    assert trial.rows[4][metric] < trial.rows[1][metric] < 1.5 * math.log(10)
    assert min(row["val_loss"] for row in trial.rows.values()) < math.log(10)


def test_the_defaults_of_adam_read_digits(train):
    trial = train({"dataset": "digits", "model": "mlp"}, {})
    assert list(trial.rows)[-1] == 27
    assert trial.rows[27]["val_accuracy"] > 0.95


def test_the_same_parameters_give_the_same_numbers_whatever_the_callers_random_state(train):
    first = train()
    torch.manual_seed(99)
    assert train().rows == first.rows


def test_another_seed_gives_other_numbers(train):
    assert train({**TASK, "seed": 1}).rows[4] != train().rows[4]


def test_the_callers_random_state_and_threads_stay(train):
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    train({**TASK, "threads": 2, "epochs": 1})
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_plain_loop_gives_the_same_numbers_bit_for_bit(train):
    data = load("digits", 0.2)
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 32),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(32, 32),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(32, 10),
    )
    order = torch.Generator().manual_seed(3)
    steps = 4 * math.ceil(len(data.train_x) / 128)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = build_scheduler(optimizer, PARAMS, steps)
    expected = []
    for _ in range(4):
        model.train()
        for rows in torch.randperm(len(data.train_x), generator=order).split(128):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(data.train_x[rows]), data.train_y[rows])
            loss.backward()
            optimizer.step()
            scheduler.step()
        model.eval()
        with torch.no_grad():
            output = model(data.val_x)
        expected.append(torch.nn.functional.cross_entropy(output, data.val_y).item())
    trial = train({**TASK, "seed": 3})
    assert [row["val_loss"] for row in trial.rows.values()] == expected


# Every optimizer on one model, and on every other model those that differ in kind.
KINDS = ["adam", "muon", "sam", "adahessian", "lbfgs", "newton_cg"]
RESUMED = [(name, model) for model in MODELS for name in (names() if model == "mlp" else KINDS)]


@pytest.mark.parametrize(("name", "model"), RESUMED)
def test_a_resumed_training_equals_an_uninterrupted_one(train, name, model, monkeypatch):
    # On a busy machine ten seconds may pass, and another checkpoint is due.
    monkeypatch.setattr("tuner.training.loop.CHECKPOINT_EVERY_S", math.inf)
    task = {"dataset": "digits", "model": model, "epochs": 4, "batch_size": 1024}
    task |= {"channels": 4} if model == "cnn" else {"width": 8}
    if model == "mlp":
        task |= {"dataset": "wine", "batch_size": 32}
    params = {"optimizer": name, "dropout": 0.3, "schedule": "linear", "warmup": 0.2}
    params |= {"lbfgs.max_iter": 2, "newton_cg.cg_steps": 3}
    whole = train(task, params)
    stopped = train(task, params, stop_at=2, reason="preempted")
    assert list(stopped.rows) == [1, 2]
    ((step, state),) = stopped.saved
    assert step == 2
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    resumed = train(task, params, checkpoint=torch.load(buffer, weights_only=True))
    assert {**stopped.rows, **resumed.rows} == whole.rows
    assert list(resumed.rows) == [3, 4]


@pytest.mark.parametrize("reason", ["pruned", "budget", "cancelled", "lease-lost"])
def test_a_final_stop_ends_the_training_without_a_checkpoint(train, reason):
    trial = train(stop_at=2, reason=reason)
    assert list(trial.rows) == [1, 2]
    assert trial.saved == []


def test_a_stop_after_the_last_epoch_changes_nothing(train):
    trial = train(stop_at=4, reason="paused")
    assert list(trial.rows) == [1, 2, 3, 4]
    assert trial.saved == []


def test_checkpoints_are_saved_now_and_then_but_not_after_the_last_epoch(train, monkeypatch):
    monkeypatch.setattr("tuner.training.loop.CHECKPOINT_EVERY_S", 0.0)
    assert [step for step, _ in train().saved] == [1, 2, 3]


@pytest.mark.parametrize("dataset", ["digits", "diabetes"])
def test_a_loss_that_is_not_finite_ends_the_trial_at_once(train, dataset):
    trial = train({"dataset": dataset, "batch_size": 16}, {"optimizer": "sgd", "lr": 1e30})
    assert len(trial.rows) == 1
    row = trial.rows[1]
    assert not math.isfinite(row["train_loss"])
    assert math.isnan(row["val_loss"])
    if dataset == "digits":
        assert math.isnan(row["val_accuracy"])
    assert math.isfinite(row["params_million"])
    assert any("diverged" in line for line in trial.lines)


def test_divergence_in_the_last_step_shows_in_the_validation_loss(train):
    task = {"dataset": "diabetes", "batch_size": 4096, "epochs": 9}
    trial = train(task, {"optimizer": "sgd", "lr": 1e38})
    assert math.isfinite(trial.rows[1]["train_loss"])
    assert not math.isfinite(trial.rows[1]["val_loss"])
    assert list(trial.rows) == [1]


def test_a_parameter_overrides_the_tasks_key_by_the_rule_of_names():
    task = {**TASK, "weight_decay": 0.5}
    options = effective_options(
        task, {"optimizer": "sgd", "epochs": 2, "sgd.batch_size": 8, "adam.batch_size": 9}
    )
    assert (options["epochs"], options["batch_size"]) == (2, 8)
    assert options["weight_decay"] == 0.5
    assert effective_options(task, {"optimizer": "sgd", "sgd.weight_decay": 0.1})[
        "weight_decay"
    ] == pytest.approx(0.1)


def test_the_tasks_weight_decay_reaches_the_optimizer(train):
    params = {"optimizer": "adamw"}
    given = train({**TASK, "weight_decay": 0.5}, params)
    assert given.rows == train(TASK, {**params, "adamw.weight_decay": 0.5}).rows
    assert given.rows != train(TASK, params).rows


def test_the_tasks_optimizer_holds_where_the_space_has_none(train):
    task = {**TASK, "optimizer": "momentum", "epochs": 2}
    assert train(task, {}).rows == train({**TASK, "epochs": 2}, {"optimizer": "momentum"}).rows


def test_parameters_that_cannot_be_trained_are_refused(make_trial):
    with pytest.raises(Invalid, match="images"):
        run_task({"dataset": "wine"}, make_trial({"model": "cnn"}))


def test_reported_size_and_rate_are_those_of_the_model_and_the_last_step(train):
    trial = train({**TASK, "epochs": 2}, {"optimizer": "sgd", "lr": 0.4, "schedule": "linear"})
    assert trial.rows[1]["params_million"] == (64 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10) / 1e6
    steps = math.ceil(len(load("digits", 0.2).train_x) / 128)
    assert trial.rows[2]["lr"] == pytest.approx(0.4 / (2 * steps))


def test_data_and_training_scripts_load_no_more_than_they_need():
    code = (
        "import sys, tuner.optimizers.expand, tuner.tasks.check\n"
        "assert not {'torch', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "import tuner.training\n"
        "assert 'torch' in sys.modules and 'sklearn' not in sys.modules\n"
        "tuner.training.run_task\n"
        "assert 'sklearn' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("model", MODELS)
def test_on_cuda_numbers_repeat_resume_exactly_and_agree_with_the_cpu(make_trial, model):
    def on(device, **options):
        trial = make_trial(dict(PARAMS, dropout=0.0), **options)
        trial.device = device
        run_task({"dataset": "digits", "model": model, "epochs": 4}, trial)
        return trial

    whole = on("cuda:0")
    assert on("cuda:0").rows == whole.rows
    stopped = on("cuda:0", stop_at=2, reason="paused")
    resumed = on("cuda:0", checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == whole.rows
    assert on("cpu").rows[1]["val_loss"] == pytest.approx(whole.rows[1]["val_loss"], rel=1e-3)


@pytest.mark.parametrize("name", ["gd", "lbfgs", "newton_cg"])
def test_methods_for_the_whole_set_take_one_step_an_epoch_unless_told_otherwise(train, name):
    task = {"dataset": "wine", "epochs": 2}
    params = {"optimizer": name, "lbfgs.max_iter": 1, "newton_cg.cg_steps": 5}
    whole = train(task, params)
    assert not [line for line in whole.lines if "batch_size" in line]
    batches = train({**task, "batch_size": 16}, params)
    (line,) = [line for line in batches.lines if "batch_size" in line]
    assert (batches.rows == whole.rows) is (name == "gd")
    assert line.startswith("warning") is (name != "gd")
    own = train({**task, "batch_size": 16}, {**params, f"{name}.batch_size": 65536})
    assert own.rows == whole.rows


def test_evaluations_are_counted_and_go_on_after_a_pause(train):
    task = {"dataset": "wine", "epochs": 3, "batch_size": 64}
    steps = math.ceil(len(load("wine", 0.2).train_x) / 64)
    counts = {"adam": 1, "sam": 2, "adahessian": 2}
    for name, each in counts.items():
        rows = train(task, {"optimizer": name}).rows
        assert [row["evaluations"] for row in rows.values()] == [
            each * steps * epoch for epoch in (1, 2, 3)
        ]
    stopped = train(task, {"optimizer": "sam"}, stop_at=1, reason="paused")
    resumed = train(task, {"optimizer": "sam"}, checkpoint=stopped.saved[0][1])
    assert resumed.rows[3]["evaluations"] == 6 * steps
