"""Spaces and parameters: every mistake with its path, conditions, legal trials, defaults."""

from __future__ import annotations

import pytest

from tuner.core.space import Space, default_value, parse_parameter
from tuner.errors import InvalidParameter, InvalidSpace

FLOAT = {"type": "float", "low": 0.0, "high": 1.0}
INT = {"type": "int", "low": 1, "high": 8}
CHOICE = {"type": "categorical", "choices": ["a", "b"]}


@pytest.mark.parametrize(
    ("parameter", "path", "words"),
    [
        ({"type": "flot"}, ".type", "Did you mean 'float'?"),
        ({"low": 0, "high": 1}, ".type", "missing"),
        (5, "", "expected a mapping"),
        ({"type": "float", "low": 0}, ".high", "missing"),
        ({**FLOAT, "low": "0"}, ".low", "must be a number"),
        ({**FLOAT, "low": 2}, ".low", "swap them"),
        ({**FLOAT, "log": True}, ".low", "low > 0"),
        ({**FLOAT, "log": "yes"}, ".log", "true or false"),
        ({**FLOAT, "log": True, "scale": "linear"}, ".scale", "either log or scale"),
        ({**FLOAT, "scale": "one_minus_log"}, ".high", "high < 1"),
        ({**FLOAT, "scale": "lgo"}, ".scale", "Did you mean 'log'?"),
        ({**FLOAT, "logg": True}, ".logg", "Did you mean 'log'?"),
        ({**FLOAT, "hihg": 3}, ".hihg", "Did you mean 'high'?"),
        ({**FLOAT, "low": 0.1, "log": True, "step": 0.1}, ".step", "scale linear"),
        ({**FLOAT, "step": 0}, ".step", "greater than 0"),
        ({**FLOAT, "step": 5e-324}, ".step", "too small"),
        ({**FLOAT, "high": 1e308, "step": 0.1}, ".step", "too small"),
        ({**FLOAT, "low": -1e308, "high": 1e308}, ".high", "wider"),
        ({**FLOAT, "default": 2}, ".default", "outside"),
        ({**FLOAT, "step": 0.25, "default": 0.3}, ".default", "step"),
        ({**FLOAT, "points": 0}, ".points", "at least 1 or a list"),
        ({**FLOAT, "points": []}, ".points", "empty"),
        ({**FLOAT, "points": [0.5, 2]}, ".points[1]", "outside"),
        ({**FLOAT, "points": [0.5, 0.5]}, ".points[1]", "twice"),
        ({**FLOAT, "prior": {"mean": 0, "std": 0}}, ".prior.std", "greater than 0"),
        ({**FLOAT, "prior": {"mean": 0}}, ".prior.std", "missing"),
        ({**INT, "low": 0.5}, ".low", "must be an integer"),
        ({**INT, "high": 2**60}, ".high", "at most"),
        ({**INT, "default": 9}, ".default", "outside"),
        ({"type": "categorical"}, ".choices", "missing"),
        ({**CHOICE, "choices": []}, ".choices", "empty"),
        ({**CHOICE, "choices": "ab"}, ".choices", "must be a list"),
        ({**CHOICE, "choices": ["a", "a"]}, ".choices[1]", "twice"),
        ({**CHOICE, "choices": [1, True, "1", 1.0]}, ".choices[3]", "twice"),
        ({**CHOICE, "choices": ["a", [1]]}, ".choices[1]", "a number or a string"),
        ({**CHOICE, "default": "c"}, ".default", "not among"),
        ({"type": "fixed"}, ".value", "missing"),
        ({"type": "fixed", "value": None}, ".value", "missing"),
        ({**FLOAT, "when": [1]}, ".when", "must be a mapping"),
        ({**FLOAT, "when": {"k": []}}, ".when.k", "never be active"),
    ],
)
def test_every_mistake_in_a_parameter_names_its_path_in_one_line(parameter, path, words):
    with pytest.raises(InvalidSpace) as caught:
        Space.parse({"k": CHOICE, "p": parameter}, "space")
    (mistake,) = caught.value.errors
    assert mistake.path == f"space.p{path}"
    assert words in caught.value.message
    assert caught.value.message.startswith(mistake.path)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("parameters", "path", "nearest"),
    [
        ({"p": {**FLOAT, "when": {"kind": ["a"]}}, "kid": CHOICE}, "p.when.kind", None),
        ({"p": {**FLOAT, "when": {"kidd": ["a"]}}, "kid": CHOICE}, "p.when.kidd", "kid"),
        ({"p": {**FLOAT, "when": {"p": [1]}}}, "p.when.p", None),
        ({"f": FLOAT, "p": {**FLOAT, "when": {"f": [0.5]}}}, "p.when.f", None),
        ({"k": CHOICE, "p": {**FLOAT, "when": {"k": ["c"]}}}, "p.when.k", None),
        ({"k": INT, "p": {**FLOAT, "when": {"k": [9]}}}, "p.when.k", None),
        ({"1p": FLOAT}, "1p", None),
        ({"optimizers": FLOAT}, "optimizers", None),
        (
            {"a": {**CHOICE, "when": {"b": ["a"]}}, "b": {**CHOICE, "when": {"a": ["a"]}}},
            "a.when",
            None,
        ),
    ],
)
def test_conditions_hang_on_parameters_that_can_take_their_values(parameters, path, nearest):
    with pytest.raises(InvalidSpace) as caught:
        Space.parse(parameters, "space.parameters")
    assert caught.value.errors[0].path == f"space.parameters.{path}"
    if nearest:
        assert caught.value.errors[0].nearest == nearest


def test_an_empty_space_is_refused():
    with pytest.raises(InvalidSpace, match="no parameters"):
        Space({})


def test_the_values_of_conditions_are_typed():
    choices = {"type": "categorical", "choices": [1, True, "1", 0, False]}
    space = Space.parse(
        {
            "k": choices,
            "one": {**FLOAT, "when": {"k": [1]}},
            "yes": {**FLOAT, "when": {"k": [True]}},
            "text": {**FLOAT, "when": {"k": "1"}},
        }
    )
    assert space.active({"k": 1}) == ["k", "one"]
    assert space.active({"k": True}) == ["k", "yes"]
    assert space.active({"k": "1"}) == ["k", "text"]
    assert space.active({"k": 1.0}) == ["k", "one"]
    assert space.check({"k": False})["k"] is False
    assert space.check({"k": 0})["k"] == 0
    with pytest.raises(InvalidSpace):
        Space.parse({"k": INT, "p": {**FLOAT, "when": {"k": [True]}}})


CHAIN = Space.parse(
    {
        "deep": {**FLOAT, "when": {"n": [2, 3], "k": "b"}},
        "k": CHOICE,
        "n": {**INT, "when": {"k": ["b"]}},
        "c": {"type": "fixed", "value": 7, "when": {"k": ["a"]}},
        "x": FLOAT,
    }
)


def test_conditions_chain_and_an_inactive_parent_makes_its_children_inactive():
    assert CHAIN.active({"k": "b", "n": 2}) == ["deep", "k", "n", "x"]
    assert CHAIN.active({"k": "b", "n": 1}) == ["k", "n", "x"]
    assert CHAIN.active({"k": "a", "n": 2}) == ["k", "c", "x"]
    assert CHAIN.prune({"k": "a", "n": 2, "deep": 0.5, "x": 0.1}) == {"k": "a", "x": 0.1}
    assert CHAIN.order.index("deep") > CHAIN.order.index("n") > CHAIN.order.index("k")


def test_a_legal_trial_comes_back_canonical_in_declared_order():
    checked = CHAIN.check({"x": 1, "n": 2.0, "k": "b", "deep": 0})
    assert list(checked) == ["deep", "k", "n", "x"]
    assert checked == {"deep": 0.0, "k": "b", "n": 2, "x": 1.0}
    assert [type(value) for value in checked.values()] == [float, str, int, float]
    assert CHAIN.check({"k": "a", "x": 0.5}) == {"k": "a", "c": 7, "x": 0.5}


@pytest.mark.parametrize(
    ("params", "path", "words"),
    [
        ({"k": "a"}, "params.x", "missing"),
        ({"k": "a", "x": 0.5, "n": 2}, "params.n", "k"),
        ({"k": "b", "n": 1, "x": 0.5, "deep": 0.5}, "params.deep", "n in 2, 3"),
        ({"k": "a", "x": 2}, "params.x", "outside"),
        ({"k": "a", "x": "NaN"}, "params.x", "expected a number"),
        ({"k": "a", "x": True}, "params.x", "expected a number"),
        ({"k": "c", "x": 0.5}, "params.k", "not among"),
        ({"k": "a", "c": 8, "x": 0.5}, "params.c", "fixed to 7"),
        ({"k": "b", "n": 2.5, "x": 0.5}, "params.n", "expected an integer"),
        ({"k": "a", "x": 0.5, "y": 1}, "params.y", "no parameter"),
        ([], "params", "mapping"),
    ],
)
def test_an_illegal_trial_is_refused_with_the_path(params, path, words):
    with pytest.raises(InvalidParameter, match=words) as caught:
        CHAIN.check(params)
    assert caught.value.errors[0].path == path


def test_a_partial_trial_implies_its_parents_where_one_value_is_left():
    assert CHAIN.check_partial({}) == {}
    assert CHAIN.check_partial({"n": 3}) == {"k": "b", "n": 3}
    assert CHAIN.check_partial({"deep": 0.5, "n": 3}) == {"deep": 0.5, "k": "b", "n": 3}
    assert CHAIN.check_partial({"c": 7}) == {"k": "a", "c": 7}
    with pytest.raises(InvalidParameter, match="give n too"):
        CHAIN.check_partial({"deep": 0.5})
    with pytest.raises(InvalidParameter, match="but k is 'a'"):
        CHAIN.check_partial({"n": 3, "k": "a"})


def test_defaults_are_given_ones_else_the_middle_in_scale_or_the_first_choice():
    cases = [
        ({**FLOAT, "default": 0.1}, 0.1),
        (FLOAT, 0.5),
        ({"type": "float", "low": 1e-4, "high": 1e-2, "log": True}, 1e-3),
        ({"type": "float", "low": 0.9, "high": 0.999, "scale": "one_minus_log"}, 0.99),
        ({"type": "float", "low": 0, "high": 1, "step": 0.3}, 0.6),
        ({"type": "int", "low": 16, "high": 256, "log": True}, 64),
        (CHOICE, "a"),
        ({"type": "fixed", "value": False}, False),
    ]
    for data, expected in cases:
        value = default_value(parse_parameter(data, "p"))
        assert value == pytest.approx(expected)
        assert parse_parameter(data, "p").problem(value) is None
    assert CHAIN.defaults() == {"k": "a", "c": 7, "x": 0.5}
    assert CHAIN.defaults({"k": "b", "n": 3, "c": 7}) == {"deep": 0.5, "k": "b", "n": 3, "x": 0.5}


def test_a_space_reads_what_it_writes():
    assert Space.parse(CHAIN.to_json()["parameters"]) == CHAIN
    assert Space.parse({"x": FLOAT}) != CHAIN
    assert CHAIN.is_conditional
    assert CHAIN.children["k"] == ("deep", "n", "c")
