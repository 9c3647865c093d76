"""Study files: short forms, mistakes, and reading what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.core.study import StudySpec
from tuner.errors import Invalid

BODY = {
    "name": "s",
    "objective": "loss",
    "space": {"x": {"type": "float", "low": 0.0, "high": 1.0}},
}


def body(**fields):
    """The study with other fields; None leaves one out."""
    return {key: value for key, value in {**BODY, **fields}.items() if value is not None}


@pytest.mark.parametrize(
    ("short", "written"),
    [
        ({}, {"sampler": {"name": "gp"}, "pruner": {"name": "none"}}),
        ({"sampler": "tpe"}, {"sampler": {"name": "tpe"}}),
        ({"pruner": "asha"}, {"pruner": {"name": "asha"}}),
        ({"objective": "loss"}, {"objective": ["loss", "minimize"]}),
        (
            {"objective": ["loss", "maximize"]},
            {"objective": {"metric": "loss", "direction": "maximize"}},
        ),
        (
            {"objective": ["loss"]},
            {"objective": None, "objectives": [{"metric": "loss", "from": "last"}]},
        ),
        (
            {"objective": None, "objectives": ["a", ["b", "maximize"]]},
            {
                "objective": None,
                "objectives": [{"metric": "a"}, {"metric": "b", "direction": "maximize"}],
            },
        ),
        ({}, {"space": {"parameters": BODY["space"]}}),
        ({}, {"space": {"x": {**BODY["space"]["x"], "log": False, "scale": "linear"}}}),
        ({"space": {"optimizers": "adam"}}, {"space": {"optimizers": {"names": ["adam"]}}}),
        (
            {"space": {"optimizers": ["adam"]}},
            {"space": {"optimizers": ["adam"], "parameters": {}}},
        ),
        ({"budget": {"trials": 5, "seconds": None}}, {"budget": {"trials": 5}}),
        (
            {"trial": {"python": "a:b"}},
            {"trial": {"python": "a:b", "max_attempts": 3, "retry_on": ["oom", "lost", "killed"]}},
        ),
    ],
)
def test_short_forms_mean_what_is_written_out(short, written):
    a, b = StudySpec.read(body(**short)), StudySpec.read(body(**written))
    assert a == b
    assert a.to_json() == b.to_json()


def test_what_is_written_out_names_every_default():
    assert StudySpec.read(BODY).to_json() == {
        "name": "s",
        "objectives": [{"metric": "loss", "direction": "minimize", "from": "last"}],
        "constraints": [],
        "space": {
            "parameters": {"x": {"type": "float", "scale": "linear", "low": 0.0, "high": 1.0}}
        },
        "sampler": {"name": "gp"},
        "pruner": {"name": "none"},
        "budget": {},
        "tags": {},
    }


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"name": "a b"}, "name", "not a study name"),
        ({"name": ".."}, "name", "not a study name"),
        ({"name": "x" * 129}, "name", "not a study name"),
        ({"name": 5}, "name", "must be a string"),
        ({"name": None}, "name", "missing"),
        ({"nam": "x"}, "nam", "Did you mean 'name'?"),
        ({"objectiv": "x"}, "objectiv", "Did you mean 'objective"),
        ({"objective": None}, "objectives", "missing"),
        ({"objectives": ["a"]}, "objective", "not both"),
        ({"objective": ["loss", "min"]}, "objective.direction", "Did you mean 'minimize'?"),
        ({"objective": 3}, "objective", "must be a mapping"),
        ({"objective": {}}, "objective.metric", "missing"),
        ({"objective": {"metric": ""}}, "objective.metric", "not a metric name"),
        ({"objective": None, "objectives": []}, "objectives", "at least 1"),
        ({"objective": None, "objectives": ["a", "a"]}, "objectives[1].metric", "twice"),
        (
            {"objective": None, "objectives": ["a", {"metrik": "b"}]},
            "objectives[1].metrik",
            "'metric'",
        ),
        ({"constraints": [{"metric": "a"}]}, "constraints[0]", "at_most or at_least"),
        ({"constraints": [{"metric": "a", "at_most": "x"}]}, "constraints[0].at_most", "a number"),
        ({"space": {}}, "space", "no parameters"),
        ({"space": []}, "space", "mapping"),
        ({"space": {"optimizers": []}}, "space.optimizers", "at least 1"),
        ({"space": {"optimizers": ["a", "a"]}}, "space.optimizers.names[1]", "twice"),
        (
            {"space": {"optimizers": {"names": ["a"], "size": "big"}}},
            "space.optimizers.size",
            "small",
        ),
        ({"space": {"optimizers": ["a"], "x": {}}}, "space.x", "under parameters"),
        ({"sampler": {"nam": "gp"}}, "sampler.name", "missing"),
        ({"budget": {"trials": "6"}}, "budget.trials", "must be an integer"),
        ({"budget": {"trials": True}}, "budget.trials", "found true"),
        ({"budget": {"seconds": 0}}, "budget.seconds", "greater than 0"),
        (
            {"objective": None, "objectives": ["a", "b"], "budget": {"target": 1}},
            "budget.target",
            "single",
        ),
        ({"trial": {}}, "trial", "exactly one"),
        ({"trial": {"python": "a:b", "command": ["x"]}}, "trial", "exactly one"),
        ({"trial": {"python": "a.b"}}, "trial.python", "entrypoint"),
        ({"trial": {"command": "run me"}}, "trial.command", "must be a list"),
        ({"trial": {"command": []}}, "trial.command", "start with the program"),
        ({"trial": {"command": ["a", ["b", 3]]}}, "trial.command[1][1]", "must be a string"),
        ({"trial": {"command": ["a", 3]}}, "trial.command[1]", "a string or a list"),
        ({"trial": {"python": "a:b", "retry_on": ["oops"]}}, "trial.retry_on[0]", "not a reason"),
        (
            {"trial": {"python": "a:b", "retry_on": ["cancelled"]}},
            "trial.retry_on[0]",
            "not a reason",
        ),
        (
            {"trial": {"python": "a:b", "resources": {"gpus": 1.5}}},
            "trial.resources.gpus",
            "whole",
        ),
        ({"tags": {"a": [1]}}, "tags.a", "a string, a number or true or false"),
        ({"tags": {"str": [1]}}, "tags.str", "a string, a number or true or false"),
        ({"tags": {"a": float("nan")}}, "tags.a", "finite"),
    ],
)
def test_each_mistake_is_one_line_with_its_path(fields, path, words):
    with pytest.raises(Invalid) as caught:
        StudySpec.read(body(**fields))
    (mistake,) = caught.value.errors
    assert mistake.path == path
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


def test_several_mistakes_are_all_named():
    with pytest.raises(Invalid) as caught:
        StudySpec.read(body(budget={"trials": 0, "seconds": -1}, tags={"a": None}))
    assert [m.path for m in caught.value.errors] == ["budget.trials", "budget.seconds", "tags.a"]


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("optimizers", "parameters")
)
numbers = st.floats(-1e6, 1e6)
scalars = (
    st.booleans()
    | st.integers(-9, 9)
    | numbers
    | st.text(max_size=5).filter(lambda text: "\0" not in text and text.isprintable())
)
floats = (
    st.tuples(numbers, numbers)
    .map(sorted)
    .map(lambda pair: {"type": "float", "low": pair[0], "high": pair[1]})
)
ints = st.tuples(st.integers(1, 99), st.integers(0, 99), st.booleans()).map(
    lambda t: {"type": "int", "low": t[0], "high": t[0] + t[1], "log": t[2]}
)
choices = st.lists(scalars, min_size=1, max_size=4, unique_by=lambda v: (type(v) is bool, v)).map(
    lambda values: {"type": "categorical", "choices": values}
)
fixed = scalars.map(lambda value: {"type": "fixed", "value": value})
parameters = st.dictionaries(names, floats | ints | choices | fixed, min_size=1, max_size=4)
metrics = st.lists(
    st.sampled_from(["a", "b", "val loss", "é"]), min_size=1, max_size=3, unique=True
)
specs = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True),
        "space": parameters | parameters.map(lambda p: {"parameters": p, "optimizers": ["adam"]}),
        "objectives": metrics.flatmap(
            lambda names: st.tuples(
                *(
                    st.sampled_from([n, [n], [n, "maximize"], {"metric": n, "from": "best"}])
                    for n in names
                )
            ).map(list)
        ),
    },
    optional={
        "sampler": st.sampled_from(["random", {"name": "gp", "seed": 3}]),
        "budget": st.fixed_dictionaries(
            {}, optional={"trials": st.integers(1, 99), "seconds": st.floats(0.1, 1e6)}
        ),
        "constraints": st.just([{"metric": "size", "at_most": 2}]),
        "trial": st.sampled_from(
            [{"command": ["run", "{x}", ["--y", "{y}"]], "timeout": 5}, {"python": "a.b:c"}]
        ),
        "tags": st.dictionaries(names, scalars, max_size=3),
    },
)


@given(specs)
def test_reading_what_was_written_gives_the_same_study(data):
    spec = StudySpec.read(data)
    written = spec.to_json()
    again = StudySpec.read(written)
    assert again == spec
    assert again.to_json() == written
