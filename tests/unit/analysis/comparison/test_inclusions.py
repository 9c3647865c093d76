"""Each inclusion holds in numbers; verdicts by hand."""

import pytest
import torch

from tuner.analysis.comparison import tables
from tuner.analysis.comparison.build import compare
from tuner.analysis.comparison.inclusions import (
    INCLUSIONS,
    Need,
    beyond,
    in_the_way,
    inclusions,
    judge,
    reaches,
)
from tuner.analysis.comparison.sections import sections
from tuner.analysis.comparison.significance import significance
from tuner.analysis.comparison.spans import Ranges
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
    agree(item, special, general)


def agree(item, special, general):
    scale = special.abs().max()
    if "bias correction" in item.condition:
        # after the first steps both go the same way, at the same rate, to the same place
        assert (special[-1] - general[-1]).abs().max() < 0.02 * scale
        towards = (special[60:] - special[59:-1]), (general[60:] - general[59:-1])
        assert torch.nn.functional.cosine_similarity(*towards, dim=1).median() > 0.8
    else:
        assert (special - general).abs().max() < 1e-6 * scale


DECAY = {"weight_decay": 0.05}


@pytest.mark.parametrize("item", INCLUSIONS, ids=lambda item: f"{item.special}-{item.general}")
def test_weight_decay_is_taken_over_where_both_have_it_alike_and_only_there(item):
    special = steps_of(item.special, SPECIAL[item.special] | DECAY)
    general = steps_of(item.general, GENERAL[item.special, item.general] | DECAY)
    if ("weight_decay", "weight_decay") in item.shared:
        agree(item, special, general)
    else:
        assert ("weight_decay", 0.0) in item.only
        with pytest.raises(AssertionError):
            agree(item, special, general)


@pytest.mark.parametrize("item", INCLUSIONS, ids=lambda item: f"{item.special}-{item.general}")
def test_an_inclusion_says_of_each_parameter_of_the_special_method_what_it_must_be(item):
    said = {"lr", *dict(item.shared), *dict(item.only)}
    assert said == {p.name for p in registry.get(item.special).parameters}


def test_every_inclusion_names_what_exists():
    for item in INCLUSIONS:
        registry.get(item.special)
        known = {p.name for p in registry.get(item.general).parameters}
        assert {need.parameter for need in item.needs} <= known
        assert {other for _, other in item.shared} <= known


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
    assert reaches(need, "momentum", Ranges(named))[0] is expected


def test_a_switch_must_be_among_the_choices():
    need = Need("bias_correction", value=False, side="is")
    spec = {"type": "categorical", "choices": [True, False]}
    assert reaches(need, "adam", Ranges({"adam.bias_correction": spec}))[0]
    assert reaches(need, "adam", Ranges({})) == (False, "bias_correction held at True")


BY_NAMES = {(item.special, item.general): item for item in INCLUSIONS}


def ranges_of(task=(), **given):
    """A space in which a pair is a range, a list the choices, anything else fixed."""
    parameters = {}
    for name, value in given.items():
        key = name.replace("__", ".")
        if isinstance(value, tuple):
            parameters[key] = {"type": "float", "low": value[0], "high": value[1]}
        elif isinstance(value, list):
            parameters[key] = {"type": "categorical", "choices": value}
        else:
            parameters[key] = {"type": "fixed", "value": value}
    return Ranges(parameters, dict(task))


def way(special, general, setting, **space):
    params = {"optimizer": special, **{f"{special}.{k}": v for k, v in setting.items()}}
    return in_the_way(BY_NAMES[special, general], ranges_of(**space), params)


def test_the_learning_rate_of_the_setting_must_lie_in_the_general_methods_range():
    space = {"sgd__lr": (1e-4, 10.0), "momentum__lr": (1e-4, 5.0), "momentum__momentum": (0, 0.99)}
    assert way("sgd", "momentum", {"lr": 5.0}, **space) == []
    assert way("sgd", "momentum", {"lr": 7.0}, **space) == [
        "momentum.lr from 0.0001 to 5, but sgd has lr 7"
    ]
    assert beyond(BY_NAMES["sgd", "momentum"], ranges_of(**space)) == [
        "momentum.lr from 0.0001 to 5, but sgd.lr from 0.0001 to 10"
    ]
    space["sgd__lr"] = (1e-3, 5.0)
    assert beyond(BY_NAMES["sgd", "momentum"], ranges_of(**space)) == []


def test_a_learning_rate_that_both_share_is_in_range_and_one_of_choices_must_be_chosen():
    assert way("sgd", "momentum", {}, lr=(1e-3, 1.0), momentum__momentum=0.0) == []
    space = {"momentum__momentum": 0.0, "momentum__lr": [0.01, 0.1]}
    assert way("sgd", "momentum", {"lr": 0.1}, **space) == []
    (text,) = way("sgd", "momentum", {"lr": 0.05}, **space)
    assert text == "momentum.lr in [0.01, 0.1], but sgd has lr 0.05"


def test_a_parameter_of_other_optimizers_does_not_count():
    spec = {"type": "float", "low": 1.0, "high": 2.0, "when": {"optimizer": ["lion"]}}
    span = Ranges({"lr": spec}).span("momentum", "lr")
    assert span.parts == ((0.01, 0.01),)


@pytest.mark.parametrize(
    ("rate", "is_covered"),
    # quotients of a rate up to 0.1 and an epsilon from 0.1 on go from 1e-5 to 1
    [(1e-5, True), (1.0, True), (0.9e-5, False), (1.1, False)],
)
def test_a_rate_over_a_large_epsilon_must_make_up_the_special_one(rate, is_covered):
    space = {"rmsprop__lr": (1e-5, 0.1), "rmsprop__eps": (1e-10, 1.0)}
    found = way("sgd", "rmsprop", {"lr": rate}, **space)
    assert found == [] if is_covered else "rmsprop.lr from 1e-05 to 0.1 and" in found[0]


@pytest.mark.parametrize(
    ("rate", "momentum", "is_covered"),
    [
        (0.1, 0.9, True),
        (0.11, 0.9, False),
        (0.5, 0.5, True),
        (0.05, 0.99, False),
        (0.1, 1.0, False),
    ],
)
def test_a_mean_of_gradients_needs_the_rate_over_one_minus_momentum(rate, momentum, is_covered):
    space = {"adam__lr": (1e-5, 0.1), "adam__eps": (1e-10, 1.0), "adam__beta1": (0.0, 1.0)}
    found = way("momentum", "adam", {"lr": rate, "momentum": momentum}, **space)
    assert found == [] if is_covered else f"momentum has momentum {momentum:g}" in found[0]


def test_without_a_large_epsilon_only_that_is_said():
    assert way("sgd", "rmsprop", {"lr": 50.0}, rmsprop__lr=(1e-5, 0.1)) == ["eps held at 1e-08"]


def test_momentum_and_the_like_of_the_setting_must_lie_within_the_general_methods():
    space = {"adam__lr": (1e-5, 1.0), "adam__eps": 1.0, "adam__beta1": (0.5, 0.99)}
    setting = {"lr": 1e-4, "momentum": 0.995}
    assert way("momentum", "adam", setting, **space) == [
        "adam.beta1 from 0.5 to 0.99, but momentum has momentum 0.995"
    ]
    space = {"adam__lr": (1e-5, 0.1), "adam__beta1": 0.0, "adam__bias_correction": False}
    assert way("rmsprop", "adam", {"lr": 0.01, "alpha": 0.999}, **space) == []
    (text,) = way("rmsprop", "adam", {"lr": 0.01, "alpha": 0.9}, **space)
    assert text == "beta2 held at 0.999, but rmsprop has alpha 0.9"


def test_coupled_decay_is_no_decoupled_decay():
    space = {"adamw__lr": (1e-5, 0.1), "adamw__weight_decay": (1e-4, 1.0)}
    assert way("adam", "adamw", {"lr": 0.01}, **space) == []
    decayed = {"lr": 0.01, "weight_decay": 0.003}
    assert way("adam", "adamw", decayed, **space) == ["adam has weight_decay 0.003"]
    space["adam__weight_decay"] = (1e-7, 1e-2)
    assert beyond(BY_NAMES["adam", "adamw"], ranges_of(**space)) == [
        "adam.weight_decay from 1e-07 to 0.01"
    ]
    assert way("adam", "adamw", {"lr": 0.01, "bias_correction": False}, **space) == [
        "adam has bias_correction False"
    ]


def test_a_decay_of_the_task_is_that_of_both():
    space = {
        "momentum__lr": (1e-4, 5.0),
        "momentum__momentum": 0.0,
        "task": {"weight_decay": 0.01},
    }
    assert way("sgd", "momentum", {"lr": 0.1}, **space) == []
    space |= {"adamw__lr": (1e-5, 0.1), "adamw__weight_decay": (1e-4, 1.0)}
    assert way("adam", "adamw", {"lr": 0.01}, **space) == ["adam has weight_decay 0.01"]


def test_a_decay_may_be_nothing_where_the_general_ones_range_ends_near_it():
    space = {"momentum__lr": (1e-4, 5.0), "momentum__momentum": 0.0}
    for low, expected in ((1e-7, 0), (1e-3, 1)):
        found = way("sgd", "momentum", {"lr": 0.1}, **space, momentum__weight_decay=(low, 0.01))
        assert len(found) == expected


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


@pytest.mark.parametrize(("lr", "verdict"), [(0.5, "under-tuned"), (8.0, "range")])
def test_a_setting_out_of_the_general_methods_range_accuses_nobody(
    contest_of, make_trial, lr, verdict
):
    trials = []
    for i, (name, values) in enumerate([("sgd", GOOD), ("momentum", BAD)]):
        params = {"optimizer": name, f"{name}.lr": lr if name == "sgd" else 0.1}
        trials.append(make_trial(i * 10, name, 1.0, params=params))
        trials += [
            make_trial(i * 10 + r, name, v, confirms=i * 10, replicate=r)
            for r, v in enumerate(values, 1)
        ]
    parameters = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "momentum"]},
        "sgd.lr": {"type": "float", "low": 1e-4, "high": 10.0},
        "momentum.lr": {"type": "float", "low": 1e-4, "high": 5.0},
        "momentum.momentum": {"type": "float", "low": 0.0, "high": 0.99},
    }
    contest = contest_of(trials, expanded_space={"parameters": parameters})
    data = compare(contest)
    (row,) = data["inclusions"]
    assert row["verdict"] == verdict
    assert row["in_range"] is (verdict == "under-tuned")
    # the ranges are not within each other either way
    assert row["beyond"] == ["momentum.lr from 0.0001 to 5, but sgd.lr from 0.0001 to 10"]
    ((_, _, reach, *_),) = tables.inclusions(data)[1]
    assert reach.startswith("no: " if verdict == "range" else "the setting is, not all: ")
    said = repr(next(part for part in sections(data) if part.key == "inclusions"))
    assert ("it could have been the setting that beat it" in said) == (verdict == "under-tuned")
