"""What a training records is what a computation of its own gives, and it changes nothing."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tuner.errors import Invalid
from tuner.optimizers.registry import ENTRIES, names
from tuner.tasks.metrics import METRICS, SOMETIMES, is_reported
from tuner.training import Diagnostics, build_optimizer, run_task, take_step
from tuner.training.datasets import load
from tuner.training.diagnostics import noise
from tuner.training.loop import effective_options
from tuner.training.trainer import Training

TASK = {"dataset": "digits", "model": "mlp", "epochs": 2, "batch_size": 64, "width": 16}
CHEAP = {"lbfgs.max_iter": 2, "newton_cg.cg_steps": 2}


@pytest.fixture
def train(make_trial):
    """Train one trial and give it back."""

    def run(task=TASK, params=None, **options):
        trial = make_trial(params or {"optimizer": "sgd"}, **options)
        run_task({**TASK, **task}, trial)
        return trial

    return run


def trained(level, task, params):
    options = effective_options({**TASK, **task, "diagnostics": level}, params)
    with torch.random.fork_rng():
        training = Training(options, params, torch.device("cpu"))
        rows = [training.run_epoch() for _ in range(2)]
        weights = copy.deepcopy(training.state())
    return rows, weights


@pytest.mark.parametrize("name", names())
def test_every_optimizer_trains_the_same_with_and_without_them(name):
    task = {"norm": "batch", "dropout": 0.3, "clip_norm": 0.5, "schedule": "cosine"}
    params = {"optimizer": name, **CHEAP}
    plain, without = trained("none", task, params)
    rows, with_them = trained("full", task, params)
    for n in ("train_loss", "train_accuracy", "val_loss", "lr", "evaluations"):
        assert [row[n] for row in rows] == [row[n] for row in plain]
    model = without["model"]
    assert all(torch.equal(model[n], value) for n, value in with_them["model"].items())
    assert torch.equal(without["random"], with_them["random"])
    last = rows[1]
    assert ("grad_noise_scale" in last) is (ENTRIES[name].batch != "full")
    assert all(math.isfinite(last[n]) and last[n] > 0 for n in ("grad_norm", "update_ratio"))
    assert "update_ratio.0.weight" in last


@pytest.mark.parametrize("model", ["cnn", "gru", "transformer"])
def test_every_kind_of_model_trains_the_same_with_and_without_them(model):
    task = {
        "model": model,
        "dropout": 0.2,
        **({"channels": 2} if model == "cnn" else {"width": 8}),
    }
    plain, without = trained("none", task, {"optimizer": "adam"})
    rows, with_them = trained("full", task, {"optimizer": "adam"})
    assert [row["val_loss"] for row in rows] == [row["val_loss"] for row in plain]
    assert all(torch.equal(without["model"][n], v) for n, v in with_them["model"].items())


@pytest.mark.parametrize("level", ["none", "basic", "full"])
def test_each_level_reports_its_metrics(train, level):
    trial = train({"diagnostics": level, "epochs": 1})
    reported = set(trial.rows[1]) | set(trial.measured[1])
    layers = {n for n in reported if n.startswith("update_ratio.")}
    assert bool(layers) is (level == "full")
    expected = {n for n in METRICS if is_reported(n, level)}
    assert expected - SOMETIMES <= reported - layers <= expected


def test_a_task_records_what_a_loop_of_its_own_measures(train):
    rate, limit = 0.5, 0.8
    trial = train({"clip_norm": limit, "diagnostics": "full"}, {"optimizer": "sgd", "lr": rate})
    data = load("digits", 0.2)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 16),
        torch.nn.ReLU(),
        torch.nn.Linear(16, 16),
        torch.nn.ReLU(),
        torch.nn.Linear(16, 10),
    )
    order = torch.Generator().manual_seed(0)
    for epoch in (1, 2):
        lengths, ratios = [], []
        for i, rows in enumerate(torch.randperm(len(data.train_x), generator=order).split(64)):
            model.zero_grad()
            cross_entropy(model(data.train_x[rows]), data.train_y[rows]).backward()
            gradient = torch.cat([w.grad.flatten() for w in model.parameters()])
            lengths.append(float(gradient.double().norm()))
            scale = min(1.0, limit / lengths[-1])
            step = {n: rate * scale * w.grad for n, w in model.named_parameters()}
            if i % 16 == 0:
                parts = [(step[f"{n}.weight"], model[n].weight) for n in (0, 2, 4)]
                ratios.append([float(d.norm() / w.detach().norm()) for d, w in parts])
            with torch.no_grad():
                for n, w in model.named_parameters():
                    w.sub_(step[n])
        row = trial.rows[epoch]
        assert row["grad_norm"] == pytest.approx(np.mean(lengths), rel=1e-4)
        assert row["grad_norm_max"] == pytest.approx(max(lengths), rel=1e-4)
        assert row["grad_norm_p90"] == pytest.approx(np.quantile(lengths, 0.9), rel=1e-4)
        assert 0 < row["clipped_share"] < 1
        assert row["clipped_share"] == np.mean(np.array(lengths) > limit)
        means = np.mean(ratios, axis=0)
        assert row["update_ratio"] == pytest.approx(np.median(means), rel=1e-3)
        assert row["update_ratio.2.weight"] == pytest.approx(means[1], rel=1e-3)
        assert row["steps"] == 23 * epoch


def test_progress_and_time_are_counted_and_the_best_step_is_remembered(train):
    trial = train({"epochs": 4}, {"optimizer": "adam", "lr": 1e-3})
    losses = [row["val_loss"] for row in trial.rows.values()]
    best = [23 * (1 + int(np.argmin(losses[: i + 1]))) for i in range(4)]
    assert [row["best_step"] for row in trial.rows.values()] == best
    seconds = [row["seconds"] for row in trial.measured.values()]
    assert seconds == sorted(seconds)
    examples = len(load("digits", 0.2).train_x)
    spent = np.diff([0.0, *seconds])
    rates = [row["examples_per_second"] for row in trial.measured.values()]
    assert rates == pytest.approx(examples / spent)


@pytest.mark.parametrize("name", ["adam", "sam", "lbfgs"])
def test_a_resumed_training_goes_on_counting(train, name):
    task = {"epochs": 5, "batch_size": 32, "diagnostics": "full"}
    params = {"optimizer": name, "dropout": 0.2, **CHEAP}
    whole = train(task, params)
    stopped = train(task, params, stop_at=3, reason="paused")
    resumed = train(task, params, checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == whole.rows
    assert "grad_noise_scale" in resumed.rows[4]
    assert resumed.measured[4]["seconds"] > stopped.measured[3]["seconds"]
    assert resumed.measured[4]["peak_memory_mb"] >= stopped.measured[3]["peak_memory_mb"]


def test_a_checkpoint_without_them_is_taken(train):
    stopped = train(stop_at=1, reason="paused")
    state = stopped.saved[0][1]
    del state["diagnostics"]
    assert train(checkpoint=state).rows[2]["steps"] == 23


def test_the_epoch_of_a_divergence_reports_what_led_to_it(train):
    trial = train({"dataset": "diabetes", "batch_size": 16}, {"optimizer": "sgd", "lr": 1e5})
    assert list(trial.rows) == [1]
    row = trial.rows[1]
    assert not math.isfinite(row["train_loss"])
    assert 0 < row["steps"] < 23
    assert row["best_step"] == 0
    assert row["grad_norm_max"] > 1e6
    assert row["update_ratio"] > 1
    at_once = train({"dataset": "diabetes", "batch_size": 16}, {"optimizer": "sgd", "lr": 1e38})
    assert at_once.rows[1]["grad_norm_max"] > 0


def test_a_full_batch_has_no_noise_scale_and_a_linear_model_no_dead_units(train):
    row = train({"dataset": "wine", "epochs": 40}, {"optimizer": "gd"}).rows[40]
    assert "grad_noise_scale" not in row
    row = train({"dataset": "wine", "model": "linear", "batch_size": 16, "epochs": 3}).rows[3]
    assert "grad_noise_scale" in row
    assert "dead_units" not in row


def test_units_that_a_large_step_killed_are_seen(train):
    row = train({"dataset": "wine", "epochs": 3}, {"optimizer": "sgd", "lr": 30.0}).rows
    assert row[max(row)]["dead_units"] >= 0.5


@pytest.mark.parametrize("name", ["nesterov", "muon", "sam", "adahessian", "newton_cg"])
def test_a_loop_of_ones_own_records_the_same(train, name):
    trial = train({"diagnostics": "full", "clip_norm": 1.0}, {"optimizer": name, **CHEAP})
    data = load("digits", 0.2)
    options = effective_options({**TASK, "clip_norm": 1.0}, {"optimizer": name, **CHEAP})
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        *(torch.nn.Linear(64, 16), torch.nn.ReLU()),
        *(torch.nn.Linear(16, 16), torch.nn.ReLU(), torch.nn.Linear(16, 10)),
    )
    optimizer = build_optimizer(model, {"optimizer": name, **CHEAP})
    for group in optimizer.param_groups:
        group["foreach"] = True
    clip_norm = None if name == "newton_cg" else 1.0
    diagnostics = Diagnostics(model, optimizer, level="full", clip_norm=clip_norm)
    order = torch.Generator().manual_seed(0)
    size = options.get("batch_size", len(data.train_x))
    for epoch in (1, 2):
        batches = torch.randperm(len(data.train_x), generator=order).split(size)
        for i, rows in enumerate(batches):
            following = batches[(i + 1) % len(batches)]

            def loss(rows=rows):
                return cross_entropy(model(data.train_x[rows]), data.train_y[rows])

            def look(rows=rows, following=following):
                diagnostics.before_step(len(rows), lambda: (loss(following), len(following)))

            taken = take_step(optimizer, loss, model, 1.0, look)
            diagnostics.after_step(taken.loss)
        with diagnostics.validation(), torch.no_grad():
            val_loss = cross_entropy(model(data.val_x), data.val_y).item()
        metrics = diagnostics.metrics(val_loss)
        row = trial.rows[epoch]
        own = set(metrics) - {"seconds", "examples_per_second", "peak_memory_mb"}
        assert {n: metrics[n] for n in own} == {n: row[n] for n in own}
        assert {n for n in row if n not in own} == {
            *("train_loss", "train_accuracy", "val_loss", "val_accuracy"),
            *("params_million", "lr", "evaluations"),
        }


def test_a_step_that_is_not_taken_does_not_count():
    model = torch.nn.Linear(2, 1)
    diagnostics = Diagnostics(model, torch.optim.SGD(model.parameters(), lr=0.1))
    model(torch.full((1, 2), math.inf)).sum().backward()
    diagnostics.before_step(1)
    model.zero_grad()
    model(torch.zeros(1, 2)).sum().backward()
    diagnostics.before_step(1)
    diagnostics.after_step(0.5)
    metrics = diagnostics.metrics()
    assert (metrics["steps"], metrics["grad_norm"]) == (1, 1.0)
    assert "best_step" not in metrics
    assert math.isnan(diagnostics.metrics()["grad_norm"])


def test_frozen_weights_are_left_out_and_a_foreign_optimizer_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    diagnostics = Diagnostics(model, torch.optim.SGD(model[1].parameters(), lr=0.1), level="full")
    model(torch.ones(3, 2)).mean().backward()
    expected = float(torch.cat([w.grad.flatten() for w in model[1].parameters()]).norm())
    diagnostics.before_step(3)
    diagnostics.after_step(torch.tensor(1.0))
    metrics = diagnostics.metrics(1.0)
    assert metrics["grad_norm"] == pytest.approx(expected)
    assert [n for n in metrics if n.startswith("update_ratio.")] == ["update_ratio.1.weight"]
    other = torch.nn.Linear(1, 1)
    with pytest.raises(Invalid, match="none of the model's weights"):
        Diagnostics(model, torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(Invalid, match="level"):
        Diagnostics(other, torch.optim.SGD(other.parameters(), lr=0.1), level="all")


def test_probes_are_few():
    model = torch.nn.Linear(2, 1)
    diagnostics = Diagnostics(model, torch.optim.SGD(model.parameters(), lr=0.1))
    calls = []

    def other():
        calls.append(1)
        return model(torch.ones(4, 2)).mean(), 4

    for _ in range(4 * noise.EVERY):
        model.zero_grad()
        model(torch.ones(4, 2)).mean().backward()
        diagnostics.before_step(4, other)
        diagnostics.after_step(1.0)
    assert len(calls) == 4
