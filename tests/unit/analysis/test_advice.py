"""Every piece of advice is given where its rule holds, and kept back where it does not."""

import math

import pytest
from ruamel.yaml import YAML

from tuner.analysis.advice.effort import needed_trials
from tuner.analysis.report import build_report
from tuner.core.study import StudySpec

STEPS = 20
LR = {
    "type": "float",
    "low": 1e-4,
    "high": 1.0,
    "scale": "log",
    "default": 0.01,
    "role": "learning_rate",
}
SILENT = {
    "method": "m",
    "metric": "val_loss",
    "quality": None,
    "parameters": [],
    "per_optimizer": {},
}


def space(**parameters):
    return {"space": {"parameters": parameters}, "expanded_space": {"parameters": parameters}}


def rates(*values, best=None, **changes):
    """Trials of these learning rates, the value falling towards `best`."""
    best = values[0] if best is None else best
    return [(abs(math.log(v / best)) + 0.1, {"lr": v}, changes) for v in values]


def falling(number, make_curve, n=STEPS, rise=0.0):
    return make_curve(number, [1.0 / (1 + t) + rise * max(0, t - 1) for t in range(n)])


# --- the range


def test_a_best_value_at_an_edge_is_told_with_the_wider_study(ask):
    found = ask(rates(1.0, 0.9, 0.8, 0.01, 0.003))["edge-of-range"]
    (row,) = found["evidence"]["parameters"]
    assert (row["parameter"], row["bound"], row["limit"]) == ("lr", "high", 1.0)
    assert row["proposed"] == 10.0
    assert row["top_near"] == 3
    assert found["severity"] == "warning"
    assert found["command"] == (
        "tuner study advise digits --code edge-of-range --write digits-wider.yaml"
    )
    data = YAML(typ="safe", pure=True).load(found["study_file"]["yaml"])
    assert data["name"] == "digits-wider"
    assert data["space"]["parameters"]["lr"]["high"] == 10.0
    assert StudySpec.read(data).space.parameters["lr"]["low"] == 1e-4


def test_one_trial_at_an_edge_is_only_a_hint(ask):
    found = ask(rates(1.0, 0.01, 0.02, 0.03, 0.04))["edge-of-range"]
    assert found["severity"] == "info"


def test_a_best_value_inside_is_not_told(ask):
    assert "edge-of-range" not in ask(rates(0.01, 1.0, 1e-4, 0.1))


def test_an_edge_that_cannot_move_is_not_told(ask):
    dropout = {"type": "float", "low": 0.0, "high": 0.5}
    rows = [(v, {"dropout": v}) for v in (0.0, 0.1, 0.2)]
    assert "edge-of-range" not in ask(rows, **space(dropout=dropout))


def test_several_objectives_have_no_edge(ask):
    objectives = [{"metric": "val_loss"}, {"metric": "size"}]
    rows = [(None, {"lr": 1.0}, {"values": {"val_loss": 1.0, "size": 1.0}})]
    assert "edge-of-range" not in ask(rows, objectives=objectives)


def test_repeats_on_fresh_seeds_are_no_trials_of_the_search(ask):
    rows = rates(0.01, 0.1, 0.001) + [(0.0, {"lr": 1.0}, {"user_attrs": {"confirms": 0}})] * 2
    assert "edge-of-range" not in ask(rows)


# --- parameters without effect


def explained(importance, n_trials=30, quality=0.6, **row):
    rows = [
        {"name": "lr", "importance": 1.0 - importance, "group": None, "n_trials": n_trials},
        {"name": "x", "importance": importance, "group": None, "n_trials": n_trials, **row},
    ]
    return {**SILENT, "quality": quality, "parameters": rows}


X = {"type": "float", "low": 0.0, "high": 1.0}


@pytest.mark.parametrize(
    ("given", "is_told"),
    [
        (explained(0.0), True),
        (explained(0.2), False),
        (explained(0.0, n_trials=12), False),
        (explained(0.0, quality=0.2), False),
        (explained(0.0, caveat="one value only"), False),
        (SILENT, False),
    ],
)
def test_a_parameter_is_called_without_effect_only_on_good_grounds(ask, given, is_told):
    rows = [(0.1 + i, {"lr": 0.01, "x": 0.5}) for i in range(3)]
    found = ask(rows, explained=given, **space(lr=LR, x=X))
    assert ("no-effect" in found) == is_told
    if is_told:
        assert "x: 0.5" in found["no-effect"]["action"]


# --- batch size

BATCH = {"type": "int", "low": 16, "high": 256, "scale": "log"}


def test_a_searched_batch_size_is_doubted(ask):
    rows = [(0.1, {"lr": 0.01, "batch_size": 64})]
    shared = ask(rows, **space(lr=LR, batch_size=BATCH))["batch-size-not-retuned"]
    assert shared["severity"] == "info"
    fixed = ask(rows, **space(x=X, batch_size=BATCH))["batch-size-not-retuned"]
    assert fixed["severity"] == "warning"
    assert "batch-size-not-retuned" not in ask(
        rows, **space(lr=LR, batch_size={"type": "fixed", "value": 64})
    )


# --- the number of trials


def test_trials_needed_grow_with_the_parameters():
    assert [needed_trials(n) for n in range(6)] == [1, 5, 10, 25, 40, 50]


def test_too_few_trials_are_told_by_branch_with_the_command(ask):
    parameters = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "sgd.lr": LR | {"when": {"optimizer": ["sgd"]}},
        "adam.lr": LR | {"when": {"optimizer": ["adam"]}},
        "adam.beta1": X | {"when": {"optimizer": ["adam"]}},
    }
    rows = [(0.1, {"optimizer": "sgd", "sgd.lr": 0.01})] * 6
    rows += [(0.2, {"optimizer": "adam", "adam.lr": 0.01, "adam.beta1": 0.5})] * 6
    found = ask(rows, **space(**parameters), budget={"trials": 12})["too-few-trials"]
    assert found["evidence"]["branches"] == [
        {"optimizer": "adam", "parameters": 2, "trials": 6, "needed": 10}
    ]
    assert found["command"] == "tuner study edit digits --trials 16"
    assert "too-few-trials" not in ask(rows + rows[6:] * 1, **space(**parameters))


def test_too_few_trials_name_the_worst_optimizer_and_count_the_others(ask):
    parameters = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "sgd.lr": LR | {"when": {"optimizer": ["sgd"]}},
        "adam.lr": LR | {"when": {"optimizer": ["adam"]}},
    }
    rows = [(0.1, {"optimizer": "sgd", "sgd.lr": 0.01})] * 2
    rows += [(0.2, {"optimizer": "adam", "adam.lr": 0.01})]
    assert ask(rows, **space(**parameters))["too-few-trials"]["title"] == (
        "1 usable trial over 1 parameter for adam (and too few for 1 other optimizer); "
        "a search of that many needs about 5."
    )


def test_a_running_study_is_judged_by_its_budget(ask):
    rows = rates(0.01, 0.1)
    assert "too-few-trials" in ask(rows)
    assert "too-few-trials" in ask(rows, state="active", budget={"trials": 4})
    assert "too-few-trials" not in ask(rows, state="active", budget={"trials": 20})
    assert "too-few-trials" not in ask(rows, state="active", budget={})


# --- learning rates


def unstable_rows(best):
    good = rates(best, best / 2, best / 4, best / 8, best=best)
    return good + [("NaN", {"lr": v}, {"diverged": True}) for v in (0.5, 0.7, 0.9)]


def test_unstable_learning_rates_lead_to_warmup_and_clipping(ask, make_curve):
    task = {"task": {"dataset": "digits", "model": "mlp"}}
    norms = [row for i in range(4) for row in make_curve(i, range(1, 26), "grad_norm")]
    found = ask(unstable_rows(0.2), norms, trial=task)["unstable-learning-rates"]
    (row,) = found["evidence"]["parameters"]
    assert row["unstable_from"] == 0.5
    assert (row["unstable"], row["trials"]) == (3, 7)
    assert row["limits_the_best"]
    assert found["evidence"]["clip_norm"] == 23.0  # 90 % of 1 … 25, each four times
    data = YAML(typ="safe", pure=True).load(found["study_file"]["yaml"])
    assert data["trial"]["task"]["clip_norm"] == 23.0
    assert data["space"]["parameters"]["warmup"]["choices"] == [0.0, 0.02, 0.05, 0.1]
    assert data["space"]["parameters"]["lr"]["high"] == 5.0
    assert StudySpec.read(data)


def test_clipping_goes_by_the_percentiles_that_trials_report(ask, make_curve):
    norms = [row for i in range(4) for row in make_curve(i, [1.0, 2.0], "grad_norm")]
    norms += [row for i in range(7) for row in make_curve(i, [3.0, 5.0, 4.0], "grad_norm_p90")]
    norms += make_curve(5, ["Infinity"] * 3, "grad_norm_p90", first=4)
    found = ask(unstable_rows(0.2), norms)["unstable-learning-rates"]
    assert found["evidence"]["clip_norm"] == 4.0


def test_unstable_rates_far_above_the_best_only_cost_time(ask):
    found = ask(unstable_rows(0.01))["unstable-learning-rates"]
    assert found["severity"] == "info"
    assert "lr high: 0.5" in found["action"]
    assert found["study_file"] is None


def test_loss_spikes_count_as_unstable(ask, make_curve):
    rows = rates(0.1, 0.05, 0.02, 0.5, 0.7)
    spikes = [*make_curve(3, [0, 5], "loss_spikes"), *make_curve(4, [4], "loss_spikes")]
    assert "unstable-learning-rates" not in ask(rows)
    found = ask(rows, spikes)["unstable-learning-rates"]
    assert found["evidence"]["parameters"][0]["unstable_from"] == 0.5


def test_divergence_at_every_rate_is_not_the_rates_fault(ask):
    rows = rates(0.02, 0.2, 0.002)
    rows += [("NaN", {"lr": v}, {"diverged": True}) for v in (0.001, 0.01, 0.1, 0.3)]
    found = ask(rows)
    assert "unstable-learning-rates" not in found
    assert found["many-diverged"]["evidence"]["diverged"] == 4


def test_one_diverged_trial_is_no_pattern(ask):
    found = ask([*rates(0.1, 0.05), ("NaN", {"lr": 1.0}, {"diverged": True})])
    assert not {"unstable-learning-rates", "many-diverged"} & set(found)


def test_clipping_more_than_half_of_the_steps_is_told(ask, make_curve):
    rows = rates(0.1, 0.05)
    often = [row for i in range(2) for row in make_curve(i, [0.9, 0.6], "clipped_share")]
    seldom = [row for i in range(2) for row in make_curve(i, [0.6, 0.1], "clipped_share")]
    assert ask(rows, often)["clipping-too-often"]["evidence"]["median"] == pytest.approx(0.75)
    assert "clipping-too-often" not in ask(rows, seldom)


def test_what_ails_the_best_trial_is_told(ask, make_curve):
    rows = rates(0.1, 0.05)
    found = ask(rows, make_curve(0, [0.8], "dead_units"))["best-trial-ails"]
    assert found["evidence"]["findings"][0]["name"] == "dead-units"
    assert "best-trial-ails" not in ask(rows, make_curve(1, [0.8], "dead_units"))


# --- the length of training


def test_a_best_step_at_the_end_asks_for_longer_training(ask, make_curve):
    task = {"task": {"dataset": "digits", "model": "mlp", "epochs": 20}}
    rows = rates(0.1, 0.05, 0.02)
    curves = [row for i in range(3) for row in make_curve(i, [1 - t / 25 for t in range(STEPS)])]
    found = ask(rows, curves, trial=task, pruner={"name": "asha", "max_step": 20, "min_step": 1})[
        "still-improving"
    ]
    assert found["severity"] == "warning"
    assert found["evidence"]["trials"][0]["best_step"] == 20
    data = YAML(typ="safe", pure=True).load(found["study_file"]["yaml"])
    assert data["trial"]["task"]["epochs"] == 40
    assert data["pruner"] == {"name": "asha", "max_step": 40, "min_step": 1}


def test_a_last_quarter_that_brings_little_is_only_a_hint(ask, make_curve):
    curves = make_curve(0, [1.0, *(0.01 - t * 1e-5 for t in range(19))])
    assert ask(rates(0.1), curves)["still-improving"]["severity"] == "info"


def test_a_best_step_in_the_middle_asks_for_nothing(ask, make_curve):
    curves = make_curve(0, [abs(t - 10) + 1.0 for t in range(STEPS)])
    assert not {"still-improving", "best-too-early"} & set(ask(rates(0.1), curves))


def test_a_best_step_in_the_first_tenth_asks_for_shorter_training(ask, make_curve):
    task = {"task": {"dataset": "digits", "model": "mlp", "epochs": 20}}
    curves = falling(0, make_curve, rise=0.5)
    found = ask(rates(0.1), curves, trial=task)["best-too-early"]
    assert found["evidence"]["trials"][0]["at"] == 0.1
    assert "epochs: 5" in found["study_file"]["yaml"]


def test_short_curves_say_nothing_about_length(ask, make_curve):
    found = ask(rates(0.1), falling(0, make_curve, n=7))
    assert not {"still-improving", "best-too-early"} & set(found)


# --- seeds


def repeats(number, *values):
    return [(v, {"lr": 0.1}, {"user_attrs": {"confirms": number}}) for v in values]


def test_a_value_that_fresh_seeds_do_not_reach_was_luck(ask):
    found = ask(rates(0.1, 0.05) + repeats(0, 0.20, 0.21, 0.19, 0.22))["lucky-seed"]
    (row,) = found["evidence"]["trials"]
    assert (row["trial"], row["seeds"], row["value"]) == (0, 4, 0.1)
    assert row["mean"] == pytest.approx(0.205)
    assert found["severity"] == "severe"


def test_a_value_within_the_spread_of_its_repeats_is_no_luck(ask):
    assert "lucky-seed" not in ask(rates(0.1, 0.05) + repeats(0, 0.08, 0.12, 0.11))
    assert "lucky-seed" not in ask(rates(0.1, 0.05) + repeats(0, 0.11, 0.30, 0.16))
    assert "lucky-seed" not in ask(rates(0.1, 0.05) + repeats(0, 0.5))


def test_the_best_of_many_on_one_seed_is_to_be_confirmed(ask):
    task = {"task": {"dataset": "digits", "model": "mlp"}}
    found = ask(rates(0.1, 0.05), trial=task)["unconfirmed"]
    assert found["command"] == "tuner study confirm digits --seeds 5"
    assert "unconfirmed" not in ask(rates(0.1, 0.05), trial=task, state="active")
    assert "unconfirmed" not in ask(rates(0.1, 0.05) + repeats(0, 0.1, 0.1), trial=task)


# --- failures and the pruner


def test_many_failures_are_told_by_reason_with_what_helps(ask):
    broken = [(None, {"lr": 0.1}, {"state": "fail", "reason": "oom"})] * 3
    found = ask(rates(*[0.1] * 7) + broken)["many-failures"]
    assert found["evidence"]["failed"] == 3
    assert "memory" in found["action"]
    assert found["command"] == "tuner trial log digits 7"
    assert found["severity"] == "warning"
    assert ask(rates(0.1) + broken)["many-failures"]["severity"] == "severe"
    assert "many-failures" not in ask(rates(*[0.1] * 30) + broken[:2])
    stopped = [(None, {"lr": 0.1}, {"state": "fail", "reason": "cancelled"})] * 9
    assert "many-failures" not in ask(rates(0.1) + stopped)


def test_a_pruner_that_stops_the_defaults_is_told(ask, make_curve):
    rows = [(None, {"lr": 0.01}, {"state": "pruned"}), *rates(0.1, 0.2)]
    curves = [*falling(0, make_curve, n=2), *falling(1, make_curve)]
    found = ask(rows, curves, pruner={"name": "asha"})["pruner-stops-defaults"]
    assert found["evidence"]["stopped"] == [{"trial": 0, "optimizer": None, "steps": 2}]
    assert "pruner-stops-defaults" not in ask(rows, curves)
    late = [*falling(0, make_curve, n=15), *falling(1, make_curve)]
    assert "pruner-stops-defaults" not in ask(rows, late, pruner={"name": "asha"})
    other = [(None, {"lr": 0.02}, {"state": "pruned"}), *rates(0.1, 0.2)]
    assert "pruner-stops-defaults" not in ask(other, curves, pruner={"name": "asha"})


# --- all together


def test_the_severest_comes_first(ask):
    broken = [(None, {"lr": 0.1}, {"state": "fail", "reason": "error"})] * 9
    assert next(iter(ask(rates(1.0, 0.1) + broken))) == "many-failures"


def test_an_empty_study_gets_no_advice_but_to_run(ask):
    assert set(ask([], state="active", budget={})) == set()
    assert set(ask([])) == {"too-few-trials"}


def test_a_name_that_is_none_gets_no_command(ask):
    for item in ask(rates(1.0, 0.1), name="a; rm -rf b").values():
        assert item["command"] is None


def test_the_report_holds_advice_and_diagnostics_in_every_form(simulated):
    report = build_report(*simulated(60, 27))
    assert [item["code"] for item in report["advice"]]
    assert report["diagnostics"]["examined"] == 60
