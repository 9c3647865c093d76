import io
from typing import Any

import pytest
from rich.console import Console

from tuner.cli.output import Output, cell, plain_table
from tuner.cli.progress import Display, Progress
from tuner.cli.views import duration


def make_study(finished: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "name": "digits",
        "state": "active",
        "state_reason": None,
        "objectives": [{"metric": "val_loss", "direction": "minimize"}],
        "budget": {"trials": 40},
        "counts": {
            "waiting": 0, "running": 2, "complete": finished, "pruned": 0, "fail": 0,
        },
        "best": None,
        **changes,
    }  # fmt: skip


def make_clock(*times: float):
    each = iter(times)
    return lambda: next(each)


def test_rate_and_time_left_come_from_what_was_seen():
    progress = Progress(make_clock(0.0, 10.0))
    progress.update(make_study(0))
    assert progress.rate_text() == ""
    progress.update(make_study(20))
    assert progress.per_second == 2.0
    assert progress.rate_text() == "2.0 trials/s · 10s left"


def test_a_resumed_run_counts_its_own_trials_only():
    progress = Progress(make_clock(0.0, 60.0))
    progress.update(make_study(30))
    progress.update(make_study(35))
    assert progress.rate_text() == "5.0 trials/min · 1m 00s left"


def test_the_rate_is_that_of_the_last_two_minutes():
    progress = Progress(make_clock(0.0, 100.0, 200.0, 300.0))
    for finished in (0, 1, 1, 11):
        progress.update(make_study(finished))
    assert progress.per_second == pytest.approx(0.1)


def test_a_comparison_says_whether_it_searches_or_confirms():
    progress = Progress(make_clock(0.0, 1.0, 2.0, 3.0))
    at = {
        "searched": 37, "search_trials": 80, "confirmed": 5, "confirm_trials": 20
    }  # fmt: skip
    for phase, text in (("searching", "searching 37/80"), ("confirming", "confirming 5/20")):
        progress.update(make_study(37, comparison={"phase": phase, **at}))
        assert text in progress.line().split(" | ")
    progress.update(make_study(37, comparison={"phase": "complete", **at}))
    assert progress.phase_text() == ""
    by_seconds = {**at, "phase": "searching", "search_trials": None}
    progress.update(make_study(37, comparison=by_seconds))
    assert progress.phase_text() == "searching 37"


def test_without_a_budget_of_trials_no_time_left_is_claimed():
    progress = Progress(make_clock(0.0, 1.0))
    for finished in (0, 3):
        progress.update(make_study(finished, budget={}))
    assert progress.rate_text() == "3.0 trials/s"
    assert "3 trials" in progress.line()


def test_the_line_says_states_and_best_with_its_parameters():
    best = {"number": 7, "params": {"optimizer": "adam", "lr": 0.001}, "values": {"val_loss": 0.5}}
    progress = Progress(make_clock(0.0))
    progress.update(make_study(8, best=best))
    assert progress.line() == (
        "digits: 8/40 trials | running 2 · complete 8"
        " | best val_loss 0.5 (trial 7) optimizer=adam lr=0.001"
    )


def test_the_panel_shows_the_reason_why_a_study_stands_still():
    progress = Progress(make_clock(0.0))
    progress.update(make_study(1, state="paused", state_reason="no live worker may run it"))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(progress.render())
    text = console.export_text()
    for words in ("digits", "1/40", "running 2", "no result yet", "no live worker may run it"):
        assert words in text


def test_a_log_gets_a_line_now_and_then_and_the_last_one(capsys):
    out = Output()
    with Display(
        out, make_clock(*[0.0] * 2, *[1.0] * 2, *[11.0] * 2, 12.0, 12.0, 12.0)
    ) as display:
        for finished in (1, 2, 3, 4):
            display.show(make_study(finished))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" trials")[0] for line in lines] == [
        "digits: 1/40",
        "digits: 3/40",
        "digits: 4/40",
    ]


def test_quiet_shows_no_progress(capsys):
    with Display(Output(quiet=True)) as display:
        display.show(make_study(1))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (7500, "2h 05m"),
     (90_000, "1d 01h")],
)  # fmt: skip
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_cells_are_short_text_on_one_line():
    assert cell(None) == "-"
    assert cell(0.123456789) == "0.123457"
    assert cell({"a": True, "b": [1, "x"]}) == "a=true b=1, x"
    assert cell("two\nlines") == "two lines"


def test_plain_tables_align_and_do_not_cut():
    text = plain_table(("name", ">n"), [["a" * 200, "1"], ["b", "10"]])
    assert [line.rstrip()[-2:] for line in text.splitlines()] == [" N", " 1", "10"]
    assert len(text.splitlines()[1]) == 204
