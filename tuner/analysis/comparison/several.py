"""Several comparisons as one document: HTML page or Markdown."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis import markdown, markup, page
from tuner.analysis.axes import Style, styles
from tuner.analysis.blocks import Block, Chart, Section, Sheet, Text
from tuner.analysis.comparison import charts
from tuner.analysis.comparison.sections import sections
from tuner.analysis.comparison.tables import NEVER
from tuner.analysis.figures import Figure, finite, label, layout
from tuner.analysis.wording import NONE, Table, number
from tuner.errors import FieldError, UnknownName

Json = Mapping[str, Any]
FORMATS: Final = ("json", "md", "html")
# ratios beyond are not drawn; what is solved later still counts in the table
_MOST_TAU: Final = 100.0


def render(data: Json, format: str = "json") -> str:
    """The comparison of several studies as text.

    Args:
        data: What `profile.compare_studies` gives.
        format: One of `FORMATS`.

    Raises:
        UnknownName: If the format is none of these.
    """
    if format == "json":
        return json.dumps(data, ensure_ascii=False, allow_nan=False)
    if format == "md":
        return _markdown(data)
    if format == "html":
        return _html(data)
    raise UnknownName(
        f"Unknown format {format!r}.", errors=[FieldError("format", format, list(FORMATS))]
    )


def overview(data: Json) -> list[Section]:
    """What the studies say together."""
    return [
        Section("tasks", "Optimizers over tasks", _tasks(data)),
        *(
            [Section("profile", "Performance profile", _profiles(data))]
            if data["profiles"]
            else []
        ),
    ]


def headline(data: Json) -> str:
    """The result in one or two sentences."""
    first = data["ranks"][0]
    n = len(data["tasks"])
    over = f"{number(first['mean_rank'], 3)} of {len(data['optimizers'])}, over {n} task"
    over += "" if n == 1 else "s"
    best = [row for row in data["ranks"] if row["mean_rank"] == first["mean_rank"]]
    equal = [row["optimizer"] for row in best]
    if len(equal) > 1:
        won = ", ".join(f"{row['optimizer']} {row['wins']}" for row in best)
        text = f"{', '.join(equal[:-1])} and {equal[-1]} share the best mean rank, {over}"
        text += f" (won: {won})."
    else:
        text = f"{equal[0]} has the best mean rank, {over}, and wins {first['wins']} of them."
    if data["few"]:
        text += (
            f" {n} task{'' if n == 1 else 's'} cannot establish a general order: read the tasks "
            "one by one."
        )
    return text


def _tasks(data: Json) -> list[Block]:
    blocks: list[Block] = [Text(headline(data), is_lead=True)]
    if data["left_out"]:
        blocks.append(
            Text(
                "Only optimizers that every study has are set side by side; left out: "
                f"{', '.join(data['left_out'])}."
            )
        )
    return [
        *blocks,
        Sheet(
            values_table(data),
            "Confirmed median and range over seeds, with the rank on each task"
            + ("; * one unconfirmed trial" if _has_unconfirmed(data) else ""),
            is_wide=True,
        ),
        Sheet(winners_table(data), "The best of each task, by confirmed median"),
        Text(
            "Ranks are by the medians alone; whether a difference can be told from luck is said "
            "in each study's section. Equal medians share their mean rank."
        ),
    ]


def _has_unconfirmed(data: Json) -> bool:
    return any(not cell["seeds"] for task in data["tasks"] for cell in task["optimizers"].values())


def values_table(data: Json) -> Table:
    """Optimizers against tasks."""
    body = []
    for row in data["ranks"]:
        cells = [_cell(task["optimizers"][row["optimizer"]]) for task in data["tasks"]]
        body.append([row["optimizer"], *cells, number(row["mean_rank"], 3), str(row["wins"])])
    head = [f"{task['study']} ({task['metric']})" for task in data["tasks"]]
    return ["optimizer", *head, "mean rank", "wins"], body


def _cell(found: Json) -> str:
    if found["value"] is None:
        return NONE
    if not found["seeds"]:
        return f"{number(found['value'])}* (rank {number(found['rank'], 3)})"
    ends = f"{number(found['best'], 3)} to {number(found['worst'], 3)}"
    return f"{number(found['value'])} ({ends}, rank {number(found['rank'], 3)})"


def winners_table(data: Json) -> Table:
    """Each task's metric, target and winner, and those that may be as good."""
    body = [
        [
            task["study"],
            f"{task['direction']} {task['metric']}",
            f"{number(task['target'])} ({task['target_source']})",
            ", ".join(task["winners"]) or NONE,
            _close(task, part),
        ]
        for task, part in zip(data["tasks"], data["comparisons"], strict=True)
    ]
    return ["task", "objective", "target", "best", "not distinguishable from it"], body


def _close(task: Json, part: Json) -> str:
    """Those that the study's tests do not tell from its leader, where that is the best here."""
    apart = part["significance"]
    if not apart["comparisons"] or apart["leader"] not in task["winners"]:
        return "not tested"
    return ", ".join(name for name in apart["close"] if name not in task["winners"]) or NONE


def _profiles(data: Json) -> list[Block]:
    blocks = [
        Chart(
            f"profile_{found['measure']}",
            f"The share of tasks on which an optimizer reaches the target within τ times the "
            f"{found['unit']} of the fastest: high at the left is fast, high at the right is "
            "reliable.",
            profile_table(data, found),
        )
        for found in data["profiles"]
    ]
    return [
        *blocks,
        Text(
            "Times are medians over the confirmation runs to each task's target (Dolan and Moré "
            "2002, as AlgoPerf uses it); a target that is not reached counts as never. The score "
            f"is the mean height for τ from 1 to {data['tau_max']:g}. A profile depends on which "
            "optimizers take part, and of few tasks it has few steps."
        ),
    ]


def profile_table(data: Json, found: Json) -> Table:
    """Times to target, share of tasks solved, score."""
    body = []
    for row in data["ranks"]:
        name = row["optimizer"]
        times = [NEVER if t == "Infinity" else number(t) for t in found["times"][name]]
        own = found["optimizers"][name]
        body.append([name, *times, f"{own['solved']:.0%}", number(own["score"], 3)])
    head = [task["study"] for task in data["tasks"]]
    return ["optimizer", *head, "targets reached", "score"], body


def profile_figure(data: Json, found: Json, looks: Mapping[str | None, Style]) -> Figure:
    """Profiles as step lines over τ, from 1 to the last ratio that matters."""
    n = len(data["tasks"])
    ratios = [r for own in found["optimizers"].values() for r in finite(own["ratios"])]
    end = min(_MOST_TAU, max([1.5, *ratios]) * 1.1)
    traces = []
    for name in data["optimizers"]:
        own = [r for r in finite(found["optimizers"][name]["ratios"]) if r <= end]
        start = sum(r <= 1 for r in own)
        rest = own[start:]
        x = [1.0, *rest, end]
        y = [start / n, *((start + i + 1) / n for i in range(len(rest))), len(own) / n]
        traces.append(
            charts.line(
                name,
                x,
                y,
                looks[name],
                line={"shape": "hv"},
                text=[
                    f"{label(name)}: {share:.0%} within {number(t, 3)} ×"
                    for t, share in zip(x, y, strict=True)
                ],
                hoverinfo="text",
            )
        )
    x_axis = {
        "title": {"text": f"τ: {found['unit']}, times the fastest"},
        "range": [1, end],
        "zeroline": False,
    }
    y_axis = {
        "title": {"text": "share of tasks"},
        "range": [-0.02, 1.04],
        "tickformat": ".0%",
        "zeroline": False,
    }
    return {"data": traces, "layout": layout(x_axis, y_axis)}


def _titled(data: Json) -> list[tuple[str, str, list[Section]]]:
    """Each study's key, title and sections."""
    return [
        (f"s{i}", f"Study {task['study']}", sections(part, f"s{i}_"))
        for i, (task, part) in enumerate(zip(data["tasks"], data["comparisons"], strict=True))
    ]


def _markdown(data: Json) -> str:
    parts = [f"# {markdown.escape(_title(data))}"]
    for part in overview(data):
        parts += markdown.section(part)
    for _, title, inner in _titled(data):
        parts.append(f"## {markdown.escape(title)}")
        parts += [text for part in inner for text in markdown.section(part, level=3)]
    return "\n\n".join(parts) + "\n"


def _title(data: Json) -> str:
    return f"Comparison of {len(data['optimizers'])} optimizers over {len(data['tasks'])} studies"


def _html(data: Json) -> str:
    names = sorted({name for part in data["comparisons"] for name in part["optimizers"]})
    looks = styles(names)
    drawn = {
        f"profile_{found['measure']}": profile_figure(data, found, looks)
        for found in data["profiles"]
    }
    for i, part in enumerate(data["comparisons"]):
        drawn |= charts.charts(part, looks, f"s{i}_")
    shown = [(p.key, p.title, markup.blocks(p.blocks, drawn)) for p in overview(data)]
    shown += [(key, title, _inner(inner, drawn)) for key, title, inner in _titled(data)]
    return page.document(_title(data), _body(data, shown), drawn)


def _inner(parts: Sequence[Section], drawn: Mapping[str, Any]) -> str:
    return "".join(
        f'<h3 id="{part.key}">{html.escape(part.title)}</h3>{markup.blocks(part.blocks, drawn)}'
        for part in parts
    )


def _body(data: Json, shown: Sequence[tuple[str, str, str]]) -> str:
    links = "".join(
        f'<li><a href="#{key}">{html.escape(title)}</a></li>' for key, title, _ in shown
    )
    listed = html.escape(", ".join(data["studies"]))
    return "\n".join(
        [
            '<a class="skip" href="#tasks">Skip to the result</a>',
            f'<header><p class="kicker">Comparison of studies</p><h1>{html.escape(_title(data))}'
            f'</h1><p class="sub">{listed}</p></header>',
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>',
            "<main>",
            page.NOSCRIPT,
            *(markup.section(key, title, content) for key, title, content in shown),
            "</main>",
            "<footer><p>This page loads nothing from a network.</p></footer>",
        ]
    )
