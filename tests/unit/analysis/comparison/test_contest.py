"""Which trials count for what."""

import math

import pytest

from tuner.analysis.comparison.contest import confirmed_by, median, replicate_of, searched
from tuner.analysis.evidence import Evidence
from tuner.analysis.report import build_report


def test_the_median_with_infinite_values():
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([1.0, 2.0]) == 1.5
    assert median([1.0, 2.0, math.inf]) == 2.0
    assert median([1.0, math.inf]) == math.inf
    assert median([]) == math.inf


@pytest.mark.parametrize(
    "attrs", [None, {}, {"confirms": "3"}, {"confirms": True}, {"replicate": 1}]
)
def test_what_users_write_into_attributes_makes_no_confirmation_run(make_trial, attrs):
    trial = make_trial(0, "sgd", 1.0, user_attrs=attrs)
    assert confirmed_by(trial) is None
    assert replicate_of(trial) == 0


def test_the_confirmed_trial_stands_for_its_optimizer_though_another_is_better(
    contest_of, make_trial
):
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.4),
        make_trial(2, "sgd", 0.6, confirms=0, replicate=1),
        make_trial(3, "sgd", 0.7, confirms=0, replicate=2),
    ]
    (entrant,) = contest_of(trials).entrants
    assert entrant.setting["number"] == 0
    assert [run["number"] for run in entrant.runs] == [2, 3]
    assert [trial["number"] for trial in entrant.searched] == [0, 1]


def test_of_several_confirmed_settings_the_one_with_most_runs_then_the_best_stands(
    contest_of, make_trial
):
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.4),
        make_trial(2, "sgd", 0.1, confirms=0, replicate=1),
        make_trial(3, "sgd", 0.9, confirms=1, replicate=1),
    ]
    # not by the confirmed values: that would choose by luck again
    assert contest_of(trials).entrants[0].setting["number"] == 1


def test_runs_that_their_worker_or_user_ended_do_not_count(contest_of, make_trial):
    ends = ["error", "oom", "timeout", "lost", "cancelled", "killed"]
    trials = [make_trial(0, "sgd", 0.5)]
    trials += [
        make_trial(i, "sgd", state="fail", reason=reason, confirms=0, replicate=i)
        for i, reason in enumerate(ends, 1)
    ]
    trials.append(make_trial(9, "sgd", state="running", confirms=0, replicate=9))
    contest = contest_of(trials)
    (entrant,) = contest.entrants
    assert contest.confirmed(entrant) == {1: math.inf, 2: math.inf, 3: math.inf}
    assert entrant.open == 1


def test_a_run_that_was_repeated_counts_once(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", state="fail", reason="error", confirms=0, replicate=1),
        make_trial(2, "sgd", 0.6, confirms=0, replicate=1),
    ]
    contest = contest_of(trials)
    assert contest.confirmed(contest.entrants[0]) == {1: 0.6}


def test_an_infeasible_trial_costs_as_much_as_a_failed_one(contest_of, make_trial):
    constraints = [{"metric": "size", "at_most": 1.0}]
    trials = [make_trial(0, "sgd", values={"val_loss": 0.1, "size": 2.0})]
    contest = contest_of(trials, constraints=constraints)
    assert contest.cost(trials[0]) == math.inf
    assert contest.entrants[0].setting is None


def test_confirmed_optimizers_come_before_unconfirmed_ones(contest_of, make_trial):
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "adamw", 0.1),
        make_trial(2, "sgd", 0.6, confirms=0, replicate=1),
    ]
    assert contest_of(trials).names == ["sgd", "adamw"]


def test_maximizing_puts_the_largest_first(contest_of, make_trial):
    objectives = [{"metric": "acc", "direction": "maximize"}]
    trials = [
        make_trial(0, "sgd", values={"acc": 0.9}),
        make_trial(1, "adamw", values={"acc": 0.95}),
    ]
    contest = contest_of(trials, objectives=objectives)
    assert contest.names == ["adamw", "sgd"]
    assert contest.value(contest.cost(trials[0])) == 0.9


def test_the_search_of_a_study_is_without_its_confirmation_runs(make_study, make_trial):
    trials = [make_trial(0, "sgd", 0.5), make_trial(1, "sgd", 0.1, confirms=0, replicate=1)]
    evidence = Evidence.read(make_study(), trials)
    assert [t["number"] for t in searched(evidence).trials] == [0]
    report = build_report(make_study(), trials)
    assert report["best"]["number"] == 0
    assert report["counts"]["total"] == 2
    assert report["optimizers"][0]["trials"] == 1
    assert len(report["history"]["points"]) == 1
