"""What models are told about trials that did not end with a finite loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.core.space import Space
from tuner.samplers.base import Observation, Request
from tuner.samplers.outcomes import compress, compress_each, outcomes, relevant

SPACE = Space.parse({"x": {"type": "float", "low": 0, "high": 1}})


def learned(*ends: dict, n_objectives: int = 1, **options) -> list[tuple[float, ...]]:
    history = tuple(
        Observation(i, {"x": 0.5}, **{"state": "complete", **end}) for i, end in enumerate(ends)
    )
    request = Request(SPACE, 0, 0, history=history, n_objectives=n_objectives)
    return [item.losses for item in outcomes(request, **options)]


FINISHED = ({"losses": (1.0,)}, {"losses": (3.0,)}, {"losses": (2.0,)})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_trial_is_worse_than_the_worst_by_the_spread(bad):
    assert learned(*FINISHED, {"losses": (bad,)})[-1] == (5.0,)


def test_one_bad_objective_makes_all_bad():
    ends = ({"losses": (1.0, 10.0)}, {"losses": (2.0, 30.0)}, {"losses": (0.0, math.nan)})
    assert learned(*ends, n_objectives=2)[-1] == (3.0, 50.0)


def test_failed_trials_and_pruned_ones_without_report_teach_nothing():
    silent = ({"state": "fail"}, {"state": "pruned"})
    assert learned(*FINISHED, *silent) == learned(*FINISHED)


@pytest.mark.parametrize(("last", "taken"), [(2.5, 2.5), (0.1, 2.0), (math.nan, 5.0), (99.0, 5.0)])
def test_a_pruned_trial_is_never_better_than_the_median(last, taken):
    assert learned(*FINISHED, {"state": "pruned", "last": (1, last)})[-1] == (taken,)


def test_infeasible_trials_are_bad_unless_the_model_knows_constraints():
    infeasible = {"losses": (0.1,), "feasible": False}
    assert learned(*FINISHED, infeasible)[-1] == (pytest.approx(5.9),)
    assert learned(*FINISHED, infeasible, penalise_infeasible=False)[-1] == (0.1,)


def test_without_a_finite_loss_all_are_alike():
    assert learned({"losses": (math.inf,)}, {"losses": (math.nan,)}) == [(1.0,), (1.0,)]


def test_compressing_keeps_order_and_the_shape_of_the_good_half():
    losses = np.asarray([5.0, 1.0, 1e12, 3.0, 2.0, 7.0, 4.0, 1e300])
    warped = compress(losses)
    assert np.argsort(warped).tolist() == np.argsort(losses).tolist()
    assert np.diff(warped[[1, 4, 3, 6]]) == pytest.approx([np.diff(warped[[1, 4]])[0]] * 3)
    assert warped.max() < 1000


def test_the_median_is_at_zero_and_the_good_half_has_unit_size():
    warped = compress(np.asarray([1.0, 2.0, 3.0, 6.0, 9.0]))
    assert warped[2] == 0
    assert np.mean(warped[:3] ** 2) == pytest.approx(1)
    assert warped[3] == pytest.approx(np.log1p(3 / np.sqrt(5 / 3)))


def test_compressing_keeps_ties_and_takes_constants():
    assert compress(np.asarray([2.0, 2.0, 2.0])).tolist() == [0, 0, 0]
    assert compress(np.zeros(3)).tolist() == [0, 0, 0]
    warped = compress(np.asarray([1.0, 1.0, 1.0, 5.0, 5.0]))
    assert warped[3] == warped[4] > warped[0] == warped[1]
    assert np.isfinite(compress(np.asarray([0.0, 1e-300, 1e300, 1e300]))).all()


def test_compressing_each_objective_keeps_dominance():
    losses = np.random.default_rng(0).random((30, 2))
    warped = compress_each(losses)
    for i in range(30):
        before = (losses[i] < losses).all(axis=1)
        assert (before == (warped[i] < warped).all(axis=1)).all()


def test_many_trials_are_cut_to_the_best_and_the_newest():
    history = tuple(Observation(i, {"x": 0.5}, "complete", (abs(i - 10.0),)) for i in range(100))
    kept = relevant(outcomes(Request(SPACE, 0, 0, history=history)), 30)
    numbers = [item.trial.number for item in kept]
    assert len(numbers) == 30
    assert numbers == sorted(numbers)
    assert set(range(6, 15)) | set(range(80, 100)) <= set(numbers)
