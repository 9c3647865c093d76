"""Permutation tests against enumeration and scipy; Holm by hand; what few seeds can show."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tuner.analysis.comparison import significance as module
from tuner.analysis.comparison.build import notes
from tuner.analysis.comparison.significance import (
    holm,
    interval,
    permutation_p,
    ranks,
    seeds_needed,
    significance,
    smallest_p,
)


def enumerated(a, b):
    """The two-sided p-value, written out: how many choices lie as far out as the observed one."""
    both = stats.rankdata([*a, *b])
    middle = len(a) * (len(both) + 1) / 2
    away = abs(sum(both[: len(a)]) - middle)
    sums = [sum(chosen) for chosen in itertools.combinations(both, len(a))]
    return sum(abs(s - middle) >= away - 1e-9 for s in sums) / len(sums)


CASES = [
    ([1, 2, 3], [4, 5, 6]),
    ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]),
    ([1, 5, 3, 9, 2], [4, 6, 8, 7, 10]),
    ([1, 1, 2], [1, 2, 2]),
    ([1, 1], [1, 1]),
    ([3], [4, 5]),
]


@pytest.mark.parametrize(("a", "b"), CASES)
def test_p_is_the_share_of_choices_as_far_out(a, b):
    assert permutation_p(a, b) == pytest.approx(enumerated(a, b))
    assert permutation_p(b, a) == pytest.approx(permutation_p(a, b))


@pytest.mark.parametrize("seed", range(4))
def test_without_ties_it_is_the_exact_mann_whitney_test(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=5), rng.normal(0.8, size=6)
    exact = stats.mannwhitneyu(a, b, method="exact").pvalue
    assert permutation_p(a, b) == pytest.approx(exact)


def test_many_runs_are_permuted_at_random_close_to_the_exact_value(monkeypatch):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=7), rng.normal(0.9, size=7)
    exact = permutation_p(a, b)
    monkeypatch.setattr(module, "MAX_EXACT", 10)
    assert permutation_p(a, b) == pytest.approx(exact, abs=0.01)
    assert permutation_p(range(20), range(100, 120)) == pytest.approx(1 / 20_001)


def test_diverged_runs_are_worst_and_equal():
    assert ranks([math.inf, 1.0, math.inf, 0.5]) == [3.5, 2, 3.5, 1]
    assert permutation_p([1, 2, 3, 4, 5], [math.inf] * 5) == pytest.approx(2 / 252)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_no_p_is_below_the_smallest(n):
    low, high = range(n), range(100, 100 + n)
    assert permutation_p(low, high) == pytest.approx(smallest_p(n, n))


def test_holm_by_hand():
    # sorted 0.01, 0.03, 0.04: times 3, 2, 1, and never falling
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("comparisons", "seeds"), [(1, 4), (2, 5), (6, 5), (7, 6), (23, 6), (24, 7)]
)
def test_the_seeds_that_so_many_comparisons_need(comparisons, seeds):
    assert seeds_needed(comparisons) == seeds


def test_an_interval_holds_the_difference_and_needs_finite_runs():
    low, high = interval([1.0, 1.1, 1.2, 1.3], [2.0, 2.1, 2.2, 2.3], seed=0)
    assert 0.7 < low <= 1.0 <= high < 1.3
    assert interval([1.0], [2.0, 3.0], seed=0) is None
    assert interval([1.0, 2.0], [2.0, math.inf], seed=0) is None


@pytest.fixture
def confirmed(contest_of, make_trial):
    """A contest whose optimizers have these confirmed values."""

    def build(**values):
        trials = [make_trial(i, name, 0.5) for i, name in enumerate(values)]
        for i, runs in enumerate(values.values()):
            name = list(values)[i]
            for replicate, value in enumerate(runs, 1):
                more = {"diverged": value == "NaN"}
                number = len(trials)
                trials.append(
                    make_trial(number, name, value, confirms=i, replicate=replicate, **more)
                )
        return contest_of(trials)

    return build


def test_the_leader_stands_with_those_it_cannot_be_told_from(confirmed):
    found = significance(
        confirmed(
            adamw=[0.10, 0.12, 0.14, 0.16, 0.18],
            nesterov=[0.11, 0.13, 0.15, 0.17, 0.19],
            sgd=[0.5, 0.6, 0.7, 0.8, "NaN"],
        )
    )
    assert found["leader"] == "adamw"
    assert found["group"] == ["adamw", "nesterov"]
    assert found["close"] == ["adamw", "nesterov"]
    adamw, nesterov, sgd = found["optimizers"]
    assert adamw["p"] is None
    assert nesterov["behind"] == pytest.approx(0.01)
    assert sgd["p_holm"] == pytest.approx(2 * 2 / 252)
    assert sgd["worst"] == "Infinity"
    assert sgd["interval"] is None
    assert found["smallest_adjusted"] == pytest.approx(2 * 2 / 252)


def test_too_few_seeds_can_tell_nothing_apart(confirmed):
    found = significance(confirmed(adamw=[0.1, 0.2, 0.3], sgd=[9.0, 9.1, 9.2]))
    assert found["smallest_adjusted"] == pytest.approx(0.1)
    assert found["group"] == ["adamw", "sgd"]
    assert found["seeds_needed"] == 4


def test_what_only_the_correction_keeps_in_the_group_is_not_close(confirmed):
    others = {f"o{i}": [float(10 * i + k) for k in range(5)] for i in range(1, 9)}
    found = significance(confirmed(adamw=[0.1, 0.2, 0.3, 0.4, 0.5], **others))
    assert found["smallest_adjusted"] == pytest.approx(8 * 2 / 252)
    assert len(found["group"]) == 9
    assert found["close"] == ["adamw"]


def test_without_confirmation_runs_nothing_is_claimed(confirmed):
    found = significance(confirmed(adamw=[], sgd=[]))
    assert found["leader"] is None
    assert found["group"] == []
    assert found["comparisons"] == 0


def test_one_confirmed_optimizer_leads_over_none(confirmed):
    found = significance(confirmed(adamw=[0.1, 0.2], sgd=[]))
    assert found["leader"] == "adamw"
    assert found["comparisons"] == 0


def test_copies_of_one_run_are_one_run(contest_of, make_trial, make_rows):
    trials, rows = [], []
    for i, (name, value) in enumerate([("adamw", 0.1), ("sgd", 0.5)]):
        trials.append(make_trial(10 * i, name, value))
        for r in range(1, 6):
            trials.append(make_trial(10 * i + r, name, value, confirms=10 * i, replicate=r))
            rows += make_rows(10 * i + r, "val_loss", [0.9, value])
    contest = contest_of(trials, rows)
    found = significance(contest)
    assert found["seeds"] == 1
    assert found["group"] == ["adamw", "sgd"]
    assert any("copies of each other: the training does not" in n for n in notes(contest, found))
    # the same values by other ways are no copies
    rows[-2]["value"] = 0.8
    assert not contest_of(trials, rows).ignores_seeds(contest_of(trials, rows).entrants[1])
    lost = [{**t, "diverged": True, "values": {"val_loss": "NaN"}} for t in trials]
    assert significance(contest_of(lost))["seeds"] == 5
