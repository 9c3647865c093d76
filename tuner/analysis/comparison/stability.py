"""How often an optimizer fails, and how much a seed or the learning rate matters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from tuner.analysis.comparison.contest import Contest, Entrant, Trial, median
from tuner.core.names import MISSING, resolve

# half a decade, either way, is "near" a learning rate
NEAR: Final = 10**0.5
# a value this share worse than the best is "close" to it
CLOSE: Final = 0.1


def stability(contest: Contest) -> list[dict[str, Any]]:
    """One row an optimizer, in order of place."""
    return [_row(contest, entrant) for entrant in contest.entrants]


def _row(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    search = [contest.cost(trial) for trial in entrant.searched]
    runs = list(contest.confirmed(entrant).values())
    finite = [cost for cost in runs if math.isfinite(cost)]
    return {
        "optimizer": entrant.name,
        "trials": len(search),
        "diverged": sum(bool(trial.get("diverged")) for trial in entrant.searched),
        "failed": sum(trial["state"] == "fail" for trial in entrant.searched),
        "seeds": len(runs),
        "lost_seeds": len(runs) - len(finite),
        # over the seeds that gave a value
        "std": float(np.std(finite, ddof=1)) if len(finite) > 1 else None,
        "range": max(finite) - min(finite) if len(finite) > 1 else None,
        "close": _close(search),
        "near": _near(contest, entrant),
    }


def _close(costs: Sequence[float]) -> float | None:
    """The share of trials at most a tenth of the best value's size worse than the best."""
    best = min(costs, default=math.inf)
    if math.isinf(best):
        return None
    return sum(cost <= best + CLOSE * abs(best) for cost in costs) / len(costs)


def learning_rate(trial: Trial) -> float | None:
    """The trial's learning rate; None where it has none, or one that is not positive."""
    found = resolve(trial.get("params") or {}, "lr")
    if found is MISSING or isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if found > 0 else None


def _near(contest: Contest, entrant: Entrant) -> dict[str, Any] | None:
    """How much worse other search trials near the setting's learning rate are.

    They differ in all other parameters too, so this is how forgiving the neighbourhood is, not the
    effect of the rate alone.
    """
    rate = None if entrant.setting is None else learning_rate(entrant.setting)
    if entrant.setting is None or rate is None:
        return None
    best = contest.cost(entrant.setting)
    others = [
        contest.cost(trial)
        for trial in entrant.searched
        if trial["number"] != entrant.setting["number"]
        and (lr := learning_rate(trial)) is not None
        and rate / NEAR <= lr <= rate * NEAR
    ]
    if not others or math.isinf(best):
        return {"lr": rate, "trials": len(others), "worse": None, "lost": None}
    middle = median(others) - best
    return {
        "lr": rate,
        "trials": len(others),
        "worse": middle if math.isfinite(middle) else None,
        "lost": sum(math.isinf(cost) for cost in others),
    }
