"""The expected best, against every way to draw; its area, its band, what counts as worst."""

import itertools
import math

import numpy as np
import pytest

from tuner.analysis.comparison.budget import (
    MAX_POINTS,
    MAX_STEPS,
    area,
    band,
    ceiling,
    expected_best,
    points,
    tuning,
    weights,
)


@pytest.mark.parametrize("costs", [[3.0], [1.0, 2.0], [5.0, 1.0, 3.0], [2.0, 2.0, 7.0, -1.0]])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_it_is_the_mean_over_all_ways_to_draw_n(costs, n):
    every = [min(draw) for draw in itertools.product(costs, repeat=n)]
    assert expected_best(costs, [n])[0] == pytest.approx(sum(every) / len(every))


def test_of_a_uniform_distribution_it_is_one_over_n_plus_one():
    costs = (np.arange(20_000) + 0.5) / 20_000
    found = expected_best(costs, [1, 2, 4, 9])
    assert found == pytest.approx([1 / 2, 1 / 3, 1 / 5, 1 / 10], abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_more_trials_never_expect_worse_and_stay_between_best_and_mean(seed):
    rng = np.random.default_rng(seed)
    costs = rng.normal(size=rng.integers(1, 60))
    curve = expected_best(costs, range(1, 50))
    assert curve[0] == pytest.approx(costs.mean())
    assert np.all(np.diff(curve) <= 1e-12)
    assert np.all(curve >= costs.min() - 1e-12)


def test_weights_sum_to_one():
    assert weights(7, [1, 3, 100]).sum(axis=1) == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_area_is_the_mean_over_the_budgets(most):
    costs = [4.0, 1.0, 3.0, 1.5]
    curve = expected_best(costs, range(1, most + 1))
    assert area(costs, most) == pytest.approx(curve.mean())


def test_the_band_holds_the_curve_narrows_and_repeats():
    costs = list(np.random.default_rng(0).uniform(size=40))
    low, high, resamples = band(costs, [1, 5, 20], seed=3)
    middle = expected_best(costs, [1, 5, 20])
    assert resamples == 1000
    assert np.all(low <= middle)
    assert np.all(middle <= high)
    assert high[2] - low[2] < high[0] - low[0]
    assert np.array_equal(low, band(costs, [1, 5, 20], seed=3)[0])


def test_a_band_over_one_trial_is_a_point():
    low, high, _ = band([2.0], [1], seed=0)
    assert (low[0], high[0]) == (2.0, 2.0)


def test_the_worst_is_a_finite_cost_that_no_outlier_sets():
    assert ceiling([math.inf, math.inf]) is None
    assert ceiling([1.0, 2.0, math.inf]) == 2.0
    # best 1, third quartile 4: at most 4 + 3 · 3
    assert ceiling([1.0, 2.0, 3.0, 4.0, 1e30]) == 13.0


def test_short_searches_show_every_budget_and_long_ones_few():
    assert points(5) == [1, 2, 3, 4, 5]
    long = points(10_000)
    assert len(long) <= MAX_POINTS
    assert (long[0], long[-1]) == (1, 10_000)


def test_diverged_and_failed_trials_count_as_the_worst_of_all_optimizers(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", 1.0),
        make_trial(1, "sgd", "NaN", diverged=True),
        make_trial(2, "sgd", state="fail", reason="oom"),
        make_trial(3, "adamw", 2.0),
        # ended by its worker: no draw of anybody's
        make_trial(4, "sgd", state="fail", reason="lost"),
    ]
    found = tuning(contest_of(trials))
    sgd = next(curve for curve in found["curves"] if curve["optimizer"] == "sgd")
    assert found["worst"] == 2.0
    assert found["counted_as_worst"] == 2
    assert sgd["trials"] == 3
    assert sgd["expected"][0] == pytest.approx((1 + 2 + 2) / 3)
    assert sgd["expected"][1] == pytest.approx((1 * 5 + 2 * 4) / 9)


def test_maximizing_shows_values_as_they_are(contest_of, make_trial):
    trials = [make_trial(i, "sgd", None, values={"acc": v}) for i, v in enumerate([0.5, 0.9])]
    objective = {"metric": "acc", "direction": "maximize"}
    curve = tuning(contest_of(trials, objectives=[objective]))["curves"][0]
    assert curve["expected"] == pytest.approx([0.7, 0.8])
    assert curve["happened"]["best"] == [0.5, 0.9]
    assert all(b >= w for b, w in zip(curve["better"], curve["worse"], strict=True))


def test_seconds_are_those_reported_else_from_start_to_end(contest_of, make_trial, make_rows):
    trials = [make_trial(0, "sgd", 1.0), make_trial(1, "adamw", 1.0), make_trial(2, "adamw", 0.5)]
    rows = make_rows(0, "seconds", [0.5, 1.5])
    curves = {c["optimizer"]: c for c in tuning(contest_of(trials, rows))["curves"]}
    assert curves["sgd"]["mean_seconds"] == 1.5
    assert curves["adamw"]["seconds"] == [5.0, 10.0]
    assert curves["adamw"]["happened"] == {"n": [1, 2], "seconds": [5.0, 10.0], "best": [1.0, 0.5]}


def test_confirmation_runs_are_no_draws(contest_of, make_trial):
    trials = [make_trial(0, "sgd", 1.0), make_trial(1, "sgd", 0.1, confirms=0, replicate=1)]
    assert tuning(contest_of(trials))["curves"][0]["expected"] == [1.0]


def test_a_study_without_any_value_has_no_curve(contest_of, make_trial):
    found = tuning(contest_of([make_trial(0, "sgd", "NaN", diverged=True)]))
    assert found["curves"] == []
    assert found["worst"] is None


def test_a_long_search_gives_bounded_curves(contest_of, make_trial):
    trials = [make_trial(i, "sgd", 1 / (i + 1)) for i in range(10_000)]
    curve = tuning(contest_of(trials))["curves"][0]
    assert len(curve["n"]) <= MAX_POINTS
    assert len(curve["happened"]["n"]) <= MAX_STEPS
    assert curve["resamples"] >= 200
