"""What every registered pruner keeps, whatever its rule."""

from __future__ import annotations

import math
import pickle

import pytest

from tuner.core.study import Named
from tuner.pruners import registry
from tuner.pruners.base import Rung

SPECS = [
    {"name": "none"},
    {"name": "median"},
    {"name": "percentile", "percentile": 30.0},
    {"name": "asha", "max_step": 27},
    {"name": "asha", "min_step": 2, "reduction_factor": 2, "brackets": 3},
    {"name": "hyperband", "max_step": 27},
]
every = pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(map(str, s.values())))


def make(spec: dict, seed: int = 0):
    return registry.build(registry.read(Named(**spec)), seed)


def first_rung(pruner, step: int = 9) -> Rung | None:
    for number in range(30):
        rungs = pruner.rungs(number, None, step)
        if rungs:
            return rungs[0]
    return None


def test_every_registered_pruner_is_under_contract():
    assert {spec["name"] for spec in SPECS} == set(registry.names())


@every
def test_each_rung_is_reached_once_and_in_order(spec):
    pruner = make(spec)
    for number in range(12):
        reached, previous = [], None
        for step in [1, 2, 3, 5, 5, 4, 9, 26, 27, 40]:
            new = pruner.rungs(number, previous, step)
            assert all(rung.step <= step for rung in new)
            assert all(previous is None or rung.step > previous for rung in new)
            reached += new
            previous = step if previous is None else max(previous, step)
        assert reached == sorted(set(reached))
        assert len({rung.bracket for rung in reached}) <= 1


@every
def test_a_trial_alone_is_never_pruned(spec):
    pruner = make(spec)
    for number in range(12):
        for rung in pruner.rungs(number, None, 9):
            assert pruner.decide(number, rung, math.nan, math.inf, []) is False


@every
def test_the_best_goes_on_and_the_worst_does_not(spec):
    pruner = make(spec)
    rung = first_rung(pruner)
    peers = [float(x) for x in range(1, 21)]
    if rung is None:
        assert spec["name"] == "none"
        return
    assert pruner.decide(0, rung, 0.5, 0.5, peers) is False
    assert pruner.decide(0, rung, 99.0, 99.0, peers) is True


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_the_worst(spec, bad):
    pruner = make(spec)
    rung = first_rung(pruner)
    if rung is None:
        return
    assert pruner.decide(0, rung, bad, math.inf, [1.0] * 10) is True
    assert pruner.decide(0, rung, 2.0, 2.0, [bad] * 30) is False


@every
def test_a_better_loss_is_never_pruned_where_a_worse_one_goes_on(spec):
    pruner = make(spec)
    rung = first_rung(pruner)
    if rung is None:
        return
    peers = [0.3, 0.1, 0.7, 0.2, 0.9, 0.4, 0.8, 0.5]
    verdicts = [pruner.decide(0, rung, k / 20, k / 20, peers) for k in range(25)]
    assert verdicts == sorted(verdicts)


@every
def test_order_of_the_others_plays_no_part(spec):
    pruner = make(spec)
    rung = first_rung(pruner)
    if rung is None:
        return
    peers = [0.3, math.nan, 0.7, 0.2, math.inf, 0.4, 0.8, 0.5]
    for loss in (0.25, 0.45, 0.6):
        assert pruner.decide(0, rung, loss, loss, peers) is pruner.decide(
            0, rung, loss, loss, peers[::-1]
        )


@every
def test_rebuilt_and_pickled_pruners_agree(spec):
    one, two = make(spec, 5), pickle.loads(pickle.dumps(make(spec, 5)))  # noqa: S301
    assert [one.rungs(n, None, 9) for n in range(40)] == [two.rungs(n, None, 9) for n in range(40)]


@every
def test_written_out_options_read_back_unchanged(spec):
    written = registry.read(Named(**spec))
    assert registry.read(Named(**written)) == written
    assert make({**spec, "metric": "val_loss"}).options.metric == "val_loss"
