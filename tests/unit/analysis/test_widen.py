"""Wider ranges: they contain the old ones, make sense, and the study that holds them is accepted."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tuner.analysis.advice import revise
from tuner.analysis.advice.collect import advise
from tuner.analysis.advice.widen import limits, widened
from tuner.analysis.evidence import Evidence
from tuner.core.study import StudySpec
from tuner.optimizers.registry import ENTRIES, domain
from tuner.service.specification import define
from tuner.tasks.registry import OPTIONS


def floats(low, high):
    return st.floats(low, high, allow_nan=False).map(lambda x: float(f"{x:.6g}"))


@st.composite
def parameters(draw):
    """A float or int parameter of any scale."""
    scale = draw(st.sampled_from(["linear", "log", "one_minus_log"]))
    if scale != "one_minus_log" and draw(st.booleans()):
        low = draw(st.integers(1 if scale == "log" else -1000, 1000))
        high = low + draw(st.integers(1, 1000))
        step = draw(st.sampled_from([None, 1, 2, 7])) if scale == "linear" else None
        spec = {"type": "int", "low": low, "high": high, "scale": scale, "step": step}
    else:
        pairs = {"linear": (-1e6, 1e6), "log": (1e-12, 1e6), "one_minus_log": (0.0, 0.9999)}
        ends = [draw(floats(*pairs[scale])) for _ in range(2)]
        low, high = min(ends), max(ends)
        if high - low <= 1e-9 * max(abs(low), abs(high), 1e-3):
            high = low + abs(low) * 0.5 + 1e-6 if scale != "one_minus_log" else (1 + low) / 2
        step = (high - low) / draw(st.integers(1, 20)) if scale == "linear" else None
        step = step if step and draw(st.booleans()) else None
        spec = {"type": "float", "low": low, "high": high, "scale": scale, "step": step}
    return {key: value for key, value in spec.items() if value is not None}


@given(parameters(), st.sampled_from(["low", "high"]))
@settings(max_examples=400, deadline=None)
def test_a_study_with_a_wider_range_parses_and_contains_the_old_one(spec, bound):
    study = {
        "name": "s",
        "objectives": [{"metric": "loss"}],
        "space": {"parameters": {"x": spec}},
        "expanded_space": {"parameters": {"x": spec}},
        "tags": {"team": "vision"},
    }
    found = widened("x", spec, bound, study)
    if found is None:
        return
    data = revise.revised(study, "wider")
    revise.override(data, "x", **{bound: found})
    read = StudySpec.read(YAML(typ="safe", pure=True).load(revise.to_yaml(data, "a\nb")))
    wide = read.space.parameters["x"]
    assert wide["low"] <= spec["low"] < spec["high"] <= wide["high"]
    assert wide[bound] != spec[bound]
    other = "high" if bound == "low" else "low"
    assert wide[other] == spec[other]
    assert read.tags == {"team": "vision"}
    if "step" in spec:
        steps = abs(wide[bound] - spec[bound]) / spec["step"]
        assert math.isclose(steps, round(steps), rel_tol=1e-6)


KNOWN = [
    (entry.name, parameter.name, bound)
    for entry in ENTRIES.values()
    for parameter in entry.parameters
    if parameter.type != "categorical"
    for bound in ("low", "high")
]


@pytest.mark.parametrize(("optimizer", "name", "bound"), KNOWN)
def test_the_server_takes_the_wider_range_of_every_parameter_it_knows(optimizer, name, bound):
    parameter = ENTRIES[optimizer].parameter(name)
    full = f"{optimizer}.{name}"
    sure = full in define(_study(optimizer, {})).space
    override = {} if sure else {full: {**domain(parameter), "when": {"optimizer": [optimizer]}}}
    expanded = define(_study(optimizer, override)).space.to_json()
    study = _study(optimizer, override) | {"expanded_space": expanded}
    found = widened(full, expanded["parameters"][full], bound, study)
    if found is None:
        return
    data = revise.revised(study, "wider")
    revise.override(data, full, **{bound: found})
    read = define(data).space[full]
    assert getattr(read, bound) == found


def _study(optimizer, parameters):
    return {
        "name": "s",
        "objectives": [{"metric": "val_loss"}],
        "space": {"optimizers": {"names": [optimizer], "size": "large"}, "parameters": parameters},
        "trial": {"task": {"dataset": "digits", "model": "mlp"}},
    }


@pytest.mark.parametrize(
    ("spec", "bound", "expected"),
    [
        ({"type": "float", "low": 1e-5, "high": 1e-1, "scale": "log"}, "high", 1.0),
        ({"type": "float", "low": 1e-5, "high": 1e-1, "scale": "log"}, "low", 1e-6),
        ({"type": "int", "low": 16, "high": 256, "scale": "log"}, "high", 1024),
        ({"type": "float", "low": 0.0, "high": 0.6}, "high", 0.8),  # half of the way to 1
        ({"type": "float", "low": 0.0, "high": 0.6}, "low", None),  # shares have no sign
        ({"type": "float", "low": 0.0, "high": 1.0}, "high", None),
        ({"type": "float", "low": 2.0, "high": 6.0}, "high", 8.0),
        ({"type": "float", "low": 2.0, "high": 6.0}, "low", 0.0),
        ({"type": "float", "low": -4.0, "high": 0.0}, "low", -6.0),
        ({"type": "int", "low": 1, "high": 4}, "low", None),
        ({"type": "int", "low": 1, "high": 4}, "high", 6),
        ({"type": "float", "low": 0.5, "high": 0.99, "scale": "one_minus_log"}, "high", 0.9986),
        ({"type": "float", "low": 0.5, "high": 0.99, "scale": "one_minus_log"}, "low", 0.0),
        ({"type": "float", "low": 0.0, "high": 3.0, "step": 1.5}, "high", 4.5),
    ],
)
def test_ranges_widen_by_half_and_at_most_tenfold(spec, bound, expected):
    assert widened("x", spec, bound, {}) == (
        None if expected is None else pytest.approx(expected, rel=1e-12)
    )


def test_a_task_bounds_what_it_knows():
    study = {"trial": {"task": {"dataset": "digits"}}}
    spec = {"type": "float", "low": 0.0, "high": 0.9}
    assert limits("dropout", spec, study) == (0.0, OPTIONS["dropout"].high)
    assert widened("dropout", spec, "high", study) == 0.95
    assert widened("dropout", spec | {"high": 0.95}, "high", study) is None


def test_names_of_following_studies_count_on_and_stay_within_their_length():
    def name(old):
        return revise.revised({"name": old}, "wider")["name"]

    assert name("a") == "a-wider"
    assert name("a-wider") == "a-wider-2"
    assert name("a-wider-9") == "a-wider-10"
    assert len(name("x" * 128)) == 128


def test_everything_else_of_the_study_is_kept(make_trial):
    spec = StudySpec.read(
        {
            "name": "all",
            "objective": {"metric": "val_loss", "from": "best"},
            "constraints": [{"metric": "params_million", "at_most": 2}],
            "space": {
                "optimizers": ["adam", "sgd"],
                "parameters": {"adam.lr": {"high": 0.01}, "width": {"type": "int", "low": 8, "high": 64}},
            },
            "sampler": {"name": "random", "seed": 3},
            "pruner": {"name": "asha", "min_step": 2},
            "budget": {"trials": 12, "target": 0.01},
            "trial": {"task": {"dataset": "digits"}, "max_attempts": 2, "retry_on": ["oom"]},
            "tags": {"team": "vision", "n": 3},
        }
    )  # fmt: skip
    definition = define(spec.to_json())
    study = definition.spec.to_json() | {
        "state": "finished",
        "expanded_space": definition.space.to_json(),
    }
    trials = [
        make_trial(i, v, params={"optimizer": "adam", "adam.lr": lr, "width": 16})
        for i, (v, lr) in enumerate([(0.1, 0.01), (0.2, 0.009), (0.3, 1e-4)])
    ]
    found = advise(Evidence.read(study | {"constraints": []}, trials))
    edge = next(item for item in found if item["code"] == "edge-of-range")
    data = YAML(typ="safe", pure=True).load(edge["study_file"]["yaml"])
    before = definition.spec.to_json()
    assert data["space"]["optimizers"] == before["space"]["optimizers"]
    assert data["space"]["parameters"]["adam.lr"] == {"high": 0.1}
    assert data["space"]["parameters"]["width"] == before["space"]["parameters"]["width"]
    for key in ("objectives", "sampler", "pruner", "budget", "trial", "tags"):
        assert data[key] == before[key]
    assert define(data).space["adam.lr"].high == 0.1
