"""The models: their layers, against torch's own where torch has them."""

import pytest
import torch
from torch import nn

from tuner.tasks.check import complete
from tuner.tasks.registry import DATASETS, MODELS
from tuner.training import run_task
from tuner.training.datasets import load
from tuner.training.models import build_model
from tuner.training.sequences import _Block

SEQUENCES = ["rnn", "gru", "lstm", "transformer"]


def build(model, dataset="digits", **options):
    torch.manual_seed(0)
    task = {"dataset": dataset, "model": model, **options}
    return build_model(DATASETS[dataset], complete(task)).eval()


@pytest.mark.parametrize(("model", "fused"), [("rnn", nn.RNN), ("gru", nn.GRU), ("lstm", nn.LSTM)])
def test_recurrent_layers_compute_what_torchs_compute(model, fused):
    ours = build(model, width=16, depth=2)
    theirs = fused(8, 16, num_layers=2, batch_first=True)
    for i, cell in enumerate(ours[1].cells):
        for name, weight in cell.named_parameters():
            getattr(theirs, f"{name}_l{i}").data = weight.data
    x = torch.randn(5, 64)
    states, _ = theirs(x.view(5, 8, 8))
    torch.testing.assert_close(ours(x), ours[2](states[:, -1]))


def test_a_block_computes_what_torchs_encoder_layer_computes():
    torch.manual_seed(0)
    ours = _Block(16, 4, nn.ReLU, 0.0)
    theirs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, batch_first=True, norm_first=True)
    norm, ours_attention = ours.attention
    parts = (ours_attention.query, ours_attention.key, ours_attention.value)
    theirs.self_attn.in_proj_weight.data = torch.cat([part.weight.data for part in parts])
    theirs.self_attn.in_proj_bias.data = torch.cat([part.bias.data for part in parts])
    theirs.self_attn.out_proj.load_state_dict(ours_attention.out.state_dict())
    theirs.norm1.load_state_dict(norm.state_dict())
    for name, i in (("norm2", 0), ("linear1", 1), ("linear2", 3)):
        getattr(theirs, name).load_state_dict(ours.mlp[i].state_dict())
    x = torch.randn(3, 8, 16)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("model", SEQUENCES)
def test_the_order_of_the_rows_matters(model):
    network = build(model, width=16)
    x = torch.randn(5, 64)
    turned = x.view(5, 8, 8).flip(1).reshape(5, 64)
    assert (network(x) - network(turned)).abs().max() > 1e-4


def test_linear_is_one_linear_layer_and_so_is_an_mlp_without_hidden_ones():
    ours = build("linear", "diabetes")
    assert isinstance(ours, nn.Linear)
    x = torch.randn(5, 10)
    torch.testing.assert_close(ours(x), build("mlp", "diabetes", depth=0)(x))


@pytest.mark.parametrize(
    ("model", "norm", "kind"),
    [
        ("mlp", "batch", nn.BatchNorm1d),
        ("mlp", "layer", nn.LayerNorm),
        ("autoencoder", "batch", nn.BatchNorm1d),
        ("autoencoder", "layer", nn.LayerNorm),
        ("cnn", "batch", nn.BatchNorm2d),
        ("cnn", "layer", nn.GroupNorm),
    ],
)
def test_a_norm_stands_before_each_activation(model, norm, kind):
    layers = list(build(model, norm=norm))
    active = [i for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU)]
    assert len(active) == (4 if model == "autoencoder" else 2)
    assert all(isinstance(layers[i - 1], kind) for i in active)
    assert not any(isinstance(layer, kind) for layer in build(model))


def test_an_autoencoder_narrows_to_its_code_and_widens_again():
    model = build("autoencoder", width=32, depth=1, code=3)
    sizes = [(m.in_features, m.out_features) for m in model if isinstance(m, nn.Linear)]
    assert sizes == [(64, 32), (32, 3), (3, 32), (32, 64)]
    # The code itself has no activation.
    assert [type(m).__name__ for m in model] == [
        "Linear",
        "ReLU",
        "Linear",
        "Linear",
        "ReLU",
        "Linear",
    ]


def test_a_linear_autoencoder_finds_the_principal_components(make_trial):
    trial = make_trial({"optimizer": "lbfgs", "lbfgs.max_iter": 50})
    task = {"dataset": "breast_cancer", "model": "autoencoder", "depth": 0, "code": 5}
    run_task({**task, "epochs": 20}, trial)
    x = load("breast_cancer", 0.2).train_x.double()
    left = torch.linalg.svdvals(x)[5:].square().sum().item() / x.numel()
    assert trial.rows[20]["train_loss"] == pytest.approx(left, rel=1e-3)
    assert "val_accuracy" not in trial.rows[20]


def test_an_autoencoder_is_measured_on_the_inputs_of_held_out_examples(make_trial):
    trial = make_trial({"optimizer": "adam", "lr": 1e-2}, replicate=1)
    run_task({"dataset": "digits", "model": "autoencoder", "epochs": 8}, trial)
    last = trial.rows[8]
    assert last["val_loss"] < 0.75 * trial.rows[1]["val_loss"]
    assert last["test_loss"] == pytest.approx(last["val_loss"], rel=0.5)
    assert "test_accuracy" not in last


def test_a_width_that_the_heads_do_not_divide_is_rounded_up_within_attention():
    network = build("transformer", width=30, heads=4)
    assert network[2].blocks[0].attention[1].query.weight.shape == (32, 30)
    assert network(torch.randn(2, 64)).shape == (2, 10)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_batch_norm_takes_a_batch_of_one(make_trial, model):
    trial = make_trial({"optimizer": "sgd"})
    rows = len(load("digits", 0.2).train_x)
    task = {"dataset": "digits", "model": model, "epochs": 1, "norm": "batch", "channels": 4}
    batch = next(size for size in range(300, rows) if rows % size == 1)
    run_task({**task, "batch_size": batch}, trial)
    assert trial.rows[1]["train_loss"] < 5


NORMED = [(model, {"norm": norm}) for model in ("mlp", "cnn") for norm in ("batch", "layer")]


@pytest.mark.parametrize(("model", "options"), NORMED + [(model, {}) for model in MODELS])
@pytest.mark.parametrize("name", ["adamw", "sam"])
def test_numbers_repeat_and_a_resumed_training_equals_an_uninterrupted_one(
    make_trial, model, options, name
):
    task = {"dataset": "digits", "model": model, "epochs": 3, "batch_size": 256, **options}
    params = {"optimizer": name, "dropout": 0.2, "width": 16, "channels": 4}

    def train(**given):
        trial = make_trial(params, **given)
        run_task(task, trial)
        return trial

    whole = train()
    assert train().rows == whole.rows
    stopped = train(stop_at=1, reason="paused")
    resumed = train(checkpoint=stopped.saved[0][1])
    assert {**stopped.rows, **resumed.rows} == whole.rows


@pytest.mark.parametrize("model", SEQUENCES)
def test_sequences_of_rows_are_read(make_trial, model):
    trial = make_trial({"optimizer": "adam", "lr": 5e-3})
    task = {"dataset": "digits", "model": model, "epochs": 6, "width": 32, "depth": 1}
    run_task(task, trial)
    assert trial.rows[6]["val_accuracy"] > 0.8
