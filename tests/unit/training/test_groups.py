"""Parameter groups, layer-wise rates, no decay on biases, and mixed optimizers."""

import io
import itertools

import pytest
import torch
from torch import nn

from tuner.errors import Invalid, UnknownName
from tuner.optimizers.registry import ENTRIES, names
from tuner.training import build_optimizer, build_scheduler, run_task, take_step
from tuner.training.groups import weights_of
from tuner.training.mixed import Mixed


class Net(nn.Module):
    """Two blocks in a list, a norm, a head."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(2)
        )
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x)


def setting(optimizer, model, key="lr"):
    """Weight name to its group's value."""
    by_tensor = {
        weight: group[key]
        for group in optimizer.param_groups
        for weight in group["params"]
        if key in group
    }
    return {n: by_tensor[w] for n, w in model.named_parameters() if w in by_tensor}


def train(optimizer, model, steps=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 7, (12,), generator=generator)
    for _ in range(steps):
        take_step(optimizer, lambda: nn.functional.cross_entropy(model(x), x % 3), model)
    return [w.detach().clone() for w in model.parameters()]


def test_a_glob_takes_weights_or_modules_and_a_type_all_that_is_in_it():
    model = Net()
    groups = [
        {"match": "*.bias", "lr": 0.1},
        {"match": "head", "lr": 0.2},
        {"type": "LayerNorm", "lr": 0.3},
        {"match": "blocks.1*", "type": "Linear", "lr": 0.4},
    ]
    rates = setting(build_optimizer(model, {"optimizer": "sgd", "lr": 1.0}, groups), model)
    assert rates == {
        "embed.weight": 1.0,
        "blocks.0.0.weight": 1.0,
        "blocks.0.0.bias": 0.1,
        "blocks.0.1.weight": 0.3,
        "blocks.0.1.bias": 0.1,
        "blocks.1.0.weight": 0.4,
        "blocks.1.0.bias": 0.1,
        "blocks.1.1.weight": 0.3,
        "blocks.1.1.bias": 0.1,
        "head.weight": 0.2,
        "head.bias": 0.1,
    }


def test_the_factor_multiplies_the_rate_and_the_chosen_rate_leads():
    model = Net()
    params = {"optimizer": "adam", "adam.lr": 0.02}
    optimizer = build_optimizer(model, params, [{"match": "embed", "lr_factor": 0.1}])
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 0.02
    assert setting(optimizer, model)["embed.weight"] == pytest.approx(0.002)


def test_a_named_group_is_searched_by_its_parameters():
    model = Net()
    params = {"optimizer": "adamw", "lr": 0.1, "head.lr_factor": 0.5, "head.weight_decay": 0.7}
    groups = [{"match": "head", "name": "head", "lr_factor": 9.0, "weight_decay": 9.0}]
    optimizer = build_optimizer(model, params, groups)
    assert setting(optimizer, model)["head.weight"] == pytest.approx(0.05)
    assert setting(optimizer, model, "weight_decay")["head.weight"] == 0.7
    assert setting(optimizer, model, "weight_decay")["embed.weight"] == 0.01


def test_no_decay_acts_on_biases_and_norms_only_and_a_group_may_say_otherwise():
    model = Net()
    params = {"optimizer": "adamw", "weight_decay": 0.3, "decay_on": "weights"}
    groups = [{"match": "head.bias", "weight_decay": 0.2}]
    decays = setting(build_optimizer(model, params, groups), model, "weight_decay")
    kept = {name for name, decay in decays.items() if decay == 0.3}
    assert kept == {"embed.weight", "blocks.0.0.weight", "blocks.1.0.weight", "head.weight"}
    assert decays["head.bias"] == 0.2
    assert {d for n, d in decays.items() if n not in kept | {"head.bias"}} == {0.0}


def test_layer_decay_counts_layers_from_the_last_and_keeps_a_block_together():
    model = Net()
    layers = [weight.layer for weight in weights_of(model)]
    assert list(dict.fromkeys(layers)) == ["embed", "blocks.0", "blocks.1", "head"]
    params = {"optimizer": "momentum", "lr": 1.0, "momentum.layer_decay": 0.5}
    rates = setting(build_optimizer(model, params), model)
    assert rates["head.weight"] == 1.0
    assert rates["blocks.1.0.weight"] == rates["blocks.1.1.bias"] == 0.5
    assert rates["blocks.0.0.weight"] == 0.25
    assert rates["embed.weight"] == 0.125


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest():
    model = Net()
    params = {"optimizer": "muon", "lr": 0.02, "adamw_lr": 0.003, "adamw.beta1": 0.8}
    optimizer = build_optimizer(model, params)
    assert isinstance(optimizer, Mixed)
    rates = setting(optimizer, model)
    assert {n for n, rate in rates.items() if rate == 0.02} == {
        "blocks.0.0.weight",
        "blocks.1.0.weight",
    }
    assert {rate for rate in rates.values() if rate != 0.02} == {0.003}
    assert set(setting(optimizer, model, "betas").values()) == {(0.8, 0.999)}


@pytest.mark.parametrize(
    ("sizes", "by_muon"), [([4, 5, 6, 2], {"1"}), ([4, 5, 2], {"0"}), ([4, 2], {"0"})]
)
def test_a_shallow_net_gives_muon_the_matrices_that_it_has(sizes, by_muon):
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(*layers)
    rates = setting(build_optimizer(model, {"optimizer": "muon", "lr": 0.5}), model)
    assert {name.split(".")[0] for name, rate in rates.items() if rate == 0.5} == by_muon


def test_a_mixed_optimizer_equals_its_parts_run_apart():
    torch.manual_seed(0)
    model, other = Net(), Net()
    other.load_state_dict(model.state_dict())
    groups = [{"match": "head", "optimizer": "rmsprop", "lr": 0.01}]
    found = train(build_optimizer(model, {"optimizer": "adam", "lr": 0.02}, groups), model)
    head = list(other.head.parameters())
    rest = [w for w in other.parameters() if all(w is not h for h in head)]
    parts = [torch.optim.Adam(rest, lr=0.02), torch.optim.RMSprop(head, lr=0.01)]
    x = torch.randint(0, 7, (12,), generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        other.zero_grad()
        nn.functional.cross_entropy(other(x), x % 3).backward()
        for part in parts:
            part.step()
    assert all(torch.equal(a, b) for a, b in zip(found, other.parameters(), strict=True))


def test_a_group_that_changes_nothing_changes_no_bit():
    torch.manual_seed(0)
    model, other = Net(), Net()
    other.load_state_dict(model.state_dict())
    for name in ("adagrad", "adamw", "sam"):
        params = {"optimizer": name}
        found = train(build_optimizer(model, params, [{"match": "head"}]), model)
        expected = train(build_optimizer(other, params), other)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["adagrad", "nesterov", "sam", "adahessian", "lion"])
def test_groups_of_one_optimizer_share_it_and_train(name):
    model = Net()
    optimizer = build_optimizer(model, {"optimizer": name}, [{"match": "head", "lr_factor": 0.5}])
    assert not isinstance(optimizer, Mixed)
    assert len(optimizer.param_groups) == 2
    before = [w.detach().clone() for w in model.parameters()]
    after = train(optimizer, model)
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_schedule_reaches_every_group_and_the_state_can_be_saved_and_loaded():
    groups = [{"match": "head", "optimizer": "adahessian", "lr": 0.1}]
    runs = []
    for is_resumed in (False, True):
        torch.manual_seed(0)
        model = Net()
        optimizer = build_optimizer(model, {"optimizer": "muon"}, groups)
        assert isinstance(optimizer, Mixed)
        scheduler = build_scheduler(optimizer, {"schedule": "linear"}, 10)
        for _ in range(2):
            train(optimizer, model, steps=1)
            scheduler.step()
        assert setting(optimizer, model)["head.weight"] == pytest.approx(0.08)
        assert setting(optimizer, model)["blocks.0.0.weight"] == pytest.approx(0.016)
        if is_resumed:
            buffer = io.BytesIO()
            torch.save([x.state_dict() for x in (model, optimizer, scheduler)], buffer)
            buffer.seek(0)
            model = Net()
            optimizer = build_optimizer(model, {"optimizer": "muon"}, groups)
            scheduler = build_scheduler(optimizer, {"schedule": "linear"}, 10)
            loaded = torch.load(buffer, weights_only=True)
            for part, state in zip((model, optimizer, scheduler), loaded, strict=True):
                part.load_state_dict(state)
        for _ in range(3):
            weights = train(optimizer, model, steps=1)
            scheduler.step()
        assert setting(optimizer, model)["head.weight"] == pytest.approx(0.05)
        runs.append(weights)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.mark.parametrize(
    ("groups", "said", "path"),
    [
        ([{"match": "decoder.*"}], "describes no layer", "groups[0]"),
        ([{"type": "Conv2d"}], "describes no layer", "groups[0]"),
        ([{"match": "*"}, {"match": "head"}], "earlier groups take all", "groups[1]"),
        ([{"lr": 0.1}], "match or type", "groups[0]"),
        (["head"], "mapping", "groups[0]"),
        ("head", "list", "groups"),
        ([{"match": 3}], "text", "groups[0].match"),
        ([{"match": "head", "lr_factor": -1}], "finite", "groups[0].lr_factor"),
        ([{"match": "head", "lr": "x"}], "number", "groups[0].lr"),
        ([{"match": "head", "lr": -1.0}], "from 0", "adam.lr"),
        ([{"match": "head", "name": "adam"}], "is an optimizer", "groups[0].name"),
        ([{"match": "head", "name": "a b"}], "letters", "groups[0].name"),
        ([{"match": "head", "optimizer": "lbfgs"}], "whole model", "groups"),
        ([{"match": "head", "optimizer": "sam"}], "mixed", "groups"),
        ([{"match": "a", "name": "a"}, {"match": "b", "name": "a"}], "twice", "groups[1].name"),
    ],
)
def test_a_group_that_cannot_be_is_refused_before_training(groups, said, path):
    with pytest.raises(Invalid, match=said) as caught:
        build_optimizer(Net(), {"optimizer": "adam"}, groups)
    assert caught.value.errors[0].path == path


@pytest.mark.parametrize(
    ("group", "path", "nearest"),
    [
        ({"match": "head", "lr_facto": 1}, "groups[0].lr_facto", "lr_factor"),
        ({"macth": "head", "lr_factor": 1}, "groups[0].macth", "match"),
        ({"match": "head", "momentum": 0.9}, "groups[0].momentum", None),
        ({"match": "head", "optimizer": "adamww"}, "groups[0].optimizer", "adamw"),
    ],
)
def test_a_key_or_optimizer_that_does_not_exist_is_answered_with_the_nearest(group, path, nearest):
    with pytest.raises(UnknownName) as caught:
        build_optimizer(Net(), {"optimizer": "adam"}, [group])
    assert caught.value.errors[0].path == path
    if nearest:
        assert caught.value.errors[0].nearest == nearest


@pytest.mark.parametrize("name", ["lbfgs", "newton_cg"])
@pytest.mark.parametrize(
    ("params", "groups"),
    [
        ({}, [{"match": "head", "lr_factor": 0.5}]),
        ({"weight_decay": 0.1, "decay_on": "weights"}, []),
        ({"layer_decay": 0.5}, []),
    ],
)
def test_what_works_on_the_whole_model_cannot_be_split(name, params, groups):
    with pytest.raises(Invalid, match="whole model"):
        build_optimizer(Net(), {"optimizer": name, **params}, groups)


@pytest.mark.parametrize("params", [{"layer_decay": 0.0}, {"decay_on": "biases"}])
def test_a_layer_decay_or_choice_that_cannot_be_is_refused(params):
    with pytest.raises(Invalid):
        build_optimizer(Net(), {"optimizer": "adam", **params})


@pytest.mark.parametrize("name", sorted({*names()} - {"lbfgs", "newton_cg", "prodigy"}))
def test_a_task_trains_with_groups_layer_decay_and_decay_on_weights(make_trial, name):
    task = {
        "dataset": "wine",
        "epochs": 2,
        "batch_size": 64,
        "layer_decay": 0.8,
        "decay_on": "weights",
        "groups": [{"match": "4", "name": "head", "lr_factor": 0.5}],
    }
    rows = []
    for params in ({}, {"head.lr_factor": 0.25}):
        trial = make_trial({"optimizer": name, **params})
        run_task(task, trial)
        rows.append(trial.rows[2]["val_loss"])
    assert rows[0] != rows[1]


def test_a_task_whose_pattern_matches_no_layer_ends_before_the_first_epoch(make_trial):
    trial = make_trial({"optimizer": "adam"})
    with pytest.raises(Invalid, match="no layer"):
        run_task({"dataset": "wine", "groups": [{"match": "layer4.*"}]}, trial)
    assert trial.rows == {}


@pytest.mark.parametrize("name", names())
def test_the_registry_knows_which_methods_cannot_be_split_by_layer(name):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    params = {"optimizer": name, "layer_decay": 0.5}
    if not ENTRIES[name].whole_model:
        assert len(build_optimizer(model, params).param_groups) >= 2
        return
    with pytest.raises(Invalid):
        build_optimizer(model, params)


def test_a_type_that_the_model_has_not_gets_the_nearest_and_all_there_are():
    with pytest.raises(Invalid, match="describes no layer") as caught:
        build_optimizer(Net(), {"optimizer": "adam"}, [{"type": "Linaer"}])
    (mistake,) = caught.value.errors
    assert (mistake.path, mistake.found, mistake.nearest) == ("groups[0]", "Linaer", "Linear")
    assert "Linear" in mistake.allowed
    assert "Linear" in caught.value.hint
