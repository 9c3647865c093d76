"""The key `compare`: short forms, what is written out, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.study import StudySpec
from tuner.errors import Invalid

NAMES = ["adamw", "nesterov", "lbfgs"]
BODY = {"name": "s", "objective": "loss"}
BATCH = {"batch": {"type": "int", "low": 1, "high": 4}}


def read(**fields):
    return StudySpec.read({**BODY, **fields})


@pytest.mark.parametrize(
    ("fields", "compare", "budget"),
    [
        ({"compare": NAMES}, {"trials": 20, "seeds": 5}, {"trials": 75}),
        ({"compare": NAMES, "budget": {"trials": 60}}, {"trials": 15, "seeds": 5}, {"trials": 60}),
        # what does not divide is left for trials enqueued by hand
        ({"compare": NAMES, "budget": {"trials": 62}}, {"trials": 15, "seeds": 5}, {"trials": 62}),
        (
            {"compare": {"optimizers": NAMES, "trials": 3, "seeds": 0, "target": 0.5}},
            {"trials": 3, "seeds": 0, "target": 0.5},
            {"trials": 9},
        ),
        (
            {"compare": {"optimizers": NAMES, "seconds": 60}, "budget": {"seconds": 900}},
            {"seconds": 60.0, "seeds": 5},
            {"seconds": 900.0},
        ),
        (
            {"compare": {"seeds": 1}, "space": {"optimizers": NAMES}},
            {"trials": 20, "seeds": 1},
            {"trials": 63},
        ),
    ],
)
def test_defaults_are_written_out_and_read_back_unchanged(fields, compare, budget):
    spec = read(**fields)
    written = spec.to_json()
    assert (written["compare"], written["budget"]) == (compare, budget)
    assert written["space"] == {"optimizers": {"names": NAMES}, "parameters": {}}
    assert spec.compared == tuple(NAMES)
    assert StudySpec.read(written) == spec
    assert StudySpec.read(written).to_json() == written


def test_the_optimizers_join_whatever_the_space_holds():
    for space in (BATCH, {"parameters": BATCH}, {"optimizers": NAMES, "parameters": BATCH}):
        spec = read(compare=NAMES, space=space)
        assert (spec.compared, list(spec.space.parameters)) == (tuple(NAMES), ["batch"])
    own = {"optimizers": {"names": NAMES, "size": "small"}}
    assert read(compare=NAMES[::-1], space=own).space.optimizers.size == "small"


def test_a_study_without_the_key_compares_nothing():
    spec = read(space={"optimizers": NAMES})
    assert (spec.compare, spec.compared) == (None, ())
    assert "compare" not in spec.to_json()


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"compare": "adamw"}, "compare", "list of optimizers"),
        ({"compare": ["adamw"]}, "compare.optimizers", "at least two"),
        ({"compare": {"trials": 3}, "space": BATCH}, "compare.optimizers", "name them"),
        ({"compare": {"trials": 3}}, "space", "missing"),
        (
            {"compare": NAMES, "space": {"optimizers": ["adamw", "sgd"]}},
            "compare.optimizers",
            "give them once",
        ),
        ({"compare": {"optimizers": NAMES, "trials": 1, "seconds": 1}}, "compare.seconds", "both"),
        ({"compare": {"optimizers": NAMES, "trials": 0}}, "compare.trials", "at least 1"),
        ({"compare": {"optimizers": NAMES, "seconds": 0}}, "compare.seconds", "greater than 0"),
        ({"compare": {"optimizers": NAMES, "seeds": 101}}, "compare.seeds", "at most 100"),
        ({"compare": {"optimizers": NAMES, "trails": 1}}, "compare.trails", "'trials'"),
        ({"compare": NAMES, "budget": {"trials": 17}}, "budget.trials", "at least 18"),
        ({"compare": NAMES, "budget": {"target": 0.1}}, "budget.target", "compare.target"),
        ({"compare": NAMES, "objective": None, "objectives": ["a", "b"]}, "compare", "single"),
    ],
)
def test_mistakes_are_named_with_their_path(fields, path, words):
    with pytest.raises(Invalid, match=words) as caught:
        read(**fields)
    assert caught.value.errors[0].path == path


@given(st.integers(1, 500), st.integers(0, 9), st.integers(2, 3))
def test_every_budget_that_is_taken_suffices(trials, seeds, n):
    compare = {"optimizers": NAMES[:n], "seeds": seeds}
    try:
        spec = read(compare=compare, budget={"trials": trials})
    except Invalid:
        assert trials < n * (seeds + 1)
    else:
        assert trials - n < spec.compare.numbers(n) <= trials
