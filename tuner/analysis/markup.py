"""Pieces of the HTML page. Every argument is plain text and is escaped here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tuner.analysis.blocks import Block, Bullets, Chart, Code, Sheet, Text
from tuner.analysis.figures import finite
from tuner.analysis.wording import NONE, Table, number

MAX_ROWS = 500
_NUMBER = re.compile(r"^[#-]?\d")


def section(key: str, title: str, content: str) -> str:
    """A section under a heading; `content` is HTML."""
    heading = f'<h2 id="{key}-title">{html.escape(title)}</h2>'
    return f'<section id="{key}" aria-labelledby="{key}-title">{heading}{content}</section>'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    return f'<p class="{kind}">{html.escape(text)}</p>'


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def advice(items: Iterable[Mapping[str, Any]]) -> str:
    """Pieces of advice: what was seen, what to do, the command, the ready study file."""
    return "".join(_advice(item) for item in items)


def _advice(item: Mapping[str, Any]) -> str:
    severity, code = html.escape(item["severity"]), html.escape(item["code"])
    parts = [
        f'<article class="advice {severity}"><h3>{html.escape(item["title"])}</h3>',
        f"<p>{html.escape(item['action'])} <small>{severity} · {code}</small></p>",
    ]
    if item["command"] is not None:
        parts.append(f"<p><code>{html.escape(item['command'])}</code></p>")
    if item["study_file"] is not None:
        name, text = (html.escape(item["study_file"][key]) for key in ("name", "yaml"))
        parts.append(f"<details><summary>Study file {name}</summary><pre>{text}</pre></details>")
    return "".join([*parts, "</article>"])


def tiles(items: Iterable[tuple[str, str, str]]) -> str:
    """Summary tiles: name, value, explanation."""
    found = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd><b>{html.escape(value)}</b>"
        f"<small>{html.escape(text)}</small></dd></div>"
        for name, value, text in items
    )
    return f'<dl class="tiles">{found}</dl>'


def table(data: Table, caption: str, kind: str = "") -> str:
    """A table with a caption, at most `MAX_ROWS` rows; columns of numbers stand to the right."""
    head, body = data
    right = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(head))]
    css = ['class="n"' if is_number else "" for is_number in right]
    top = "".join(
        f'<th scope="col" {css[i]}>{html.escape(cell)}</th>' for i, cell in enumerate(head)
    )
    rows = "".join(_row(row, css) for row in body[:MAX_ROWS])
    if len(body) > MAX_ROWS:
        caption += f" (first {MAX_ROWS} of {len(body)} rows; the export has all)"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(caption)}">'
        f'<table class="{kind}"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _is_number(cell: str) -> bool:
    return cell == NONE or (bool(_NUMBER.match(cell)) and "," not in cell)


def _row(row: Sequence[str], css: Sequence[str]) -> str:
    cells = [
        f"<td {css[i]}>{html.escape(cell)}</td>"
        if i
        else f'<th scope="row" {css[i]}>{html.escape(cell)}</th>'
        for i, cell in enumerate(row)
    ]
    return f"<tr>{''.join(cells)}</tr>"


def figure(
    key: str, drawn: Mapping[str, Any], caption: str, data: Table, *, is_open: bool = False
) -> str:
    """A chart's place with its caption and its data as a table; nothing if it is not drawn."""
    if key not in drawn:
        return ""
    height = int(drawn[key]["layout"]["height"])
    text = html.escape(caption)
    return (
        f'<figure><div class="chart" data-figure="{key}" style="min-height:{height}px" '
        f'role="img" aria-label="{text}"></div><figcaption>{text}</figcaption>'
        f"<details{' open' if is_open else ''}><summary>Data of this chart</summary>"
        f"{table(data, caption)}</details></figure>"
    )


def blocks(parts: Iterable[Block], drawn: Mapping[str, Any]) -> str:
    """A section's blocks.

    Args:
        parts: In their order.
        drawn: The page's figures by name; a chart that is not among them is left out.
    """
    return "".join(_block(part, drawn) for part in parts)


def _block(part: Block, drawn: Mapping[str, Any]) -> str:
    if isinstance(part, Text):
        return paragraph(part.text, "lead" if part.is_lead else "said")
    if isinstance(part, Bullets):
        return bullets(part.lines)
    if isinstance(part, Sheet):
        return table(part.table, part.caption, "wide" if part.is_wide else "")
    if isinstance(part, Chart):
        return figure(part.key, drawn, part.caption, part.table)
    return code(part)


def code(part: Code) -> str:
    """A program under its caption."""
    caption = f'<p class="caption">{html.escape(part.caption)}</p>'
    return f'{caption}<pre tabindex="0">{html.escape(part.text)}</pre>'


def history_table(report: Mapping[str, Any]) -> Table:
    """Trials with value, best so far and state."""
    metric = report["history"]["metric"]
    return ["trial", "optimizer", metric, "best so far", "state"], [
        [
            f"#{p['number']}",
            NONE if p["optimizer"] is None else p["optimizer"],
            number(p["value"], 6),
            number(p["best"], 6),
            "complete, diverged" if p["diverged"] else p["state"],
        ]
        for p in report["history"]["points"]
    ]


def curve_table(report: Mapping[str, Any]) -> Table:
    """One row a curve: its ends and its extremes."""
    body = []
    for curve in report["curves"]["curves"]:
        values = finite(curve["values"])
        ends = [curve["values"][0], min(values, default=None), max(values, default=None)]
        body.append(
            [
                f"#{curve['number']}",
                NONE if curve["optimizer"] is None else curve["optimizer"],
                number(curve["rank"]),
                curve["state"],
                str(curve["steps"][-1]),
                *(number(v) for v in [*ends, curve["values"][-1]]),
            ]
        )
    return [
        "trial",
        "optimizer",
        "rank",
        "state",
        "steps",
        "first",
        "lowest",
        "highest",
        "last",
    ], body


def spread_table(report: Mapping[str, Any]) -> Table:
    """Quartiles of each optimizer's results, over all of its trials."""
    body = [
        [row["optimizer"], *(number(mark) for mark in row["quartiles"] or [None] * 5)]
        for row in report["optimizers"]
    ]
    return ["optimizer", "lowest", "25 %", "median", "75 %", "highest"], body


def slice_table(report: Mapping[str, Any]) -> Table:
    """What was tried of each parameter."""
    body = []
    for panel in report["slices"]["parameters"]:
        x = panel["x"]
        if panel["scale"] == "category":
            tried = ", ".join(sorted({number(value) for value in x}))
        else:
            tried = f"{number(min(x))} to {number(max(x))}"
        body.append([panel["name"], panel["scale"], str(len(x)), tried])
    return ["parameter", "scale", "trials", "tried"], body
