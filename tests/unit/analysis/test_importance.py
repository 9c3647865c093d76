"""Importance finds what matters, and says so when it cannot."""

import math

import numpy as np
import pytest

from tuner.analysis.importance import importance

FLOAT = {"type": "float", "low": 0.0, "high": 1.0}


def space(**parameters):
    return {"parameters": parameters}


def shares(result):
    return {row["name"]: row["importance"] for row in result["parameters"]}


@pytest.fixture
def one_matters(make_study, make_trial):
    """loss = (x - 0.3)², y and c are noise; 60 trials."""
    rng = np.random.default_rng(3)
    trials = []
    for number in range(60):
        params = {"x": rng.uniform(), "y": rng.uniform(), "c": str(rng.choice(["a", "b"]))}
        trials.append(make_trial(number, (params["x"] - 0.3) ** 2, params=params))
    choices = {"type": "categorical", "choices": ["a", "b"]}
    return make_study(expanded_space=space(c=choices, y=FLOAT, x=FLOAT)), trials


def test_the_parameter_that_matters_is_first_and_the_others_get_nothing(one_matters):
    result = importance(*one_matters)
    assert result["parameters"][0]["name"] == "x"
    assert shares(result)["x"] > 0.95
    assert shares(result)["y"] < 0.03
    assert shares(result)["c"] < 0.03
    assert sum(shares(result).values()) == pytest.approx(1.0)
    assert result["metric"] == "val_loss"
    assert result["n_trials"] == 60
    assert result["reason"] is None


def test_the_same_study_gives_the_same_result_in_any_order(one_matters):
    study, trials = one_matters
    assert importance(study, trials) == importance(study, trials[::-1])


def test_the_ranking_is_the_same_for_maximizing_the_negative(one_matters):
    study, trials = one_matters
    turned = [{**t, "values": {"val_loss": -t["values"]["val_loss"]}} for t in trials]
    up = {**study, "objectives": [{"metric": "val_loss", "direction": "maximize"}]}
    assert importance(up, turned) == importance(study, trials)


def test_one_exploded_trial_changes_little(one_matters):
    study, trials = one_matters
    exploded = [{**trials[0], "values": {"val_loss": 1e30}}, *trials[1:]]
    assert shares(importance(study, exploded))["x"] > 0.8


def test_diverged_trials_are_bad_outcomes(make_study, make_trial):
    rng = np.random.default_rng(5)
    trials = []
    for number in range(60):
        params = {"x": rng.uniform(), "y": rng.uniform()}
        lost = params["x"] > 0.5
        value = "NaN" if lost else 0.1
        trials.append(make_trial(number, value, params=params, diverged=lost))
    result = importance(make_study(expanded_space=space(x=FLOAT, y=FLOAT)), trials)
    assert result["n_trials"] == 60
    assert shares(result)["x"] > 0.9


def test_pruned_trials_count_at_their_reported_value(one_matters, make_curve):
    study, trials = one_matters
    pruned = [{**t, "state": "pruned", "values": {}} if t["number"] % 2 else t for t in trials]
    rows = [r for t in trials for r in make_curve(t["number"], [9.0, t["values"]["val_loss"]])]
    assert importance(study, pruned)["n_trials"] == 30
    with_reports = importance(study, pruned, rows)
    assert with_reports["n_trials"] == 60
    assert shares(with_reports) == pytest.approx(shares(importance(study, trials)))


def test_failed_running_and_waiting_trials_are_left_out(one_matters, make_trial):
    study, trials = one_matters
    more = [make_trial(60 + i, state=s) for i, s in enumerate(("fail", "running", "waiting"))]
    assert importance(study, [*trials, *more])["n_trials"] == 60


@pytest.fixture
def branches(make_study, make_trial):
    """Only a.lr matters, and only where optimizer is a; b.lr is noise in its own branch."""
    rng = np.random.default_rng(11)
    trials = []
    for number in range(120):
        name = "ab"[number % 2]
        params = {"optimizer": name, f"{name}.lr": float(10 ** rng.uniform(-4, 0))}
        off = math.log10(params[f"{name}.lr"]) + 2
        value = off**2 if name == "a" else 2.0 + 0.01 * rng.standard_normal()
        trials.append(make_trial(number, value, params=params))
    lr = {"type": "float", "low": 1e-4, "high": 1.0, "scale": "log"}
    parameters = {
        "optimizer": {"type": "categorical", "choices": ["a", "b"]},
        "a.lr": {**lr, "group": "a", "when": {"optimizer": ["a"]}},
        "b.lr": {**lr, "group": "b", "when": {"optimizer": ["b"]}},
    }
    return make_study(expanded_space={"parameters": parameters}), trials


def test_a_conditional_parameter_is_judged_within_its_branch(branches):
    result = importance(*branches)
    found = shares(result)
    assert found["a.lr"] > 0.5
    assert found["b.lr"] < 0.05
    by_name = {row["name"]: row for row in result["parameters"]}
    assert by_name["a.lr"]["n_trials"] == by_name["b.lr"]["n_trials"] == 60
    assert by_name["a.lr"]["group"] == "a"


def test_importance_within_an_optimizer_names_only_its_parameters(branches):
    within = importance(*branches)["per_optimizer"]
    assert shares(within["a"]) == {"a.lr": pytest.approx(1.0)}
    assert within["a"]["n_trials"] == 60
    # in branch b the objective is noise: no share is invented
    assert within["b"]["parameters"] == []
    assert "too few trials" in within["b"]["reason"]


def test_a_parameter_with_one_value_says_that_nothing_is_known(make_study, make_trial):
    rng = np.random.default_rng(2)
    trials = [
        make_trial(i, x, params={"x": x, "y": 0.5}) for i, x in enumerate(rng.uniform(size=40))
    ]
    result = importance(make_study(expanded_space=space(x=FLOAT, y=FLOAT)), trials)
    row = next(row for row in result["parameters"] if row["name"] == "y")
    assert row["importance"] == 0.0
    assert "one value" in row["caveat"]


@pytest.mark.parametrize(
    ("n", "value", "reason"),
    [
        (0, lambda x: x, "at least 10"),
        (9, lambda x: x, "has 9"),
        (20, lambda x: 1.0, "same value"),
    ],
)
def test_what_cannot_be_computed_gives_a_reason(make_study, make_trial, n, value, reason):
    rng = np.random.default_rng(0)
    trials = [make_trial(i, value(x), params={"x": x}) for i, x in enumerate(rng.uniform(size=n))]
    result = importance(make_study(expanded_space=space(x=FLOAT)), trials)
    assert result["parameters"] == []
    assert reason in result["reason"]


def test_pure_noise_gives_no_shares(make_study, make_trial):
    rng = np.random.default_rng(8)
    trials = [
        make_trial(i, rng.standard_normal(), params={"x": rng.uniform(), "y": rng.uniform()})
        for i in range(60)
    ]
    result = importance(make_study(expanded_space=space(x=FLOAT, y=FLOAT)), trials)
    assert result["parameters"] == []
    assert "noise" in result["reason"]


def test_a_named_objective_is_explained(make_study, make_trial):
    rng = np.random.default_rng(4)
    trials = []
    for number in range(60):
        params = {"x": rng.uniform(), "y": rng.uniform()}
        trials.append(
            make_trial(number, params=params, values={"a": params["x"], "b": params["y"]})
        )
    study = make_study(
        expanded_space=space(x=FLOAT, y=FLOAT),
        objectives=[{"metric": m, "direction": "minimize"} for m in ("a", "b")],
    )
    assert importance(study, trials)["parameters"][0]["name"] == "x"
    assert importance(study, trials, metric="b")["parameters"][0]["name"] == "y"
