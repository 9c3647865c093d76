"""Performance profiles and ranks over studies, by hand."""

import json
import math

import pytest

from tuner.analysis.axes import styles
from tuner.analysis.comparison.profile import compare_studies, profile
from tuner.analysis.comparison.several import profile_figure, render
from tuner.errors import Invalid, UnknownName


def test_a_profile_by_hand():
    found = profile({"a": [1.0, 4.0, math.inf, 2.0], "b": [2.0, 2.0, 3.0, math.inf]})
    assert found["a"]["ratios"] == [1.0, 1.0, 2.0]
    assert found["b"]["ratios"] == [1.0, 1.0, 2.0]
    assert found["a"]["solved"] == 0.75
    # the mean of ρ over 1 ≤ τ ≤ 4: 2/4 from 1 to 2, 3/4 from 2 to 4
    assert found["a"]["score"] == pytest.approx((0.5 * 1 + 0.75 * 2) / 3)


def test_a_task_that_nobody_solves_counts_for_nobody():
    found = profile({"a": [1.0, math.inf], "b": [9.0, math.inf]})
    assert found["a"] == {"ratios": [1.0], "solved": 0.5, "score": 0.5}
    assert found["b"] == {"ratios": [9.0], "solved": 0.5, "score": 0.0}


def test_a_time_of_zero_is_the_fastest():
    found = profile({"a": [0.0], "b": [1.0]})
    assert found["a"]["ratios"] == [1.0]
    assert found["b"]["ratios"] == [math.inf]


@pytest.fixture
def task(make_study, make_trial, make_rows):
    """A study whose optimizers have these confirmed values and epochs to 0.5."""

    def build(name, values, **changes):
        trials, rows = [], []
        for i, (optimizer, runs) in enumerate(values.items()):
            trials.append(make_trial(10 * i, optimizer, 1.0))
            for r, (value, epochs) in enumerate(runs, 1):
                number = 10 * i + r
                trials.append(make_trial(number, optimizer, value, confirms=10 * i, replicate=r))
                rows += make_rows(number, "val_loss", [0.9] * (epochs - 1) + [value])
        study = make_study(tuple(values), name=name, compare={"target": 0.5}, **changes)
        return study, trials, rows

    return build


def test_ranks_winners_and_times_over_two_tasks(task):
    found = compare_studies(
        [
            task("one", {"adamw": [(0.1, 2), (0.3, 4)], "sgd": [(0.4, 2), (0.4, 2)]}),
            task("two", {"adamw": [(0.4, 3)], "sgd": [(0.4, 9)], "lion": [(0.1, 1)]}),
        ]
    )
    assert found["optimizers"] == ["adamw", "sgd"]
    assert found["left_out"] == ["lion"]
    one, two = found["tasks"]
    assert one["optimizers"]["adamw"] == {
        "value": 0.2,
        "best": 0.1,
        "worst": 0.3,
        "seeds": 2,
        "rank": 1,
    }
    assert one["winners"] == ["adamw"]
    assert two["winners"] == ["adamw", "sgd"]
    assert [(r["optimizer"], r["mean_rank"], r["wins"]) for r in found["ranks"]] == [
        ("adamw", 1.25, 2),
        ("sgd", 1.75, 1),
    ]
    (epochs,) = found["profiles"]
    assert epochs["times"] == {"adamw": [3.0, 3.0], "sgd": [2.0, 9.0]}
    assert epochs["optimizers"]["adamw"]["ratios"] == [1.0, 1.5]
    assert epochs["optimizers"]["sgd"]["ratios"] == [1.0, 3.0]
    assert found["few"]


def test_the_figure_steps_where_ratios_are(task):
    studies = [
        task("one", {"adamw": [(0.2, 3)], "sgd": [(0.4, 2)]}),
        task("two", {"adamw": [(0.4, 3)], "sgd": [(0.9, 9)]}),
    ]
    data = compare_studies(studies)
    figure = profile_figure(data, data["profiles"][0], styles(["adamw", "sgd"]))
    adamw, sgd = figure["data"]
    assert adamw["x"] == pytest.approx([1, 1.5, 1.65])
    assert adamw["y"] == [0.5, 1.0, 1.0]
    assert sgd["x"] == pytest.approx([1, 1.65])
    assert sgd["y"] == [0.5, 0.5]


def test_metrics_of_opposite_directions_are_ranked_each_its_way(task, make_study, make_trial):
    objectives = [{"metric": "acc", "direction": "maximize"}]
    trials = [
        make_trial(0, "adamw", values={"acc": 0.8}),
        make_trial(1, "sgd", values={"acc": 0.9}),
    ]
    found = compare_studies(
        [
            task("one", {"adamw": [(0.1, 1)], "sgd": [(0.2, 1)]}),
            (make_study(name="two", objectives=objectives), trials, []),
        ]
    )
    assert [task["winners"] for task in found["tasks"]] == [["adamw"], ["sgd"]]
    assert found["tasks"][1]["optimizers"]["sgd"]["seeds"] == 0
    assert found["profiles"] == []
    assert "0.9* (rank 1)" in render(found, "md").replace("\\", "")


def test_studies_with_nothing_in_common_are_refused(task, make_study, make_trial):
    with pytest.raises(Invalid, match="no optimizer in common"):
        compare_studies([task("one", {"sgd": [(0.1, 1)]}), task("two", {"lion": [(0.1, 1)]})])
    with pytest.raises(Invalid, match="'empty' has no result"):
        compare_studies([task("one", {"sgd": [(0.1, 1)]}), (make_study(name="empty"), [], [])])
    without = [make_trial(0, "sgd", 0.5, params={"x": 1})]
    with pytest.raises(Invalid, match="has no result of any optimizer"):
        compare_studies([(make_study(), without, [])])


@pytest.mark.parametrize("format", ["json", "md", "html"])
def test_every_form_names_tasks_optimizers_and_doubts(simulated, format):
    studies = []
    for seed in range(2):
        study, trials, rows = simulated(seed=seed, trials=4, seeds=3)
        studies.append(({**study, "name": f"task-{seed}"}, trials, rows))
    data = compare_studies(studies)
    json.dumps(data, allow_nan=False)
    text = render(data, format)
    for word in ("task-0", "task-1", "adamw", "nesterov", "sgd"):
        assert word in text
    if format != "json":
        assert "cannot establish a general order" in text


def test_an_unknown_format_is_refused(task):
    with pytest.raises(UnknownName):
        render(compare_studies([task("one", {"sgd": [(0.1, 1)]})]), "pdf")
