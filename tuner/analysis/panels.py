"""The larger charts: learning curves, and one panel a parameter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.analysis.axes import Axis, Style, jitter, log_ticks, value_axis
from tuner.analysis.figures import (
    Figure,
    direction_of,
    finite,
    history_axis,
    label,
    layout,
    optimizer_styles,
)
from tuner.analysis.wording import number

_COLUMNS = 3
_ROW_HEIGHT = 250


def curves(report: Mapping[str, Any]) -> Figure | None:
    """Learning curves in their optimizer's colour; the best trials thick, the others thin."""
    data = report["curves"]["curves"]
    if not data:
        return None
    axis = value_axis(finite(v for c in data for v in c["values"]), direction_of(report))
    looks = optimizer_styles(report)
    traces = []
    for name, style in looks.items():
        mine = [c for c in data if c["optimizer"] == name]
        others = [c for c in mine if c["rank"] is None]
        top = sorted((c for c in mine if c["rank"] is not None), key=lambda c: -c["rank"])
        shown = "trials" if name is None else label(name)
        if others:
            traces.append(_lines(others, axis, style, shown, is_top=False))
        traces += [_lines([curve], axis, style, shown, is_top=True) for curve in top]
    named: set[str] = set()
    for trace in sorted(traces, key=lambda t: t["line"]["width"], reverse=True):
        # one legend entry an optimizer, shown with its most visible line
        trace["showlegend"] = trace["legendgroup"] not in named
        named.add(trace["legendgroup"])
    x = {"title": {"text": "step"}, "zeroline": False}
    return {
        "data": sorted(traces, key=lambda t: t["line"]["width"]),
        "layout": layout(x, axis.layout(label(report["curves"]["metric"])), 460),
    }


def _lines(
    group: Sequence[Mapping[str, Any]], axis: Axis, style: Style, name: str, *, is_top: bool
) -> Figure:
    """Several curves in one trace, parted by gaps: a trace each would be slow to draw."""
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    for curve in group:
        rank = f", rank {curve['rank']}" if curve["rank"] else ""
        who = f"#{curve['number']} {name}{rank}"
        for step, value in zip(curve["steps"], curve["values"], strict=True):
            found = finite([value])
            x.append(step)
            y.append(axis.place(found[0]) if found else None)
            text.append(f"{who}: {number(value)} at step {step}")
        x.append(None)
        y.append(None)
        text.append("")
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "x": x,
        "y": y,
        "text": text,
        "hoverinfo": "text",
        "opacity": 1.0 if is_top else 0.35,
        "line": {
            "color": style.color,
            "dash": style.dash,
            "width": 2.4 if is_top else 1.0,
        },
    }


def slices(report: Mapping[str, Any]) -> Figure | None:
    """Each parameter against the objective, in the parameter's own scale."""
    panels = report["slices"]["parameters"]
    if not panels:
        return None
    axis = history_axis(report)
    looks = optimizer_styles(report)
    rows = -(-len(panels) // _COLUMNS)
    shape: dict[str, Any] = {
        "height": 52 + _ROW_HEIGHT * rows,
        "margin": {"l": 64, "r": 16, "t": 40, "b": 12},
        "hovermode": "closest",
        "showlegend": False,
    }
    traces = []
    for i, panel in enumerate(panels):
        suffix = "" if i == 0 else str(i + 1)
        positions, x_axis = _positions(panel)
        row, column = divmod(i, _COLUMNS)
        width, height = 1 / _COLUMNS, 1 / rows
        pad = min(0.26 * height, 60 / (_ROW_HEIGHT * rows))
        left, bottom = column * width, 1 - (row + 1) * height
        shape[f"xaxis{suffix}"] = {
            **x_axis,
            "domain": [left + 0.025, left + width - 0.025],
            "anchor": f"y{suffix}",
        }
        shape[f"yaxis{suffix}"] = {
            **axis.layout(label(report["slices"]["metric"]) if column == 0 else ""),
            "domain": [bottom + pad, bottom + height],
            "anchor": f"x{suffix}",
            "showticklabels": column == 0,
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
                "x": positions,
                "y": [axis.place(v) for v in panel["y"]],
                "text": [
                    f"#{n}: {label(number(x))} → {number(y)}"
                    for n, x, y in zip(panel["numbers"], panel["x"], panel["y"], strict=True)
                ],
                "hoverinfo": "text",
                "marker": {
                    "size": 5,
                    "opacity": 0.75,
                    "color": [looks.get(o, looks[None]).color for o in panel["optimizers"]],
                    "symbol": [looks.get(o, looks[None]).symbol for o in panel["optimizers"]],
                },
            }
        )
    return {"data": traces, "layout": shape}


def _positions(panel: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Where a panel's trials stand on its x axis, and that axis."""
    name = label(panel["name"])
    scale, x = panel["scale"], panel["x"]
    if scale == "category":
        keys = sorted({json.dumps(value) for value in x})
        place = {key: i for i, key in enumerate(keys)}
        spots = [
            place[json.dumps(value)] + jitter(n, 0.22)
            for value, n in zip(x, panel["numbers"], strict=True)
        ]
        ticks = {
            "tickvals": list(range(len(keys))),
            "ticktext": [label(number(json.loads(key))) for key in keys],
            "range": [-0.6, len(keys) - 0.4],
        }
        return spots, {"title": {"text": name}, "zeroline": False, **ticks}
    if scale == "one_minus_log" and all(value < 1 for value in x):
        title = {"title": {"text": f"1 − {name}"}}
        spots = [1 - v for v in x]
        return spots, {**title, **_log_axis(spots), "autorange": "reversed"}
    if scale == "log" and all(value > 0 for value in x):
        return list(x), {"title": {"text": name}, **_log_axis(x)}
    return list(x), {"title": {"text": name}, "zeroline": False, "nticks": 5}


def _log_axis(x: Sequence[float]) -> dict[str, Any]:
    return log_ticks(math.log10(min(x)), math.log10(max(x)), most=1.5)
