"""The tables of a report: timing, best trial, one row an optimizer, failures, notes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.analysis.encoding import is_numeric, position
from tuner.analysis.evidence import STATES, Evidence, as_json, parameters_of, seconds_between

# nearer to a bound than this share of the range (in the parameter's scale) is "at the edge"
EDGE = 0.02
_SHOWN_NUMBERS = 20

Trial = Mapping[str, Any]


def counts(trials: Sequence[Trial]) -> dict[str, int]:
    """Trials by state, and `diverged` (which are also complete)."""
    seen = Counter(trial["state"] for trial in trials)
    return {
        **{state: seen.get(state, 0) for state in STATES},
        "diverged": sum(bool(trial.get("diverged")) for trial in trials),
        "total": len(trials),
    }


def timing(evidence: Evidence) -> dict[str, float | None]:
    """Where the time went, in seconds; training and searching apart.

    `wall_seconds` spans from the study's creation to the last end of a trial. `training_seconds`
    adds up each trial's last attempt, so parallel trials count side by side: what it reported, else
    from its start to its end. `search_seconds` and `busy_seconds` (server time with a trial running)
    are the server's, None where not given.
    """
    given = evidence.study.get("timing") or {}
    ends = [str(t["finished_at"]) for t in evidence.trials if t.get("finished_at")]
    end = max(ends, default=None)
    seconds = [s for t in evidence.trials if (s := evidence.training_seconds(t)) is not None]
    return {
        "wall_seconds": seconds_between(evidence.study.get("created_at"), end),
        "training_seconds": sum(seconds) if seconds else None,
        "search_seconds": given.get("search_seconds"),
        "busy_seconds": given.get("busy_seconds"),
    }


def describe(evidence: Evidence, trial: Trial | None) -> dict[str, Any] | None:
    """One trial in full: value, parameters, final metrics, effort, edges of ranges."""
    if trial is None:
        return None
    return {
        "number": trial["number"],
        "state": trial["state"],
        "value": as_json(evidence.value(trial)),
        "values": {o.metric: as_json(evidence.value(trial, o)) for o in evidence.objectives},
        "params": dict(trial.get("params") or {}),
        "metrics": {name: as_json(value) for name, value in evidence.metrics(trial).items()},
        "epochs": evidence.steps(trial),
        "seconds": evidence.training_seconds(trial),
        "attempt": trial.get("attempt"),
        "sampler": trial.get("sampler"),
        "edges": edges(parameters_of(evidence.study), trial),
    }


def edges(parameters: Mapping[str, Mapping[str, Any]], trial: Trial) -> list[dict[str, Any]]:
    """The trial's numeric parameters that lie at a bound of their range, or beyond it."""
    found = []
    for name, value in (trial.get("params") or {}).items():
        spec = parameters.get(name)
        if spec is None or not is_numeric(spec) or isinstance(value, bool | str):
            continue
        place = position(float(value), spec)
        if EDGE < place < 1.0 - EDGE:
            continue
        bound = "low" if place <= EDGE else "high"
        found.append({"name": name, "value": value, "bound": bound, "limit": spec[bound]})
    return found


def per_optimizer(evidence: Evidence) -> list[dict[str, Any]]:
    """One row an optimizer, best first; those without a result last, by name."""
    rows = [_optimizer_row(evidence, name, group) for name, group in evidence.by_optimizer.items()]
    objective = evidence.objective

    def order(row: dict[str, Any]) -> float:
        best = row["best"]
        return math.inf if best is None else objective.cost(float(best["value"]))

    return sorted(rows, key=order)


def _optimizer_row(evidence: Evidence, name: str, group: Sequence[Trial]) -> dict[str, Any]:
    numbers = {trial["number"] for trial in group}
    results = [trial for trial in evidence.results if trial["number"] in numbers]
    seconds = [s for trial in group if (s := evidence.training_seconds(trial)) is not None]
    epochs = [steps for trial in group if (steps := evidence.steps(trial)) is not None]
    best = describe(evidence, results[0] if results else None)
    return {
        "optimizer": name,
        "trials": len(group),
        **{key: n for key, n in counts(group).items() if key != "total"},
        "best": best,
        "quartiles": quartiles([v for t in results if (v := evidence.value(t)) is not None]),
        "accuracy": accuracy(best["metrics"]) if best else None,
        "epochs": sum(epochs) if epochs else None,
        "seconds": sum(seconds) if seconds else None,
        "on_front": sum(t["number"] in numbers for t in evidence.front),
    }


def quartiles(values: Sequence[float]) -> list[float] | None:
    """Lowest, lower quartile, median, upper quartile, highest; linear between neighbours."""
    if not values:
        return None
    ordered = sorted(values)
    found = []
    for quarter in range(5):
        low, rest = divmod(quarter * (len(ordered) - 1), 4)
        high = min(low + 1, len(ordered) - 1)
        found.append(ordered[low] + rest / 4 * (ordered[high] - ordered[low]))
    return found


def accuracy(metrics: Mapping[str, Any]) -> Any:
    """The validation accuracy among final metrics; None where none is reported."""
    for name in ("val_accuracy", "val_acc", "accuracy", "acc"):
        if name in metrics:
            return metrics[name]
    return None


def failures(evidence: Evidence) -> list[dict[str, Any]]:
    """Failed and diverged trials by reason, most frequent first, with their first numbers."""
    groups: dict[tuple[str, str], list[int]] = {}
    for trial in evidence.trials:
        if trial["state"] == "fail":
            key = ("fail", str(trial.get("reason") or "unknown"))
        elif trial.get("diverged"):
            key = ("diverged", "objective not finite")
        else:
            continue
        groups.setdefault(key, []).append(int(trial["number"]))
    return [
        {"kind": kind, "reason": reason, "count": len(n), "numbers": n[:_SHOWN_NUMBERS]}
        for (kind, reason), n in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
