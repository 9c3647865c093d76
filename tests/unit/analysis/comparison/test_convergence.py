"""Time to target at the resolution of reports, with runs that never get there."""

import pytest

from tuner.analysis.comparison.convergence import convergence, count_at, target_of
from tuner.analysis.comparison.tables import convergence as table_of


@pytest.fixture
def runs(contest_of, make_trial, make_rows):
    """Three confirmation runs of sgd with these curves, ten steps and two seconds an epoch."""

    def build(*curves, **changes):
        trials = [make_trial(0, "sgd", 0.5)]
        rows = []
        for i, curve in enumerate(curves, 1):
            finite = [v for v in curve if v != "NaN"]
            trials.append(make_trial(i, "sgd", min(finite), confirms=0, replicate=i))
            rows += make_rows(i, "val_loss", curve)
            rows += make_rows(i, "steps", [10 * (k + 1) for k in range(len(curve))])
            rows += make_rows(i, "seconds", [2.0 * (k + 1) for k in range(len(curve))])
        return contest_of(trials, rows, **changes)

    return build


def test_a_run_reaches_the_target_at_its_first_report_as_good(runs):
    contest = runs([0.9, 0.5, 0.6], [0.5, 0.4, 0.3], [0.9, 0.8, 0.5], compare={"target": 0.5})
    (row,) = convergence(contest)["optimizers"]
    assert row["reached"] == 3
    assert row["to_target"]["epochs"]["runs"] == [2.0, 1.0, 3.0]
    assert row["to_target"]["steps"]["median"] == 20
    assert row["to_target"]["seconds"] == {
        "median": 4.0,
        "low": 2.0,
        "high": 6.0,
        "runs": [4.0, 2.0, 6.0],
    }
    assert "evaluations" not in row["to_target"]


def test_runs_that_never_reach_it_are_later_than_all(runs):
    contest = runs([0.9, 0.5], [0.9, 0.8], [0.9, 0.7], compare={"target": 0.5})
    found = convergence(contest)
    (row,) = found["optimizers"]
    assert row["reached"] == 1
    assert row["to_target"]["epochs"] == {
        "median": "Infinity",
        "low": 2.0,
        "high": "Infinity",
        "runs": [2.0, "Infinity", "Infinity"],
    }
    _, body = table_of({"convergence": found})
    assert body[0][1:3] == ["1 of 3", "> all (2 to > all)"]


def test_a_minority_that_never_reaches_it_leaves_the_median_finite(runs):
    contest = runs([0.9, 0.5], [0.5, 0.5], [0.9, "NaN"], compare={"target": 0.5})
    assert convergence(contest)["optimizers"][0]["to_target"]["epochs"]["median"] == 2.0


def test_without_a_given_target_it_is_the_median_of_confirmed_medians(contest_of, make_trial):
    trials = []
    for i, (name, value) in enumerate([("sgd", 0.9), ("adamw", 0.1), ("rmsprop", 0.4)]):
        trials += [
            make_trial(2 * i, name, 0.05),
            make_trial(2 * i + 1, name, value, confirms=2 * i, replicate=1),
        ]
    assert target_of(contest_of(trials)) == (0.4, "median")
    assert target_of(contest_of(trials, compare={"target": 0.2})) == (0.2, "given")
    assert target_of(contest_of([])) == (None, "none")


def test_a_target_of_a_metric_to_maximize(contest_of, make_trial, make_rows):
    objectives = [{"metric": "acc", "direction": "maximize"}]
    trials = [
        make_trial(0, "sgd", values={"acc": 0.9}),
        make_trial(1, "sgd", values={"acc": 0.9}, confirms=0, replicate=1),
    ]
    rows = make_rows(1, "acc", [0.5, 0.8, 0.9])
    contest = contest_of(trials, rows, objectives=objectives, compare={"target": 0.75})
    found = convergence(contest)
    assert found["target"] == 0.75
    assert found["optimizers"][0]["to_target"]["epochs"]["median"] == 2.0
    assert found["progress"][0]["value"] == [0.5, 0.8, 0.9]


def test_a_count_is_that_of_the_last_report_up_to_the_step():
    curve = [(1, 10.0), (3, 30.0)]
    assert [count_at(curve, step) for step in (0, 1, 2, 3, 9)] == [None, 10.0, 10.0, 30.0, 30.0]


def test_progress_is_the_median_of_the_best_so_far_and_ended_runs_keep_theirs(runs):
    contest = runs([0.9, 0.5, 0.6], [0.7], [0.8, 0.6, 0.1])
    (progress,) = convergence(contest)["progress"]
    assert progress["epochs"] == [1, 2, 3]
    assert progress["value"] == pytest.approx([0.8, 0.6, 0.5])
    assert progress["seconds"] == pytest.approx([2.0, 4.0, 6.0])


def test_runs_that_only_told_their_value_have_no_time_to_target(contest_of, make_trial):
    trials = [make_trial(0, "sgd", 0.5), make_trial(1, "sgd", 0.5, confirms=0, replicate=1)]
    found = convergence(contest_of(trials))
    assert found["measures"] == []
    assert found["progress"] == []
    assert found["optimizers"][0]["to_target"] == {}


def test_a_run_that_failed_before_its_first_report_is_later_than_all(
    contest_of, make_trial, make_rows
):
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.5, confirms=0, replicate=1),
        make_trial(2, "sgd", None, state="fail", confirms=0, replicate=2),
        make_trial(3, "sgd", None, state="fail", confirms=0, replicate=3),
    ]
    rows = make_rows(1, "val_loss", [0.9, 0.5])
    (row,) = convergence(contest_of(trials, rows, compare={"target": 0.5}))["optimizers"]
    assert (row["reached"], row["runs"]) == (1, 3)
    assert row["to_target"]["epochs"]["runs"] == [2.0, "Infinity", "Infinity"]
    assert row["to_target"]["epochs"]["median"] == "Infinity"
