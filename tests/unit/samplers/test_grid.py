"""The grid's rule, against a plain enumeration."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.space import Space
from tuner.core.study import Named
from tuner.errors import InvalidSpace
from tuner.samplers import registry
from tuner.samplers.base import Request
from tuner.samplers.encoding import key
from tuner.samplers.grid import axis, grid
from tuner.samplers.tree import declared_order


def sampler():
    return registry.build(registry.read(Named(name="grid")))


def points(space: Space, count: int = 10_000, index: int = 0) -> list[dict]:
    return [item.params for item in sampler().suggest(Request(space, 0, index, count))]


def values(space: Space, name: str) -> list:
    line = axis(space, name)
    return [line.value(k) for k in range(line.n)]


def enumerate_plainly(space: Space) -> list[dict]:
    """The full product in declared order, inactive values dropped, repeats dropped."""
    order = declared_order(space)
    found: dict = {}
    for combination in product(*(values(space, name) for name in order)):
        params = space.prune(dict(zip(order, combination, strict=True)))
        found.setdefault(key(params), params)
    return list(found.values())


@st.composite
def spaces(draw):
    n = draw(st.integers(1, 6))
    data: dict = {}
    for i in range(n):
        if draw(st.booleans()):
            item = {
                "type": "categorical",
                "choices": draw(st.sampled_from([["a"], ["a", "b"], [1, True, "1"]])),
            }
        else:
            item = {"type": "int", "low": 0, "high": draw(st.integers(0, 3))}
        for parent in (
            draw(st.lists(st.sampled_from(sorted(data)), max_size=2, unique=True)) if data else []
        ):
            legal = data[parent].get("choices") or list(range(data[parent]["high"] + 1))
            item.setdefault("when", {})[parent] = draw(
                st.lists(st.sampled_from(legal), min_size=1, max_size=2)
            )
        data[f"p{i}"] = item
    names = draw(st.permutations(sorted(data)))
    return Space.parse({name: data[name] for name in names})


@given(spaces())
def test_points_are_the_active_combinations_without_repeats_in_order(space):
    expected = enumerate_plainly(space)
    got = points(space)
    assert [key(params) for params in got] == [key(params) for params in expected]
    assert sampler().size(space) == len(expected)
    assert all(space.check(params) == params for params in got)


def test_the_last_declared_parameter_is_fastest():
    space = Space.parse(
        {
            "a": {"type": "categorical", "choices": ["x", "y"]},
            "n": {"type": "int", "low": 1, "high": 2, "when": {"a": ["x"]}},
            "b": {"type": "categorical", "choices": [False, True]},
        }
    )
    assert [tuple(params.values()) for params in points(space)] == [
        ("x", 1, False),
        ("x", 1, True),
        ("x", 2, False),
        ("x", 2, True),
        ("y", False),
        ("y", True),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"type": "float", "low": 0, "high": 1, "points": 3}, [0.0, 0.5, 1.0]),
        ({"type": "float", "low": 1e-4, "high": 1, "scale": "log", "points": 3}, [1e-4, 0.01, 1.0]),
        (
            {"type": "float", "low": 0.9, "high": 0.999, "scale": "one_minus_log", "points": 3},
            [0.9, 0.99, 0.999],
        ),
        ({"type": "float", "low": 0, "high": 1, "points": 1}, [0.5]),
        ({"type": "float", "low": 0, "high": 1, "points": [0.7, 0.1]}, [0.7, 0.1]),
        ({"type": "float", "low": 0, "high": 1, "step": 0.4}, [0.0, 0.4, 0.8]),
        ({"type": "float", "low": 2, "high": 2}, [2.0]),
        ({"type": "int", "low": 2, "high": 5}, [2, 3, 4, 5]),
        ({"type": "int", "low": 2, "high": 9, "step": 3}, [2, 5, 8]),
        ({"type": "int", "low": 1, "high": 100, "scale": "log", "points": 3}, [1, 10, 100]),
        ({"type": "int", "low": 1, "high": 3, "points": 9}, [1, 2, 3]),
        ({"type": "int", "low": 1, "high": 9, "points": [4, 2]}, [4, 2]),
        ({"type": "fixed", "value": "v"}, ["v"]),
    ],
)  # fmt: skip
def test_values_of_one_parameter(data, expected):
    got = values(Space.parse({"p": data}), "p")
    assert got == pytest.approx(expected) if data["type"] == "float" else got == expected
    assert [type(v) for v in got] == [type(v) for v in expected]


def test_a_float_without_step_or_points_is_refused_with_its_path():
    space = Space.parse({"lr": {"type": "float", "low": 0, "high": 1}})
    with pytest.raises(InvalidSpace) as caught:
        sampler().check(space, 1, None)
    assert caught.value.errors[0].path == "space.parameters.lr.points"


def test_an_exhausted_grid_gives_fewer_points_and_then_none():
    space = Space.parse({"n": {"type": "int", "low": 1, "high": 5}})
    assert [p["n"] for p in points(space, count=4, index=3)] == [4, 5]
    assert points(space, count=4, index=5) == []


def test_a_huge_grid_is_sized_without_being_made_and_refused():
    space = Space.parse(
        {f"n{i}": {"type": "int", "low": 0, "high": 2**50} for i in range(3)}
        | {"c": {"type": "int", "low": 0, "high": 2**40, "when": {"n0": [7]}}}
    )
    n = 2**50 + 1
    assert sampler().size(space) == ((n - 1) + (2**40 + 1)) * n * n
    with pytest.raises(InvalidSpace, match="10000000"):
        sampler().check(space, 1, None)
    assert grid(space).point(0) == {"n0": 0, "n1": 0, "n2": 0}


def test_many_independent_conditions_are_counted_at_once():
    data: dict = {}
    for i in range(40):
        data[f"a{i}"] = {"type": "categorical", "choices": ["x", "y"]}
    for i in range(40):
        data[f"b{i}"] = {"type": "categorical", "choices": [1, 2], "when": {f"a{i}": ["y"]}}
    assert sampler().size(Space.parse(data)) == 3**40


def test_given_values_are_completed_with_defaults():
    space = Space.parse(
        {
            "n": {"type": "int", "low": 1, "high": 5, "default": 4},
            "m": {"type": "int", "low": 0, "high": 2},
        }
    )
    request = Request(space, 0, 3, 1, fixed={"m": 0})
    assert sampler().suggest(request)[0].params == {"n": 4, "m": 0}
