"""Which studies are left alone, for how long, and when that is all a worker serves."""

from __future__ import annotations

import pytest

from tuner.worker.aside import Aside


def test_a_study_is_left_alone_for_five_minutes_and_then_tried_again(caplog):
    aside = Aside()
    assert not aside.put("cars", "there is no cars.csv.", 100.0)
    assert aside.names(399.0) == {"cars": "there is no cars.csv."}
    assert aside.names(400.0) == {}
    (record,) = caplog.records
    assert record.getMessage() == (
        "study cars is left alone: there is no cars.csv. Mend that: it is tried again in 5"
        " minutes, or at once by a worker that you start."
    )


def test_each_time_in_a_row_lasts_twice_as_long_up_to_an_hour():
    aside, now, minutes = Aside(), 0.0, []
    for _ in range(6):
        aside.put("cars", "x", now)
        began = now
        while aside.names(now):
            now += 60.0
        minutes.append((now - began) / 60)
    assert minutes == [5, 10, 20, 40, 60, 60]


def test_more_trials_that_fail_alike_change_nothing(caplog):
    aside = Aside()
    for now in (0.0, 200.0, 299.0):
        aside.put("cars", f"said at {now:g}", now)
    assert aside.names(299.0) == {"cars": "said at 0"}
    assert aside.names(300.0) == {}
    assert len(caplog.records) == 1


def test_a_study_whose_trials_run_again_begins_anew():
    aside = Aside()
    aside.put("cars", "x", 0.0)
    aside.ran("cars", 300.0)
    aside.put("cars", "x", 1000.0)
    assert aside.names(1300.0) == {}


def test_a_trial_that_began_before_does_not_bring_its_study_back():
    aside = Aside()
    aside.put("cars", "x", 0.0)
    aside.ran("cars", 299.0)
    aside.ran("other", 299.0)
    assert list(aside.names(299.0)) == ["cars"]


@pytest.mark.parametrize(
    ("served", "bad", "is_all"),
    [
        (None, ["a", "b"], [False, False]),
        (["a"], ["a"], [True]),
        (["a", "b"], ["a", "b"], [False, True]),
        (["a", "b"], ["b"], [False]),
    ],
)
def test_a_worker_is_told_when_no_study_is_left_to_serve(served, bad, is_all):
    aside = Aside(served)
    assert [aside.put(name, "x", 0.0) for name in bad] == is_all


def test_of_too_many_the_one_left_alone_longest_ago_is_forgotten():
    aside = Aside(most=2)
    for now, name in enumerate("abc"):
        aside.put(name, "x", float(now))
    assert list(aside.names(3.0)) == ["b", "c"]


def test_the_only_study_of_a_worker_needs_no_name():
    only, several = Aside(["a"]), Aside()
    for aside in (only, several):
        aside.put("a", "there is no a.csv.", 0.0)
    several.put("b", "there is no b.csv.", 0.0)
    assert only.text(1.0) == "there is no a.csv."
    assert several.text(1.0) == (
        "Study a is left alone: there is no a.csv. Study b is left alone: there is no b.csv."
    )
    assert several.text(300.0) == ""
