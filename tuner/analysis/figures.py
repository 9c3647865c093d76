"""The charts of a report as plotly figures in plain JSON: SVG traces only, user text escaped.

Plotly reads a little HTML in texts (links among it), so every name that comes from a user goes
through `label`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tuner.analysis.axes import INK, MUTED, Axis, Style, jitter, styles, value_axis
from tuner.analysis.wording import number
from tuner.core.ranking import Direction
from tuner.core.wire import decode_metric

Figure = dict[str, Any]
Points = Sequence[Mapping[str, Any]]
# from this many marks of one kind on they are small and translucent
_CROWD = 150
_MAX_LABEL = 40


def label(text: Any) -> str:
    """User text that plotly shows as it is."""
    plain = str(text)
    plain = plain if len(plain) <= _MAX_LABEL else plain[: _MAX_LABEL - 1] + "…"
    return html.escape(plain, quote=False)


def optimizer_styles(report: Mapping[str, Any]) -> dict[str | None, Style]:
    """One style an optimizer, by alphabetical order."""
    return styles(sorted(row["optimizer"] for row in report["optimizers"]))


def direction_of(report: Mapping[str, Any]) -> Direction:
    """The first objective's direction."""
    objectives = report["study"]["spec"].get("objectives") or [{}]
    direction: Direction = objectives[0].get("direction", "minimize")
    return direction


def finite(values: Iterable[Any]) -> list[float]:
    """The finite ones among wire values."""
    numbers = (decode_metric(value) for value in values)
    return [n for n in numbers if n is not None and abs(n) < float("inf")]


def _ended(points: Points) -> tuple[list[Any], list[Any]]:
    """Points with a finite value: complete ones, and those stopped early or still running."""
    usable = [p for p in points if finite([p["value"]])]
    done = [p for p in usable if p["state"] == "complete"]
    return done, [p for p in usable if p["state"] not in ("complete", "fail")]


def layout(x: Mapping[str, Any], y: Mapping[str, Any], height: int = 420) -> dict[str, Any]:
    """A layout; colours and fonts are the page's."""
    return {
        "height": height,
        "margin": {"l": 72, "r": 16, "t": 40, "b": 56},
        "hovermode": "closest",
        "showlegend": True,
        "xaxis": dict(x),
        "yaxis": dict(y),
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    }


def history_axis(report: Mapping[str, Any]) -> Axis:
    """The objective's axis, shared by history, comparison and slices."""
    values = finite(point["value"] for point in report["history"]["points"])
    return value_axis(values, direction_of(report))


def history(report: Mapping[str, Any]) -> Figure:
    """Every trial's value by number, and the best so far as a step line."""
    data = report["history"]
    axis = history_axis(report)
    traces = []
    for name, style in optimizer_styles(report).items():
        done, cut = _ended([p for p in data["points"] if p["optimizer"] == name])
        shown = label(name) if name is not None else "complete"
        if done:
            traces.append(_dots(shown, done, axis, style, by="number"))
        if cut:
            hollow = _dots(f"{shown}, stopped early", cut, axis, style, by="number")
            traces.append({**hollow, "showlegend": not done})
    traces += _lost(data["points"], axis)
    steps = [p for p in data["points"] if p["best"] is not None]
    traces.append(
        {
            "type": "scatter",
            "mode": "lines",
            "name": "best so far",
            "x": [p["number"] for p in steps],
            "y": [p["best"] for p in steps],
            "line": {"shape": "hv", "color": INK, "width": 2},
            "hoverinfo": "skip",
        }
    )
    x = {"title": {"text": "trial"}, "zeroline": False}
    return {"data": traces, "layout": layout(x, axis.layout(label(data["metric"])))}


def _hover(point: Mapping[str, Any]) -> str:
    state = "diverged" if point["diverged"] else point["state"]
    who = f" {label(point['optimizer'])}" if point["optimizer"] is not None else ""
    value = f": {number(point['value'], 6)}" if point["value"] is not None else ""
    return f"#{point['number']}{who}{value} ({state})"


def _dots(name: str, points: Points, axis: Axis, style: Style, by: str | float) -> Figure:
    """Trials as marks; `by` is `number`, or the place of a strip on the x axis."""
    stopped = points[0]["state"] != "complete"
    values = finite(p["value"] for p in points)
    x = [p["number"] if isinstance(by, str) else by + jitter(p["number"]) for p in points]
    symbol = style.symbol + ("-open" if stopped else "")
    is_crowded = len(points) > _CROWD
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": x,
        "y": [axis.place(v) for v in values],
        "text": [_hover(p) for p in points],
        "hoverinfo": "text",
        "marker": {
            "color": style.color,
            "size": 4 if is_crowded else 7,
            "opacity": 0.5 if is_crowded else 0.85,
            "symbol": [symbol if axis.place(v) == v else "arrow-up-open" for v in values],
        },
    }


def _lost(points: Points, axis: Axis, place: Callable[[int], float] = float) -> list[Figure]:
    """Trials that ended without a finite value, as a row at the bad end of the axis."""
    kinds = [
        ("diverged", "x-thin-open", [p for p in points if p["diverged"]]),
        ("failed", "line-ns-open", [p for p in points if p["state"] == "fail"]),
    ]
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [place(p["number"]) for p in found],
            "y": [axis.worst] * len(found),
            "text": [_hover(p) for p in found],
            "hoverinfo": "text",
            "marker": {"color": MUTED, "size": 8, "symbol": symbol, "line": {"width": 1.5}},
        }
        for name, symbol, found in kinds
        if found
    ]


def comparison(report: Mapping[str, Any]) -> Figure | None:
    """A strip an optimizer with every trial, over a box of its complete ones."""
    names = [row["optimizer"] for row in report["optimizers"]]
    if not names:
        return None
    axis, looks = history_axis(report), optimizer_styles(report)
    traces: list[Figure] = []
    for place, row in enumerate(report["optimizers"]):
        name = row["optimizer"]
        mine = [p for p in report["history"]["points"] if p["optimizer"] == name]
        if row["quartiles"]:
            traces.append(_box(row["quartiles"], place, axis))
        traces += _strip(mine, place, axis, looks[name])
    x = {
        "tickvals": list(range(len(names))),
        "ticktext": [label(name) for name in names],
        "range": [-0.6, len(names) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    figure = layout(x, axis.layout(label(report["history"]["metric"])))
    return {"data": traces, "layout": {**figure, "showlegend": False}}


def _box(quartiles: Sequence[float], place: int, axis: Axis) -> Figure:
    """A box from numbers over all results, also where only a part of them is drawn."""
    low, lower, median, upper, high = (axis.place(mark) for mark in quartiles)
    return {
        "type": "box",
        "x": [place],
        "lowerfence": [low],
        "q1": [lower],
        "median": [median],
        "q3": [upper],
        "upperfence": [high],
        "width": 0.7,
        "line": {"color": MUTED, "width": 1},
        "fillcolor": "rgba(127,127,127,0.08)",
        "hoverinfo": "skip",
    }


def _strip(mine: Points, place: int, axis: Axis, style: Style) -> list[Figure]:
    done, cut = _ended(mine)
    traces = [_dots("", group, axis, style, by=float(place)) for group in (done, cut) if group]
    return traces + _lost(mine, axis, lambda n: place + jitter(n))


def importance(report: Mapping[str, Any]) -> Figure | None:
    """Bars of importance, most important on top."""
    rows = report["importance"]["parameters"][:15][::-1]
    if not rows:
        return None
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [label(row["name"]) for row in rows],
        "x": [row["importance"] for row in rows],
        "text": [f"{row['importance']:.0%}" for row in rows],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": "#0072B2"},
    }
    top = max(row["importance"] for row in rows)
    x = {"title": {"text": "share of importance"}, "tickformat": ".0%", "range": [0, top * 1.12]}
    figure = layout(x, {"automargin": True, "type": "category"}, 90 + 26 * len(rows))
    return {"data": [bars], "layout": {**figure, "showlegend": False, "bargap": 0.35}}


def front(report: Mapping[str, Any]) -> Figure | None:
    """The first two objectives: the front as a line, the other results as marks."""
    data = report["pareto"]
    if data is None:
        return None
    looks = optimizer_styles(report)
    pairs = [("on the front", data["front"], 10, 1.0), ("dominated", data["others"], 6, 0.4)]
    traces: list[Figure] = [
        {
            "type": "scatter",
            "mode": "lines+markers" if name == "on the front" else "markers",
            "name": name,
            "x": [p["values"][0] for p in points],
            "y": [p["values"][1] for p in points],
            "text": [
                f"#{p['number']} {label(p['optimizer'] or '')}: "
                + ", ".join(number(v) for v in p["values"])
                for p in points
            ],
            "hoverinfo": "text",
            "line": {"color": MUTED, "width": 1, "dash": "dot"},
            "marker": {
                "size": size,
                "opacity": opacity,
                "color": [looks.get(p["optimizer"], looks[None]).color for p in points],
                "symbol": [looks.get(p["optimizer"], looks[None]).symbol for p in points],
            },
        }
        for name, points, size, opacity in pairs
        if points
    ]
    titles = [
        f"{label(metric)} ({direction})"
        for metric, direction in zip(data["metrics"], data["directions"], strict=True)
    ]
    x, y = ({"title": {"text": title}} for title in titles[:2])
    return {"data": traces, "layout": layout(x, y, 460)}
