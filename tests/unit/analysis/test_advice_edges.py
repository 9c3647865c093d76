"""Advice on odd or little evidence: nothing wrong is said, and no command that does not help."""

import math

import pytest

from tuner.analysis.advice.collect import advise
from tuner.analysis.advice.stability import separating_rate
from tuner.analysis.evidence import Evidence
from tuner.analysis.importance import explain

TASK = {"task": {"dataset": "digits", "model": "mlp"}}
SEVERAL = [{"metric": "val_loss"}, {"metric": "size"}]


def rates(*values, **changes):
    """Trials of these learning rates, the first one best."""
    return [(abs(math.log(v / values[0])) + 0.1, {"lr": v}, changes) for v in values]


def lost(*values):
    return [("NaN", {"lr": v}, {"diverged": True}) for v in values]


def repeats(number, *values):
    found = []
    for replicate, value in enumerate(values, 1):
        changes = {"user_attrs": {"confirms": number, "replicate": replicate}}
        changes |= {"diverged": value == "NaN"}
        if value is None:
            changes |= {"state": "fail", "reason": "error"}
        found.append((value, {"lr": 0.1}, changes))
    return found


# --- seeds


def test_repeats_that_are_all_lost_are_repeats(ask):
    found = ask(rates(0.1, 0.05) + repeats(0, "NaN", "NaN", None), trial=TASK)
    assert "unconfirmed" not in found
    (row,) = found["lucky-seed"]["evidence"]["trials"]
    assert (row["seeds"], row["lost"], row["mean"]) == (3, 3, None)
    assert "3 of 3 fresh seeds diverged or failed" in found["lucky-seed"]["title"]


@pytest.mark.parametrize(
    ("values", "is_told"), [((0.1, "NaN", "NaN"), True), ((0.1, 0.11, 0.12, "NaN"), False)]
)
def test_seeds_are_lost_by_the_setting_where_at_least_half_are(ask, values, is_told):
    assert ("lucky-seed" in ask(rates(0.1, 0.05) + repeats(0, *values))) == is_told


def test_one_lost_repeat_is_no_pattern(ask):
    assert "lucky-seed" not in ask(rates(0.1, 0.05) + repeats(0, "NaN"))


def test_repeats_that_their_worker_ended_say_nothing(ask):
    ended = [
        (value, params, changes | {"reason": "lost"})
        for value, params, changes in repeats(0, None, None, None)
    ]
    found = ask(rates(0.1, 0.05) + ended, trial=TASK)
    assert "lucky-seed" not in found
    assert "unconfirmed" in found


def test_few_repeats_need_a_clearer_distance(ask):
    """Two repeats know their own spread badly: Student's t of one degree of freedom."""
    assert "lucky-seed" not in ask(rates(0.1, 0.05) + repeats(0, 0.15, 0.18))
    assert "lucky-seed" in ask(rates(0.1, 0.05) + repeats(0, 0.15, 0.18, 0.15, 0.18, 0.15, 0.18))
    assert "lucky-seed" in ask(rates(0.1, 0.05) + repeats(0, 0.50, 0.51))


def test_a_best_trial_that_is_not_among_the_repeated_ones_is_unconfirmed(ask):
    rows = [*rates(0.1, 0.05), *repeats(1, 0.8, 0.9)]
    assert ask(rows, trial=TASK)["unconfirmed"]["evidence"]["trial"] == 0


def test_of_several_lucky_trials_the_best_is_named(ask):
    rows = [*rates(0.1, 0.11), (0.05, {"lr": 0.2})]
    rows += repeats(0, 0.5, 0.51, 0.52) + repeats(2, 0.6, 0.61, 0.62)
    found = ask(rows)["lucky-seed"]
    assert found["title"].startswith("Trial #2 was lucky")
    assert [row["trial"] for row in found["evidence"]["trials"]] == [2, 0]


def test_repeats_are_left_out_of_what_explains_the_search(make_study, make_trial):
    space = {"parameters": {"lr": {"type": "float", "low": 0.0, "high": 1.0}}}
    trials = [make_trial(i, float(i), params={"lr": i / 12}) for i in range(12)]
    again = {"user_attrs": {"confirms": 0, "replicate": 1}}
    trials += [make_trial(12 + i, 0.0, params={"lr": 0.0}, **again) for i in range(9)]
    assert explain(Evidence.read(make_study(expanded_space=space), trials))["n_trials"] == 12


# --- the range


def test_a_range_that_two_optimizers_leave_at_both_ends_is_widened_at_both(ask):
    wide = {"type": "float", "low": 0.001, "high": 1.0, "scale": "log"}
    parameters = {"optimizer": {"type": "categorical", "choices": ["a", "b"]}, "x": wide}
    space = {"space": {"parameters": parameters}, "expanded_space": {"parameters": parameters}}
    rows = [(0.1, {"optimizer": "a", "x": 0.001}), (0.2, {"optimizer": "b", "x": 1.0})]
    found = ask(rows, **space)["edge-of-range"]["evidence"]["parameters"]
    assert [(row["optimizer"], row["bound"]) for row in found] == [("a", "low"), ("b", "high")]


# --- the number of trials


def test_no_command_lowers_a_budget_that_was_not_used_up(ask):
    found = ask(rates(0.1, 0.05), budget={"trials": 60, "target": 0.2})["too-few-trials"]
    assert found["evidence"]["total_needed"] == 5
    assert found["command"] is None
    assert ask(rates(0.1, 0.05), budget={"trials": 2})["too-few-trials"]["command"] is not None


def test_a_grid_that_is_spent_takes_no_more_trials(ask):
    found = ask(rates(0.1, 0.05), sampler={"name": "grid"}, budget={})["too-few-trials"]
    assert found["command"] is None
    assert "points" in found["action"]


def test_seeds_of_a_running_comparison_are_no_trials_of_the_search(ask):
    parameters = {
        "optimizer": {"type": "categorical", "choices": ["sgd", "adam"]},
        "x": {"type": "float", "low": 0.0, "high": 1.0},
        "y": {"type": "float", "low": 0.0, "high": 1.0},
    }
    space = {"space": {"parameters": parameters}, "expanded_space": {"parameters": parameters}}
    rows = [(0.1, {"optimizer": name, "x": 0.5, "y": 0.5}) for name in ("sgd", "adam")]
    running = {**space, "state": "active", "budget": {"trials": 26}}
    assert "too-few-trials" in ask(rows, **running, compare={"trials": 8, "seeds": 5})
    assert "too-few-trials" not in ask(rows, **running, compare={"trials": 10, "seeds": 3})


# --- the length of training


def test_a_trial_that_diverged_later_was_not_still_improving(ask, make_curve):
    falls = [1 - t / 25 for t in range(12)]
    assert "still-improving" in ask(rates(0.1), make_curve(0, falls))
    objectives = [{"metric": "val_loss", "from": "best"}]
    curves = make_curve(0, [*falls, "NaN"])
    assert "still-improving" not in ask(rates(0.1), curves, objectives=objectives)


# --- learning rates


def test_where_every_trial_is_unstable_no_rate_tells_them_apart(ask):
    assert separating_rate([(0.1, True), (0.2, True), (0.3, True)]) is None
    found = ask(lost(0.1, 0.2, 0.3))
    assert "unstable-learning-rates" not in found
    assert found["many-diverged"]["title"] == "All 3 trials diverged."
    assert "learning rate" in found["many-diverged"]["action"]


def test_a_learning_rate_in_words_is_no_number(ask):
    choices = {"type": "categorical", "choices": ["auto", "low", 0.1, True]}
    space = {
        "space": {"parameters": {"lr": choices}},
        "expanded_space": {"parameters": {"lr": choices}},
    }
    rows = [(0.1, {"lr": "auto"}), (0.2, {"lr": True}), *lost("low", "low", 0.1)]
    assert "many-diverged" in ask(rows, **space)


# --- several objectives


def both(*rows):
    return [
        (None, {"lr": lr, "x": 0.5}, {"values": {"val_loss": loss, "size": size}})
        for lr, loss, size in rows
    ]


def test_no_effect_on_the_first_objective_is_not_none_on_all(ask):
    explained = {
        "quality": 0.9,
        "parameters": [{"name": "lr", "importance": 0.0, "group": None, "n_trials": 30}],
    }
    assert "no-effect" in ask(rates(0.1, 0.2), explained=explained)
    rows = both((0.1, 1.0, 2.0), (0.2, 2.0, 1.0))
    assert "no-effect" not in ask(rows, explained=explained, objectives=SEVERAL)


def test_the_front_decides_whether_stability_bounds_the_best_rates(ask):
    """The rate that is best in the second objective lies near those that diverge."""
    rows = [*both((0.001, 1.0, 9.0), (0.3, 2.0, 1.0), (0.002, 3.0, 9.5)), *lost(0.8, 0.9, 1.0)]
    found = ask(rows, objectives=SEVERAL)["unstable-learning-rates"]
    assert found["evidence"]["parameters"][0]["limits_the_best"]
    alone = ask([(v["values"]["val_loss"], p) for _, p, v in rows[:3]] + rows[3:])
    assert not alone["unstable-learning-rates"]["evidence"]["parameters"][0]["limits_the_best"]


def test_clipping_is_looked_for_in_the_front(ask, make_curve):
    rows = both((0.1, 1.0, 2.0), (0.2, 2.0, 1.0), *((0.3, 3.0 + i, 9.0) for i in range(5)))
    curves = [row for i in (0, 1) for row in make_curve(i, [0.9], "clipped_share")]
    curves += [row for i in range(2, 7) for row in make_curve(i, [0.1], "clipped_share")]
    found = ask(rows, curves, objectives=SEVERAL)["clipping-too-often"]
    assert [row["trial"] for row in found["evidence"]["trials"]] == [0, 1]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_study_without_any_result_gets_no_advice_on_one(make_study, make_trial, direction):
    objectives = [{"metric": "val_loss", "direction": direction}]
    trials = [make_trial(i, "NaN", diverged=True, params={"lr": 0.1}) for i in range(3)]
    codes = {
        item["code"] for item in advise(Evidence.read(make_study(objectives=objectives), trials))
    }
    assert codes <= {"many-diverged", "too-few-trials", "batch-size-not-retuned"}
