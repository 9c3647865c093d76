"""How soon the confirmation runs reach a target: in epochs, steps, seconds and evaluations.

A run reaches the target at the first report that is at least as good; nothing is interpolated
between reports. A run that never does is censored: it counts as later than every one that did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from tuner.analysis.comparison.contest import Contest, Entrant, Trial, median
from tuner.analysis.evidence import Curve, as_json
from tuner.analysis.series import thin

# what a target may cost: the key, the metric that counts it (None: the report's own step), the unit
MEASURES: Final = (
    ("epochs", None, "reported steps"),
    ("steps", "steps", "optimizer steps"),
    ("seconds", "seconds", "seconds of training"),
    ("evaluations", "evaluations", "evaluations of the loss"),
)
MAX_POINTS: Final = 200


def target_of(contest: Contest) -> tuple[float | None, str]:
    """The target as a cost, and where it comes from: `given`, `median` or `none`.

    `median`: the median over the optimizers of each one's confirmed median, so that about half of
    them reach it.
    """
    given = contest.plan.get("target")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return contest.evidence.objective.cost(float(given)), "given"
    medians = [
        median(list(costs.values())) for e in contest.entrants if (costs := contest.confirmed(e))
    ]
    middle = median(medians)
    return (middle, "median") if math.isfinite(middle) else (None, "none")


def reached(contest: Contest, run: Trial, target: float) -> int | None:
    """The step of the first report that is at least as good as the target; None if none is."""
    return next((step for step, cost in _costs(contest, run) if cost <= target), None)


def _costs(contest: Contest, run: Trial) -> Curve:
    """The run's reports as costs; infinite ones diverged, whichever way the metric is better."""
    objective = contest.evidence.objective
    return [
        (step, objective.cost(value) if math.isfinite(value) else math.inf)
        for step, value in contest.evidence.curve(run, objective.metric)
    ]


def count_at(curve: Curve, step: int) -> float | None:
    """A running count at a step: its last finite report up to there."""
    reports = (value for at, value in reversed(curve) if at <= step and math.isfinite(value))
    return next(reports, None)


def convergence(contest: Contest) -> dict[str, Any]:
    """Time to target of each optimizer's confirmation runs, and their progress."""
    target, source = target_of(contest)
    rows = [_row(contest, entrant, target) for entrant in contest.entrants if entrant.runs]
    used = [key for key, _, _ in MEASURES if any(row["to_target"].get(key) for row in rows)]
    return {
        "metric": contest.metric,
        "target": None if target is None else contest.value(target),
        "source": source,
        "measures": used,
        "optimizers": rows,
        "progress": [p for e in contest.entrants if e.runs and (p := _progress(contest, e))],
    }


def _row(contest: Contest, entrant: Entrant, target: float | None) -> dict[str, Any]:
    curves = [run for run in entrant.runs if contest.evidence.curve(run, contest.metric)]
    # one that failed before its first report never gets there; one that only told its value may
    lost = [run for run in entrant.runs if run not in curves and math.isinf(contest.cost(run))]
    ends = [None if target is None else reached(contest, run, target) for run in curves]
    found: dict[str, Any] = {}
    for key, metric, _ in MEASURES:
        counted = [_cost(contest, run, metric, end) for run, end in zip(curves, ends, strict=True)]
        known = [cost for cost in counted if cost is not None]
        if (
            target is not None
            and _is_counted(contest, curves, metric)
            and len(known) == len(curves)
        ):
            costs = known + [math.inf] * len(lost)
            finite = [cost for cost in costs if math.isfinite(cost)]
            found[key] = {
                "median": as_json(median(costs)),
                "low": min(finite, default=None),
                "high": as_json(max(costs)),
                "runs": [as_json(cost) for cost in costs],
            }
    return {
        "optimizer": entrant.name,
        "runs": len(curves) + len(lost),
        "reached": sum(end is not None for end in ends),
        "to_target": found,
    }


def _is_counted(contest: Contest, runs: Sequence[Trial], metric: str | None) -> bool:
    """Whether every run reports what is counted."""
    if metric is None:
        return bool(runs)
    return bool(runs) and all(contest.evidence.curve(run, metric) for run in runs)


def _cost(contest: Contest, run: Trial, metric: str | None, step: int | None) -> float | None:
    """What a run took to a step, infinite for one it never came to; None if nothing counted it."""
    if step is None:
        return math.inf
    if metric is None:
        return float(step)
    return count_at(contest.evidence.curve(run, metric), step)


def _progress(contest: Contest, entrant: Entrant) -> dict[str, Any] | None:
    """The median over runs of the best so far at each reported step, and what it took by then."""
    evidence = contest.evidence
    best = [_best_so_far(contest, run) for run in entrant.runs]
    known = [b for b in best if b]
    if not known:
        return None
    steps = thin(sorted(set().union(*known)), MAX_POINTS)
    found: dict[str, Any] = {
        "optimizer": entrant.name,
        "epochs": steps,
        "value": [contest.value(median([_at(b, step) for b in known])) for step in steps],
    }
    for key, metric, _ in MEASURES:
        if metric is None:
            continue
        counts = [curve for run in entrant.runs if (curve := evidence.curve(run, metric))]
        at = [
            [c for curve in counts if (c := count_at(curve, step)) is not None] for step in steps
        ]
        found[key] = [median(row) for row in at] if counts and all(at) else None
    return found


def _best_so_far(contest: Contest, run: Trial) -> dict[int, float]:
    best, found = math.inf, {}
    for step, cost in _costs(contest, run):
        best = min(best, cost)
        found[step] = best
    return found


def _at(best: dict[int, float], step: int) -> float:
    """The best so far at a step; a run that has ended keeps its last."""
    if step in best:
        return best[step]
    return next((cost for at, cost in reversed(best.items()) if at <= step), math.inf)
