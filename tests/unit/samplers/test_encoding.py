"""Positions in [0, 1] and back."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.space import Space, parse_parameter
from tuner.samplers.encoding import count, decode, encode, fill, index_of, key, value_at

unit = st.floats(0, 1)


@st.composite
def parameters(draw):
    kind = draw(st.sampled_from(["float", "int", "step", "stride", "categorical"]))
    if kind == "categorical":
        choices = draw(st.lists(st.sampled_from([1, True, "1", 0.5, "a", False]), min_size=1))
        unique = list(dict.fromkeys((type(c).__name__, c) for c in choices))
        return parse_parameter({"type": kind, "choices": [c for _, c in unique]}, "p")
    scale = draw(st.sampled_from(["linear", "log", "one_minus_log"]))
    if kind in ("step", "stride"):
        scale = "linear"
    if kind in ("float", "step"):
        bounds = {"linear": (-50, 50), "log": (1e-8, 1e4), "one_minus_log": (-5, 0.9999)}[scale]
        low, high = sorted(draw(st.lists(st.floats(*bounds), min_size=2, max_size=2)))
        data = {"type": "float", "low": low, "high": high, "scale": scale}
        if kind == "step":
            data["step"] = draw(st.floats(0.01, 30))
    else:
        bounds = {"linear": (-500, 500), "log": (1, 10**6), "one_minus_log": (-(10**6), 0)}[scale]
        low, high = sorted(draw(st.lists(st.integers(*bounds), min_size=2, max_size=2)))
        data = {"type": "int", "low": low, "high": high, "scale": scale}
        if kind == "stride":
            data["step"] = draw(st.integers(1, 40))
    return parse_parameter(data, "p")


@given(parameters(), unit)
def test_every_position_decodes_to_a_legal_canonical_value(parameter, u):
    value = decode(parameter, u)
    assert parameter.problem(value) is None
    assert type(value) is type(parameter.canonical(value))


@given(parameters(), unit)
def test_values_survive_the_way_to_a_position_and_back(parameter, u):
    value = decode(parameter, u)
    place = encode(parameter, value) if count(parameter) != 1 else u
    assert 0 <= place <= 1
    again = decode(parameter, place)
    if count(parameter) is None:
        assert again == pytest.approx(value, rel=1e-9, abs=1e-9)
    else:
        assert again == value
        assert type(again) is type(value)


@given(parameters(), st.integers(0, 10**6))
def test_index_and_value_of_discrete_parameters_invert_each_other(parameter, k):
    n = count(parameter)
    if n is not None:
        k %= n
        assert index_of(parameter, value_at(parameter, k)) == k
        assert parameter.problem(value_at(parameter, k)) is None


@given(parameters(), st.tuples(unit, unit))
def test_positions_are_monotone_for_numbers(parameter, pair):
    low, high = sorted(pair)
    if parameter.type != "categorical":
        assert decode(parameter, low) <= decode(parameter, high)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "int", "low": 1, "high": 4},
        {"type": "int", "low": 0, "high": 9, "step": 3},
        {"type": "float", "low": 0, "high": 1, "step": 0.3},
        {"type": "categorical", "choices": ["a", "b", "c", "d"]},
    ],
)
def test_linear_discrete_values_get_equal_shares(data):
    parameter = parse_parameter(data, "p")
    shares = Counter(decode(parameter, (i + 0.5) / 1200) for i in range(1200))
    assert set(shares.values()) == {300}


def test_log_integers_get_the_width_from_half_below_to_half_above():
    parameter = parse_parameter({"type": "int", "low": 1, "high": 3, "scale": "log"}, "p")
    shares = Counter(decode(parameter, (i + 0.5) / 10000) for i in range(10000))
    # ln(1.5 / 0.5), ln(2.5 / 1.5), ln(3.5 / 2.5) over ln 7
    assert [shares[k] / 10000 for k in (1, 2, 3)] == pytest.approx(
        [0.56458, 0.26251, 0.17291], abs=1e-3
    )


def test_one_minus_log_is_uniform_in_log_of_one_minus_x():
    parameter = parse_parameter(
        {"type": "float", "low": 0.9, "high": 0.999, "scale": "one_minus_log"}, "p"
    )
    assert decode(parameter, 0.5) == pytest.approx(0.99)


def test_fill_asks_for_active_parameters_only_and_keeps_given_values():
    space = Space.parse(
        {
            "child": {"type": "int", "low": 0, "high": 3, "when": {"parent": ["on"]}},
            "parent": {"type": "categorical", "choices": ["on", "off"]},
        }
    )
    asked = []
    params = fill(space, lambda name, _: asked.append(name) or 2, {"parent": "off"})
    assert (params, asked) == ({"parent": "off"}, [])
    assert fill(space, lambda *_: 2, {"parent": "on"}) == {"child": 2, "parent": "on"}


def test_identities_tell_types_apart_and_ignore_order():
    assert len({key({"a": v}) for v in (1, True, "1", 1.0)}) == 4
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
