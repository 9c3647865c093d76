"""What the chosen settings are worth: their test scores, their gap to training, what tuning gained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis.comparison.contest import Contest, Entrant, Trial, median
from tuner.analysis.comparison.recommendation import takes_everything, task_of
from tuner.analysis.evidence import as_json, parameters_of
from tuner.core.ranking import Direction

VAL: Final = "val_"
# the metrics of training, validation and test, and which way they are better
FAMILIES: Final[tuple[tuple[str, Direction], ...]] = (
    ("loss", "minimize"),
    ("accuracy", "maximize"),
)


def generalisation(contest: Contest) -> dict[str, Any]:
    """Validation, training and test values of the confirmation runs, per optimizer.

    All are at the run's best step, the one with its least validation loss, or the best step of the
    objective where no `val_loss` is reported; test values are those of the weights at that step.
    Training values are measured before each step of the epoch: with one step an epoch they are
    those of the weights before, so that nothing is said of a gap.
    """
    rows = [_general_row(contest, entrant) for entrant in contest.entrants if entrant.runs]
    families = [f for f, _ in FAMILIES if any(row[f] for row in rows)]
    return {
        "families": families,
        "has_test": any(row[f] and row[f]["test"] for row in rows for f in families),
        "optimizers": rows,
    }


def _general_row(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    lags = _lags(contest, entrant)
    found: dict[str, Any] = {"optimizer": entrant.name, "runs": len(entrant.runs), "lags": lags}
    for family, _ in FAMILIES:
        parts = {
            part: [_at_best(contest, run, f"{part}_{family}") for run in entrant.runs]
            for part in ("train", "val")
        }
        test = [_last(contest, run, f"test_{family}") for run in entrant.runs]
        gaps = [
            val - train
            for val, train in zip(parts["val"], parts["train"], strict=True)
            if val is not None and train is not None
        ]
        spreads = {**{k: _spread(v) for k, v in parts.items()}, "test": _spread(test)}
        gap = None if lags else _spread(gaps)
        found[family] = {**spreads, "gap": gap} if any(spreads.values()) else None
    return found


def _lags(contest: Contest, entrant: Entrant) -> bool:
    """Whether its training values are those of the weights a whole epoch before."""
    task = task_of(contest)
    if not task:
        return False  # what a loop of one's own reports as training values, nobody knows
    steps = [(best_step(contest, run), run) for run in entrant.runs]
    return all(
        takes_everything(entrant.name, run.get("params") or {}, task)
        or (step is not None and dict(contest.evidence.curve(run, "steps")).get(step) == step)
        for step, run in steps
    )


def _spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Median and range of the finite values, and how many they are."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if not finite:
        return None
    return {"median": median(finite), "low": min(finite), "high": max(finite), "n": len(finite)}


def best_step(contest: Contest, run: Trial) -> int | None:
    """The step of the run's least validation loss, else of its best objective."""
    evidence = contest.evidence
    curve = [(step, v) for step, v in evidence.curve(run, "val_loss") if math.isfinite(v)]
    if curve:
        return min(curve, key=lambda point: point[1])[0]
    objective = evidence.objective
    own = [p for p in evidence.curve(run, objective.metric) if math.isfinite(p[1])]
    return min(own, key=lambda point: objective.cost(point[1]))[0] if own else None


def _at_best(contest: Contest, run: Trial, metric: str) -> float | None:
    step = best_step(contest, run)
    return dict(contest.evidence.curve(run, metric)).get(step) if step is not None else None


def _last(contest: Contest, run: Trial, metric: str) -> float | None:
    return contest.evidence.metrics(run).get(metric)


def is_default(trial: Trial, parameters: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether every parameter of the trial that has a default is at it."""
    params = trial.get("params") or {}
    known = [
        (params[name], spec["default"])
        for name, spec in parameters.items()
        if name in params and name != "optimizer" and spec.get("default") is not None
    ]
    return bool(known) and all(_same(value, default) for value, default in known)


def _same(value: Any, default: Any) -> bool:
    if isinstance(value, bool) or isinstance(default, bool) or isinstance(value, str):
        return type(value) is type(default) and bool(value == default)
    if isinstance(default, int | float):
        return math.isclose(value, default, rel_tol=1e-9)
    return bool(value == default)


def tunability(contest: Contest, tuning: Mapping[str, Any]) -> dict[str, Any]:
    """What tuning gained over the default setting, and the mean of the expected best.

    Args:
        contest: The comparison.
        tuning: The result of `budget.tuning`, for the area under its curves.
    """
    areas = {curve["optimizer"]: curve["area"] for curve in tuning["curves"]}
    return {
        "metric": contest.metric,
        "common": tuning["common"],
        "optimizers": [
            {**_gain(contest, entrant), "area": areas.get(entrant.name)}
            for entrant in contest.entrants
        ],
    }


def _gain(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    """The first trial if it is the default setting, against the best; positive gains are good."""
    first = entrant.searched[0] if entrant.searched else None
    parameters = parameters_of(contest.evidence.study)
    default = first if first is not None and is_default(first, parameters) else None
    before = math.inf if default is None else contest.cost(default)
    best = min((contest.cost(trial) for trial in entrant.searched), default=math.inf)
    after = median(list(contest.confirmed(entrant).values()))
    return {
        "optimizer": entrant.name,
        "default": None if default is None else default["number"],
        "default_value": None if default is None else contest.value(before),
        "best_value": contest.value(best) if math.isfinite(best) else None,
        "confirmed_value": contest.value(after) if entrant.runs else None,
        "gain": as_json(before - best) if default is not None and math.isfinite(best) else None,
        "gain_confirmed": (
            as_json(before - after) if default is not None and math.isfinite(after) else None
        ),
    }
