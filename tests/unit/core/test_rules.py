"""Ranking, names, command templates, allow patterns, lifecycle, messages and errors."""

from __future__ import annotations

import inspect
import itertools
import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner import errors
from tuner.core import command
from tuner.core.allow import needs, permits
from tuner.core.lifecycle import TRANSITIONS, Move, TrialState, after
from tuner.core.messages import Ask, Report, Tell, WorkerLease, as_float
from tuner.core.model import parse
from tuner.core.names import MISSING, nearest, resolve
from tuner.core.ranking import choose, dominates, is_feasible, loss, pareto
from tuner.core.space import Space
from tuner.errors import Conflict, Invalid, UnknownName

# --- ranking


def test_losses_are_smaller_when_better_and_nan_is_the_worst():
    assert loss(2.0, "minimize") < loss(3.0, "minimize")
    assert loss(3.0, "maximize") < loss(2.0, "maximize")
    for direction in ("minimize", "maximize"):
        assert loss(math.nan, direction) == math.inf
        assert abs(loss(1.5, direction)) == 1.5


@pytest.mark.parametrize(
    ("rows", "how", "direction", "expected"),
    [
        ([], "last", "minimize", None),
        ([(3, 1.0), (1, 0.0)], "last", "minimize", 1.0),
        ([(3, 1.0), (1, 0.0)], "best", "minimize", 0.0),
        ([(3, 1.0), (1, 0.0)], "best", "maximize", 1.0),
        ([(1, 1.0), (2, -math.inf)], "best", "minimize", 1.0),
        ([(1, math.inf), (2, -math.inf)], "best", "minimize", -math.inf),
    ],
)
def test_the_report_that_stands_for_a_trial(rows, how, direction, expected):
    assert choose(rows, how, direction) == expected


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_the_front_is_what_nothing_dominates(losses):
    expected = [i for i, a in enumerate(losses) if not any(dominates(b, a) for b in losses)]
    assert pareto(list(range(len(losses))), losses) == expected


def test_constraints_hold_only_for_values_that_are_there():
    limits = [{"metric": "a", "at_most": 1.0}, {"metric": "b", "at_least": 0.0, "at_most": 1.0}]
    assert is_feasible({"a": 1.0, "b": 0.0}, limits)
    for values in ({"a": 1.1, "b": 0}, {"a": 1, "b": -0.1}, {"a": 1}, {"a": math.nan, "b": 0}):
        assert not is_feasible(values, limits)


# --- names


def test_a_name_is_the_exact_parameter_or_that_of_the_active_optimizer():
    params = {"optimizer": "adam", "adam.lr": 1, "sgd.lr": 2, "wd": 0}
    assert resolve(params, "lr") == 1
    assert resolve(params, "wd") == 0
    assert resolve({**params, "lr": 3}, "lr") == 3
    assert resolve(params, "momentum") is MISSING


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("adma", "adam"),
        ("ADAM", "adam"),
        ("adag", "adagrad"),
        ("sg", "sgd"),
        ("zzz", None),
        ("", None),
    ],
)
def test_the_nearest_name_is_like_it_or_longer(name, found):
    assert nearest(name, ["adam", "adagrad", "sgd", "rmsprop"]) == found


# --- commands

SPACE = Space.parse(
    {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "sgd.lr": {"type": "float", "low": 0, "high": 1, "when": {"optimizer": ["sgd"]}},
        "adam.lr": {"type": "float", "low": 0, "high": 1, "when": {"optimizer": ["adam"]}},
        "adam.b": {"type": "float", "low": 0, "high": 1, "when": {"optimizer": ["adam"]}},
        "flag": {"type": "categorical", "choices": [True, False]},
    }
)


def test_a_command_is_filled_in_word_by_word_and_inactive_groups_are_dropped():
    argv = [
        "run",
        "--lr={lr}",
        ["--b", "{b}"],
        "{{{flag}}}",
        "{optimizer}",
        ["{adam.lr}"],
        "a b;$x",
    ]
    command.check(argv, SPACE)
    assert command.render(
        argv, {"optimizer": "adam", "adam.lr": 1e-5, "adam.b": 0.1, "flag": True}
    ) == [
        "run",
        "--lr=1e-05",
        "--b",
        "0.1",
        "{true}",
        "adam",
        "1e-05",
        "a b;$x",
    ]
    assert command.render(argv, {"optimizer": "sgd", "sgd.lr": 0.5, "flag": False}) == [
        "run",
        "--lr=0.5",
        "{false}",
        "sgd",
        "a b;$x",
    ]


def test_a_value_that_looks_like_a_placeholder_is_not_filled_again():
    assert command.render(["{a}"], {"a": "{b} $(x)", "b": 1}) == ["{b} $(x)"]


@pytest.mark.parametrize(
    ("argv", "error", "words"),
    [
        (["run", "{lrr}"], UnknownName, "Did you mean 'lr'?"),
        (["run", "{b}"], Invalid, "optional group"),
        (["run", "{sgd.lr}"], Invalid, "optional group"),
        (["run", "{"], Invalid, "no placeholder"),
        (["run", "a}"], Invalid, "no placeholder"),
        (["run", "{not a name}"], Invalid, "no placeholder"),
    ],
)
def test_a_wrong_placeholder_is_refused_at_its_word(argv, error, words):
    with pytest.raises(error, match=words.replace("?", r"\?")) as caught:
        command.check(argv, SPACE)
    assert caught.value.errors[0].path == "trial.command[1]"


# --- allow patterns


@pytest.mark.parametrize(
    ("pattern", "runner", "allowed"),
    [
        ("*", {"python": "a:b"}, True),
        ("*", {"command": ["rm"]}, True),
        ("a:b", {"python": "a:b"}, True),
        ("a:*", {"python": "a:b"}, True),
        ("a:b", {"python": "a:bc"}, False),
        ("a.b:c", {"python": "axb:c"}, False),
        ("cmd:run {x}", {"command": ["run", "{x}"]}, True),
        ("cmd:run *", {"command": ["run", "any thing"]}, True),
        ("cmd:run *", {"command": ["run", "a", "b"]}, False),
        ("cmd:*", {"command": ["run", "a"]}, False),
        ("cmd:run 'a b'", {"command": ["run", ["a b"]]}, True),
        ("run", {"command": ["run"]}, False),
        ("cmd:a:b", {"python": "a:b"}, False),
        # a right to data is none to run the code of a module of that name
        ("file:*", {"python": "file:run"}, False),
        ("download:*", {"python": "download:run"}, False),
        ("download:*", {"task": {"model": "download:build"}}, False),
        ("download:run", {"python": "download:run"}, True),
        ("cmd:'", {"command": ["'"]}, False),
    ],
)
def test_patterns_allow_whole_words_only(pattern, runner, allowed):
    assert permits([pattern], runner) is allowed
    assert permits(["x:y", pattern], runner) is allowed


def test_a_task_is_always_allowed_and_nothing_else_without_a_pattern():
    assert permits([], {"task": {}})
    assert not permits([], {"python": "a:b"})


@given(st.lists(st.text("ab '\"\\$;{}", min_size=1), min_size=1, max_size=4))
def test_the_pattern_of_a_command_allows_it(argv):
    assert permits(needs({"command": argv}), {"command": argv})


# --- lifecycle


def test_only_the_moves_of_the_table_are_allowed():
    for state, move in itertools.product(TrialState, Move):
        if (state, move) in TRANSITIONS:
            assert after(state, move) == TRANSITIONS[(state, move)]
        else:
            with pytest.raises(Conflict, match=f"is {state} cannot {move}"):
                after(state, move)
    left = {state for state, _ in TRANSITIONS}
    assert {state for state in TrialState if state.is_finished} - left == {
        TrialState.COMPLETE,
        TrialState.PRUNED,
    }


# --- messages


@pytest.mark.parametrize(
    ("model", "data", "path"),
    [
        (Ask, {"count": 0}, "count"),
        (Ask, {"count": 1001}, "count"),
        (Ask, {"count": True}, "count"),
        (Ask, {"count": 1.5}, "count"),
        (Ask, {"lease_seconds": 0.5}, "lease_seconds"),
        (Ask, {"lease_second": 5}, "lease_second"),
        (
            Report,
            {"lease": "l", "measurements": [{"step": -1, "values": {"a": 1}}]},
            "measurements[0].step",
        ),
        (
            Report,
            {"lease": "l", "measurements": [{"step": 1.0, "values": {"a": 1}}]},
            "measurements[0].step",
        ),
        (
            Report,
            {"lease": "l", "measurements": [{"step": 1, "values": {}}]},
            "measurements[0].values",
        ),
        (
            Report,
            {"lease": "l", "measurements": [{"step": 1, "values": {"a": "nan"}}]},
            "measurements[0].values.a",
        ),
        (
            Report,
            {"lease": "l", "measurements": [{"step": 1, "values": {"a": True}}]},
            "measurements[0].values.a",
        ),
        (
            Report,
            {"lease": "l", "measurements": [{"step": 1, "values": {" ": 1}}]},
            "measurements[0].values. ",
        ),
        (Report, {}, "lease"),
        (Tell, {"lease": "l", "state": "completed"}, "state"),
        (Tell, {"lease": "l", "state": "complete", "reason": "oom"}, "reason"),
        (Tell, {"lease": "l", "state": "fail", "reason": "oops"}, "reason"),
        (Tell, {"lease": "l", "state": "complete", "values": {"a": None}}, "values.a"),
        (WorkerLease, {"free": {"gpu": 1}}, "free.gpu"),
    ],
)
def test_wrong_bodies_are_refused_with_one_line_and_the_path(model, data, path):
    with pytest.raises(Invalid) as caught:
        parse(model, data)
    assert [mistake.path for mistake in caught.value.errors] == [path]
    assert "\n" not in caught.value.message


def test_metric_values_are_taken_as_numbers_or_the_three_strings():
    body = parse(
        Tell, {"lease": "l", "state": "complete", "values": {"a": 1, "b": "NaN", "c": "-Infinity"}}
    )
    assert body.values == {"a": 1.0, "b": "NaN", "c": "-Infinity"}
    assert as_float("-Infinity") == -math.inf
    assert math.isnan(as_float("NaN"))


# --- errors

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, errors.TunerError)
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_pickles_and_survives_the_wire(cls):
    error = cls.at("a.b", "wrong.", found=[1], allowed=["x"], nearest="x", hint="Do it.")
    error.request_id = "r"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    problem = {**json.loads(json.dumps(error.to_problem())), "request_id": "r"}
    wired = errors.from_problem(problem, error.status)
    for copy in (again, wired):
        assert type(copy) is cls
        assert (copy.message, copy.hint, copy.request_id) == (error.message, error.hint, "r")
        assert copy.errors == error.errors
    assert error.message.startswith("a.b: ")
    assert "x" in str(error.errors[0])


def test_codes_are_distinct_and_unknown_ones_fall_back_to_the_status():
    assert len(errors.BY_CODE) == len(CLASSES)
    for status, cls in ((404, errors.NotFound), (409, errors.Conflict), (418, errors.Invalid)):
        assert type(errors.from_problem({"code": "from-the-future"}, status)) is cls
    assert type(errors.from_problem({}, 500)) is errors.TunerError


def test_a_stop_is_a_signal_that_pickles():
    stop = pickle.loads(pickle.dumps(errors.TrialStopped("budget")))  # noqa: S301 - our own
    assert stop.reason == "budget"
    assert not isinstance(stop, Exception)
