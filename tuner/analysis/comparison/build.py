"""The comparison of a study as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis.comparison import budget, convergence, inclusions, outcome, significance
from tuner.analysis.comparison.contest import Contest
from tuner.analysis.comparison.recommendation import recommendation
from tuner.analysis.comparison.stability import stability
from tuner.analysis.evidence import Evidence

MIN_SEEDS: Final = 5


def comparison(evidence: Evidence) -> dict[str, Any] | None:
    """The evidence of a study that compares optimizers; None of any other.

    Args:
        evidence: The study with its confirmation runs.
    """
    if not evidence.study.get("compare"):
        return None
    return compare(Contest(evidence))


def compare(contest: Contest) -> dict[str, Any]:
    """What the trials of a study say about its optimizers, whether or not it was a comparison."""
    tuning = budget.tuning(contest)
    apart = significance.significance(contest)
    soon = convergence.convergence(contest)
    return {
        "metric": contest.metric,
        "direction": contest.evidence.objective.direction,
        "plan": dict(contest.plan),
        "optimizers": contest.names,
        "recommendation": recommendation(contest, apart, soon),
        "significance": apart,
        "budget": tuning,
        "convergence": soon,
        "stability": stability(contest),
        "generalisation": outcome.generalisation(contest),
        "tunability": outcome.tunability(contest, tuning),
        "inclusions": inclusions.inclusions(contest, apart),
        "notes": notes(contest, apart),
    }


def notes(contest: Contest, apart: Mapping[str, Any]) -> list[str]:
    """What weakens this comparison, most important first."""
    found = []
    open_ = sum(entrant.open for entrant in contest.entrants)
    if open_:
        found.append(
            f"{open_} of its trials are still waiting or running: this is an intermediate state."
        )
    if contest.evidence.is_multi:
        found.append(f"Of its objectives only the first, {contest.metric}, is compared.")
    none = [entrant.name for entrant in contest.entrants if entrant.setting is None]
    if none:
        found.append(f"Without any result: {', '.join(none)}.")
    bare = [e.name for e in contest.entrants if not e.runs and e.setting is not None]
    if bare:
        found.append(
            f"Not confirmed on fresh seeds: {', '.join(bare)}. A best of many search trials is "
            "partly luck, so it is not ranked against confirmed values."
        )
    copies = [entrant.name for entrant in contest.entrants if contest.ignores_seeds(entrant)]
    if copies:
        found.append(
            f"The confirmation runs of {', '.join(copies)} are copies of each other: the training "
            "does not use the replicate (Trial.replicate, TUNER_REPLICATE) for its seed. They "
            "count as one run each, which shows nothing about the spread."
        )
    counts = [len(entrant.searched) for entrant in contest.entrants]
    if "seconds" not in contest.plan and counts and max(counts) > min(counts):
        found.append(
            f"The optimizers had between {min(counts)} and {max(counts)} search trials that "
            "count: compare expected bests at the same number."
        )
    if apart["comparisons"] and apart["seeds"] < MIN_SEEDS:
        found.append(
            f"So few seeds ({apart['seeds']}) say little about the spread; bootstrap intervals of "
            "them are too narrow."
        )
    found += _lost(contest)
    return found


def _lost(contest: Contest) -> Sequence[str]:
    lost = {
        entrant.name: n
        for entrant in contest.entrants
        if (n := sum(math.isinf(cost) for cost in contest.confirmed(entrant).values()))
    }
    if not lost:
        return []
    listed = ", ".join(f"{name} {n}" for name, n in lost.items())
    return [f"Confirmation runs that diverged or failed, counted as worst: {listed}."]
