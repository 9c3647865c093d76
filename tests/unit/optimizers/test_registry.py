"""Invariants that every entry of the optimizer registry keeps."""

import json
import math

import pytest

from tuner.core.overrides import merge
from tuner.errors import Invalid, UnknownName
from tuner.optimizers.entry import LEARNING_RATE, SIZES
from tuner.optimizers.expand import expand, size_for
from tuner.optimizers.extras import MODULES
from tuner.optimizers.registry import describe, get, names, parameter_default, parameter_names

EVERY = [(name, parameter) for name in names() for parameter in get(name).parameters]
IDS = [f"{name}.{parameter.name}" for name, parameter in EVERY]

WHOLE = ("gd", "lbfgs", "newton_cg")
# They find the rate by themselves.
SEARCHED = {"lbfgs": "weight_decay", "newton_cg": "damping", "prodigy": "d_coef"}


def in_scale(parameter, value):
    if parameter.scale == "log":
        return math.log(value)
    return math.log1p(-value) if parameter.scale == "one_minus_log" else value


def test_the_registry_has_these_methods_in_order():
    assert " ".join(names()) == (
        "sgd momentum nesterov adam adamw rmsprop adagrad adadelta gd nadam nadamw radam amsgrad "
        "adamax adafactor lion lamb muon sam sam_adamw lbfgs newton_cg adahessian "
        "adan ademamix soap shampoo prodigy schedulefree_adamw"
    )


@pytest.mark.parametrize(("name", "parameter"), EVERY, ids=IDS)
def test_default_and_prior_lie_in_the_range(name, parameter):
    assert parameter.problem(parameter.default) is None
    assert parameter.problem(parameter.otherwise) is None
    if parameter.type == "categorical":
        assert parameter.default in parameter.choices
        return
    if parameter.type == "int":
        assert {type(x) for x in (parameter.low, parameter.high, parameter.default)} == {int}
    assert parameter.low < parameter.high
    assert parameter.low <= parameter.default <= parameter.high
    if parameter.scale == "log":
        assert parameter.low > 0
    if parameter.scale == "one_minus_log":
        assert parameter.high < 1
    if parameter.prior is not None:
        low, high = sorted(in_scale(parameter, x) for x in (parameter.low, parameter.high))
        assert low <= parameter.prior.mean <= high
        assert parameter.prior.std > 0


@pytest.mark.parametrize(("name", "parameter"), EVERY, ids=IDS)
def test_every_number_has_a_source(name, parameter):
    numbers = {"range", "default"}
    numbers |= {"prior"} if parameter.prior is not None else set()
    numbers |= {"unset"} if parameter.unset is not None else set()
    assert set(parameter.sources) == numbers
    assert all(len(text) > 3 for text in parameter.sources.values())


@pytest.mark.parametrize("name", names())
def test_an_entry_is_complete(name):
    entry = get(name)
    assert entry.title
    assert entry.description
    assert entry.formula
    assert entry.paper
    assert "decay" in entry.description
    assert entry.reference > 0
    assert entry.reference_source
    assert entry.cost.functions >= entry.cost.gradients >= 1
    assert entry.batch == ("any" if name not in WHOLE else {"gd": "full"}.get(name, "large"))
    plain = [p.name for p in entry.parameters]
    assert len(set(plain)) == len(plain)
    assert [p.role for p in entry.parameters].count(LEARNING_RATE) == 1
    assert entry.parameters[0].role == LEARNING_RATE
    rate = entry.parameters[0]
    assert rate.low < entry.reference <= rate.high


@pytest.mark.parametrize("name", names())
def test_a_larger_size_only_adds_parameters_and_the_small_one_has_what_matters_most(name):
    small, medium, large = (
        [p.name for p in get(name).parameters if size in p.sizes] for size in SIZES
    )
    assert small == [SEARCHED.get(name, "lr")]
    assert set(small) <= set(medium) <= set(large)


@pytest.mark.parametrize(
    ("trials", "optimizers", "size"),
    [
        (None, 1, "medium"),
        (0, 1, "small"),
        (9, 1, "small"),
        (10, 1, "medium"),
        (24, 1, "medium"),
        (25, 1, "large"),
        (60, 3, "medium"),
        (60, 8, "small"),
    ],
)
def test_the_size_follows_the_share_of_trials_that_each_optimizer_gets(trials, optimizers, size):
    assert size_for(trials, optimizers) == size


def test_adam_grows_by_the_playbook():
    def plain(size):
        return [name for name in expand(["adam"], size) if name != "optimizer"]

    assert plain("small") == ["adam.lr"]
    assert plain("medium") == ["adam.lr", "adam.beta1"]
    assert plain("large") == ["adam.lr", "adam.beta1", "adam.eps", "adam.beta2"]


def test_expansion_keeps_the_order_of_optimizers_and_parameters():
    assert list(expand(["momentum", "sgd", "adam"], "medium")) == [
        "optimizer",
        "momentum.lr",
        "momentum.momentum",
        "sgd.lr",
        "adam.lr",
        "adam.beta1",
    ]


def test_expansion_writes_what_samplers_need_into_each_parameter():
    space = expand(["sgd", "adam"], "medium")
    assert space["optimizer"]["choices"] == ["sgd", "adam"]
    assert space["adam.lr"] == {
        "type": "float",
        "low": 1e-5,
        "high": 1e-1,
        "scale": "log",
        "default": 1e-3,
        "prior": {"mean": math.log(2e-3), "std": 1.421 * math.log(10)},
        "when": {"optimizer": ["adam"]},
        "role": "learning_rate",
        "group": "adam",
        "reference": 2e-3,
    }
    assert space["adam.beta1"]["reference"] == space["adam.beta1"]["default"] == 0.9


def test_a_single_optimizer_still_gets_its_categorical():
    assert expand(["adam"], "small")["optimizer"]["choices"] == ["adam"]


@pytest.mark.parametrize("size", SIZES)
def test_the_core_accepts_every_expansion(size):
    space = merge(expand(names(), size), {})
    assert list(space.parameters) == list(expand(names(), size))


def test_an_unknown_optimizer_is_answered_with_the_nearest_name_and_the_path():
    with pytest.raises(UnknownName) as caught:
        expand(["sgd", "adm"], "small")
    (mistake,) = caught.value.errors
    assert mistake.path == "space.optimizers[1]"
    assert mistake.nearest in ("adam", "adamw")
    assert f"Did you mean {mistake.nearest!r}?" in str(caught.value)
    assert mistake.allowed == names()


@pytest.mark.parametrize("given", [[], ["sgd", "sgd"]])
def test_an_empty_or_repeating_list_is_refused(given):
    with pytest.raises(Invalid):
        expand(given, "small")


def test_an_unknown_size_is_refused():
    with pytest.raises(UnknownName, match="huge"):
        expand(["sgd"], "huge")


def test_what_is_not_searched_takes_the_neutral_value():
    assert parameter_default("adam", "weight_decay") == 0.0
    assert parameter_default("adamw", "weight_decay") == 1e-2
    assert parameter_default("adagrad", "initial_accumulator") == 0.0
    assert parameter_default("adam", "beta1") == 0.9


def test_an_unknown_parameter_is_answered_with_the_nearest():
    with pytest.raises(UnknownName) as caught:
        parameter_default("adam", "beta_1")
    assert caught.value.errors[0].nearest in ("beta1", "beta2")


def test_parameter_names_are_plain():
    assert parameter_names(["sgd"]) == {"sgd": ("lr", "weight_decay")}
    assert set(parameter_names()) == set(names())


@pytest.mark.parametrize("name", names())
def test_the_description_is_json_with_every_parameter_and_source(name):
    described = json.loads(json.dumps(describe(get(name)), allow_nan=False))
    assert described["name"] == name
    assert [p["name"] for p in described["parameters"]] == list(parameter_names()[name])
    assert all(p["source"].startswith("range: ") for p in described["parameters"])
    assert described["sizes"]["small"] == [SEARCHED.get(name, "lr")]
    assert described["batch"] in ("any", "large", "full")
    assert described["extra"] in (None, *MODULES)
    assert described["cost"]["hessian_vector_products"] == get(name).cost.products


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("adam", "lr", -1.0, "from 0"),
        ("adam", "lr", math.inf, "finite"),
        ("adam", "lr", True, "number"),
        ("adam", "beta1", 1.0, "below 1"),
        ("momentum", "momentum", 1.5, "to 1"),
        ("adam", "bias_correction", 2, "one of True, False"),
        ("lbfgs", "history", 0, "integer"),
        ("adafactor", "beta2_decay", "x", "number"),
    ],
)
def test_a_value_outside_what_the_method_means_is_named(name, key, value, said):
    assert said in get(name).parameter(key).problem(value)
