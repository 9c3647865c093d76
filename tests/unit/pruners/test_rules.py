"""The rules of the single pruners, against their definitions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.study import Named
from tuner.errors import Invalid, UnknownName
from tuner.pruners import registry
from tuner.pruners.asha import published_shares
from tuner.pruners.base import Rung

losses = st.lists(st.floats(-100, 100), max_size=30)


def make(name: str, seed: int = 0, **options):
    return registry.build(registry.read(Named(name=name, **options)), seed)


def test_asha_rungs_are_powers_below_max_step():
    pruner = make("asha", min_step=2, max_step=54, reduction_factor=3)
    assert pruner.rungs(0, None, 53) == [Rung(0, 2), Rung(0, 6), Rung(0, 18)]
    assert pruner.rungs(0, 2, 6) == [Rung(0, 6)]
    assert pruner.rungs(0, 6, 17) == []
    assert pruner.rungs(0, None, 1) == []


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_max_step_is_no_rung_and_spares_the_trial(name):
    pruner = make(name, max_step=27)
    assert all(pruner.rungs(n, 26, 27) == [] for n in range(9))
    assert pruner.spares(27)
    assert not pruner.spares(26)


def test_a_jump_to_max_step_passes_the_rungs_below():
    assert make("asha", max_step=9).rungs(0, None, 9) == [Rung(0, 1), Rung(0, 3)]


def test_asha_without_max_step_goes_on_for_ever():
    assert make("asha").rungs(0, 3**9, 3**10) == [Rung(0, 3**10)]


@given(losses, st.floats(-100, 100), st.integers(2, 5))
def test_asha_keeps_the_best_one_in_eta_with_its_own(peers, own, eta):
    pruner = make("asha", reduction_factor=eta)
    stop = pruner.decide(0, Rung(0, 1), own, own, peers)
    ordered = sorted([*peers, own])
    keep = ordered[: max(1, len(ordered) // eta)]
    assert stop is (len(ordered) >= eta and own > keep[-1])


def test_brackets_leave_out_the_first_rungs():
    pruner = make("asha", brackets=3, reduction_factor=2)
    firsts = {pruner.rungs(n, None, 100)[0] for n in range(40)}
    assert firsts == {Rung(0, 1), Rung(1, 2), Rung(2, 4)}


def test_hyperband_has_the_published_brackets_in_the_published_proportions():
    # Li et al. 2018, table 1: R = 81, η = 3 starts 81, 34, 15, 8, 5 trials.
    assert published_shares(5, 3) == (81, 34, 15, 8, 5)
    pruner = make("hyperband", seed=3, max_step=81, reduction_factor=3)
    assert pruner.shares == (81, 34, 15, 8, 5)
    for start in (0, 500):
        seen = Counter(pruner.bracket(n) for n in range(start, start + 143))
        assert [seen[b] for b in range(5)] == pytest.approx([81, 34, 15, 8, 5], abs=4)


def test_the_last_bracket_of_hyperband_never_stops():
    pruner = make("hyperband", max_step=27)
    patient = next(n for n in range(200) if pruner.bracket(n) == 3)
    assert pruner.rungs(patient, None, 26) == []


def test_the_seed_moves_the_brackets():
    one, two = make("hyperband", seed=1, max_step=27), make("hyperband", seed=2, max_step=27)
    assert [one.bracket(n) for n in range(30)] != [two.bracket(n) for n in range(30)]


@given(st.lists(st.floats(-100, 100), min_size=5, max_size=30), st.floats(-100, 100))
def test_median_and_percentile_compare_the_best_so_far(peers, best):
    rung = Rung(0, 3)
    limit = np.percentile(peers, 50)
    if not math.isclose(best, limit, abs_tol=1e-9):
        assert make("median").decide(0, rung, 1e9, best, peers) is bool(best > limit)
    limit = np.percentile(peers, 20)
    if not math.isclose(best, limit, abs_tol=1e-9):
        pruner = make("percentile", percentile=20.0)
        assert pruner.decide(0, rung, 1e9, best, peers) is bool(best > limit)


def test_median_waits_for_other_trials_and_for_its_warmup():
    pruner = make("median", n_startup=3, warmup_steps=4, interval_steps=5)
    assert pruner.decide(0, Rung(0, 4), 9.0, 9.0, [1.0, 1.0]) is False
    assert pruner.decide(0, Rung(0, 4), 9.0, 9.0, [1.0, 1.0, 1.0]) is True
    assert pruner.rungs(0, None, 3) == []
    assert pruner.rungs(0, 3, 6) == [Rung(0, 4)]
    assert pruner.rungs(0, 6, 8) == []
    assert pruner.rungs(0, 8, 30) == [Rung(0, 29)]


def test_median_compares_at_step_zero_and_at_every_step_by_default():
    pruner = make("median")
    assert pruner.rungs(0, None, 0) == [Rung(0, 0)]
    assert pruner.rungs(0, 0, 1) == [Rung(0, 1)]


@pytest.mark.parametrize(
    ("spec", "error", "path"),
    [
        ({"name": "ahsa"}, UnknownName, "pruner.name"),
        ({"name": "hyperband"}, Invalid, "pruner.max_step"),
        ({"name": "asha", "max_steps": 3}, Invalid, "pruner.max_steps"),
        ({"name": "asha", "min_step": 9, "max_step": 3}, Invalid, "pruner.max_step"),
        ({"name": "asha", "reduction_factor": 1}, Invalid, "pruner.reduction_factor"),
        ({"name": "percentile", "percentile": 100.0}, Invalid, "pruner.percentile"),
        ({"name": "none", "min_step": 1}, Invalid, "pruner.min_step"),
        ({"name": "median", "metric": " loss"}, Invalid, "pruner.metric"),
    ],
)
def test_a_mistake_names_its_path(spec, error, path):
    with pytest.raises(error) as caught:
        registry.read(Named(**spec))
    assert caught.value.errors[0].path == path


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ahsa", "asha"),
        ("sha", "asha"),
        ("successive_halving", "asha"),
        ("MedianPruner", "median"),
        ("NopPruner", "none"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, nearest):
    with pytest.raises(UnknownName, match=f"Did you mean '{nearest}'") as caught:
        registry.read(Named(name=name))
    assert caught.value.errors[0].nearest == nearest


def test_every_pruner_is_described():
    described = {item["name"]: item for item in registry.describe()}
    assert list(described) == registry.names()
    options = {item["name"]: item for item in described["asha"]["options"]}
    assert options["min_step"] == {
        "name": "min_step",
        "type": "int",
        "range": "at least 1 and at most 9007199254740992",
        "default": 1,
        "doc": options["min_step"]["doc"],
    }
    assert options["max_step"]["default"] is None
