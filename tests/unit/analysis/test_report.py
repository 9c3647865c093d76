"""The report's numbers, checked against ones worked out by hand."""

import json
import math

import pytest

from tuner.analysis import wording
from tuner.analysis.report import build_report, render
from tuner.analysis.series import MAX_CURVE_POINTS, MAX_CURVES, MAX_HISTORY
from tuner.errors import UnknownName


@pytest.fixture
def known(make_study, make_trial, make_curve):
    """Six trials, two optimizers, every way to end."""
    trials = [
        make_trial(0, 0.5, params={"optimizer": "sgd", "sgd.lr": 0.1}),
        make_trial(1, 0.3, params={"optimizer": "adam", "adam.lr": 0.1}),
        make_trial(2, "NaN", diverged=True, params={"optimizer": "sgd", "sgd.lr": 1.0}),
        make_trial(3, state="pruned", params={"optimizer": "adam", "adam.lr": 1e-5}),
        make_trial(4, state="fail", reason="oom", params={"optimizer": "sgd", "sgd.lr": 0.2}),
        make_trial(5, 0.4, params={"optimizer": "sgd", "sgd.lr": 0.2}),
    ]
    rows = [
        *make_curve(0, [0.9, 0.5]),
        *make_curve(1, [0.8, 0.2, 0.3]),
        *make_curve(1, [0.5, 0.6, 0.7], "val_accuracy"),
        *make_curve(2, [0.9, "NaN"]),
        *make_curve(3, [0.7]),
        # attempt 1 was lost after two steps; attempt 2 repeats step 2
        *make_curve(5, [0.9, 0.8], attempt=1),
        *make_curve(5, [0.6, 0.4], attempt=2, first=2),
    ]
    return build_report(make_study(), trials, rows)


def test_the_best_trial_is_shown_with_parameters_metrics_and_effort(known):
    best = known["best"]
    assert best["number"] == 1
    assert best["value"] == 0.3
    assert best["params"] == {"optimizer": "adam", "adam.lr": 0.1}
    assert best["metrics"] == {"val_accuracy": 0.7, "val_loss": 0.3}
    assert best["epochs"] == 3
    assert best["seconds"] == 5.0


def test_counts_tell_diverged_from_failed(known):
    assert known["counts"] == {
        "complete": 4,
        "pruned": 1,
        "fail": 1,
        "running": 0,
        "waiting": 0,
        "diverged": 1,
        "total": 6,
    }


def test_training_and_searching_time_stand_apart(known):
    assert known["timing"] == {
        "wall_seconds": 10.0,  # trial 5 ends at 5 + 5
        "training_seconds": 30.0,  # six trials of 5 s
        "search_seconds": 12.5,
        "busy_seconds": 300.0,
    }


def test_training_time_is_what_the_last_attempt_reported_else_from_start_to_end(
    make_study, make_trial, make_curve
):
    trials = [
        make_trial(0, 0.5, attempt=2, params={"optimizer": "sgd"}),
        make_trial(1, 0.6, params={"optimizer": "sgd"}),  # reports none: 5 s
        make_trial(2, 0.3, attempt=2, params={"optimizer": "adam"}),
        make_trial(3, 0.4, params={"optimizer": "adam"}),
    ]
    rows = [
        *make_curve(0, [10.0, 20.0, 30.0], "seconds", attempt=1),
        *make_curve(0, [1.0, 2.0], "seconds", attempt=2),
        # the second attempt was lost before it reported any
        *make_curve(2, [10.0, 20.0], "seconds", attempt=1),
        *make_curve(3, [0.5, 1.5, "NaN"], "seconds"),
    ]
    report = build_report(make_study(), trials, rows)
    seconds = {row["optimizer"]: row["seconds"] for row in report["optimizers"]}
    assert seconds == {"sgd": 7.0, "adam": 6.5}
    assert report["best"]["seconds"] == 5.0
    assert report["timing"]["training_seconds"] == 13.5
    for format_ in ("md", "html"):
        assert "else from its start to its end" in render(report, format_)


def test_one_row_an_optimizer_best_first(known):
    adam, sgd = known["optimizers"]
    assert adam["optimizer"] == "adam"
    assert (adam["trials"], adam["complete"], adam["pruned"]) == (2, 1, 1)
    assert adam["best"]["value"] == 0.3
    assert adam["accuracy"] == 0.7
    assert adam["epochs"] == 4  # 3 of trial 1 and 1 of the pruned one
    assert (sgd["trials"], sgd["complete"], sgd["fail"], sgd["diverged"]) == (4, 3, 1, 1)
    assert sgd["best"]["number"] == 5
    # of 0.5 and 0.4; the diverged one has no value
    assert sgd["quartiles"] == pytest.approx([0.4, 0.425, 0.45, 0.475, 0.5])
    assert adam["quartiles"] == [0.3] * 5
    assert sgd["accuracy"] is None
    assert sgd["seconds"] == 20.0


def test_history_keeps_the_best_so_far(known):
    points = known["history"]["points"]
    assert [p["value"] for p in points] == [0.5, 0.3, "NaN", 0.7, None, 0.4]
    assert [p["best"] for p in points] == [0.5, 0.3, 0.3, 0.3, 0.3, 0.3]


def test_a_curve_takes_the_newest_attempt_where_a_step_repeats(known):
    curve = next(c for c in known["curves"]["curves"] if c["number"] == 5)
    assert curve["steps"] == [1, 2, 3]
    assert curve["values"] == [0.9, 0.6, 0.4]
    assert curve["rank"] == 2


def test_failures_are_grouped_by_reason(known):
    assert known["failures"] == [
        {"kind": "diverged", "reason": "objective not finite", "count": 1, "numbers": [2]},
        {"kind": "fail", "reason": "oom", "count": 1, "numbers": [4]},
    ]


def test_a_best_value_at_the_edge_of_its_range_is_noted(known):
    assert known["best"]["edges"] == [
        {"name": "adam.lr", "value": 0.1, "bound": "high", "limit": 0.1}
    ]
    titles = [item["title"] for item in known["advice"]]
    assert any("adam.lr at its high bound 0.1" in title for title in titles)


def test_notes_claim_no_significance_for_one_seed(known):
    assert known["notes"][0].startswith("Seeds per configuration: 1.")
    assert "no claim of significance" in known["notes"][0]


def test_unequal_effort_is_noted(known):
    assert any("between 2 and 4 trials" in note for note in known["notes"])


def test_repeated_configurations_count_as_seeds(make_study, make_trial):
    trials = [make_trial(i, 0.1 * i, params={"x": i // 3}) for i in range(6)]
    report = build_report(make_study(), trials)
    assert report["reproducibility"]["runs"] == {
        "configurations": 2,
        "most_runs": 3,
        "repeated": 2,
    }
    assert report["notes"][0].startswith("Seeds per configuration: 1 to 3")


def test_a_special_case_ahead_of_its_general_form_is_doubted(make_study, make_trial):
    trials = [
        make_trial(0, 0.1, params={"optimizer": "sgd"}),
        make_trial(1, 0.2, params={"optimizer": "momentum"}),
    ]
    report = build_report(make_study(), trials)
    assert any("momentum is under-tuned" in note for note in report["notes"])
    swapped = [
        trials[0] | {"params": {"optimizer": "momentum"}},
        trials[1] | {"params": {"optimizer": "sgd"}},
    ]
    assert not any("under-tuned" in note for note in build_report(make_study(), swapped)["notes"])


def test_maximizing_turns_best_and_history(make_study, make_trial):
    trials = [make_trial(i, v, metric="acc") for i, v in enumerate([0.1, 0.9, "Infinity", 0.5])]
    trials[2]["diverged"] = True
    study = make_study(objectives=[{"metric": "acc", "direction": "maximize"}])
    report = build_report(study, trials)
    assert report["best"]["number"] == 1
    assert [p["best"] for p in report["history"]["points"]] == [0.1, 0.9, 0.9, 0.9]


def test_an_infeasible_trial_is_never_best(make_study, make_trial):
    study = make_study(constraints=[{"metric": "size", "at_most": 2.0}])
    trials = [
        make_trial(0, values={"val_loss": 0.1, "size": 3.0}),
        make_trial(1, values={"val_loss": 0.2, "size": 2.0}),
        make_trial(2, values={"val_loss": 0.05}),  # the constraint was never reported
    ]
    assert build_report(study, trials)["best"]["number"] == 1


def test_a_constraint_that_was_only_reported_takes_its_last_value(
    make_study, make_trial, make_curve
):
    study = make_study(constraints=[{"metric": "size", "at_most": 2.0}])
    rows = make_curve(0, [3.0, 1.0], "size")
    assert build_report(study, [make_trial(0, 0.1)], rows)["best"]["number"] == 0


def test_several_objectives_have_a_front_and_no_best(make_study, make_trial):
    points = [(1.0, 5.0), (2.0, 2.0), (5.0, 1.0), (3.0, 3.0), (2.0, 2.0)]
    trials = [make_trial(i, values={"a": a, "b": b}) for i, (a, b) in enumerate(points)]
    study = make_study(objectives=[{"metric": m, "direction": "minimize"} for m in "ab"])
    report = build_report(study, trials)
    assert report["best"] is None
    assert [p["number"] for p in report["pareto"]["front"]] == [0, 1, 4, 2]
    assert [p["number"] for p in report["pareto"]["others"]] == [3]
    assert "Pareto front" in render(report, "md")


@pytest.mark.parametrize("format", ["json", "md", "html"])
@pytest.mark.parametrize("state", [None, "fail", "waiting", "running", "pruned"])
def test_a_study_without_a_result_still_has_a_report(make_study, make_trial, state, format):
    trials = [make_trial(i, state=state, params={"optimizer": "adam"}) for i in range(3)]
    report = build_report(make_study(state="active"), trials if state else [])
    assert report["best"] is None
    text = render(report, format)
    if format != "json":
        assert "There is no result yet" in text


def test_only_diverged_trials_give_no_best_but_a_chart(make_study, make_trial):
    trials = [make_trial(i, "Infinity", diverged=True) for i in range(12)]
    report = build_report(make_study(), trials)
    assert report["best"] is None
    assert report["failures"][0]["count"] == 12
    assert 'data-figure="history"' in render(report, "html")


def test_json_is_strict_and_complete(small_report):
    def refuse(text):
        raise AssertionError(text)

    assert json.loads(render(small_report, "json"), parse_constant=refuse) == small_report


def test_markdown_shows_the_tables(small_report):
    text = render(small_report, "md")
    for title in ("Best trial", "Best per optimizer", "Parameter importance", "Reproducibility"):
        assert f"## {title}" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            widths = {line.replace("\\|", "").count("|") for line in block.splitlines()}
            assert len(widths) == 1, block


def test_in_the_synthetic_study_learning_rates_matter(small_report):
    rows = small_report["importance"]["parameters"]
    lr = sum(row["importance"] for row in rows if row["name"].endswith(".lr"))
    assert lr > 0.8


def test_a_long_study_gives_a_bounded_report(simulated):
    report = build_report(*simulated(4000, 5))
    assert len(report["history"]["points"]) <= MAX_HISTORY
    assert report["history"]["total"] == 4000
    best = report["best"]["value"]
    assert report["history"]["points"][-1]["best"] == best
    # no improvement is lost by thinning
    seen = [p["best"] for p in report["history"]["points"] if p["best"] is not None]
    assert seen == sorted(seen, reverse=True)
    assert any(p["value"] == best for p in report["history"]["points"])
    curves = report["curves"]["curves"]
    assert len(curves) <= MAX_CURVES
    assert sum(len(c["steps"]) for c in curves) <= MAX_CURVE_POINTS
    assert [c["rank"] for c in curves[:10]] == list(range(1, 11))


def test_a_long_curve_is_thinned_and_keeps_its_ends(make_study, make_trial, make_curve):
    trials = [make_trial(i, 0.1) for i in range(5)]
    rows = [r for i in range(5) for r in make_curve(i, [1 / (s + 1) for s in range(6000)])]
    curves = build_report(make_study(), trials, rows)["curves"]["curves"]
    assert all(len(c["steps"]) == MAX_CURVE_POINTS // 5 for c in curves)
    assert all((c["steps"][0], c["steps"][-1]) == (1, 6000) for c in curves)


def test_best_of_a_trial_is_explained_in_the_notes(make_study, make_trial, make_curve):
    objective = {"metric": "val_loss", "direction": "minimize", "from": "best"}
    study = make_study(objectives=[objective])
    trial = make_trial(0, state="pruned")
    report = build_report(study, [trial, make_trial(1, 0.3)], make_curve(0, [0.9, 0.2, 0.4]))
    assert report["history"]["points"][0]["value"] == 0.2
    assert any("best over its steps" in note for note in report["notes"])


def test_values_of_any_size_can_be_drawn(make_study, make_trial):
    values = [1e-300, 1e300, 0.0, -5.0, 1e8, 3.0]
    trials = [make_trial(i, v, params={"optimizer": "sgd"}) for i, v in enumerate(values)]
    page = render(build_report(make_study(), trials), "html")
    assert math.isfinite(len(page))
    assert (
        "NaN"
        not in page[
            page.index('id="figures"') : page.index("</script>", page.index('id="figures"'))
        ]
    )


def test_an_unknown_format_lists_the_known_ones(known):
    with pytest.raises(UnknownName, match="json, md, html"):
        render(known, "pdf")


def test_the_table_of_best_trials_has_room_for_results_not_for_diagnostics():
    metrics = {"val_loss": 0.5, "grad_norm": 1.0, "update_ratio.0.weight": 0.1, "mine": 3}
    row = {"optimizer": "sgd", "best": {"metrics": metrics}}
    head, body = wording.best_metrics_table({"optimizers": [row]})
    assert head == ["optimizer", "mine", "val_loss"]
    assert body == [["sgd", "3", "0.5"]]
