"""Each inclusion holds in numbers; verdicts by hand."""

import pytest
import torch

from tuner.analysis.comparison.inclusions import INCLUSIONS, Need, inclusions, judge, reaches
from tuner.analysis.comparison.significance import significance
from tuner.optimizers import registry
from tuner.training import build_optimizer, take_step

# parameters with which the general method becomes the special one; of a limit, to this accuracy
BIG = 1e8
SPECIAL = {
    "sgd": {"lr": 0.1},
    "momentum": {"lr": 0.02, "momentum": 0.8},
    "nesterov": {"lr": 0.02, "momentum": 0.8},
    "adam": {"lr": 0.01},
    "nadam": {"lr": 0.01},
    "adamw": {"lr": 0.01},
    "rmsprop": {"lr": 0.01},
}
ADAPTED = {"eps": BIG, "beta1": 0.8, "lr": 0.02 * BIG / (1 - 0.8)}
GENERAL = {
    ("sgd", "momentum"): {"lr": 0.1, "momentum": 0.0},
    ("sgd", "nesterov"): {"lr": 0.1, "momentum": 0.0},
    ("sgd", "rmsprop"): {"lr": 0.1 * BIG, "eps": BIG},
    ("sgd", "adagrad"): {"lr": 0.1 * BIG, "eps": BIG},
    ("sgd", "sam"): {"lr": 0.1, "momentum": 0.0, "rho": 1e-9},
    ("momentum", "sam"): {"lr": 0.02, "momentum": 0.8, "rho": 1e-9},
    ("momentum", "adam"): ADAPTED,
    ("momentum", "amsgrad"): ADAPTED,
    ("momentum", "adamax"): ADAPTED,
    ("momentum", "adamw"): {**ADAPTED, "weight_decay": 0.0},
    ("nesterov", "nadam"): {**ADAPTED, "momentum_decay": 1e6},
    ("sgd", "adam"): {"lr": 0.1 * BIG, "eps": BIG, "beta1": 0.0},
    ("rmsprop", "adam"): {"lr": 0.01, "beta1": 0.0, "beta2": 0.99, "bias_correction": False},
    ("adam", "adamw"): {"lr": 0.01, "weight_decay": 1e-12},
    ("nadam", "nadamw"): {"lr": 0.01, "weight_decay": 1e-12},
    ("adamw", "sam_adamw"): {"lr": 0.01, "rho": 1e-9},
}


def steps_of(name, values, n=200):
    """The weights after each step on a small quadratic."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1).double()
    x = torch.tensor([[1.0, 0, 0], [0, 2, 0], [0, 0, 0.5], [1, 1, 1]], dtype=torch.float64)
    params = {"optimizer": name, **{f"{name}.{key}": value for key, value in values.items()}}
    optimizer = build_optimizer(model, params)
    found = []
    for _ in range(n):
        take_step(optimizer, lambda: (model(x) ** 2).mean(), model, None)
        weights = [w.detach().flatten() for w in model.parameters()]
        found.append(torch.cat(weights))
    return torch.stack(found)


@pytest.mark.parametrize("item", INCLUSIONS, ids=lambda item: f"{item.special}-{item.general}")
def test_the_general_method_becomes_the_special_one(item):
    special = steps_of(item.special, SPECIAL[item.special])
    general = steps_of(item.general, GENERAL[item.special, item.general])
    scale = special.abs().max()
    if "bias correction" in item.condition:
        # after the first steps both go the same way, at the same rate, to the same place
        assert (special[-1] - general[-1]).abs().max() < 0.02 * scale
        towards = (special[60:] - special[59:-1]), (general[60:] - general[59:-1])
        assert torch.nn.functional.cosine_similarity(*towards, dim=1).median() > 0.8
    else:
        assert (special - general).abs().max() < 1e-6 * scale


def test_every_inclusion_names_what_exists():
    for item in INCLUSIONS:
        registry.get(item.special)
        known = {p.name for p in registry.get(item.general).parameters}
        assert {need.parameter for need in item.needs} <= known


@pytest.mark.parametrize(
    ("need", "parameters", "expected"),
    [
        (Need("momentum", 0.0, "low"), {}, False),
        (Need("momentum", 0.0, "low"), {"m.momentum": {"type": "float", "low": 0, "high": 1}}, True),
        (Need("momentum", 0.0, "low"), {"momentum": {"type": "float", "low": 0.1, "high": 1}}, False),
        (Need("momentum", 0.0, "low"), {"momentum": {"type": "fixed", "value": 0.0}}, True),
        (Need("momentum", 0.0, "low"), {"momentum": {"type": "categorical", "choices": [0, 0.9]}}, True),
    ],
)  # fmt: skip
def test_a_range_reaches_what_an_inclusion_needs(need, parameters, expected):
    named = {key.replace("m.", "momentum."): spec for key, spec in parameters.items()}
    assert reaches(need, "momentum", named)[0] is expected


def test_a_switch_must_be_among_the_choices():
    need = Need("bias_correction", value=False, side="is")
    spec = {"type": "categorical", "choices": [True, False]}
    assert reaches(need, "adam", {"adam.bias_correction": spec})[0]
    assert reaches(need, "adam", {}) == (False, "bias_correction held at True")


GOOD, BAD = [1.0, 1.1, 1.2, 1.3, 1.4], [2.0, 2.1, 2.2, 2.3, 2.4]


@pytest.mark.parametrize(
    ("special", "general", "in_range", "verdict"),
    [
        (BAD, GOOD, False, "respected"),
        (GOOD, GOOD, True, "respected"),
        (GOOD, BAD, True, "under-tuned"),
        (GOOD, BAD, False, "range"),
        (GOOD, [1.25, 1.3, 1.35, 1.4, 1.0], True, "noise"),
        (GOOD[:3], BAD[:3], True, "noise"),
        ([], GOOD, True, "unknown"),
    ],
)
def test_the_verdict(special, general, in_range, verdict):
    assert judge(special, general, in_range) == verdict


def test_only_pairs_that_were_compared_are_judged(contest_of, make_trial):
    trials = []
    for i, (name, values) in enumerate([("sgd", GOOD), ("nesterov", BAD)]):
        trials.append(make_trial(i * 10, name, 1.0))
        trials += [
            make_trial(i * 10 + r, name, v, confirms=i * 10, replicate=r)
            for r, v in enumerate(values, 1)
        ]
    contest = contest_of(trials)
    (row,) = inclusions(contest, significance(contest))
    assert (row["special"], row["general"]) == ("sgd", "nesterov")
    assert row["verdict"] == "range"
    assert row["missing"] == ["momentum held at 0.9"]
