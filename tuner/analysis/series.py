"""The points behind a report's charts, bounded in number whatever the study's length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tuner.analysis.encoding import is_numeric, scale_of
from tuner.analysis.evidence import Curve, Evidence, as_json, optimizer_of, parameters_of
from tuner.core.ranking import is_better

MAX_HISTORY = 2000
MAX_CURVES = 200
MAX_CURVE_POINTS = 10_000
TOP_CURVES = 10
MAX_SLICES = 12
MAX_SLICE_TRIALS = 600
MAX_FRONT = 1000

Trial = Mapping[str, Any]
T = TypeVar("T")


def thin(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` items, evenly spread, the first and last among them."""
    if len(items) <= limit:
        return list(items)
    if limit < 2:
        return list(items[:limit])
    last = len(items) - 1
    return [items[round(i * last / (limit - 1))] for i in range(limit)]


def history(evidence: Evidence) -> dict[str, Any]:
    """Trials in order of number with their value and the best result so far.

    Reduced to `MAX_HISTORY` points; every improvement stays.
    """
    best: float | None = None
    points: list[dict[str, Any]] = []
    improvements: list[int] = []
    for trial in evidence.trials:
        value = evidence.value(trial)
        if value is not None and evidence.counts_as_result(trial):
            improved = is_better(value, best, evidence.objective.direction)
            best = value if improved else best
            improvements += [len(points)] * improved
        points.append(
            {
                "number": trial["number"],
                "state": trial["state"],
                "diverged": bool(trial.get("diverged")),
                "optimizer": optimizer_of(trial),
                "value": as_json(value),
                "best": as_json(best),
            }
        )
    kept = set(improvements[-MAX_HISTORY // 2 :])
    kept.update(thin(range(len(points)), MAX_HISTORY - len(kept)))
    return {
        "metric": evidence.objective.metric,
        "total": len(points),
        "points": [points[i] for i in sorted(kept)],
    }


def curves(evidence: Evidence) -> dict[str, Any]:
    """Learning curves of the objective: the best trials, and others spread over the study.

    At most `MAX_CURVES` curves and `MAX_CURVE_POINTS` points together.
    """
    metric = evidence.objective.metric
    drawn = [t for t in evidence.trials if len(evidence.curve(t, metric)) > 1]
    rank = {t["number"]: i + 1 for i, t in enumerate(evidence.results[:TOP_CURVES])}
    top = [t for t in evidence.results[:TOP_CURVES] if len(evidence.curve(t, metric)) > 1]
    others = thin([t for t in drawn if t["number"] not in rank], MAX_CURVES - len(top))
    chosen = [*top, *others]
    limit = max(2, MAX_CURVE_POINTS // len(chosen)) if chosen else 2
    return {
        "metric": metric,
        "total": len(drawn),
        "curves": [
            {
                "number": trial["number"],
                "optimizer": optimizer_of(trial),
                "state": trial["state"],
                "rank": rank.get(trial["number"]),
                **_points(thin(evidence.curve(trial, metric), limit)),
            }
            for trial in chosen
        ],
    }


def _points(curve: Curve) -> dict[str, list[Any]]:
    return {"steps": [s for s, _ in curve], "values": [as_json(v) for _, v in curve]}


def slices(evidence: Evidence, order: Sequence[str]) -> dict[str, Any]:
    """Each parameter against the objective, over complete and pruned trials with a finite value.

    Args:
        evidence: The study.
        order: Parameter names, most important first; others follow in declared order.
    """
    specs = parameters_of(evidence.study)
    names = [n for n in dict.fromkeys([*order, *specs]) if n in specs]
    names = [n for n in names if specs[n].get("type") != "fixed" and n != "optimizer"]
    usable = [
        (trial, value)
        for trial in evidence.trials
        if trial["state"] in ("complete", "pruned")
        and (value := evidence.value(trial)) is not None
        and math.isfinite(value)
    ]
    panels: list[dict[str, Any]] = []
    for name in names:
        found = [(t, v) for t, v in usable if (t.get("params") or {}).get(name) is not None]
        if found and len(panels) < MAX_SLICES:
            panels.append(_panel(name, specs[name], thin(found, MAX_SLICE_TRIALS)))
    return {
        "metric": evidence.objective.metric,
        "total": sum(any(name in t["params"] for t, _ in usable) for name in names),
        "parameters": panels,
    }


def _panel(
    name: str, spec: Mapping[str, Any], found: Sequence[tuple[Trial, float]]
) -> dict[str, Any]:
    return {
        "name": name,
        "scale": scale_of(spec) if is_numeric(spec) else "category",
        "numbers": [trial["number"] for trial, _ in found],
        "optimizers": [optimizer_of(trial) for trial, _ in found],
        "x": [trial["params"][name] for trial, _ in found],
        "y": [value for _, value in found],
    }


def front(evidence: Evidence) -> dict[str, Any] | None:
    """The Pareto front and the other results in the objectives' values; None for one objective."""
    if not evidence.is_multi:
        return None
    on = {trial["number"] for trial in evidence.front}
    others = [trial for trial in evidence.results if trial["number"] not in on]
    metrics = [objective.metric for objective in evidence.objectives]
    return {
        "metrics": metrics,
        "directions": [objective.direction for objective in evidence.objectives],
        "total": len(on),
        "front": [_place(evidence, t) for t in thin(evidence.front, MAX_FRONT)],
        "others": [_place(evidence, t) for t in thin(others, MAX_FRONT)],
    }


def _place(evidence: Evidence, trial: Trial) -> dict[str, Any]:
    return {
        "number": trial["number"],
        "optimizer": optimizer_of(trial),
        "values": [as_json(evidence.value(trial, o)) for o in evidence.objectives],
        "params": dict(trial.get("params") or {}),
    }
