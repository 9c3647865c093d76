"""The report as Markdown: readable as plain text, tables that GitHub and notebooks draw.

Names and reasons are user text: they are escaped, so they can form neither markup nor HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuner.analysis import wording
from tuner.analysis.blocks import Block, Bullets, Chart, Section, Sheet, Text
from tuner.analysis.comparison.sections import sections
from tuner.analysis.wording import Table, duration, number

# an underscore inside a word and a # inside a line are plain text to every Markdown
_MARKUP = re.compile(r"([\\`*\[\]<>|~&]|(?<!\w)_|_(?!\w)|^[#+-])")
_TOP_HISTORY = 20


def escape(text: str) -> str:
    """User text as literal Markdown in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def table(data: Table) -> str:
    """A table; columns whose cells all look like numbers stand to the right."""
    head, body = data
    rule = ["---:" if _numeric(column) else "---" for column in zip(*body, strict=True)]
    lines = [[escape(cell) for cell in head], rule or ["---"] * len(head)]
    lines += [[escape(cell) for cell in row] for row in body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _numeric(cells: Sequence[str]) -> bool:
    return all(cell == wording.NONE or re.match(r"^[#-]?[\d.]", cell) for cell in cells)


def render(report: Mapping[str, Any]) -> str:
    """The whole report."""
    study = report["study"]
    parts = [
        f"# Study {escape(str(study['name']))}",
        " ".join(escape(line) for line in wording.headline(report)),
        _facts(report),
        *_comparison(report),
        *_advice(report["advice"]),
        *_best(report),
        *_optimizers(report),
        *_front(report),
        *_importance(report["importance"]),
        *_history(report),
        *_diagnostics(report["diagnostics"]),
        *_failures(report),
        "## Reading this report",
        "\n".join(f"- {escape(note)}" for note in report["notes"]),
        "## Reproducibility",
        table((["what", "value"], wording.reproducibility_rows(report))),
        "## Specification",
        _fence(json.dumps(study["spec"], indent=2, ensure_ascii=False)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fence(text: str, language: str = "json") -> str:
    # JSON and Python write newlines escaped, so no line of user text can begin with the fence
    return f"```{language}\n{text}\n```"


def _comparison(report: Mapping[str, Any]) -> list[str]:
    found = report["comparison"]
    return [] if found is None else [part for s in sections(found) for part in section(s)]


def section(part: Section, level: int = 2) -> list[str]:
    """A section's heading and blocks; a chart is its reading and its table."""
    heading = f"{'#' * level} {escape(part.title)}"
    return [heading, *(text for block in part.blocks for text in _block(block))]


def _block(block: Block) -> Iterable[str]:
    if isinstance(block, Text):
        return [f"**{escape(block.text)}**" if block.is_lead else escape(block.text)]
    if isinstance(block, Bullets):
        return ["\n".join(f"- {escape(item)}" for item in block.lines)]
    if isinstance(block, Sheet | Chart):
        return [escape(block.caption), table(block.table)]
    return [escape(f"{block.caption}:"), _fence(block.text.rstrip(), block.language)]


def _facts(report: Mapping[str, Any]) -> str:
    study, counts = report["study"], report["counts"]
    state = str(study["state"])
    if study["state_reason"]:
        state += f" ({study['state_reason']})"
    trials = f"{counts['total']}: " + ", ".join(
        f"{n} {key}" for key, n in counts.items() if key != "total" and n
    )
    rows = [
        ["state", state],
        ["objective", wording.objective_line(report)],
        ["trials", trials if counts["total"] else "0"],
        ["budget", wording.budget_line(report)],
        *wording.timing_rows(report),
    ]
    return table((["", ""], rows))


def _advice(advice: Sequence[Mapping[str, Any]]) -> list[str]:
    if not advice:
        return []
    parts = ["## What to do next"]
    for item in advice:
        lines = [f"**{escape(item['title'])}** ({item['severity']}, {item['code']})"]
        lines.append(escape(item["action"]))
        parts.append("- " + "\n  ".join(lines))
        if item["command"] is not None:
            parts.append(f"  ```sh\n  {item['command']}\n  ```")
    return parts


def _diagnostics(found: Mapping[str, Any]) -> list[str]:
    if not found["summary"]:
        return []
    how = f"{found['examined']} of {found['total']} trials examined."
    return ["## Training problems recognised", how, table(wording.diagnostics_table(found))]


def _best(report: Mapping[str, Any]) -> list[str]:
    best = report["best"]
    if best is None:
        return []
    effort = (
        f"Trial #{best['number']}: {report['history']['metric']} {number(best['value'], 6)}, "
        f"{number(best['epochs'])} epochs, {duration(best['seconds'])}."
    )
    metrics = [[name, number(value, 6)] for name, value in best["metrics"].items()]
    parts = ["## Best trial", escape(effort), table(wording.params_table(best))]
    return [*parts, table((["final metric", "value"], metrics))] if metrics else parts


def _optimizers(report: Mapping[str, Any]) -> list[str]:
    if not report["optimizers"]:
        return []
    parts = ["## Best per optimizer", table(wording.optimizer_table(report))]
    parts.append(f"{wording.TRAINING_TIME.capitalize()}.")
    if any(row["best"] for row in report["optimizers"]):
        parts += [
            table(wording.best_metrics_table(report)),
            table(wording.best_params_table(report)),
        ]
    return parts


def _front(report: Mapping[str, Any]) -> list[str]:
    if report["pareto"] is None or not report["pareto"]["front"]:
        return []
    return ["## Pareto front", table(wording.front_table(report))]


def _importance(explained: Mapping[str, Any]) -> list[str]:
    title = "## Parameter importance"
    if not explained["parameters"]:
        return [title, f"Not computed. {escape(explained['reason'])}"]
    how = (
        f"For {explained['metric']}, {explained['n_trials']} trials; {explained['method']}; "
        f"{explained['quality']:.0%} of the ranks' variance explained out of bag. "
        f"{explained['caveat'] or ''}"
    )
    parts = [title, escape(how), table(wording.importance_table(explained))]
    for name, inner in explained["per_optimizer"].items():
        if inner["parameters"]:
            parts += [f"### Within {escape(name)}", table(wording.importance_table(inner))]
    return parts


def _history(report: Mapping[str, Any]) -> list[str]:
    points = report["history"]["points"]
    steps = [
        point
        for before, point in zip([None, *points], points, strict=False)
        if point["best"] is not None and (before is None or before["best"] != point["best"])
    ]
    if not steps:
        return []
    rows = [
        [f"#{p['number']}", number(p["best"]), p["optimizer"] or wording.NONE]
        for p in steps[-_TOP_HISTORY:]
    ]
    return [
        "## Improvements",
        table((["trial", f"best {report['history']['metric']}", "optimizer"], rows)),
    ]


def _failures(report: Mapping[str, Any]) -> list[str]:
    if not report["failures"]:
        return []
    return ["## Failed and diverged trials", table(wording.failure_table(report))]
