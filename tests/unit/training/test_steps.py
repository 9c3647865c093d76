"""A step in parts and in fewer bits, and the schedule that watches the validation loss."""

import io
import math

import pytest
import torch
from torch.nn import functional

from tuner.errors import Invalid
from tuner.tasks.registry import MODELS
from tuner.training import build_scheduler, run_task, take_step
from tuner.training.datasets import load
from tuner.training.methods.adahessian import AdaHessian
from tuner.training.methods.lbfgs import LBFGS
from tuner.training.methods.newton_cg import NewtonCG
from tuner.training.methods.sam import sharpness_aware
from tuner.training.parts import parts
from tuner.training.precision import Scaling, lower

TASK = {"dataset": "digits", "model": "mlp", "epochs": 4, "batch_size": 128, "width": 32}


@pytest.fixture
def train(make_trial):
    """Train one trial and give it back."""

    def run(task=TASK, params=None, **options):
        trial = make_trial({"optimizer": "adam", **(params or {})}, **options)
        run_task(task, trial)
        return trial

    return run


def reloaded(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


@pytest.mark.parametrize(("examples", "n"), [(10, 3), (7, 7), (3, 8), (1, 2), (12, 1)])
def test_parts_hold_every_example_once_and_their_shares_are_whole(examples, n):
    x, y = torch.arange(examples * 2).reshape(examples, 2), torch.arange(examples)
    made = list(parts(x, y, n))
    assert len(made) == min(n, examples)
    assert torch.equal(torch.cat([part for _, part, _ in made]), x)
    assert torch.equal(torch.cat([part for _, _, part in made]), y)
    assert sum(share for share, _, _ in made) == pytest.approx(1.0)
    sizes = [len(part) for _, part, _ in made]
    assert max(sizes) - min(sizes) <= 1
    assert [share for share, _, _ in made] == [size / examples for size in sizes]


# The wine set has 106 examples to train on, so the last batch has 8, in parts of 3, 3 and 2.
WINE = {"dataset": "wine", "model": "mlp", "epochs": 3, "batch_size": 49, "width": 16}


@pytest.mark.parametrize("name", ["sgd", "adam", "nesterov", "sam", "adahessian", "muon", "gd"])
def test_a_step_in_parts_is_that_of_the_whole_batch_up_to_rounding(train, name):
    assert len(load("wine", 0.2).train_x) % 49 == 8
    whole, split = (train({**WINE, "accumulate": n}, {"optimizer": name}).rows for n in (1, 3))
    for epoch in whole:
        for metric in ("train_loss", "val_loss"):
            assert split[epoch][metric] == pytest.approx(whole[epoch][metric], rel=1e-3)
        for metric in ("evaluations", "lr", "train_accuracy"):
            assert split[epoch][metric] == whole[epoch][metric]


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
def test_a_line_search_in_parts_takes_the_whole_sets_step_up_to_rounding(train, name):
    task = {key: value for key, value in WINE.items() if key != "batch_size"} | {"epochs": 1}
    params = {"optimizer": name, "lbfgs.max_iter": 3, "newton_cg.cg_steps": 5}
    whole, split = (train({**task, "accumulate": n}, params).rows[1] for n in (1, 4))
    assert split["val_loss"] == pytest.approx(whole["val_loss"], rel=1e-4)
    assert split["evaluations"] == whole["evaluations"]


METHODS = {
    "sgd": lambda w: torch.optim.SGD(w, lr=0.1),
    "sam": lambda w: sharpness_aware(torch.optim.SGD)(w, lr=0.1, rho=0.05),
    "adahessian": lambda w: AdaHessian(w, lr=0.1),
    "lbfgs": lambda w: LBFGS(w, lr=1.0, history=5, max_iter=4),
    "newton_cg": lambda w: NewtonCG(w, damping=1.0),
}


@pytest.mark.parametrize("make", METHODS.values(), ids=METHODS)
def test_losses_one_after_the_other_are_one_loss_in_float64(make):
    x = torch.randn(11, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x.sin().sum(1, keepdim=True)

    def steps(n):
        model = torch.nn.Linear(3, 1, dtype=torch.float64)
        torch.nn.init.constant_(model.weight, 0.3)
        torch.nn.init.constant_(model.bias, -0.1)
        optimizer = make(model.parameters())

        def loss():
            if n == 1:
                return functional.mse_loss(model(x), y)
            return (share * functional.mse_loss(model(a), b) for share, a, b in parts(x, y, n))

        taken = [take_step(optimizer, loss, model) for _ in range(3)]
        seen = torch.cat([model.weight.detach().flatten(), model.bias.detach()])
        return [step.loss.item() for step in taken], [step.evaluations for step in taken], seen

    whole, split = steps(1), steps(4)
    assert split[0] == pytest.approx(whole[0], rel=1e-12)
    assert split[1] == whole[1]
    torch.testing.assert_close(split[2], whole[2], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "sam"])
def test_a_parts_graph_is_gone_before_the_next_part_is_computed(name):
    model = torch.nn.Linear(3, 1)
    optimizer = METHODS[name](model.parameters())
    events = []
    model.register_forward_hook(lambda *_: events.append("forward"))
    model.weight.register_hook(lambda _: events.append("backward"))
    x, y = torch.ones(4, 3), torch.ones(4, 1)
    take_step(
        optimizer,
        lambda: (share * functional.mse_loss(model(a), b) for share, a, b in parts(x, y, 2)),
        model,
    )
    assert events == ["forward", "backward"] * (2 if name == "sgd" else 4)


def test_a_batch_norm_sees_the_parts(train):
    task = {**WINE, "norm": "batch"}
    assert train({**task, "accumulate": 4}).rows[1] != train(task).rows[1]


def test_diagnostics_of_a_step_in_parts_are_those_of_the_whole_batch(train):
    task = {**TASK, "batch_size": 32, "epochs": 2}
    whole, split = (train({**task, "accumulate": n}, {"optimizer": "sgd"}) for n in (1, 4))
    for metric in ("steps", "grad_norm", "grad_norm_max", "update_ratio", "loss_spikes"):
        assert split.rows[2][metric] == pytest.approx(whole.rows[2][metric], rel=1e-3)
    # A probe takes a part only, so it sees the same noise with another sample of it.
    assert split.rows[2]["grad_noise_scale"] > 0
    assert split.rows[2]["grad_noise_scale"] != whole.rows[2]["grad_noise_scale"]


def test_a_loss_that_is_not_finite_in_a_part_ends_the_trial(train):
    task = {"dataset": "diabetes", "batch_size": 16, "accumulate": 4}
    trial = train(task, {"optimizer": "sgd", "lr": 1e30})
    assert list(trial.rows) == [1]
    assert not math.isfinite(trial.rows[1]["train_loss"])


def test_a_plain_loop_with_parts_and_plateau_gives_the_same_numbers_bit_for_bit(train):
    data = load("wine", 0.2)
    torch.manual_seed(3)
    model = torch.nn.Sequential(
        torch.nn.Linear(13, 16),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(16, 3),
    )
    schedule = {"schedule": "plateau", "plateau_patience": 1, "warmup": 0.1}
    order = torch.Generator().manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    scheduler = build_scheduler(optimizer, schedule, 12 * 3)
    expected = []
    for _ in range(12):
        model.train()
        for rows in torch.randperm(len(data.train_x), generator=order).split(49):
            optimizer.zero_grad()
            for part in rows.tensor_split(3):
                output = model(data.train_x[part])
                loss = functional.cross_entropy(output, data.train_y[part])
                (loss * (len(part) / len(rows))).backward()
            optimizer.step()
            rate = optimizer.param_groups[0]["lr"]
            scheduler.step()
        model.eval()
        with torch.no_grad():
            output = model(data.val_x)
        expected.append((functional.cross_entropy(output, data.val_y).item(), rate))
        scheduler.observe(expected[-1][0])
    task = {**WINE, "depth": 1, "epochs": 12, "accumulate": 3, "seed": 3, **schedule}
    trial = train(task, {"lr": 0.1, "dropout": 0.2})
    assert [(row["val_loss"], row["lr"]) for row in trial.rows.values()] == expected
    rates = [rate for _, rate in expected]
    assert rates[-1] < max(rates) / 5


SETTINGS = {
    "parts": {"accumulate": 3, "dropout": 0.2},
    "plateau": {"schedule": "plateau", "plateau_patience": 1, "warmup": 0.1},
    "cycle": {"schedule": "one_cycle", "momentum_low": 0.5},
    "bfloat16": {"precision": "bfloat16", "accumulate": 2},
}
KINDS = ["nesterov", "adam", "muon", "sam", "adahessian", "lbfgs"]
RESUMED = [
    (name, setting)
    for setting in SETTINGS
    for name in (KINDS[:4] if setting == "bfloat16" else KINDS)
]


@pytest.mark.parametrize(("name", "setting"), RESUMED)
def test_a_resumed_training_equals_an_uninterrupted_one(train, name, setting):
    task = {**WINE, "epochs": 6, **SETTINGS[setting]}
    params = {"optimizer": name, "lbfgs.max_iter": 2, f"{name}.lr": 0.05}
    whole = train(task, params)
    for stop_at in (1, 4):
        stopped = train(task, params, stop_at=stop_at, reason="preempted")
        resumed = train(task, params, checkpoint=reloaded(stopped.saved[0][1]))
        assert {**stopped.rows, **resumed.rows} == whole.rows


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_in_bfloat16_and_not_to_the_same_bits(train, model):
    digits = {"dataset": "digits", "epochs": 2, "batch_size": 64}
    wine = {"dataset": "wine", "epochs": 6, "batch_size": 32}
    task = {**(digits if MODELS[model].images_only else wine), "model": model, "width": 16}
    task |= {"channels": 4} if model == "cnn" else {}
    full, low = (
        [
            row["train_loss"]
            for row in train({**task, "precision": name}, {"lr": 1e-2}).rows.values()
        ]
        for name in ("float32", "bfloat16")
    )
    assert low[-1] < 0.9 * low[0]
    assert low != full
    assert low == pytest.approx(full, rel=0.1, abs=0.05)


def test_the_model_answers_in_float32_and_keeps_its_weights():
    model = torch.nn.Sequential(torch.nn.Linear(4, 2))
    seen = []
    model[0].register_forward_hook(lambda *given: seen.append(given[2].dtype))
    lower(model, "bfloat16", torch.device("cpu"))
    output = model(torch.ones(3, 4))
    assert (output.dtype, seen) == (torch.float32, [torch.bfloat16])
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    output.sum().backward()
    assert model[0].weight.grad.dtype == torch.float32


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg", "adahessian"])
def test_a_second_order_method_is_refused_in_fewer_bits(train, name):
    with pytest.raises(Invalid, match="bfloat16") as caught:
        train({**TASK, "precision": "bfloat16"}, {"optimizer": name})
    assert caught.value.errors[0].path == "precision"


def test_float16_without_a_gpu_is_refused_before_the_first_step(train):
    with pytest.raises(Invalid, match="CUDA") as caught:
        train({**TASK, "precision": "float16"})
    assert caught.value.errors[0].nearest == "bfloat16"


def test_an_overflow_of_the_scaled_gradient_takes_no_step_and_lowers_the_factor():
    # The scaling itself is the same on the CPU, where tests can run it.
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaling = Scaling("float16", torch.device("cpu"))
    scaling.backward((weight * torch.tensor(1e38)).sum())
    scaling.unscale(optimizer)
    assert weight.grad is None
    scaling.step(optimizer)
    assert weight.item() == 1.0
    lowered = scaling.state()["scale"]
    assert lowered == 512.0
    again = Scaling("float16", torch.device("cpu"))
    again.load_state(scaling.state())
    weight.grad = None
    again.backward((weight * 2.0).sum())
    assert weight.grad.item() == 2.0 * lowered
    again.unscale(optimizer)
    assert weight.grad.item() == 2.0
    again.step(optimizer)
    assert weight.item() == pytest.approx(0.8)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["adam", "muon"])
def test_on_cuda_fewer_bits_learn_repeat_and_resume_exactly(make_trial, precision, name):
    task = {**TASK, "precision": precision, "accumulate": 2, "clip_norm": 1.0}

    def on(**options):
        trial = make_trial({"optimizer": name}, **options)
        trial.device = "cuda:0"
        run_task(task, trial)
        return trial

    whole = on()
    assert whole.rows[4]["val_loss"] < whole.rows[1]["val_loss"]
    assert on().rows == whole.rows
    stopped = on(stop_at=2, reason="paused")
    resumed = on(checkpoint=reloaded(stopped.saved[0][1]))
    assert {**stopped.rows, **resumed.rows} == whole.rows
