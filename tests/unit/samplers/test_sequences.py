"""Random and quasi-random points, and the trials of defaults."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc as scipy_qmc

from tuner.core.space import Space
from tuner.core.study import Named
from tuner.errors import InvalidSpace
from tuner.samplers import qmc, registry
from tuner.samplers.base import Request
from tuner.samplers.defaults import MAX_BRANCHES, default_trials
from tuner.samplers.sobol import BLOCK, point

CUBE = Space.parse({f"x{i}": {"type": "float", "low": 0, "high": 1} for i in range(4)})


def build(name: str):
    return registry.build(registry.read(Named(name=name)))


def rows(name: str, n: int, seed: int = 0) -> np.ndarray:
    asked = build(name).suggest(Request(CUBE, seed, 0, n))
    return np.asarray([list(item.params.values()) for item in asked])


def test_points_by_index_are_the_sequence_drawn_at_once():
    drawn = np.asarray([point(3, 5, "p", i) for i in range(3 * BLOCK)])
    shuffled = [2 * BLOCK + 1, 0, BLOCK]
    assert all((point(3, 5, "p", i) == drawn[i]).all() for i in shuffled)
    assert scipy_qmc.discrepancy(drawn) < 1e-3
    for dimension in drawn.T:
        assert sorted(np.floor(dimension[:BLOCK] * BLOCK)) == list(range(BLOCK))


def test_quasi_random_fills_the_cube_more_evenly_than_random():
    assert scipy_qmc.discrepancy(rows("qmc", 64)) < 0.5 * scipy_qmc.discrepancy(rows("random", 64))


def test_random_is_uniform_in_scale():
    space = Space.parse({"lr": {"type": "float", "low": 1e-4, "high": 1, "scale": "log"}})
    asked = build("random").suggest(Request(space, 0, 0, 400))
    decades = np.log10([item.params["lr"] for item in asked])
    assert np.histogram(decades, bins=4, range=(-4, 0))[0] == pytest.approx([100] * 4, abs=30)


def test_a_parameter_more_changes_no_other_random_value():
    more = Space.parse(
        {"new": {"type": "int", "low": 0, "high": 9}, **CUBE.to_json()["parameters"]}
    )
    before = build("random").suggest(Request(CUBE, 1, 4))[0].params
    after = build("random").suggest(Request(more, 1, 4))[0].params
    assert {name: after[name] for name in before} == before


def test_seeds_give_other_points():
    for name in ("random", "qmc"):
        assert not np.isclose(rows(name, 8, seed=1), rows(name, 8, seed=2)).any()


def test_too_many_dimensions_are_refused(monkeypatch):
    monkeypatch.setattr(qmc, "MAX_DIMENSION", 3)
    with pytest.raises(InvalidSpace, match="4 parameters"):
        build("qmc").check(CUBE, 1, None)


def test_defaults_one_per_branch_with_the_first_parent_fastest():
    space = Space.parse(
        {
            "opt": {"type": "categorical", "choices": ["sgd", "adam"], "default": "adam"},
            "adam.lr": {
                "type": "float",
                "low": 0,
                "high": 1,
                "default": 0.3,
                "when": {"opt": ["adam"]},
            },
            "sched": {"type": "categorical", "choices": ["constant", "cosine"]},
            "warmup": {"type": "float", "low": 0, "high": 1, "when": {"sched": ["cosine"]}},
            "other": {"type": "categorical", "choices": ["p", "q"]},
        }
    )
    assert default_trials(space) == [
        {"opt": "adam", "adam.lr": 0.3, "sched": "constant", "other": "p"},
        {"opt": "sgd", "sched": "constant", "other": "p"},
        {"opt": "adam", "adam.lr": 0.3, "sched": "cosine", "warmup": 0.5, "other": "p"},
        {"opt": "sgd", "sched": "cosine", "warmup": 0.5, "other": "p"},
    ]


def test_without_conditions_there_is_one_trial_of_defaults():
    assert default_trials(CUBE) == [{f"x{i}": 0.5 for i in range(4)}]


def test_many_branches_are_covered_value_by_value_and_capped():
    def of(n: int) -> Space:
        data: dict = {}
        for name in ("a", "b"):
            data[name] = {"type": "categorical", "choices": list(range(n))}
            data[f"{name}.x"] = {"type": "int", "low": 0, "high": 2, "when": {name: [1]}}
        return Space.parse(data)

    trials = default_trials(of(5))
    assert len(trials) == 9
    assert {t["a"] for t in trials} == {t["b"] for t in trials} == set(range(5))
    assert len(default_trials(of(500))) == MAX_BRANCHES
