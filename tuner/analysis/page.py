"""The report as one HTML page that opens without a network.

Everything is inside the file: plotly's script, the figures as JSON, the style. A content security
policy allows exactly these scripts (by hash) and no connection anywhere, so that names, reasons
and other user text stay text even if an escape were missed.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from tuner.analysis import figures, markup, panels, wording
from tuner.analysis.comparison.charts import charts as comparison_charts
from tuner.analysis.comparison.sections import sections as comparison_sections
from tuner.analysis.markup import section
from tuner.analysis.wording import duration, number
from tuner.tasks.metrics import is_diagnostic

NOSCRIPT = (
    '<noscript><p class="note">Charts need JavaScript; the table under each one holds its '
    "numbers.</p></noscript>"
)
MARKS = "filled complete, hollow stopped early or running, × diverged, | failed"


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    charts = {
        "history": figures.history(report) if report["history"]["points"] else None,
        "pareto": figures.front(report),
        "comparison": figures.comparison(report),
        "curves": panels.curves(report),
        "importance": figures.importance(report),
        "slices": panels.slices(report),
    }
    drawn = {name: figure for name, figure in charts.items() if figure and figure["data"]}
    if report["comparison"] is not None:
        drawn |= comparison_charts(report["comparison"], figures.optimizer_styles(report))
    return document(f"Study {report['study']['name']} – report", _body(report, drawn), drawn)


def document(title: str, body: str, drawn: Mapping[str, Any]) -> str:
    """A page around its body.

    Args:
        title: Plain text.
        body: HTML.
        drawn: The figures by name.
    """
    plotly = (files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8")
    assets = files("tuner.analysis") / "assets"
    script = (assets / "report.js").read_text("utf-8")
    style = (assets / "report.css").read_text("utf-8")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(plotly, script)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            body,
            f'<script type="application/json" id="figures">{_json(drawn)}</script>',
            f"<script>{plotly}</script>",
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'"
        for s in scripts
    )
    # plotly writes its style rules itself; pictures are drawn through data and blob addresses
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )


def _json(data: Any) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _body(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    compared = _comparison(report, drawn)
    sections = [
        *compared,
        ("result", "Best trial of the search" if compared else "Result", _result(report)),
        ("advice", "What to do next", markup.advice(report["advice"])),
        ("pareto", "Pareto front", _pareto(report, drawn)),
        ("optimizers", "Best per optimizer", _optimizers(report, drawn)),
        ("history", "Search history", _history(report, drawn)),
        ("curves", "Learning curves", _curves(report, drawn)),
        ("importance", "Parameter importance", _importance(report, drawn)),
        ("slices", "Parameters against the objective", _slices(report, drawn)),
        ("diagnostics", "Training problems recognised", _diagnostics(report)),
        ("failures", "Failed and diverged trials", _failures(report)),
        ("notes", "Reading this report", markup.bullets(report["notes"])),
        ("reproducibility", "Reproducibility", _reproducibility(report)),
    ]
    shown = [item for item in sections if item[2]]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in shown)
    return "\n".join(
        [
            '<a class="skip" href="#result">Skip to the result</a>',
            _header(report),
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>',
            "<main>",
            NOSCRIPT,
            *(section(key, title, content) for key, title, content in shown),
            "</main>",
            _footer(report),
        ]
    )


def _header(report: Mapping[str, Any]) -> str:
    study = report["study"]
    state = html.escape(str(study["state"]))
    reason = f", {html.escape(str(study['state_reason']))}" if study["state_reason"] else ""
    name = html.escape(str(study["name"]))
    return (
        f'<header><p class="kicker">Study report</p><h1>{name}</h1>'
        f'<p class="sub">{html.escape(wording.objective_line(report))} · {html.escape(wording.setup_line(report))} · '
        f'<span class="state">{state}{reason}</span></p>{_tiles(report)}</header>'
    )


def _tiles(report: Mapping[str, Any]) -> str:
    counts, timing, best = report["counts"], report["timing"], report["best"]
    metric = report["history"]["metric"]
    if report["pareto"] is not None:
        first = ("On the Pareto front", str(report["pareto"]["total"]), "trials")
    elif best is None:
        first = (f"Best {metric}", wording.NONE, "no result yet")
    else:
        optimizer = best["params"].get("optimizer")
        by = f", {optimizer}" if optimizer is not None else ""
        first = (f"Best {metric}", number(best["value"]), f"trial #{best['number']}{by}")
    ended = [f"{counts[key]} {key}" for key in ("complete", "pruned", "fail") if counts[key]]
    bad = counts["diverged"]
    tiles = [
        first,
        ("Trials", str(counts["total"]), ", ".join(ended) or "none has ended"),
        (
            "Diverged",
            str(bad),
            f"{bad / counts['total']:.0%} of trials" if counts["total"] else "",
        ),
        ("Training", duration(timing["training_seconds"]), "summed over trials"),
        ("Searching", duration(timing["search_seconds"]), "choosing parameters"),
        ("Wall time", duration(timing["wall_seconds"]), "creation to last result"),
    ]
    return markup.tiles(tiles)


def _result(report: Mapping[str, Any]) -> str:
    best = report["best"]
    parts = [markup.paragraph(line, "lead") for line in wording.headline(report)]
    if best is None:
        return "".join(parts)
    shown = {name: number(value, 6) for name, value in best["metrics"].items()}
    metrics = [[name, text] for name, text in shown.items() if not is_diagnostic(name)]
    diagnostics = [[name, text] for name, text in shown.items() if is_diagnostic(name)]
    effort = [
        ["steps trained", number(best["epochs"])],
        ["training time", duration(best["seconds"])],
    ]
    left = markup.table(wording.params_table(best), "Parameters of the best trial")
    right = markup.table((["final metric", "value"], metrics + effort), "Its metrics at the end")
    if diagnostics:
        table = markup.table((["final metric", "value"], diagnostics), "How its training went")
        right = f"<div>{right}<details><summary>Diagnostics</summary>{table}</details></div>"
    return "".join(parts) + f'<div class="two">{left}{right}</div>'


def _comparison(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    found = report["comparison"]
    parts = [] if found is None else comparison_sections(found)
    return [(part.key, part.title, markup.blocks(part.blocks, drawn)) for part in parts]


def _pareto(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    if report["pareto"] is None:
        return ""
    caption = "The first two objectives of all results; the dotted line joins the front."
    data = wording.front_table(report)
    return markup.figure("pareto", drawn, caption, data, is_open=True)


def _optimizers(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    if not report["optimizers"]:
        return ""
    parts = [
        markup.table(
            wording.optimizer_table(report),
            f"One row an optimizer, best first; {wording.TRAINING_TIME}",
            "wide",
        )
    ]
    if any(row["best"] for row in report["optimizers"]):
        parts += [
            markup.table(wording.best_params_table(report), "Parameters of each one's best trial"),
            markup.table(wording.best_metrics_table(report), "Final metrics of these trials"),
        ]
    data = report["history"]
    caption = (
        f"{len(data['points'])} of {data['total']} trials; {MARKS}; boxes: range and quartiles of "
        "all complete, finite, feasible trials."
    )
    parts.append(markup.figure("comparison", drawn, caption, markup.spread_table(report)))
    return "".join(parts)


def _history(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    data = report["history"]
    beyond = figures.history_axis(report).beyond
    caption = (
        f"{len(data['points'])} of {data['total']} trials; {MARKS}; the line is the best so far."
    )
    if beyond:
        caption += f" {beyond} far worse values are drawn at the rim as arrows."
    return markup.figure("history", drawn, caption, markup.history_table(report))


def _curves(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    data = report["curves"]
    caption = (
        f"{data['metric']} by step, {len(data['curves'])} of {data['total']} curves; the "
        "best trials are thick."
    )
    return markup.figure("curves", drawn, caption, markup.curve_table(report))


def _importance(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    explained = report["importance"]
    if not explained["parameters"]:
        return markup.paragraph(f"Not computed. {explained['reason']}", "note")
    caption = (
        f"For {explained['metric']} over {explained['n_trials']} trials: {explained['method']}; "
        f"{explained['quality']:.0%} of the ranks' variance explained out of bag. "
        f"{explained['caveat'] or ''}"
    )
    data = wording.importance_table(explained)
    inner = [
        markup.table(
            wording.inner_importance_table(part), f"Within {name}, {part['n_trials']} trials"
        )
        for name, part in explained["per_optimizer"].items()
        if part["parameters"]
    ]
    found = markup.figure("importance", drawn, caption, data)
    return found + (f'<div class="three">{"".join(inner)}</div>' if inner else "")


def _slices(report: Mapping[str, Any], drawn: Mapping[str, Any]) -> str:
    data = report["slices"]
    caption = (
        f"{len(data['parameters'])} of {data['total']} parameters, most important first, each in "
        "its own scale; colours and marks as in the charts above."
    )
    return markup.figure("slices", drawn, caption, markup.slice_table(report))


def _diagnostics(report: Mapping[str, Any]) -> str:
    found = report["diagnostics"]
    if not found["summary"]:
        return ""
    caption = f"By problem; {found['examined']} of {found['total']} trials examined"
    trials = markup.table(wording.finding_table(found), "Best trials first")
    return (
        markup.table(wording.diagnostics_table(found), caption)
        + f"<details><summary>Trial by trial</summary>{trials}</details>"
    )


def _failures(report: Mapping[str, Any]) -> str:
    if not report["failures"]:
        return ""
    return markup.table(wording.failure_table(report), "By reason")


def _reproducibility(report: Mapping[str, Any]) -> str:
    facts = markup.table(
        (["what", "value"], wording.reproducibility_rows(report)), "To run it again"
    )
    spec = html.escape(json.dumps(report["study"]["spec"], indent=2, ensure_ascii=False))
    return facts + f"<details><summary>Specification</summary><pre>{spec}</pre></details>"


def _footer(report: Mapping[str, Any]) -> str:
    study = report["study"]
    times = f"Created {number(study['created_at'])}, last changed {number(study['updated_at'])}."
    return f"<footer><p>{html.escape(times)} This page loads nothing from a network.</p></footer>"
