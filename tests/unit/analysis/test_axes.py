"""Axes on which good values can be told apart, whatever the bad ones are."""

import math

import pytest

from tuner.analysis.axes import SYMBOLS, jitter, styles, value_axis


def test_one_exploded_value_does_not_flatten_the_others():
    axis = value_axis([0.1 + 0.01 * i for i in range(20)] + [1e6], "minimize")
    assert axis.beyond == 1
    assert axis.place(1e6) == pytest.approx(0.29)
    assert axis.place(0.1) == 0.1


def test_when_maximizing_the_far_side_is_below():
    axis = value_axis([0.9 - 0.01 * i for i in range(20)] + [-1e6], "maximize")
    assert axis.beyond == 1
    assert axis.worst < axis.place(-1e6) == pytest.approx(0.71)


def test_values_over_decades_get_a_log_axis_with_written_ticks():
    axis = value_axis([10.0**-i for i in range(5)], "minimize")
    assert axis.log
    layout = axis.layout("loss")
    assert layout["type"] == "log"
    assert "0.001" in layout["ticktext"]


@pytest.mark.parametrize("values", [[], [0.0], [2.0, 2.0], [-1.0, 1.0]])
def test_few_or_equal_values_give_a_range_that_holds_them(values):
    axis = value_axis(values, "minimize")
    low, high = axis.range
    assert low < high
    assert all(low <= axis.place(v) <= high for v in values)
    assert low <= axis.worst <= high


def test_optimizers_differ_in_more_than_colour():
    names = [f"o{i}" for i in range(len(SYMBOLS))]
    found = styles(names)
    assert len({found[n].symbol for n in names}) == len(names)
    assert len({(s.color, s.dash) for n, s in found.items() if n}) == len(names)


def test_jitter_is_bounded_and_repeatable():
    shifts = [jitter(n) for n in range(100)]
    assert max(abs(s) for s in shifts) <= 0.28
    assert shifts == [jitter(n) for n in range(100)]
    assert len(set(shifts)) == 100


def test_an_axis_over_all_floats_has_finite_ticks():
    ticks = value_axis([1e-307, 1e308], "minimize").layout("x")["tickvals"]
    assert all(0 < tick < math.inf for tick in ticks)
    assert len(ticks) > 3
