from typing import Any

import pytest

from tuner.cli.output import Output
from tuner.cli.result import (
    best_by_optimizer,
    confirmed,
    describe_confirmed,
    describe_end,
    explain_failure,
    training_seconds,
    values_at,
)

STUDY = {
    "name": "s",
    "objectives": [{"metric": "acc", "direction": "maximize", "from": "last"}],
    "constraints": [],
}


class Reported:
    """Answers `measurements` with the rows given by trial number."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.rest = self
        self.rows = rows

    def measurements(self, name: str, number: int, **page: Any) -> dict[str, Any]:
        return {"items": self.rows.get(f"t{number}", []), "next_cursor": None}


def make_trial(number: int, optimizer: str, acc: Any, **changes: Any) -> dict[str, Any]:
    return {
        "study": "s",
        "number": number,
        "state": "complete",
        "diverged": False,
        "reason": None,
        "params": {"optimizer": optimizer},
        "values": {"acc": acc},
        **changes,
    }


def test_each_optimizer_has_its_best_complete_finite_trial_best_first():
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.7),
        make_trial(2, "adam", 0.6),
        make_trial(3, "adam", 0.9),
        make_trial(4, "adam", 0.99, state="pruned"),
        make_trial(5, "adam", "Infinity", diverged=True),
        make_trial(6, "sgd", 0.7),
        make_trial(7, "lamb", "NaN", diverged=True),
    ]
    assert [t["number"] for t in best_by_optimizer(Reported(), STUDY, trials)] == [3, 1]


def test_a_stopped_trial_stands_for_an_optimizer_that_has_no_complete_one():
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "adam", 0.6, state="pruned"),
        make_trial(2, "adam", 0.7, state="pruned"),
    ]
    assert [t["number"] for t in best_by_optimizer(Reported(), STUDY, trials)] == [0, 2]


@pytest.mark.parametrize(
    ("state", "last", "note"),
    [
        ("complete", 0.5, None),
        ("complete", "NaN", "diverged later"),
        ("pruned", 0.5, "stopped early"),
    ],
)
def test_the_note_says_what_the_value_does_not(state, last, note):
    rows = [{"step": 1, "values": {"acc": 0.4}}, {"step": 2, "values": {"acc": last}}]
    assert describe_end(make_trial(0, "sgd", 0.4, state=state), rows, "acc") == note


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [(1, 3.5), (2, 0.5), (3, 60.0)],  # nothing is known of a third but its start and its end
)
def test_seconds_are_those_of_training_that_the_last_attempt_reported(attempt, seconds):
    rows = [
        {"attempt": 1, "step": 1, "values": {"seconds": 2.0}},
        {"attempt": 1, "step": 2, "values": {"seconds": 3.5}},
        {"attempt": 1, "step": 3, "values": {"seconds": "NaN", "acc": 0.5}},
        {"attempt": 2, "step": 1, "values": {"seconds": 0.5}},
        {"attempt": 3, "step": 1, "values": {"acc": 0.5}},
    ]
    times = {"started_at": "2026-11-20T10:00:00Z", "finished_at": "2026-11-20T10:01:00Z"}
    trial = make_trial(0, "sgd", 0.5, attempt=attempt, **times)
    assert training_seconds(trial, rows) == seconds


def test_infeasible_trials_do_not_win():
    study = {**STUDY, "constraints": [{"metric": "size", "at_most": 1.0}]}
    rows = {f"t{i}": [{"attempt": 1, "step": 1, "values": {"size": size}}] for i, size in
            enumerate([2.0, 0.5])}  # fmt: skip
    trials = [make_trial(0, "sgd", 0.9), make_trial(1, "sgd", 0.5), make_trial(2, "sgd", 0.95)]
    assert [t["number"] for t in best_by_optimizer(Reported(**rows), study, trials)] == [1]


@pytest.mark.parametrize(("how", "expected"), [("last", 0.3), ("best", 0.2)])
def test_other_metrics_are_those_of_the_step_that_counts(how, expected):
    rows = [
        {"attempt": 1, "step": step, "values": {"acc": acc, "other": other}}
        for step, acc, other in ((1, 0.5, 0.1), (2, 0.9, 0.2), (3, 0.7, 0.3))
    ]
    value = 0.9 if how == "best" else 0.7
    assert values_at(rows, {"metric": "acc", "from": how}, value)["other"] == expected


def test_a_failure_names_the_most_frequent_reasons_first(capsys):
    failed = {"state": "fail", "message": "no\nmemory"}
    trials = [
        make_trial(0, "sgd", 0, **{**failed, "reason": "error", "message": None}),
        *(make_trial(i, "sgd", 0, **failed, reason="oom") for i in (1, 2)),
    ]
    explain_failure(Output(), "s", trials)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Study s finished without a result."
    assert lines[1] == "  oom: 2 trials, e.g. trial 1: no memory"
    assert lines[2] == "  error: 1 trial, e.g. trial 0: no message"
    assert "tuner trial log s 0" in lines[3]


def test_replicates_are_no_winners_but_what_confirms_them():
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.9, user_attrs={"confirms": 0, "replicate": 1}),
        make_trial(2, "sgd", 0.4, user_attrs={"confirms": 0, "replicate": 2}),
        make_trial(3, "sgd", "NaN", user_attrs={"confirms": 0, "replicate": 3}),
        make_trial(4, "sgd", 0.1, state="fail", user_attrs={"confirms": 0, "replicate": 4}),
    ]
    assert [t["number"] for t in best_by_optimizer(Reported(), STUDY, trials)] == [0]
    values = confirmed(STUDY, trials)[0]
    assert values[:2] == [0.9, 0.4]
    # one that diverged is the worst
    assert describe_confirmed(values, "maximize") == "0.4 (3 seeds)"
    assert describe_confirmed([0.2], "minimize") == "0.2 (1 seed)"
    assert describe_confirmed([0.2, 0.4], "minimize") == "0.3 (2 seeds)"
    assert describe_confirmed([], "minimize") is None
