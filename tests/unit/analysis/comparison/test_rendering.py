"""The comparison in a report: every section in every form, bounded, inert, drawn by a browser."""

import json
import re

import pytest

from tuner.analysis.comparison.build import compare
from tuner.analysis.comparison.contest import Contest
from tuner.analysis.comparison.profile import compare_studies
from tuner.analysis.comparison.several import render as render_several
from tuner.analysis.evidence import Evidence
from tuner.analysis.report import build_report, render

TITLES = [
    "Which optimizer",
    "Confirmed on fresh seeds",
    "Expected best against tuning budget",
    "Convergence speed",
    "Stability",
    "Generalisation",
    "Tunability",
    "Inclusion check",
]
FIGURES = {"confirmed", "budget", "happened", "budget_seconds", "progress"}
HOSTILE = "</script><script>document.title='pwned'</script><img src=x onerror=alert(1)>`|*_"


@pytest.fixture(scope="session")
def report(compared):
    return build_report(*compared)


def test_a_study_without_compare_has_no_comparison(compared):
    study, trials, rows = compared
    plain = build_report({**study, "compare": None}, trials, rows)
    assert plain["comparison"] is None
    assert "Which optimizer" not in render(plain, "md")


@pytest.mark.parametrize("format", ["md", "html"])
def test_every_section_is_there_and_first(report, format):
    text = render(report, format)
    places = [text.index(f">{title}<" if format == "html" else f"## {title}") for title in TITLES]
    assert places == sorted(places)
    assert places[-1] < text.index("Best per optimizer")


def test_json_is_strict(report):
    assert json.loads(render(report)) == report


def test_both_forms_have_the_same_tables(report):
    page, text = render(report, "html"), render(report, "md")
    for cell in ("told from leader", "best of 10", "reached it", "std over seeds", "gain, best"):
        assert cell in page
        assert cell in text


def test_markdown_tables_are_whole_and_code_is_fenced(report):
    text = render(report, "md")
    for block in text.split("\n\n"):
        if block.startswith("|"):
            widths = {line.replace("\\|", "").count("|") for line in block.splitlines()}
            assert len(widths) == 1, block
    assert "```python\nfrom tuner.training import" in text
    assert "torch.optim.AdamW(" in text


def test_every_figure_says_how_to_read_it(report):
    page = render(report, "html")
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    captions = {
        re.search(r'data-figure="(\w+)"', figure)[1]: re.search("<figcaption>(.*?)<", figure)[1]
        for figure in figures
    }
    assert set(captions) >= FIGURES
    assert all(len(captions[name]) > 60 for name in FIGURES)


def test_the_report_says_what_the_estimator_assumes_and_what_seeds_can_show(report):
    text = render(report, "md")
    assert "independent draws" in text
    assert "if the search trials had come in random order" in text
    assert "no p can be below 0.0079" in text
    assert "1000 resamples" in text


def test_a_gap_left_out_is_explained(simulated):
    page = render(build_report(*simulated(optimizers=("adam", "gd"))), "md")
    section = page.split("# Generalisation", 1)[1].split("# Tunability", 1)[0]
    cells = re.findall(r"^\| (\w+) +\| [^|]+ \| [^|]+ \| +(\S+) +\|", section, re.MULTILINE)
    gaps = dict(cells[::-1])  # of the first table, the loss; nobody reports a train_accuracy
    assert gaps["gd"] == "–"
    assert gaps["adam"] != "–"
    assert "No gap is given for gd: with the whole training set as one batch" in section


def test_too_few_seeds_are_said_to_show_nothing(simulated):
    text = render(build_report(*simulated(seeds=3)), "md")
    assert "nothing could be told apart at 5%" in text
    assert "5 seeds or more are needed" in text


@pytest.mark.parametrize("cut", [0, 1, 20, 50])
def test_a_comparison_under_way_has_a_report(compared, cut):
    study, trials, rows = compared
    begun = [t if t["number"] < cut else {**t, "state": "waiting", "values": {}} for t in trials]
    seen = [row for row in rows if row["number"] < cut]
    found = build_report({**study, "state": "active"}, begun, seen)
    for format in ("json", "md", "html"):
        assert render(found, format)
    assert any("waiting or running" in note for note in found["comparison"]["notes"])


def test_everything_diverged_is_a_result_of_none(compared):
    study, trials, _ = compared
    lost = [{**t, "diverged": True, "values": {"val_loss": "NaN"}} for t in trials]
    text = render(build_report(study, lost), "md")
    assert "No optimizer has a result yet." in text


@pytest.mark.slow
def test_names_of_users_stay_text(compared, open_page):
    study, trials, rows = compared
    names = {"sgd": HOSTILE, "adamw": "a`b|c", "nesterov": "nesterov", "rmsprop": "rmsprop"}
    renamed = [
        {
            **t,
            "params": {
                **t["params"],
                "optimizer": names[t["params"]["optimizer"]],
                HOSTILE: HOSTILE,
            },
        }
        for t in trials
    ]
    report = build_report({**study, "name": HOSTILE}, renamed, rows)
    prose = re.sub(r"```.*?```", "", render(report, "md"), flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<", prose)
    several = compare_studies([({**study, "name": HOSTILE}, renamed, rows)] * 2)
    assert "<img" not in render(report, "html")
    dom, console = open_page(render_several(several, "html"))
    assert "pwned</title>" not in dom
    assert "<img" not in dom
    assert console == []


def test_the_browser_draws_all_figures(report, open_page):
    dom, console = open_page(render(report, "html"))
    assert console == []
    drawn = re.findall(r'class="chart js-plotly-plot" data-figure="(\w+)"', dom)
    assert set(drawn) >= FIGURES


@pytest.mark.slow
def test_the_browser_draws_the_page_over_several_studies(simulated, open_page):
    studies = [
        ({**study, "name": f"task-{seed}"}, trials, rows)
        for seed in range(3)
        for study, trials, rows in [simulated(seed=seed)]
    ]
    dom, console = open_page(render_several(compare_studies(studies), "html"))
    assert console == []
    drawn = re.findall(r'class="chart js-plotly-plot" data-figure="(\w+)"', dom)
    assert len(drawn) == 3 + 3 * len(FIGURES)
    assert {"profile_steps", "profile_seconds", "profile_evaluations", "s2_budget"} <= set(drawn)


def test_a_long_comparison_is_bounded(simulated):
    contest = Contest(Evidence.read(*simulated(trials=2498, epochs=2)))
    found = compare(contest)
    assert len(found["budget"]["curves"][0]["n"]) <= 64
    assert len(json.dumps(found)) < 200_000
