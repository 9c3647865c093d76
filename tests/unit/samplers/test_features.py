"""The axes of the Gaussian process."""

from __future__ import annotations

import numpy as np
import pytest

from tuner.core.space import Space
from tuner.samplers.features import Features
from tuner.samplers.random_search import draw

OPTIMIZERS = {
    "sgd": (1e-4, 10.0, 0.1),
    "momentum": (1e-4, 5.0, 0.01),
    "adam": (1e-5, 0.1, 2e-3),
}


def space(**change) -> Space:
    data: dict = {"optimizer": {"type": "categorical", "choices": list(OPTIMIZERS)}}
    for name, (low, high, reference) in OPTIMIZERS.items():
        data[f"{name}.lr"] = {
            "type": "float", "low": low, "high": high, "scale": "log", "role": "learning_rate",
            "when": {"optimizer": [name]}, "group": name, "reference": reference, **change,
        }  # fmt: skip
    data["batch"] = {"type": "int", "low": 1, "high": 64, "scale": "log"}
    data["depth"] = {"type": "int", "low": 1, "high": 3, "when": {"batch": [1, 2, 3]}}
    data["one"] = {"type": "categorical", "choices": ["only"]}
    return Space.parse(data)


def matrix(features: Features, *trials: dict) -> np.ndarray:
    return features.matrix(*features.positions(trials))


def test_rates_of_all_optimizers_share_one_axis():
    assert len(Features(space()).axes) == 4
    assert len(Features(space(role=None)).axes) == 6


def test_equal_ratios_to_the_reference_stand_at_one_place():
    features = Features(space())
    rows = matrix(
        features,
        *(
            {"optimizer": n, f"{n}.lr": 3 * ref, "batch": 8}
            for n, (_, _, ref) in OPTIMIZERS.items()
        ),
    )
    assert rows[:, 1] == pytest.approx([rows[0, 1]] * 3)
    assert rows[:, 0].tolist() == [0, 1, 2]


def test_parameters_that_may_be_active_together_do_not_share():
    data = space().to_json()["parameters"]
    data["sgd.lr"]["when"] = {"optimizer": ["sgd", "adam"]}
    assert len(Features(Space.parse(data)).axes) == 5


def test_inactive_axes_stand_still():
    features = Features(space())
    U, A = features.positions([{"optimizer": "sgd", "sgd.lr": 0.1, "batch": 9}] * 2)
    U[1, features.names.index("adam.lr")] = 0.9
    U[1, features.names.index("depth")] = 0.1
    rows = features.matrix(U, A)
    assert (rows[0] == rows[1]).all()
    assert ((rows[:, 1:] >= 0) & (rows[:, 1:] <= 1)).all()


def test_settled_positions_are_those_of_the_decoded_trial():
    of = space()
    features = Features(of)
    U, A = features.settle(np.random.default_rng(0).random((60, len(features.names))), {})
    for u, a, z in zip(U, A, features.matrix(U, A), strict=True):
        params = features.params(u, {})
        assert of.check(params) == params
        assert {n for n, on in zip(features.names, a, strict=True) if on} == set(params) - {"one"}
        assert matrix(features, params)[0] == pytest.approx(z)


def test_trials_survive_the_way_over_the_axes():
    of = space()
    features = Features(of)
    for i in range(30):
        params = draw(of, 0, i, "test", {})
        z = matrix(features, params)[0]
        assert features.params(features.unmix(z), {}) == pytest.approx(params)


def test_given_values_are_settled_too():
    of = space()
    features = Features(of)
    fixed = {"optimizer": "adam", "adam.lr": 0.01}
    U, _ = features.settle(np.random.default_rng(0).random((9, len(features.names))), fixed)
    assert all(features.params(u, fixed)["adam.lr"] == 0.01 for u in U)
