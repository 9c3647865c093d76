"""What every registered sampler keeps, whatever its method."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys

import pytest

from tuner.core.space import Space
from tuner.core.study import Named
from tuner.samplers import registry
from tuner.samplers.base import Observation, Request
from tuner.samplers.encoding import key
from tuner.samplers.entry import run

SPECS = [{"name": name} for name in registry.names() if name != "gp"] + [
    {"name": "gp", "engine": "optuna"},
    {"name": "gp", "engine": "skopt"},
]
MODELS = [spec for spec in SPECS if registry.needs_history(spec["name"])]
BLIND = [spec for spec in SPECS if not registry.needs_history(spec["name"])]
every = pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(s.values()))
models = pytest.mark.parametrize("spec", MODELS, ids=lambda s: "-".join(s.values()))
blind = pytest.mark.parametrize("spec", BLIND, ids=lambda s: "-".join(s.values()))

CONDITIONAL = {
    "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
    "sgd.lr": {
        "type": "float", "low": 1e-4, "high": 10, "scale": "log", "default": 0.1, "points": 4,
        "when": {"optimizer": ["sgd"]}, "role": "learning_rate", "group": "sgd", "reference": 0.1,
    },
    "adam.lr": {
        "type": "float", "low": 1e-5, "high": 0.1, "scale": "log", "default": 1e-3, "points": 4,
        "when": {"optimizer": ["adam"]}, "role": "learning_rate", "group": "adam",
        "reference": 2e-3,
    },
    "adam.beta1": {
        "type": "float", "low": 0.5, "high": 0.99, "scale": "one_minus_log", "points": 3,
        "when": {"optimizer": ["adam"]},
    },
    "batch": {"type": "int", "low": 16, "high": 64, "scale": "log", "points": 3},
    "epochs": {"type": "fixed", "value": 3},
}  # fmt: skip
SPACES = {
    "conditional": CONDITIONAL,
    "single": {"x": {"type": "float", "low": -1, "high": 1, "points": 9}},
    "choices": {
        "a": {"type": "categorical", "choices": [1, True, "1", 1.5]},
        "b": {"type": "categorical", "choices": ["u", "v", "w"]},
    },
    "fixed": {"a": {"type": "fixed", "value": "x"}, "b": {"type": "fixed", "value": 2}},
    "numbers": {
        "n": {"type": "int", "low": 1, "high": 9},
        "odd": {"type": "int", "low": -3, "high": 9, "step": 4},
        "wide": {"type": "int", "low": 1, "high": 100000, "scale": "log", "points": 3},
        "decay": {"type": "int", "low": -9, "high": 0, "scale": "one_minus_log"},
        "step": {"type": "float", "low": 0.1, "high": 1.0, "step": 0.3},
        "momentum": {
            "type": "float", "low": 0.0, "high": 0.999, "scale": "one_minus_log", "points": 3,
        },
        "point": {"type": "float", "low": 2.0, "high": 2.0},
    },
    "chain": {
        "k": {"type": "int", "low": 1, "high": 3},
        "a": {"type": "categorical", "choices": [False, True], "when": {"k": [2, 3]}},
        "b": {"type": "int", "low": 0, "high": 5, "when": {"a": [True], "k": [3]}},
    },
}  # fmt: skip


def make(spec: dict):
    return registry.build(registry.read(Named(**spec)))


def space(name: str = "conditional") -> Space:
    return Space.parse(SPACES[name])


def value(params: dict) -> float:
    """A loss with its best at lr = reference and at the middle of everything else."""
    total = 0.0 if params.get("optimizer") == "adam" else 0.3
    for name, reference in (("sgd.lr", 0.1), ("adam.lr", 2e-3)):
        if name in params:
            total += math.log10(params[name] / reference) ** 2
    return total + abs(params.get("x", 0.0) - 0.3)


def past(of: Space, n: int, **change) -> tuple[Observation, ...]:
    """`n` complete trials at random places (fewer where there are not so many)."""
    asked = make({"name": "random"}).suggest(Request(of, 99, 0, n))
    unique = {key(item.params): item.params for item in asked}
    return tuple(
        Observation(i, params, "complete", (value(params),), index=i, **change)
        for i, params in enumerate(unique.values())
    )


def ask(spec: dict, of: Space, seed: int = 0, index: int = 20, **fields) -> list[dict]:
    request = Request(of, seed, index, **fields)
    return [item.params for item in make(spec).suggest(request)]


@every
@pytest.mark.parametrize("name", list(SPACES))
def test_suggestions_are_legal_complete_and_plain(spec, name):
    of = space(name)
    sampler = make(spec)
    sampler.check(of, 1, 60)
    history = past(of, 12)
    for index in (0, 30):
        for item in sampler.suggest(Request(of, 3, index, 2, history)):
            assert of.check(item.params) == item.params
            assert list(item.params) == list(of.check(item.params))
            assert [type(v) for v in item.params.values()] == [
                type(v) for v in of.check(item.params).values()
            ]
            assert all(type(v) in (bool, int, float, str) for v in item.params.values())
            assert json.loads(json.dumps(item.params)) == item.params


@every
def test_same_request_gives_same_suggestions(spec):
    of = space()
    fields = {"count": 2, "history": past(of, 12), "index": 5}
    assert ask(spec, of, **fields) == ask(spec, of, **fields)


@every
def test_seed_matters_except_on_a_grid(spec):
    of = space()
    fields = {"history": past(of, 12), "count": 2}
    same = ask(spec, of, seed=1, **fields) == ask(spec, of, seed=2, **fields)
    assert same is (spec["name"] == "grid")


@every
def test_a_batch_is_distinct_and_legal(spec):
    of = space()
    got = ask(spec, of, count=4, history=past(of, 12))
    assert len({key(params) for params in got}) == 4
    assert all(of.check(params) == params for params in got)


@every
def test_a_batch_is_what_single_asks_give(spec):
    of = space()
    history = past(of, 12)
    batch = ask(spec, of, count=2, history=history)
    first = ask(spec, of, history=history)
    second = ask(spec, of, index=21, history=history, pending=tuple(first))
    assert batch == first + second


@blind
def test_parallelism_and_results_change_nothing(spec):
    of = space()
    alone = ask(spec, of, index=0, count=6)
    crowd = tuple(ask(spec, of, index=3, count=2))
    busy = [ask(spec, of, index=i, history=past(of, i), pending=crowd)[0] for i in range(6)]
    assert alone == busy


@models
def test_pending_trials_are_not_asked_again(spec):
    of = space()
    history = past(of, 12)
    first = ask(spec, of, history=history)
    again = ask(spec, of, history=history, pending=tuple(first))
    assert key(first[0]) != key(again[0])


@models
def test_nothing_is_repeated_in_a_finite_space(spec):
    of = Space.parse(
        {
            "a": {"type": "categorical", "choices": ["p", "q"]},
            "n": {"type": "int", "low": 1, "high": 4},
            "b": {"type": "categorical", "choices": [1, True, "1"], "when": {"a": ["q"]}},
        }
    )
    spec = {**spec, "n_startup": 2}
    history: list[Observation] = []
    for i in range(16):
        params = ask(spec, of, index=i, history=tuple(history))[0]
        history.append(Observation(i, params, "complete", (float(len(params)),), index=i))
    assert len({key(item.params) for item in history}) == 16
    assert of.check(ask(spec, of, index=16, history=tuple(history))[0])


@models
@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_diverged_regions_are_avoided(spec, bad):
    of = Space.parse({"x": {"type": "float", "low": 0, "high": 1}})
    history = tuple(
        Observation(i, {"x": x}, "complete", (bad if x > 0.5 else (x - 0.4) ** 2,))
        for i, x in enumerate(k / 12 for k in range(13))
    )
    got = ask(spec, of, count=4, history=history)
    assert sum(params["x"] <= 0.55 for params in got) >= 3


@models
def test_only_diverged_only_failed_or_only_pruned_history_is_no_error(spec):
    of = space()
    finished = past(of, 12)
    for change in (
        {"losses": (math.nan,)},
        {"losses": None, "state": "fail"},
        {"losses": None, "state": "pruned", "last": (3, 0.5)},
        {"losses": None, "state": "pruned", "last": (3, math.inf)},
        {"losses": None, "state": "pruned", "last": None},
        {"feasible": False},
        {"losses": (1e300,)},
    ):
        history = tuple(Observation(**{**vars(item), **change}) for item in finished)
        assert of.check(ask(spec, of, history=history)[0])


@models
def test_failed_trials_teach_nothing(spec):
    of = space()
    history = past(of, 12)
    failed = Observation(90, of.defaults(), "fail", None)
    assert ask(spec, of, history=history) == ask(spec, of, history=(*history, failed))


@models
def test_infeasible_trials_are_no_winners(spec):
    of = Space.parse({"x": {"type": "float", "low": 0, "high": 1}})
    history = tuple(
        Observation(i, {"x": x}, "complete", (x,), feasible=x > 0.5)
        for i, x in enumerate(k / 12 for k in range(13))
    )
    got = ask(spec, of, count=4, history=history)
    assert sum(params["x"] > 0.4 for params in got) >= 3


@models
def test_the_model_finds_the_good_region(spec):
    of = space("single")
    history = past(of, 15)
    got = ask(spec, of, count=3, history=history)
    assert min(abs(params["x"] - 0.3) for params in got) < 0.15


@every
@pytest.mark.parametrize("n", [0, 12])
def test_given_values_are_kept_and_the_rest_completed(spec, n):
    of = space()
    fixed = of.check_partial({"adam.lr": 0.003})
    for params in ask(spec, of, history=past(of, n), count=2, fixed=fixed):
        assert params["adam.lr"] == 0.003
        assert params["optimizer"] == "adam"
        assert of.check(params) == params


@models
def test_defaults_come_first_one_per_branch(spec):
    of = space()
    got = ask(spec, of, index=0, count=2)
    assert got == [of.defaults({"optimizer": "sgd"}), of.defaults({"optimizer": "adam"})]


@every
def test_a_pickled_sampler_goes_on_as_before(spec):
    of = space()
    sampler = make(spec)
    request = Request(of, 0, 7, 2, past(of, 12))
    before = sampler.suggest(request)
    assert pickle.loads(pickle.dumps(sampler)).suggest(request) == before  # noqa: S301


def test_a_fresh_process_gives_the_same_suggestions():
    of = space()
    fields = {"seed": 4, "index": 9, "count": 2, "history": [vars(o) for o in past(of, 12)]}
    calls = [(registry.read(Named(**spec)), of.to_json(), fields) for spec in SPECS]
    here = [run(*call) for call in calls]
    code = (
        "import pickle, sys\nfrom tuner.samplers.entry import run\n"
        "calls = pickle.load(sys.stdin.buffer)\n"
        "pickle.dump([run(*call) for call in calls], sys.stdout.buffer)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(calls), capture_output=True, check=True
    )
    assert pickle.loads(done.stdout) == here  # noqa: S301


@pytest.mark.parametrize("spec", [{"name": "gp"}, {"name": "tpe"}], ids=lambda s: s["name"])
def test_several_objectives_are_taken(spec):
    of = space()
    history = tuple(
        Observation(i, item.params, "complete", (item.losses[0], float(i)))
        for i, item in enumerate(past(of, 12))
    )
    bad = Observation(50, of.defaults(), "complete", (math.nan, 1.0))
    make(spec).check(of, 2, None)
    got = ask(spec, of, count=2, history=(*history, bad), n_objectives=2)
    assert all(of.check(params) == params for params in got)


@every
def test_written_out_options_read_back_unchanged(spec):
    written = registry.read(Named(**spec))
    assert registry.read(Named(**written)) == written
    assert written["seed"] == 0
