import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.cli import grammar
from tuner.core.names import PARAMETER_NAME
from tuner.core.space import parse_parameter
from tuner.errors import Invalid


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("x=float:0:0.6", {"type": "float", "low": 0, "high": 0.6}),
        ("x=float:1e-5:.1:log", {"type": "float", "low": 1e-5, "high": 0.1, "scale": "log"}),
        (
            "x=float:0.5:0.999:one_minus_log:default=0.9",
            {"type": "float", "low": 0.5, "high": 0.999, "scale": "one_minus_log", "default": 0.9},
        ),
        ("x=int:16:256:step=16", {"type": "int", "low": 16, "high": 256, "step": 16}),
        ("x=int:1:9:points=4", {"type": "int", "low": 1, "high": 9, "points": 4}),
        ("x=int:1:9:points=1|3|9", {"type": "int", "low": 1, "high": 9, "points": [1, 3, 9]}),
        ("x=categorical:a,b,c", {"type": "categorical", "choices": ["a", "b", "c"]}),
        (
            'x=categorical:1,1.5,true,"1","a:b,c"',
            {"type": "categorical", "choices": [1, 1.5, True, "1", "a:b,c"]},
        ),
        ("x=fixed:20", {"type": "fixed", "value": 20}),
        ("x=fixed:off", {"type": "fixed", "value": "off"}),
        ("x=fixed:'it''s'", {"type": "fixed", "value": "it's"}),
        (
            "x=float:0:1:when=s=a|2&t=true",
            {"type": "float", "low": 0, "high": 1, "when": {"s": ["a", 2], "t": [True]}},
        ),
        ("x=1e-5:1e-2", {"low": 1e-5, "high": 1e-2}),
        ("x=high=0.1", {"high": 0.1}),
    ],
)
def test_param_becomes_the_entry_of_the_study_file(text, entry):
    name, found = grammar.parameter(text)
    assert name == "x"
    assert json.dumps(found) == json.dumps(entry)  # types too: 1, 1.0 and true differ


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x", "NAME=TYPE"),
        ("1x=float:0:1", "NAME=TYPE"),
        ("x=flaot:0:1", ": unknown type 'flaot', did you mean 'float'?"),
        ("x=float:0", "high missing"),
        ("x=float", "low and high missing"),
        ("x=fixed", "value missing"),
        ("x=float:0:1:lgo", "did you mean 'log'"),
        ("x=float:0:1:stpe=1", "did you mean 'step='"),
        ("x=float:0:1:step=1:step=2", "step is given twice"),
        ("x=float:0:1:when=s", "PARENT=VALUE"),
        ("x=", "unknown type ''"),
        ("x=categorical:", "a choice is empty"),
        ("x=categorical:a,,b", "a choice is empty"),
        ("x=categorical:'a,b", "the quote in 'a is not closed"),
    ],
)
def test_mistakes_in_a_param_say_what_is_wrong_and_give_an_example(text, words):
    with pytest.raises(Invalid) as caught:
        grammar.parameter(text)
    assert words in caught.value.message
    assert "--param" in caught.value.hint


def test_every_example_of_the_help_is_a_valid_parameter():
    for line in grammar.EXAMPLES.splitlines():
        name, entry = grammar.parameter(line.split("  ")[0])
        assert PARAMETER_NAME.fullmatch(name)
        if "type" in entry:
            parse_parameter(entry, name)


def _spelled(value):
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value)


scalars = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
conditions = st.dictionaries(names, st.lists(scalars, min_size=1, max_size=3), max_size=3)


@settings(deadline=None, max_examples=200)
@given(names, st.lists(scalars, min_size=1, max_size=5), scalars, conditions)
def test_what_is_written_with_quotes_is_read_back(name, choices, default, when):
    text = f"{name}=categorical:{','.join(map(_spelled, choices))}:default={_spelled(default)}"
    entry = {"type": "categorical", "choices": choices, "default": default}
    if when:
        each = [f"{parent}={'|'.join(map(_spelled, found))}" for parent, found in when.items()]
        text += f":when={'&'.join(each)}"
        entry["when"] = when
    found_name, found = grammar.parameter(text)
    assert found_name == name
    assert json.dumps(found) == json.dumps(entry)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused_plainly(text):
    try:
        name, entry = grammar.parameter(f"x={text}")
    except Invalid as error:
        name, entry = "x", {"refused": "--param" in error.message}
    assert name == "x"
    assert entry.get("refused") is not False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("1e-5", 1e-5),
        ("1.", 1.0),
        ("true", True),
        ("True", True),
        ("tRue", "tRue"),
        ("yes", "yes"),
        ("null", "null"),
        ("0x10", "0x10"),
        ('"1"', "1"),
        ("9" * 30, float("9" * 30)),
        ("", ""),
    ],
)
def test_scalars_are_typed_as_in_a_study_file(text, value):
    found = grammar.scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_samplers_and_pruners_take_options():
    assert grammar.named("gp") == {"name": "gp"}
    assert grammar.named("gp:seed=7:x=a") == {"name": "gp", "seed": 7, "x": "a"}
    with pytest.raises(Invalid, match="KEY=VALUE"):
        grammar.named("gp:seed")


def test_states_are_checked_by_name():
    assert grammar.states("complete, pruned") == ["complete", "pruned"]
    assert grammar.states(None) is None
    with pytest.raises(Invalid, match="Did you mean 'complete'"):
        grammar.states("completed")
