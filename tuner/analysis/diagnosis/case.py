"""One trial as a diagnosis sees it: its curves, and what the other trials reached.

| word | meaning |
|---|---|
| cost | the first objective as a cost: lower is better, whatever its direction |
| start | the median first cost of all examined trials |
| gap | how far a trial stayed above the best one, as a share of the way from start to best |
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tuner.analysis.evidence import Curve, Evidence, as_json, optimizer_of
from tuner.optimizers.registry import ENTRIES
from tuner.tasks.registry import OPTIONS

Severity = Literal["severe", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("severe", "warning", "info")
# Curves with fewer points have no shape; our choice.
MIN_POINTS = 8


@dataclass(frozen=True)
class Finding:
    """A recognised pathology of one trial.

    Args:
        name: One of `rules.PATHOLOGIES`.
        severity: `severe` (the result is worthless), `warning` or `info`.
        evidence: The numbers it rests on.
        text: One sentence for people.
    """

    name: str
    severity: Severity
    evidence: Mapping[str, float | str]
    text: str

    def to_json(self, action: str) -> dict[str, Any]:
        """As plain JSON data, with what to do about it."""
        return {
            "name": self.name,
            "severity": self.severity,
            "evidence": {
                key: value if isinstance(value, str) else as_json(value)
                for key, value in self.evidence.items()
            },
            "text": self.text,
            "action": action,
        }


@dataclass(frozen=True)
class Case:
    """What is known about one trial's training.

    Args:
        curves: Its curves by metric; any may be missing.
        costs: The objective's curve as costs, by step; not finite where the trial diverged.
        from_best: Whether the objective takes the best step, so that later ones do no harm.
        diverged: Whether the trial ended with a value that is not finite.
        optimizer: The optimizer's name, None where unknown.
        batch_size: Examples a step; None where unknown or the whole training set.
        start: See the module; None where no trial has a curve.
        best: The least cost that any examined trial reached.
        high_start: The first cost that nine tenths of the trials stay below.
        train_span: The way of train_loss from its median start to its least value in any trial;
            None where there is none.
    """

    curves: Mapping[str, Curve]
    costs: Sequence[float]
    from_best: bool = False
    diverged: bool = False
    optimizer: str | None = None
    batch_size: float | None = None
    start: float | None = None
    best: float | None = None
    high_start: float | None = None
    train_span: float | None = None

    def values(self, metric: str) -> list[float]:
        """All values of a metric in order of steps."""
        return [value for _, value in self.curves.get(metric, [])]

    def finite(self, metric: str) -> list[float]:
        """The finite values of a metric in order of steps."""
        return [value for value in self.values(metric) if math.isfinite(value)]

    @property
    def fit(self) -> list[float]:
        """What training drives down: the training loss, else the objective's cost."""
        return self.finite("train_loss") or [cost for cost in self.costs if math.isfinite(cost)]

    @property
    def span(self) -> float | None:
        """The way from start to best, > 0; None where there is none."""
        if self.start is None or self.best is None or not self.start > self.best:
            return None
        return self.start - self.best

    @property
    def fit_span(self) -> float | None:
        """The way of `fit` in its own unit; that of the objective where nobody's train_loss fell."""
        return (self.train_span if self.finite("train_loss") else None) or self.span

    @property
    def gap(self) -> float | None:
        """Share of the way from start to best that the trial's best step is missing."""
        reached = [cost for cost in self.costs if math.isfinite(cost)]
        if self.span is None or self.best is None or not reached:
            return None
        return (min(reached) - self.best) / self.span

    @property
    def is_second_order(self) -> bool:
        """Whether the optimizer searches for its step lengths on large batches by itself."""
        entry = ENTRIES.get(self.optimizer or "")
        return entry is not None and entry.batch == "large"


def cases_of(evidence: Evidence, numbers: Sequence[int]) -> dict[int, Case]:
    """The cases of the trials of these numbers that have any curve or diverged."""
    objective = evidence.objective
    chosen = set(numbers)
    trials = [trial for trial in evidence.trials if trial["number"] in chosen]
    costs = {
        trial["number"]: [objective.cost(v) for _, v in evidence.curve(trial, objective.metric)]
        for trial in trials
    }
    starts, ends = _ways(costs.values())
    losses = ([v for _, v in evidence.curve(trial, "train_loss")] for trial in trials)
    train_starts, train_ends = _ways(losses)
    return {
        trial["number"]: Case(
            curves=evidence.curves.get(trial["number"], {}),
            costs=costs[trial["number"]],
            from_best=objective.source == "best",
            diverged=bool(trial.get("diverged")),
            optimizer=optimizer_used(evidence, trial),
            batch_size=batch_size_of(evidence, trial),
            start=statistics.median(starts) if starts else None,
            best=min(ends, default=None),
            high_start=_ninth_tenth(starts),
            train_span=(
                statistics.median(train_starts) - min(train_ends) if train_starts else None
            ),
        )
        for trial in trials
        if evidence.curves.get(trial["number"]) or trial.get("diverged")
    }


def _ways(curves: Iterable[Sequence[float]]) -> tuple[list[float], list[float]]:
    """The finite first values, and all finite values, of the curves that have a shape."""
    shaped = [curve for curve in curves if len(curve) >= MIN_POINTS]
    starts = [curve[0] for curve in shaped if math.isfinite(curve[0])]
    return starts, [value for curve in shaped for value in curve if math.isfinite(value)]


def _ninth_tenth(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return next(iter(values), None)
    return statistics.quantiles(values, n=10, method="inclusive")[8]


def task_of(study: Mapping[str, Any]) -> dict[str, Any] | None:
    """The study's built-in task; None where it has none."""
    task = (study.get("trial") or {}).get("task")
    return dict(task) if task is not None else None


def optimizer_used(evidence: Evidence, trial: Mapping[str, Any]) -> str | None:
    """The trial's optimizer: chosen by the space, else the task's."""
    task = task_of(evidence.study)
    given = None if task is None else task.get("optimizer", OPTIONS["optimizer"].default)
    return optimizer_of(trial) or given


def batch_size_of(evidence: Evidence, trial: Mapping[str, Any]) -> float | None:
    """Examples a step by the rule of names; None where unknown or the whole training set."""
    params, optimizer = trial.get("params") or {}, optimizer_used(evidence, trial)
    entry = ENTRIES.get(optimizer or "")
    if entry is not None and entry.batch == "full":
        return None
    task = task_of(evidence.study)
    named = params.get("batch_size", params.get(f"{optimizer}.batch_size"))
    given = named if named is not None else (task or {}).get("batch_size")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if task is None or (entry is not None and entry.batch != "any"):
        return None
    default = OPTIONS["batch_size"].default
    return float(default) if isinstance(default, int | float) else None
