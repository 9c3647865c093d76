"""Whatever trials a study has, its report and its comparison can be made and written."""

import json
import random

import pytest

from tuner.analysis.comparison.profile import compare_studies
from tuner.analysis.comparison.several import render as render_several
from tuner.analysis.report import build_report, render
from tuner.errors import Invalid

VALUES = [0.0, 0.1, 0.5, 1.0, -1.0, 3, 1e300, 1e-300, "NaN", "Infinity", "-Infinity"]
METRICS = ["m", "size", "seconds", "steps", "train_loss", "val_loss", "val_accuracy", "grad_norm"]
METRICS += ["grad_norm_max", "update_ratio", "update_ratio.a", "loss_spikes", "clipped_share"]
STATES = [*["complete"] * 6, "pruned", "fail", "running", "waiting"]
RATES = [
    {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log", "default": 0.1},
    {"type": "categorical", "choices": [0.1, 0.01, 1], "default": 0.1},
    {"type": "categorical", "choices": ["auto", "low"]},
    {"type": "fixed", "value": 0.1},
]


def space_of(rng):
    names = rng.sample(["sgd", "momentum", "adam", "adamw", "lbfgs", "mine"], rng.randint(1, 4))
    found = {"optimizer": {"type": "categorical", "choices": names}}
    for name in names:
        found[f"{name}.lr"] = {**rng.choice(RATES), "when": {"optimizer": [name]}}
    if rng.random() < 0.5:
        found["batch_size"] = {"type": "int", "low": 1, "high": 64, "scale": "log"}
    return found


def params_of(rng, space):
    chosen = rng.choice(space["optimizer"]["choices"])
    found = {"optimizer": chosen}
    for name, spec in space.items():
        if name == "optimizer" or chosen not in spec.get("when", {}).get("optimizer", [chosen]):
            continue
        choices = spec.get("choices") or [spec.get("value", spec.get("low"))]
        found[name] = rng.choice([*choices, spec.get("high", choices[0])])
    return found


def study_of(rng, make_study):
    direction, space = rng.choice(["minimize", "maximize"]), space_of(rng)
    objectives = [{"metric": "m", "direction": direction, "from": rng.choice(["last", "best"])}]
    if rng.random() < 0.3:
        objectives.append({"metric": "size", "direction": "minimize"})
    compare = {"seeds": 3, "trials": 5, "target": rng.choice([0.0, 0.3, -5])}
    return make_study(
        name=f"s{rng.randint(0, 9)}",
        objectives=objectives,
        constraints=rng.choice([[], [], [{"metric": "size", "at_most": 0.7}]]),
        expanded_space={"parameters": space},
        budget=rng.choice([{"trials": 40}, {}, {"seconds": 5}]),
        pruner={"name": rng.choice(["none", "asha"])},
        trial=rng.choice(
            [{"task": {"dataset": "digits", "model": "mlp"}}, {"python": "a:b"}, None]
        ),
        state=rng.choice(["finished", "active"]),
        compare=compare if len(objectives) == 1 and rng.random() < 0.7 else None,
    ), space


def trials_of(rng, space, make_trial, make_curve):
    trials, rows = [], []
    values = rng.choice([VALUES, ["NaN"], [0.5], [0.1 * i for i in range(9)]])
    for number in range(rng.choice([0, 1, 2, 5, 25])):
        state, value = rng.choice(STATES), rng.choice(values)
        params, attrs = params_of(rng, space), {}
        if trials and rng.random() < 0.4:
            again = rng.choice(trials)
            params = again["params"]
            attrs = {"confirms": again["number"], "replicate": rng.randint(1, 5)}
        told = {"m": value, "size": rng.random()} if state == "complete" else {}
        changes = {"values": told, "diverged": state == "complete" and isinstance(value, str)}
        changes |= {"reason": rng.choice(["oom", "lost"]) if state == "fail" else None}
        changes |= {"finished_at": None} if state in ("running", "waiting") else {}
        trials.append(make_trial(number, state=state, params=params, user_attrs=attrs, **changes))
        for metric in METRICS if rng.random() < 0.8 else ():
            if rng.random() < 0.6:
                curve = [rng.choice(values) for _ in range(rng.choice([1, 3, 9, 20]))]
                first, attempt = rng.choice([0, 1, 1, 4]), rng.choice([1, 1, 2])
                rows += make_curve(number, curve, metric, attempt, first)
    return trials, rows


@pytest.mark.parametrize("seed", range(24))
def test_an_odd_study_has_a_report_in_every_form(make_study, make_trial, make_curve, seed):
    rng = random.Random(seed)
    studies = []
    for _ in range(2):
        study, space = study_of(rng, make_study)
        studies.append((study, *trials_of(rng, space, make_trial, make_curve)))
    for parts in studies:
        report = build_report(*parts)
        assert json.loads(render(report)) == report
        assert render(report, "md")
        assert render(report, "html")
    try:
        data = compare_studies(studies)
    except Invalid:  # nothing to compare, or nothing in common
        return
    assert json.loads(render_several(data)) == data
    assert render_several(data, "md")
    assert render_several(data, "html")
