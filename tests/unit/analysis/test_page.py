"""The HTML page: self-contained, bounded, inert against user text; checked in a real browser."""

import html.parser
import re
from importlib.resources import files

import pytest

from tuner.analysis.report import build_report, render

IMG = "<img src=x onerror=\"document.title='pwned'\">"
SCRIPT = "</script><script>document.title='pwned'</script>"
LINK = "<a href='javascript:document.title=1'>x</a>\u2028`|*_[a](javascript:1)<!--<script>"


class Tags(html.parser.HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def without_plotly(page):
    script = (files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    assert page.count(script) == 1
    return page.replace(script, "")


@pytest.fixture
def hostile(make_study, simulated):
    """User text that attacks, in every place a user can write."""
    _, trials, rows = simulated(40, 5)
    texts = [IMG, SCRIPT, LINK]
    space = {IMG: {"type": "categorical", "choices": texts, "group": SCRIPT}}
    study = make_study(
        name=IMG,
        objectives=[{"metric": SCRIPT, "direction": "minimize"}],
        tags={IMG: SCRIPT},
        state_reason=LINK,
        sampler={"name": SCRIPT},
        expanded_space={"parameters": space},
        versions={IMG: SCRIPT},
    )
    for i, trial in enumerate(trials):
        if trial["values"]:
            trial["values"] = {SCRIPT: trial["values"]["val_loss"]}
        trial["params"] = {"optimizer": texts[i % 3], IMG: texts[i % 3], SCRIPT: i}
        trial["reason"] = trial["reason"] and SCRIPT + IMG
    names = {"val_loss": SCRIPT, "val_accuracy": IMG}
    return study, trials, [{**row, "metric": names[row["metric"]]} for row in rows]


def test_nothing_is_loaded_from_outside(small_report):
    page = without_plotly(render(small_report, "html"))
    for tag, attrs in Tags(page).found:
        assert "src" not in attrs, tag
        assert tag not in ("link", "iframe", "object", "embed", "img")
        assert attrs.get("href", "#").startswith("#")
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_only_scripts_are_ours(hostile):
    page = without_plotly(render(build_report(*hostile), "html"))
    tags = Tags(page).found
    assert [tag for tag, _ in tags].count("script") == 3
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)
    assert not any(tag in ("img", "a") and "#" not in attrs.get("href", "") for tag, attrs in tags)
    data = page[page.index('id="figures">') : page.index("</script>")]
    assert "<" not in data.replace('id="figures">', "")


def test_markdown_holds_no_markup_of_users(hostile):
    text = render(build_report(*hostile), "md")
    prose = text.split("```json")[0]
    assert not re.search(r"(?<!\\)<", prose)
    assert not re.search(r"(?<!\\)\[a", prose)


def test_headings_landmarks_and_a_table_beside_each_chart(small_report):
    page = without_plotly(render(small_report, "html"))
    tags = [tag for tag, _ in Tags(page).found]
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert tags.count(landmark) == 1
    assert tags.count("h2") == tags.count("section")
    charts = [attrs for _, attrs in Tags(page).found if "data-figure" in attrs]
    assert len(charts) == 5
    assert all(attrs["aria-label"] for attrs in charts)
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(figures) == 5
    assert all("<table" in figure for figure in figures)
    assert "showSendToCloud: false" in page
    assert "displaylogo: false" in page


def test_a_long_study_gives_a_bounded_page(simulated):
    page = render(build_report(*simulated(10_000, 3)), "html")
    assert len(without_plotly(page).encode()) < 2_000_000


def test_the_browser_draws_every_chart_and_complains_about_nothing(small_report, open_page):
    dom, console = open_page(render(small_report, "html"))
    assert console == []
    drawn = re.findall(r'data-figure="(\w+)"[^>]*class="[^"]*js-plotly-plot', dom) or re.findall(
        r'class="chart js-plotly-plot" data-figure="(\w+)"', dom
    )
    assert sorted(drawn) == ["comparison", "curves", "history", "importance", "slices"]
    buttons = re.findall(r'data-title="([^"]*)"', dom[dom.index("<body") :])
    assert "Zoom in" in buttons
    assert not [text for text in buttons if "hare" in text or "loud" in text or "Plotly" in text]


def test_hostile_text_stays_text_in_the_browser(hostile, open_page):
    dom, console = open_page(render(build_report(*hostile), "html"))
    assert "pwned</title>" not in dom
    assert console == []
    assert dom.count("js-plotly-plot") >= 5
    assert "<img" not in dom
    body = dom[dom.index("<body") :]
    assert "javascript:" not in "".join(re.findall(r"<a [^>]*>", body))


def test_the_browser_check_would_notice(open_page):
    dom, _ = open_page(f"<!doctype html><title>a</title><p>{SCRIPT}</p>")
    assert "pwned</title>" in dom


def test_a_script_that_slipped_through_would_be_blocked(small_report, open_page):
    page = render(small_report, "html")
    dom, console = open_page(page.replace("<main>", f"<main>{SCRIPT}{IMG}"))
    assert "pwned</title>" not in dom
    assert any("Content Security Policy" in line for line in console)


def test_diagnostics_of_the_best_trial_are_folded_away_from_its_result(simulated, make_curve):
    study, trials, rows = simulated(6, 3)
    page = without_plotly(render(build_report(study, trials, rows), "html"))
    assert "<summary>Diagnostics</summary>" not in page
    more = list(rows)
    for metric in ("grad_norm", "my_metric"):
        more += [row for trial in trials for row in make_curve(trial["number"], [0.5], metric)]
    page = without_plotly(render(build_report(study, trials, more), "html"))
    shown, _, folded = page.partition("<summary>Diagnostics</summary>")
    assert "my_metric" in shown.partition("Its metrics at the end")[2]
    assert "grad_norm" not in shown.partition("Its metrics at the end")[2]
    assert "grad_norm" in folded.partition("</details>")[0]
