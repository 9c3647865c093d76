"""Stability, generalisation and tunability by hand."""

import pytest

from tuner.analysis.comparison.budget import tuning
from tuner.analysis.comparison.outcome import generalisation, is_default, tunability
from tuner.analysis.comparison.stability import stability


def lr(value):
    return {"params": {"optimizer": "sgd", "sgd.lr": value}}


def test_shares_spread_and_neighbourhood(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", 1.0, **lr(0.1)),
        make_trial(1, "sgd", 1.05, **lr(0.2)),
        make_trial(2, "sgd", 1.3, **lr(0.04)),
        make_trial(3, "sgd", 3.0, **lr(0.01)),
        make_trial(4, "sgd", "NaN", diverged=True, **lr(5.0)),
        make_trial(5, "sgd", state="fail", reason="oom", **lr(0.1)),
        make_trial(6, "sgd", 1.0, confirms=0, replicate=1),
        make_trial(7, "sgd", 1.2, confirms=0, replicate=2),
        make_trial(8, "sgd", "NaN", diverged=True, confirms=0, replicate=3),
    ]
    (row,) = stability(contest_of(trials))
    assert (row["trials"], row["diverged"], row["failed"]) == (6, 1, 1)
    assert row["close"] == pytest.approx(2 / 6)
    assert (row["seeds"], row["lost_seeds"]) == (3, 1)
    assert row["std"] == pytest.approx(0.02**0.5)
    assert row["range"] == pytest.approx(0.2)
    # within a factor 3.16 of 0.1: 1.05, 1.3 and the failed one; its median is 1.3
    assert row["near"] == {"lr": 0.1, "trials": 3, "worse": pytest.approx(0.3), "lost": 1}


def test_without_a_learning_rate_or_neighbours_nothing_is_said(contest_of, make_trial):
    (row,) = stability(contest_of([make_trial(0, "sgd", 1.0)]))
    assert row["near"] is None
    assert row["std"] is None
    trials = [make_trial(0, "sgd", 1.0, **lr(0.1)), make_trial(1, "sgd", 2.0, **lr(1.0))]
    (row,) = stability(contest_of(trials))
    assert row["near"]["trials"] == 0
    assert row["near"]["worse"] is None


def test_the_gap_is_at_the_best_step_and_the_test_value_is_the_last(
    contest_of, make_trial, make_rows
):
    trials = [make_trial(0, "sgd", 0.3), make_trial(1, "sgd", 0.3, confirms=0, replicate=1)]
    rows = [
        *make_rows(1, "val_loss", [0.9, 0.3, 0.4]),
        *make_rows(1, "train_loss", [0.8, 0.2, 0.1]),
        *make_rows(1, "val_accuracy", [0.5, 0.8, 0.9]),
        *make_rows(1, "test_loss", [0.35], 3),
    ]
    found = generalisation(contest_of(trials, rows))
    (row,) = found["optimizers"]
    assert row["loss"]["gap"]["median"] == pytest.approx(0.1)
    assert row["loss"]["test"] == {"median": 0.35, "low": 0.35, "high": 0.35, "n": 1}
    assert row["accuracy"]["val"]["median"] == 0.8
    assert row["accuracy"]["gap"] is None
    assert found["has_test"]


def test_without_known_metrics_there_is_nothing_on_generalisation(contest_of, make_trial):
    trials = [make_trial(0, "sgd", 0.3), make_trial(1, "sgd", 0.3, confirms=0, replicate=1)]
    assert generalisation(contest_of(trials))["families"] == []


def test_the_gain_is_over_the_default_if_the_first_trial_is_it(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", 1.0, **lr(0.1)),
        make_trial(1, "sgd", 0.6, **lr(0.3)),
        make_trial(2, "sgd", 0.7, confirms=1, replicate=1, **lr(0.3)),
    ]
    contest = contest_of(trials)
    (row,) = tunability(contest, tuning(contest))["optimizers"]
    assert row["default"] == 0
    assert row["gain"] == pytest.approx(0.4)
    assert row["gain_confirmed"] == pytest.approx(0.3)
    # expected best of 1 and of 2: 0.8 and 0.7
    assert row["area"] == pytest.approx(0.75)
    contest = contest_of([make_trial(0, "sgd", 1.0, **lr(0.2))])
    (row,) = tunability(contest, tuning(contest))["optimizers"]
    assert row["default"] is None
    assert row["gain"] is None


def test_a_default_that_diverged_gains_without_bound(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", "NaN", diverged=True, **lr(0.1)),
        make_trial(1, "sgd", 0.6, **lr(0.3)),
    ]
    contest = contest_of(trials)
    assert tunability(contest, tuning(contest))["optimizers"][0]["gain"] == "Infinity"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"lr": 0.1, "flag": True}, True),
        ({"lr": 0.1, "flag": 1}, False),
        ({"lr": 0.1000001, "flag": True}, False),
        ({"lr": 0.1}, True),
        ({}, False),
    ],
)
def test_the_default_setting_has_every_default(params, expected):
    parameters = {"lr": {"default": 0.1}, "flag": {"default": True}, "free": {}}
    assert is_default({"params": params}, parameters) is expected


@pytest.mark.parametrize(
    ("optimizer", "changes", "steps", "lags"),
    [
        ("gd", {}, [7, 14], True),
        ("lbfgs", {}, [7, 14], True),
        ("lbfgs", {"lbfgs.batch_size": 32}, [7, 14], False),
        ("lbfgs", {"lbfgs.batch_size": 65536}, [1, 2], True),
        ("sgd", {}, [7, 14], False),
    ],
)
def test_one_step_an_epoch_has_no_gap(
    contest_of, make_trial, make_rows, optimizer, changes, steps, lags
):
    made = {"params": {"optimizer": optimizer, **changes}}
    trials = [
        make_trial(0, optimizer, 0.1, **made),
        make_trial(1, optimizer, 0.1, confirms=0, replicate=1, **made),
    ]
    rows = [
        *make_rows(1, "val_loss", [0.9, 0.1]),
        *make_rows(1, "train_loss", [2.0, 1.1]),
        *make_rows(1, "steps", steps),
    ]
    (row,) = generalisation(contest_of(trials, rows, optimizers=(optimizer,)))["optimizers"]
    assert row["lags"] is lags
    assert row["loss"]["train"]["median"] == 1.1
    assert (row["loss"]["gap"] is None) is lags


def test_in_a_loop_of_ones_own_the_gap_is_shown(contest_of, make_trial, make_rows):
    made = {"params": {"optimizer": "lbfgs"}}
    trials = [
        make_trial(0, "lbfgs", 0.1, **made),
        make_trial(1, "lbfgs", 0.1, confirms=0, replicate=1, **made),
    ]
    rows = [*make_rows(1, "val_loss", [0.9, 0.1]), *make_rows(1, "train_loss", [2.0, 1.1])]
    contest = contest_of(trials, rows, trial={"command": ["train.sh"]})
    (row,) = generalisation(contest)["optimizers"]
    assert row["loss"]["gap"]["median"] == pytest.approx(-1.0)
