"""The charts of a comparison as plotly figures in plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis.axes import INK, MUTED, Axis, Style, jitter, log_ticks, value_axis
from tuner.analysis.figures import Figure, finite, label, layout
from tuner.analysis.wording import number
from tuner.core.wire import decode_metric

Json = Mapping[str, Any]
Styles = Mapping[str | None, Style]
_BAND: Final = 0.14


def charts(comparison: Json, looks: Styles, prefix: str = "") -> dict[str, Figure]:
    """The figures of one comparison by name.

    Args:
        comparison: What `build.compare` gives.
        looks: A style for each optimizer, the same in all charts of a page.
        prefix: Put before the names, where a page has several comparisons.
    """
    made = {
        "confirmed": _confirmed(comparison, looks),
        "budget": _budget(comparison, looks, "n"),
        "happened": _happened(comparison, looks),
        "budget_seconds": _budget(comparison, looks, "seconds"),
        "progress": _progress(comparison, looks),
    }
    return {prefix + key: figure for key, figure in made.items() if figure is not None}


def rgba(color: str, opacity: float) -> str:
    """A colour `#rrggbb` as a translucent one."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def line(name: str, x: Sequence[Any], y: Sequence[Any], style: Style, **more: Any) -> Figure:
    """A line in an optimizer's colour and dash."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": label(name),
        "legendgroup": label(name),
        "x": list(x),
        "y": list(y),
        "line": {"color": style.color, "dash": style.dash, "width": 2, **more.pop("line", {})},
        **more,
    }


def _value_axis(comparison: Json, values: Sequence[Any]) -> Axis:
    return value_axis(finite(values), comparison["direction"])


def _placed(axis: Axis, value: Any) -> float | None:
    number_ = decode_metric(value)
    return axis.place(number_) if number_ is not None and math.isfinite(number_) else None


def _confirmed(comparison: Json, looks: Styles) -> Figure | None:
    """A mark for each fresh seed and a bar at the median, one column an optimizer."""
    rows = comparison["significance"]["optimizers"]
    if not rows:
        return None
    axis = _value_axis(comparison, [run["value"] for row in rows for run in row["runs"]])
    traces: list[Figure] = []
    for place, row in enumerate(rows):
        style = looks[row["optimizer"]]
        found = [(run, _placed(axis, run["value"])) for run in row["runs"]]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label(row["optimizer"]),
                "x": [place + jitter(run["replicate"], 0.18) for run, _ in found],
                "y": [axis.worst if y is None else y for _, y in found],
                "text": [
                    f"{label(row['optimizer'])}, seed {run['replicate']}: "
                    f"{number(run['value'], 6)} (#{run['number']})"
                    for run, _ in found
                ],
                "hoverinfo": "text",
                "marker": {
                    "color": style.color,
                    "size": 8,
                    "symbol": [style.symbol if y is not None else "x-thin-open" for _, y in found],
                    "line": {"width": 1},
                },
            }
        )
        middle = _placed(axis, row["median"])
        if middle is not None:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [place - 0.3, place + 0.3],
                    "y": [middle, middle],
                    "line": {"color": INK, "width": 2},
                    "hoverinfo": "skip",
                }
            )
    names = [label(row["optimizer"]) for row in rows]
    x = {
        "tickvals": list(range(len(rows))),
        "ticktext": names,
        "range": [-0.6, len(rows) - 0.4],
        "showgrid": False,
        "zeroline": False,
    }
    shape = layout(x, axis.layout(label(comparison["metric"])))
    return {"data": traces, "layout": {**shape, "showlegend": False}}


def _budget(comparison: Json, looks: Styles, over: str) -> Figure | None:
    """The expected best with its band, over trials (`n`) or training `seconds`."""
    curves = [curve for curve in comparison["budget"]["curves"] if curve[over]]
    if not curves:
        return None
    axis = _value_axis(comparison, [v for curve in curves for v in curve["expected"]])
    traces: list[Figure] = []
    for curve in curves:
        style = looks[curve["optimizer"]]
        low, high = (
            [_placed(axis, value) for value in curve[side]] for side in ("better", "worse")
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "legendgroup": label(curve["optimizer"]),
                "showlegend": False,
                "x": [*curve[over], *reversed(curve[over])],
                "y": [*low, *reversed(high)],
                "fill": "toself",
                "fillcolor": rgba(style.color, _BAND),
                "line": {"width": 0, "color": style.color},
                "hoverinfo": "skip",
            }
        )
        traces.append(
            line(
                curve["optimizer"],
                curve[over],
                [_placed(axis, value) for value in curve["expected"]],
                style,
                text=[
                    f"{label(curve['optimizer'])}, best of {n}: {number(value)}"
                    for n, value in zip(curve["n"], curve["expected"], strict=True)
                ],
                hoverinfo="text",
            )
        )
    title = "search trials" if over == "n" else "seconds of training"
    x = _count_axis(title, [v for curve in curves for v in curve[over]])
    return {"data": traces, "layout": layout(x, axis.layout(label(_expected(comparison))), 460)}


def _expected(comparison: Json) -> str:
    return f"expected best {comparison['metric']}"


def _count_axis(title: str, values: Sequence[float]) -> dict[str, Any]:
    """An axis of counts or seconds; in ratio where they span more than a factor of thirty."""
    shape: dict[str, Any] = {"title": {"text": title}, "zeroline": False}
    positive = [v for v in values if v > 0]
    if positive and max(positive) > 30 * min(positive):
        low, high = math.log10(min(positive)), math.log10(max(positive))
        pad = 0.02 * (high - low)
        ends = [low - pad, high + pad]
        return {**shape, **log_ticks(low, high), "range": ends}
    return shape


def _happened(comparison: Json, looks: Styles) -> Figure | None:
    """The best so far as a step line over an optimizer's own trials."""
    curves = [curve for curve in comparison["budget"]["curves"] if curve["happened"]["n"]]
    if not curves:
        return None
    axis = _value_axis(comparison, [v for curve in curves for v in curve["happened"]["best"]])
    traces = [
        line(
            curve["optimizer"],
            curve["happened"]["n"],
            [_placed(axis, value) for value in curve["happened"]["best"]],
            looks[curve["optimizer"]],
            line={"shape": "hv"},
            text=[
                f"{label(curve['optimizer'])}, after {n}: {number(value)}"
                for n, value in zip(curve["happened"]["n"], curve["happened"]["best"], strict=True)
            ],
            hoverinfo="text",
        )
        for curve in curves
    ]
    x = _count_axis("search trials", [n for curve in curves for n in curve["happened"]["n"]])
    y = axis.layout(label(f"best {comparison['metric']} so far"))
    return {"data": traces, "layout": layout(x, y)}


def _progress(comparison: Json, looks: Styles) -> Figure | None:
    """The median best so far over what was trained, with the target as a dotted line."""
    data = comparison["convergence"]
    rows = data["progress"]
    if not rows:
        return None
    over = "seconds" if all(row["seconds"] for row in rows) else "epochs"
    target = decode_metric(data["target"])
    values = [v for row in rows for v in row["value"]]
    axis = _value_axis(comparison, [*values, target] if target is not None else values)
    traces = [
        line(
            row["optimizer"],
            row[over],
            [_placed(axis, value) for value in row["value"]],
            looks[row["optimizer"]],
            text=[
                f"{label(row['optimizer'])}, reported step {step}: {number(value)}"
                for step, value in zip(row["epochs"], row["value"], strict=True)
            ],
            hoverinfo="text",
        )
        for row in rows
    ]
    spots = [v for row in rows for v in row[over]]
    place = None if target is None else _placed(axis, target)
    if place is not None:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "target",
                "x": [min(spots), max(spots)],
                "y": [place, place],
                "line": {"color": MUTED, "dash": "dot", "width": 1.5},
                "hoverinfo": "skip",
            }
        )
    title = "seconds of training" if over == "seconds" else "reported step"
    y = axis.layout(label(f"median best {comparison['metric']}"))
    return {"data": traces, "layout": layout(_count_axis(title, spots), y, 460)}
