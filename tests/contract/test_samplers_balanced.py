"""What every sampler keeps when each optimizer is searched on its own."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys

import pytest

from tuner.core.space import Space
from tuner.core.study import Named
from tuner.errors import Invalid
from tuner.optimizers.expand import expand
from tuner.samplers import registry
from tuner.samplers.balanced import branch_seed, branch_space
from tuner.samplers.base import Observation, Request
from tuner.samplers.encoding import key
from tuner.samplers.entry import run

NAMES = ["adamw", "nesterov", "lbfgs"]
OWN = {
    "batch_size": {"type": "int", "low": 16, "high": 256, "scale": "log"},
    "clip": {"type": "categorical", "choices": [False, True], "when": {"optimizer": NAMES[:2]}},
    "norm": {"type": "float", "low": 0.1, "high": 10.0, "scale": "log", "when": {"clip": [True]}},
    "schedule": {"type": "categorical", "choices": ["constant", "cosine"]},
    "warmup": {"type": "float", "low": 0.0, "high": 0.3, "when": {"schedule": ["cosine"]}},
    "epochs": {"type": "fixed", "value": 3},
}
SPECS = [{"name": name} for name in registry.names() if name not in ("gp", "grid")] + [
    {"name": "gp", "engine": "optuna", "n_startup": 4},
    {"name": "gp", "engine": "skopt", "n_startup": 4},
]
every = pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(map(str, s.values())))
models = pytest.mark.parametrize(
    "spec",
    [spec for spec in SPECS if registry.needs_history(spec["name"])],
    ids=lambda s: "-".join(map(str, s.values())),
)


def space(names=tuple(NAMES)) -> Space:
    """The space of a study on some optimizers, with entries that hang on them."""
    own = {}
    for name, entry in OWN.items():
        when = dict(entry.get("when", {}))
        if "optimizer" in when:
            when["optimizer"] = [item for item in when["optimizer"] if item in names]
            if not when["optimizer"]:
                continue
        if all(parent in own or parent in ("optimizer",) for parent in when):
            own[name] = {**entry, "when": when} if when else entry
    return Space.parse({**expand(list(names), "medium"), **own})


def written(spec: dict, *, each: bool = True) -> dict:
    plain = registry.read(Named(**spec))
    return {**plain, "each": "optimizer"} if each else plain


def make(spec: dict, *, each: bool = True):
    return registry.build(written(spec, each=each))


def value(params: dict) -> float:
    rate = next((v for k, v in params.items() if k.endswith(".lr")), 1.0)
    return (math.log10(rate) + 2) ** 2 + abs(params["batch_size"] - 64) / 64


def past(n: int) -> tuple[Observation, ...]:
    """`n` complete trials as a study would have made them, seven of them in no branch's order."""
    asked = make({"name": "random"}).suggest(Request(space(), 99, 0, n))
    found = [
        Observation(i, item.params, "complete", (value(item.params),), index=i)
        for i, item in enumerate(asked)
    ]
    return tuple(found[7:] + found[:7])


def ask(spec: dict, index: int = 30, seed: int = 0, **fields) -> list[dict]:
    return [s.params for s in make(spec).suggest(Request(space(), seed, index, **fields))]


@pytest.mark.parametrize("name", NAMES)
def test_the_space_of_a_branch_is_that_of_a_study_on_this_optimizer_alone(name):
    assert branch_space(space(), "optimizer", name) == space((name,))


@every
@pytest.mark.parametrize("n", [0, 24])
def test_a_branch_is_searched_as_if_it_had_been_tuned_alone(spec, n):
    """The same suggestions as the plain sampler's on a study of this optimizer only."""
    history = past(n)
    for index in (0, 4, 8, 31):
        name = NAMES[index % 3]
        own = [item for item in history if item.params["optimizer"] == name]
        alone = Request(
            space((name,)),
            branch_seed(5, name),
            index // 3,
            history=tuple(
                Observation(o.number, o.params, o.state, o.losses, index=o.index // 3) for o in own
            ),
        )
        (expected,) = make(spec, each=False).suggest(alone)
        assert ask(spec, index, 5, history=history) == [expected.params]


@every
def test_branches_take_turns_and_suggestions_are_legal_and_plain(spec):
    of = space()
    got = ask(spec, 30, count=4, history=past(24))
    assert [params["optimizer"] for params in got] == [*NAMES, NAMES[0]]
    assert len({key(params) for params in got}) == 4
    for params in got:
        assert of.check(params) == params
        assert list(params) == list(of.check(params))
        assert json.loads(json.dumps(params)) == params


@models
def test_the_default_of_every_optimizer_comes_first(spec):
    of = space()
    got = ask(spec, 0, count=3)
    assert got == [of.defaults({"optimizer": name}) for name in NAMES]


@every
def test_results_and_pending_trials_of_other_branches_change_nothing(spec):
    history = past(24)
    alone = tuple(item for item in history if item.params["optimizer"] == NAMES[0])
    others = tuple(item.params for item in history if item.params["optimizer"] != NAMES[0])
    assert ask(spec, 30, history=history, pending=others) == ask(spec, 30, history=alone)


@models
def test_pending_trials_of_the_branch_are_not_asked_again(spec):
    history = past(24)
    first = ask(spec, 30, history=history)
    again = ask(spec, 30, history=history, pending=tuple(first))
    assert key(first[0]) != key(again[0])


@every
def test_a_batch_is_what_single_asks_give(spec):
    history = past(24)
    batch = ask(spec, 30, count=5, history=history)
    singles: list[dict] = []
    for i in range(5):
        singles += ask(spec, 30 + i, history=history, pending=tuple(singles))
    assert batch == singles


@every
@pytest.mark.parametrize("n", [0, 24])
@pytest.mark.parametrize("fixed", [{"nesterov.lr": 0.03}, {"batch_size": 32}])
def test_given_values_are_kept_and_the_rest_completed(spec, n, fixed):
    of = space()
    for params in ask(spec, 31, history=past(n), count=2, fixed=of.check_partial(fixed)):
        assert of.check(params) == params
        assert fixed.items() <= params.items()


def test_branches_have_random_numbers_of_their_own():
    got = ask({"name": "random"}, 0, count=3)
    assert len({params["batch_size"] for params in got}) == 3


def test_a_further_optimizer_changes_nothing_for_the_others():
    more = Space.parse({**expand([*NAMES, "sgd"], "medium"), **OWN})
    for round_ in range(3):
        (few,) = make({"name": "qmc"}).suggest(Request(space(), 3, 3 * round_ + 1))
        (many,) = make({"name": "qmc"}).suggest(Request(more, 3, 4 * round_ + 1))
        assert few == many


@every
def test_a_pickled_sampler_and_a_fresh_process_go_on_as_before(spec):
    history = past(24)
    request = Request(space(), 0, 31, 2, history)
    before = make(spec).suggest(request)
    assert pickle.loads(pickle.dumps(make(spec))).suggest(request) == before  # noqa: S301
    fields = {"seed": 0, "index": 31, "count": 2, "history": [vars(item) for item in history]}
    call = (written(spec), space().to_json(), fields)
    assert [item["params"] for item in run(*call)] == [item.params for item in before]
    if spec["name"] == "random":
        code = (
            "import pickle, sys\nfrom tuner.samplers.entry import run\n"
            "pickle.dump(run(*pickle.load(sys.stdin.buffer)), sys.stdout.buffer)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps(call), capture_output=True, check=True
        )
        assert pickle.loads(done.stdout) == run(*call)  # noqa: S301


@pytest.mark.parametrize("spec", [{"name": "balanced"}, {"name": "gp", "each": "optimizer"}])
def test_a_study_file_cannot_ask_for_it_by_name(spec):
    with pytest.raises(Invalid, match=r"no sampler is named|unknown key 'each'"):
        registry.read(Named(**spec))
