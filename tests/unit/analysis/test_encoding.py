"""Parameters become positions in their own scale."""

import numpy as np
import pytest

from tuner.analysis.encoding import encode, position, scale_of

LOG = {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
MOMENTUM = {"type": "float", "low": 0.9, "high": 0.999, "scale": "one_minus_log"}


@pytest.mark.parametrize(
    ("value", "spec", "expected"),
    [
        (5.0, {"type": "float", "low": 0, "high": 10}, 0.5),
        (1e-2, LOG, 0.5),
        (0.99, MOMENTUM, 0.5),
        (0.9, MOMENTUM, 0.0),
        (0.999, MOMENTUM, 1.0),
        (64, {"type": "int", "low": 16, "high": 256, "log": True}, 0.5),
    ],
)
def test_position_follows_the_scale(value, spec, expected):
    assert position(value, spec) == pytest.approx(expected)


def test_log_is_short_for_its_scale():
    assert scale_of({"log": True}) == "log"
    assert scale_of({}) == "linear"


def test_choices_are_typed_and_inactive_ones_have_none():
    X, columns = encode({"c": {"type": "categorical"}}, [{"c": 1}, {"c": True}, {"c": "1"}, {}])
    assert X.shape == (4, 3)
    assert sorted(map(tuple, X[:3].tolist())) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert not X[3].any()
    assert columns[0].active.tolist() == [True, True, True, False]


def test_inactive_numbers_stand_in_the_middle_and_fixed_ones_are_left_out():
    X, columns = encode({"lr": LOG, "k": {"type": "fixed", "value": 1}}, [{"lr": 1.0, "k": 1}, {}])
    assert np.array_equal(X, np.array([[1.0], [0.5]], dtype=np.float32))
    assert [column.name for column in columns] == ["lr"]
    assert not columns[0].varies
