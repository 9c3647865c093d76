"""What a reader must know before believing a report: noise, unequal effort, doubts.

What to do about it is in `advice`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.analysis.comparison.inclusions import INCLUSIONS, Inclusion, in_the_way, ranges_of
from tuner.analysis.evidence import Evidence

_COMPARED = (
    "The best of many search trials is partly luck. What is said about the optimizers rests on the "
    "runs of their settings on fresh seeds; best values of the search do not."
)


def repeats(evidence: Evidence) -> dict[str, Any]:
    """How often a configuration was trained: the most times, and how many more than once."""
    seen = Counter(
        json.dumps(trial.get("params") or {}, sort_keys=True)
        for trial in evidence.trials
        if trial["state"] == "complete"
    )
    return {
        "configurations": len(seen),
        "most_runs": max(seen.values(), default=0),
        "repeated": sum(n > 1 for n in seen.values()),
    }


def notes(evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences for the reader, most important first.

    Args:
        evidence: The study.
        rows: The table per optimizer.
    """
    is_compared = bool(evidence.study.get("compare"))
    found = [_COMPARED if is_compared else _noise(repeats(evidence)), *_unfinished(evidence)]
    if len(rows) > 1:
        found += _unequal(rows)
    if not evidence.is_multi and not is_compared:
        found += _inclusion(evidence, rows)
    if evidence.results and evidence.objective.source == "best":
        found.append(
            f"A trial's {evidence.objective.metric} is the best over its steps, which flatters it "
            "compared with the last one; final metrics are those at the last step."
        )
    return found


def _noise(runs: Mapping[str, Any]) -> str:
    if not runs["configurations"]:
        return "No trial is complete yet, so there is nothing to compare."
    if runs["most_runs"] <= 1:
        return (
            "Seeds per configuration: 1. Each configuration was trained once, so differences "
            "include the luck of one seed and of picking the best of many; no claim of "
            "significance is made."
        )
    return (
        f"Seeds per configuration: 1 to {runs['most_runs']} ({runs['repeated']} of "
        f"{runs['configurations']} configurations ran more than once). Best values still favour "
        "luck; no claim of significance is made."
    )


def _unfinished(evidence: Evidence) -> list[str]:
    open_ = sum(trial["state"] in ("running", "waiting") for trial in evidence.trials)
    if not open_:
        return []
    return [
        f"{open_} trials are still running or waiting; the report shows an intermediate state."
    ]


def _unequal(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    trials = [row["trials"] for row in rows]
    low, high = min(trials), max(trials)
    if high < 1.5 * low:
        return []
    return [
        f"Optimizers had between {low} and {high} trials each (the sampler decides): the best of "
        "more trials is better by chance alone, so compare best values with the effort beside them."
    ]


def _inclusion(evidence: Evidence, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    best = {row["optimizer"]: row["best"] for row in rows if row["best"]}
    cost = evidence.objective.cost
    return [
        f"{item.special} came out ahead of {item.general}, which contains it as a special case "
        f"({item.condition}): {item.general} is under-tuned here, its range is too narrow, or the "
        "difference is noise."
        for item in INCLUSIONS
        if item.special in best
        and item.general in best
        and cost(best[item.special]["value"]) < cost(best[item.general]["value"])
        and _is_near(evidence, item, best[item.special]["params"])
    ]


def _is_near(evidence: Evidence, item: Inclusion, params: Mapping[str, Any]) -> bool:
    """Whether the general method may be expected to become the special one's best trial here."""
    return not item.is_limit or not in_the_way(item, ranges_of(evidence), params)
