"""Every pathology is recognised where it is, and nowhere else."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tuner.analysis.diagnosis import signals
from tuner.analysis.diagnosis.case import Case, cases_of
from tuner.analysis.diagnosis.examine import (
    MAX_EXAMINED,
    curve_metrics,
    diagnostics,
    examined,
    findings_of,
)
from tuner.analysis.diagnosis.rules import PATHOLOGIES, recognise
from tuner.analysis.evidence import Evidence

STEPS = 30
FALL = [0.1 + 2.0 * math.exp(-t / 4) for t in range(STEPS)]
FLAT_HIGH = [2.1 - 0.8 * (1 - math.exp(-t)) for t in range(STEPS)]


def curve(values):
    return [(i + 1, float(v)) for i, v in enumerate(values)]


def case(costs=FALL, **metrics):
    """A trial that trains well, in a study whose best one reached 0.1 from 2.1."""
    curves = {name.replace("__", "."): curve(values) for name, values in metrics.items()}
    return Case(curves, costs, start=2.1, best=0.1)


def constant(value, n=STEPS):
    return [value] * n


SHRINKING = [10.0 * 0.7**t for t in range(STEPS)]
RISING_VAL = [1.0 - 0.08 * t for t in range(10)] + [0.28 + 0.02 * t for t in range(20)]
POSITIVE = {
    "divergence": [
        replace(case(), diverged=True),
        case(costs=[1.0, math.inf]),
        case(train_loss=[1.0, math.nan]),
        case(costs=[2.0 + 0.05 * t for t in range(STEPS)]),
        replace(case(costs=constant(40.0)), high_start=2.9),
    ],
    "exploding-gradients": [
        case(grad_norm=constant(1.0), grad_norm_max=[*constant(2.0, 29), 150.0]),
        case(grad_norm=[1.0, math.inf]),
    ],
    "vanishing-gradients": [
        case(costs=FLAT_HIGH, grad_norm=constant(1e-8)),
        case(update_ratio__first=constant(1e-8), update_ratio__last=constant(1e-3)),
    ],
    "local-minimum-or-saddle": [case(costs=FLAT_HIGH, grad_norm=SHRINKING)],
    "plateau": [case(costs=FLAT_HIGH), case(costs=FLAT_HIGH, grad_norm=constant(1.0))],
    "noisy-gradients": [replace(case(grad_noise_scale=constant(5000.0)), batch_size=64)],
    "overfitting": [case(val_loss=RISING_VAL, train_loss=FALL)],
    "dead-units": [case(dead_units=[0.1, 0.5])],
    "updates-too-small": [case(costs=FLAT_HIGH, update_ratio=constant(1e-6))],
    "updates-too-large": [case(update_ratio=constant(0.2))],
    "loss-spikes": [case(loss_spikes=[0, 1, 4])],
}
NEGATIVE = {
    "divergence": [
        case(),
        case(train_loss=FALL),
        case(costs=FLAT_HIGH),
        replace(case(costs=constant(2.3)), high_start=2.3),
    ],
    "exploding-gradients": [
        case(grad_norm=constant(1.0), grad_norm_max=constant(20.0)),
        case(),
        case(grad_norm=SHRINKING),
    ],
    "vanishing-gradients": [
        case(grad_norm=constant(1e-8)),  # it reached what the best one did
        case(costs=FLAT_HIGH, grad_norm=constant(1e-3)),
        case(update_ratio__first=constant(1e-4), update_ratio__last=constant(1e-3)),
        case(update_ratio__only=constant(1e-9)),
    ],
    "local-minimum-or-saddle": [
        case(grad_norm=SHRINKING),
        case(costs=FLAT_HIGH, grad_norm=constant(1.0)),
        case(costs=FLAT_HIGH),
    ],
    "plateau": [
        case(),
        case(costs=[2.1 - 0.04 * t for t in range(STEPS)]),
        case(costs=FLAT_HIGH[:5]),
        case(costs=FLAT_HIGH, grad_norm=SHRINKING),
        replace(case(costs=FLAT_HIGH), best=None),
    ],
    "noisy-gradients": [
        replace(case(grad_noise_scale=constant(500.0)), batch_size=64),
        case(grad_noise_scale=constant(1e9)),  # the whole training set, or unknown
    ],
    "overfitting": [
        case(val_loss=FALL, train_loss=FALL),
        case(val_loss=RISING_VAL),
        case(val_loss=[*FALL[:-1], 0.5], train_loss=FALL),  # one restless epoch
        case(val_loss=[*FALL[:15], 0.5, *FALL[15:-1]], train_loss=FALL),
        case(val_loss=RISING_VAL, train_loss=[1.0 + 0.1 * t for t in range(STEPS)]),
    ],
    "dead-units": [case(dead_units=[0.9, 0.2]), case()],
    "updates-too-small": [case(update_ratio=constant(1e-6)), case(costs=FLAT_HIGH)],
    "updates-too-large": [
        case(update_ratio=constant(1e-3)),
        replace(case(update_ratio=constant(0.2)), optimizer="lbfgs"),
    ],
    "loss-spikes": [case(loss_spikes=[0, 1, 2]), case()],
}


def names(found):
    return [finding.name for finding in found]


def test_every_pathology_is_tried_both_ways():
    assert set(POSITIVE) == set(NEGATIVE) == set(PATHOLOGIES)


@pytest.mark.parametrize(
    ("name", "given"), [(n, c) for n, cases in POSITIVE.items() for c in cases]
)
def test_a_pathology_is_recognised(name, given):
    found = next(f for f in recognise(given) if f.name == name)
    assert found.text.endswith(".")
    row = found.to_json(PATHOLOGIES[name].action)
    assert row["severity"] in ("severe", "warning", "info")
    assert row["action"]


@pytest.mark.parametrize(
    ("name", "given"), [(n, c) for n, cases in NEGATIVE.items() for c in cases]
)
def test_a_pathology_is_not_imagined(name, given):
    assert name not in names(recognise(given))


def test_a_healthy_trial_with_every_metric_has_no_finding():
    healthy = case(
        train_loss=FALL,
        val_loss=FALL,
        grad_norm=[2.0 * math.exp(-t / 8) + 0.3 for t in range(STEPS)],
        grad_norm_max=constant(6.0),
        grad_noise_scale=constant(120.0),
        dead_units=constant(0.05),
        update_ratio=constant(1e-3),
        update_ratio__first=constant(5e-4),
        update_ratio__last=constant(2e-3),
        loss_spikes=constant(0),
    )
    assert recognise(replace(healthy, batch_size=64)) == []


def test_findings_rest_on_the_numbers_they_name():
    (found,) = recognise(replace(case(grad_noise_scale=constant(1280.0)), batch_size=64))
    # McCandlish et al. 2018, eq. 2.7: 1 / (1 + 1280 / 64)
    assert found.evidence["progress_share"] == pytest.approx(1 / 21)
    (found,) = recognise(case(val_loss=RISING_VAL, train_loss=FALL))
    assert found.evidence["best_step"] == 10
    assert found.evidence["best_val_loss"] == pytest.approx(0.28, abs=1e-9)


def test_noise_that_no_probe_resolves_is_noise():
    given = replace(case(grad_noise_scale=[50.0, *constant(math.inf, 9)]), batch_size=64)
    (found,) = recognise(given)
    assert found.to_json("x")["evidence"]["grad_noise_scale"] == "Infinity"


def test_the_worst_finding_comes_first():
    found = recognise(replace(case(loss_spikes=[5]), diverged=True))
    assert names(found)[0] == "divergence"
    assert found[0].severity == "severe"


def test_overfitting_does_no_harm_where_the_best_step_counts():
    given = case(val_loss=RISING_VAL, train_loss=FALL)
    assert recognise(given)[0].severity == "warning"
    assert recognise(replace(given, from_best=True))[0].severity == "info"


def test_curves_of_any_values_are_taken():
    rng = np.random.default_rng(1)
    metrics = sorted({m for p in PATHOLOGIES.values() for m in p.needs} - {"objective"})
    for _ in range(200):
        curves = {
            name: curve(rng.choice([0.0, -1.0, 1e-30, 1e30, math.nan, math.inf, 2.0], rng.integers(1, 12)))
            for name in metrics
            if rng.random() < 0.8
        }  # fmt: skip
        costs = list(rng.choice([0.0, 1.0, math.inf, 3.0], rng.integers(0, 12)))
        given = Case(curves, costs, batch_size=8, start=3.0, best=0.0)
        for finding in recognise(given):
            finding.to_json("x")


def study_with(trials, rows, make_study, **changes):
    return Evidence.read(make_study(**changes), trials, rows)


def test_trials_of_users_that_report_one_metric_are_examined(make_study, make_trial, make_curve):
    trials = [make_trial(i, 0.1 if i else 1.3) for i in range(3)]
    rows = [*make_curve(0, FLAT_HIGH), *make_curve(1, FALL), *make_curve(2, FALL)]
    found = findings_of(study_with(trials, rows, make_study, trial=None))
    assert names(found[0]) == ["plateau"]
    assert found[1] == found[2] == []


def test_a_maximised_objective_is_turned(make_study, make_trial, make_curve):
    trials = [make_trial(i, metric="acc", value=0.9) for i in range(2)]
    rows = [
        *make_curve(0, [1 - v for v in FALL], "acc"),
        *make_curve(1, [1 - v for v in FLAT_HIGH], "acc"),
    ]
    objectives = [{"metric": "acc", "direction": "maximize"}]
    found = findings_of(study_with(trials, rows, make_study, objectives=objectives))
    assert (names(found[0]), names(found[1])) == ([], ["plateau"])


PERCENT = [{"metric": "percent", "direction": "maximize"}]


def in_percent(make_study, make_trial, make_curve, slow, train):
    """What is found in a trial whose training loss is `train`, beside one that reaches 90 %."""
    trials = [make_trial(i, metric="percent", value=0.0) for i in range(2)]
    rows = [
        *make_curve(0, [10.0 + 80.0 * (1 - v / FALL[0]) for v in FALL], "percent"),
        *make_curve(0, FALL, "train_loss"),
        *make_curve(1, slow, "percent"),
        *make_curve(1, train, "train_loss"),
    ]
    evidence = study_with(trials, rows, make_study, objectives=PERCENT)
    return names(findings_of(evidence)[1])


def test_a_training_loss_is_not_measured_in_the_objectives_unit(
    make_study, make_trial, make_curve
):
    made = (make_study, make_trial, make_curve)
    slow = [10.0 + t for t in range(STEPS)]
    # 0.6 of 2.1 in the last third is no plateau, though it is little beside 80 per cent
    assert in_percent(*made, slow, [2.1 - 0.06 * t for t in range(STEPS)]) == []
    assert in_percent(*made, slow, [2.1] * STEPS) == ["plateau"]
    # nor is it no rise
    rising = [2.1 + 0.1 * t for t in range(STEPS)]
    assert in_percent(*made, [10.0] * STEPS, rising) == ["divergence"]


def test_a_trial_without_a_report_of_the_objective_is_examined(make_study, make_trial, make_curve):
    trials = [make_trial(0, 0.1), make_trial(1, state="fail", reason="error")]
    rows = [*make_curve(0, FALL), *make_curve(1, FALL, "train_loss")]
    assert findings_of(study_with(trials, rows, make_study))[1] == []
    rows[STEPS:] = make_curve(1, [1.0 + 0.1 * t for t in range(STEPS)], "train_loss")
    assert names(findings_of(study_with(trials, rows, make_study))[1]) == ["divergence"]


def test_the_longest_gradient_is_held_against_those_of_its_own_steps():
    means = [(step, 1.0 if step < 20 else 100.0) for step in range(1, 31)]
    longest = [(step, 300.0) for step in range(20, 31)]
    given = Case({"grad_norm": means, "grad_norm_max": longest}, FALL, start=2.1, best=0.1)
    assert "exploding-gradients" not in names(recognise(given))
    longest = [(step, 300.0) for step in range(5, 15)]
    given = replace(given, curves={"grad_norm": means, "grad_norm_max": longest})
    assert "exploding-gradients" in names(recognise(given))


def test_layers_that_all_stand_still_are_not_uneven():
    given = case(update_ratio__first=constant(0.0), update_ratio__last=constant(0.0))
    assert "vanishing-gradients" not in names(recognise(given))


def test_the_batch_size_is_the_trials_else_the_tasks_else_the_default(make_study, make_trial):
    def batch(params, task):
        study = make_study(trial={"task": task} if task is not None else None)
        trial = make_trial(0, "NaN", diverged=True, params=params)
        return cases_of(Evidence.read(study, [trial]), [0])[0].batch_size

    task = {"dataset": "digits", "model": "mlp", "batch_size": 128}
    assert batch({"batch_size": 16}, task) == 16
    assert batch({"optimizer": "sgd", "sgd.batch_size": 8}, task) == 8
    assert batch({}, task) == 128
    assert batch({}, {"dataset": "digits"}) == 64
    assert batch({"optimizer": "lbfgs"}, {"dataset": "digits"}) is None
    assert batch({"optimizer": "gd"}, task) is None
    assert batch({}, None) is None


def test_a_large_study_is_examined_in_part_with_its_best_trials(make_study, make_trial):
    trials = [make_trial(i, float((i * 7919) % 5000), params={"optimizer": "sgd"}) for i in range(5000)]  # fmt: skip
    trials[17] |= {"params": {"optimizer": "adam"}, "values": {"val_loss": 9999.0}}
    trials[18] |= {"user_attrs": {"confirms": 3, "replicate": 1}}
    numbers = examined(make_study(), trials)
    best = sorted(trials, key=lambda t: t["values"]["val_loss"])[:50]
    assert {t["number"] for t in best} <= set(numbers)
    assert {17, 18} <= set(numbers)
    assert len(numbers) <= MAX_EXAMINED + 1
    assert numbers == sorted(set(numbers))
    assert min(numbers) < 100
    assert max(numbers) > 4900


def test_a_small_study_is_examined_whole(make_study, make_trial):
    trials = [make_trial(i, 1.0) for i in range(MAX_EXAMINED)]
    assert examined(make_study(), trials) == list(range(MAX_EXAMINED))


def test_metrics_of_every_trial_are_those_that_decide(make_study):
    study = make_study(constraints=[{"metric": "size", "at_most": 1}, {"metric": "val_loss"}])
    assert curve_metrics(study) == ["val_loss", "size", "seconds"]
    assert {"test_loss", "steps"} <= set(curve_metrics(study | {"compare": {"trials": 3}}))


def test_diagnostics_count_and_show_the_best_first(make_study, make_trial, make_curve):
    trials = [make_trial(0, 1.3), make_trial(1, 0.1), make_trial(2, "NaN", diverged=True)]
    rows = [*make_curve(0, FLAT_HIGH), *make_curve(1, FALL), *make_curve(2, [1.0, "NaN"])]
    rows += make_curve(1, constant(0.6, 5), "dead_units")
    found = diagnostics(study_with(trials, rows, make_study))
    assert (found["examined"], found["total"]) == (3, 3)
    assert {row["name"]: row["numbers"] for row in found["summary"]} == {
        "dead-units": [1],
        "divergence": [2],
        "plateau": [0],
    }
    assert [row["number"] for row in found["trials"]] == [1, 0, 2]


def test_thresholds_are_ordered():
    assert signals.UPDATE_LOW < 1e-3 < signals.UPDATE_HIGH
    assert 0 < signals.FLAT < signals.WELL_ABOVE < 1
