"""Comparisons with little or odd evidence: nothing is claimed that it does not show."""

import json

import pytest

from tuner.analysis.comparison.build import compare
from tuner.analysis.comparison.convergence import convergence
from tuner.analysis.comparison.profile import compare_studies
from tuner.analysis.comparison.sections import verdict
from tuner.analysis.comparison.several import headline, render
from tuner.analysis.comparison.tables import stability as stability_table

MAXIMIZE = [{"metric": "acc", "direction": "maximize"}]


@pytest.fixture
def tuned(make_study, make_trial, make_rows):
    """A study: of each optimizer its value in the search and those of its runs, as curves or told."""

    def build(values, metric="val_loss", name="s", **changes):
        trials, rows = [], []
        for i, (optimizer, (best, *runs)) in enumerate(values.items()):
            told = {"values": {metric: best}} if best is not None else {}
            trials.append(make_trial(20 * i, optimizer, **told))
            for r, run in enumerate(runs, 1):
                number, curve = 20 * i + r, run if isinstance(run, list) else [run]
                lost = curve[-1] == "NaN"
                trials.append(
                    make_trial(
                        number,
                        optimizer,
                        values={metric: curve[-1]},
                        diverged=lost,
                        confirms=20 * i,
                        replicate=r,
                    )
                )
                if isinstance(run, list):
                    rows += make_rows(number, metric, run)
        return make_study(tuple(values), name=name, **changes), trials, rows

    return build


@pytest.fixture
def contest(tuned, contest_of):
    def build(values, metric="val_loss", **changes):
        study, trials, rows = tuned(values, metric, **changes)
        return contest_of(trials, rows, **{k: study[k] for k in ("objectives", "compare")})

    return build


def test_equal_values_without_curves_may_be_chance(contest):
    found = contest({"sgd": (1.0, 1.0, 1.0, 1.0), "adamw": (0.9, [0.9], [0.9], [0.9])})
    assert [found.ignores_seeds(entrant) for entrant in found.entrants] == [False, False]
    assert [len(found.independent(entrant)) for entrant in found.entrants] == [3, 3]


@pytest.mark.parametrize("bad", ["Infinity", "-Infinity", "NaN"])
def test_a_value_that_is_not_finite_reaches_no_target(contest, bad):
    """A metric to maximize may diverge upwards."""
    found = convergence(
        contest(
            {"sgd": (0.9, [0.2, bad, 0.6], [0.3, bad, bad, 0.9])},
            "acc",
            objectives=MAXIMIZE,
            compare={"target": 0.5},
        )
    )
    assert found["optimizers"][0]["to_target"]["epochs"]["runs"] == [3.0, 4.0]
    assert found["progress"][0]["value"] == pytest.approx([0.25, 0.25, 0.45, 0.75])


def test_what_was_not_counted_by_the_target_gives_no_time(contest, make_rows, tuned, contest_of):
    """Seconds that are reported once, at the end, say nothing about the way."""
    _, trials, rows = tuned({"sgd": (0.1, [0.9, 0.4, 0.3], [0.8, 0.4, 0.3])})
    for number in (1, 2):
        rows += make_rows(number, "seconds", [9.0], first=3)
        rows += make_rows(number, "steps", [10.0, 20.0, 30.0])
    found = convergence(contest_of(trials, rows, compare={"target": 0.5}))
    assert found["measures"] == ["epochs", "steps"]
    late = convergence(contest_of(trials, rows, compare={"target": 0.35}))
    assert late["optimizers"][0]["to_target"]["seconds"]["median"] == 9.0


def test_a_lost_seed_of_the_leader_makes_nobody_as_good(contest):
    good = [[9.9, 0.10], [9.9, 0.11], [9.9, 0.12], [9.9, 0.13], [9.9, "NaN"]]
    poor = [[2.0 + i, 2.0 + i] for i in range(5)]
    found = compare(contest({"adamw": (0.1, *good), "sgd": (0.1, *poor)}, compare={"target": 9.0}))
    assert found["significance"]["close"] == ["adamw", "sgd"]
    # sgd is sooner below 9, at values that the leader's runs never had
    assert found["recommendation"]["optimizer"] == "adamw"
    assert found["recommendation"]["cheapest"] == "adamw"


def test_an_optimizer_with_one_seed_is_never_as_good_as_the_leader(contest):
    """Others have the seeds for a test; of one seed it can tell nothing."""
    sure = [[9.0, 0.10 + i / 100] for i in range(5)]
    values = {"adamw": (0.1, *sure), "rmsprop": (0.1, *sure), "sgd": (0.1, [0.125])}
    found = compare(contest(values, compare={"target": 0.5}))
    assert "sgd" in found["significance"]["close"]
    assert found["recommendation"]["optimizer"] == "adamw"


def test_a_repeat_that_was_cut_short_is_no_repeat(contest_of, make_trial):
    """The budget of seconds ends running trials as pruned, wherever they are."""
    trials = [
        make_trial(0, "sgd", 0.5),
        make_trial(1, "sgd", 0.6, confirms=0, replicate=1),
        make_trial(2, "sgd", 2.0, confirms=0, replicate=2, state="pruned", reason="budget"),
    ]
    (entrant,) = contest_of(trials).entrants
    assert [run["number"] for run in entrant.runs] == [1]
    cut = [trials[0], trials[2]]
    assert contest_of(cut).entrants[0].runs == []


def test_what_no_test_can_tell_apart_is_not_called_worse(contest):
    lost = compare(contest({"adamw": (0.1, 0.1, 0.2, 0.3), "sgd": (0.1, "NaN", "NaN", "NaN")}))
    said = verdict(lost)
    assert "Too few seeds to tell any other from it: sgd." in said
    some = {"adamw": (0.1, 0.1, 0.2, 0.3, 0.4, 0.5), "sgd": (0.1, "NaN", "NaN")}
    assert "distinguishably worse" not in verdict(compare(contest(some)))
    clear = {"adamw": (0.1, 0.1, 0.2, 0.3, 0.4, 0.5), "sgd": (0.1, *["NaN"] * 5)}
    assert "Every other optimizer is distinguishably worse." in verdict(compare(contest(clear)))
    part = verdict(compare(contest({**clear, "lion": (0.01,)})))
    assert "Every other confirmed optimizer is distinguishably worse." in part


def test_one_seed_is_one_seed(contest):
    assert "over one seed." in verdict(compare(contest({"sgd": (0.1, 0.2), "adamw": (0.3, 0.4)})))


def test_an_optimizer_without_any_result_is_not_called_unconfirmed(contest):
    notes = " ".join(
        compare(contest({"sgd": (0.1, 0.2), "adamw": (None,), "lion": (0.3,)}))["notes"]
    )
    assert "Not confirmed on fresh seeds: lion." in notes
    assert "Without any result: adamw." in notes


def test_a_neighbourhood_that_is_better_than_the_setting_has_one_sign():
    row = {"optimizer": "sgd", "trials": 2, "diverged": 0, "failed": 0, "close": 0.5, "seeds": 1}
    near = {"lr": 0.1, "trials": 1, "worse": -0.25, "lost": 0}
    data = {"stability": [{**row, "std": None, "range": None, "near": near}]}
    assert stability_table(data)[1][0][-2] == "-0.25"
    near["worse"] = 0.25
    assert stability_table(data)[1][0][-2] == "+0.25"


# --- several studies


def test_an_unconfirmed_value_is_not_ranked_before_a_confirmed_one(tuned):
    data = compare_studies(
        [tuned({"sgd": (0.2, 0.3), "adamw": (0.01,), "rmsprop": (0.2, 0.4), "lion": (0.02,)})]
    )
    cells = data["tasks"][0]["optimizers"]
    assert {name: cell["rank"] for name, cell in cells.items()} == {
        "sgd": 1,
        "rmsprop": 2,
        "adamw": 3,
        "lion": 4,
    }
    assert data["tasks"][0]["winners"] == ["sgd"]


def test_a_confirmed_value_that_is_lost_makes_no_winner_of_an_unconfirmed_one(tuned):
    data = compare_studies([tuned({"sgd": (0.2, "NaN"), "adamw": (0.01,)})])
    assert data["tasks"][0]["winners"] == []


def test_a_target_that_is_reached_at_step_zero_can_be_written(tuned, make_rows):
    study, trials, _ = tuned({"sgd": (0.1, 0.2), "adamw": (0.1, 0.3)}, compare={"target": 0.5})
    rows = make_rows(1, "val_loss", [0.2], first=0) + make_rows(
        21, "val_loss", [0.9, 0.3], first=0
    )
    data = compare_studies([(study, trials, rows)])
    (profile,) = data["profiles"]
    assert profile["optimizers"]["sgd"]["ratios"] == [1.0]
    assert profile["optimizers"]["adamw"]["ratios"] == ["Infinity"]
    assert profile["optimizers"]["adamw"]["solved"] == 1.0
    json.dumps(data, allow_nan=False)
    for format_ in ("json", "md", "html"):
        assert render(data, format_)


def test_a_measure_that_one_optimizer_lacks_makes_no_profile(tuned, make_rows):
    study, trials, rows = tuned(
        {"sgd": (0.1, [0.9, 0.2]), "adamw": (0.1, [0.9, 0.3])}, compare={"target": 0.5}
    )
    rows += make_rows(1, "seconds", [1.0, 2.0])
    data = compare_studies([(study, trials, rows)])
    assert [profile["measure"] for profile in data["profiles"]] == ["epochs"]


def test_equal_mean_ranks_share_the_lead(tuned):
    one = tuned({"sgd": (0.2, 0.3), "adamw": (0.2, 0.4)}, name="one")
    two = tuned({"sgd": (0.2, 0.4), "adamw": (0.2, 0.3)}, name="two")
    said = headline(compare_studies([one, two]))
    assert said.startswith(
        "adamw and sgd share the best mean rank, 1.5 of 2, over 2 tasks (won: adamw 1, sgd 1)."
    )


def test_the_tests_of_another_leader_are_not_the_winners(tuned):
    """A study's tests are against its own leader, who may be none of those set side by side."""
    one = tuned(
        {"lion": (0.1, 0.1, 0.2), "sgd": (0.2, 0.3, 0.4), "adamw": (0.2, 0.5, 0.6)}, name="one"
    )
    two = tuned({"sgd": (0.2, 0.3, 0.4), "adamw": (0.2, 0.5, 0.6)}, name="two")
    text = render(compare_studies([one, two]), "md")
    rows = [line for line in text.splitlines() if "minimize val" in line]
    assert [row.split(" | ")[-1].strip(" |") for row in rows] == ["not tested", "adamw"]


def test_of_several_objectives_the_first_is_compared_and_it_is_said(tuned):
    objectives = [{"metric": "val_loss"}, {"metric": "size"}]
    study, trials, rows = tuned({"sgd": (0.1, 0.2), "adamw": (0.3, 0.4)}, objectives=objectives)
    (part,) = compare_studies([(study, trials, rows)])["comparisons"]
    assert "Of its objectives only the first, val_loss, is compared." in part["notes"]
