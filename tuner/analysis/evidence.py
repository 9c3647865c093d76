"""What a study's wire objects say: values, outcomes, curves and durations.

The one place of this package that reads the raw JSON: everything after it works on an `Evidence`.

| word | meaning |
|---|---|
| value | the first objective's value; of a trial that was stopped, the one it had reported |
| curve | `(step, value)` pairs of one metric, ascending steps, newest attempt where a step repeats |
| diverged | ended `complete` with a value that is not finite |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Final, Literal

from tuner.core.ranking import Direction, choose, is_feasible, loss, pareto
from tuner.core.wire import decode_metric, encode_metric

Curve = list[tuple[int, float]]

# the metric by which a trial tells how long it has trained; a comparison by seconds counts it too
SECONDS: Final = "seconds"
FINISHED = ("complete", "pruned", "fail")
STATES = ("complete", "pruned", "fail", "running", "waiting")


def as_json(value: float | None) -> float | str | None:
    """The wire form of a number: non-finite ones as their JSON strings."""
    return None if value is None else encode_metric(value)


@dataclass(frozen=True)
class Objective:
    """One metric with its direction; `source` says which report counts (`last` or `best`)."""

    metric: str
    direction: Direction
    source: Literal["last", "best"]

    def cost(self, value: float) -> float:
        """The value as a cost (lower is better); not-a-number is the worst there is."""
        return loss(value, self.direction)

    def pick(self, curve: Curve) -> float | None:
        """The value that a curve amounts to: its last one, or its best finite one."""
        return choose(curve, self.source, self.direction)


def objectives_of(study: Mapping[str, Any]) -> list[Objective]:
    """The study's objectives, in their order."""
    return [
        Objective(item["metric"], item.get("direction", "minimize"), item.get("from", "last"))
        for item in study.get("objectives") or ()
    ]


def parameters_of(study: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The expanded space's parameters by name."""
    return dict((study.get("expanded_space") or {}).get("parameters") or {})


def optimizer_of(trial: Mapping[str, Any]) -> str | None:
    """The optimizer a trial used; None where the study does not choose one."""
    name = (trial.get("params") or {}).get("optimizer")
    return None if name is None else str(name)


def seconds_between(start: Any, end: Any) -> float | None:
    """Seconds from one RFC 3339 time to another; None if either is missing."""
    if not start or not end:
        return None
    return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()


def merge_curves(measurements: Iterable[Mapping[str, Any]]) -> dict[int, dict[str, Curve]]:
    """Curves by trial number and metric; one pass, of a repeated step the newest attempt.

    Args:
        measurements: Rows `{number, attempt, step, metric, value}`, in any order.
    """
    seen: dict[tuple[int, str], dict[int, tuple[int, float]]] = {}
    for row in measurements:
        value = decode_metric(row["value"])
        if value is None:
            continue
        points = seen.setdefault((row["number"], row["metric"]), {})
        step, attempt = row["step"], row["attempt"]
        old = points.get(step)
        if old is None or attempt >= old[0]:
            points[step] = (attempt, value)
    curves: dict[int, dict[str, Curve]] = {}
    for (number, metric), points in seen.items():
        curves.setdefault(number, {})[metric] = [(s, points[s][1]) for s in sorted(points)]
    return curves


def reported_seconds(
    measurements: Iterable[Mapping[str, Any]],
) -> dict[tuple[int, int], float]:
    """The most seconds of training that each attempt has reported, by trial number and attempt."""
    found: dict[tuple[int, int], float] = {}
    for row in measurements:
        value = decode_metric(row["value"]) if row["metric"] == SECONDS else None
        if value is not None and math.isfinite(value):
            key = row["number"], row["attempt"]
            found[key] = max(value, found.get(key, value))
    return found


@dataclass(frozen=True)
class Evidence:
    """A study with its trials and curves, and what follows from them.

    Args:
        study: A Study object.
        trials: Its Trial objects, by number.
        curves: See `merge_curves`.
        trained: See `reported_seconds`.
    """

    study: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]
    curves: Mapping[int, Mapping[str, Curve]] = field(default_factory=dict)
    trained: Mapping[tuple[int, int], float] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        study: Mapping[str, Any],
        trials: Iterable[Mapping[str, Any]],
        measurements: Iterable[Mapping[str, Any]] = (),
    ) -> Evidence:
        """Take in wire objects; trials are put in order of their numbers."""
        ordered = sorted(trials, key=lambda trial: int(trial["number"]))
        rows = list(measurements)
        return cls(study, ordered, merge_curves(rows), reported_seconds(rows))

    @cached_property
    def objectives(self) -> list[Objective]:
        """The objectives; a study without any counts as minimising `value`."""
        return objectives_of(self.study) or [Objective("value", "minimize", "last")]

    @property
    def objective(self) -> Objective:
        """The first objective."""
        return self.objectives[0]

    @property
    def is_multi(self) -> bool:
        """Whether there are several objectives, so that no single trial is best."""
        return len(self.objectives) > 1

    def curve(self, trial: Mapping[str, Any], metric: str) -> Curve:
        """The trial's curve of one metric; empty if it reported none."""
        return self.curves.get(trial["number"], {}).get(metric, [])

    def value(self, trial: Mapping[str, Any], objective: Objective | None = None) -> float | None:
        """The trial's value: the stored one, else what its reports amount to."""
        objective = objective or self.objective
        stored = decode_metric((trial.get("values") or {}).get(objective.metric))
        return (
            stored if stored is not None else objective.pick(self.curve(trial, objective.metric))
        )

    def metrics(self, trial: Mapping[str, Any]) -> dict[str, float]:
        """Every metric's last reported value, and stored values where nothing was reported."""
        last = {m: c[-1][1] for m, c in self.curves.get(trial["number"], {}).items() if c}
        for metric, value in (trial.get("values") or {}).items():
            number = decode_metric(value)
            if number is not None:
                last.setdefault(metric, number)
        return dict(sorted(last.items()))

    def steps(self, trial: Mapping[str, Any]) -> int | None:
        """The highest step the trial reported; None if it reported nothing."""
        ends = [c[-1][0] for c in self.curves.get(trial["number"], {}).values() if c]
        return max(ends, default=None)

    def seconds(self, trial: Mapping[str, Any]) -> float | None:
        """Seconds from the trial's start to its end; None unless both are known."""
        return seconds_between(trial.get("started_at"), trial.get("finished_at"))

    def training_seconds(self, trial: Mapping[str, Any]) -> float | None:
        """Seconds of training as the last attempt reported them, else from its start to its end.

        The latter counts the start of its process and its evaluations too.
        """
        reported = self.trained.get((trial["number"], trial.get("attempt", 0)))
        return self.seconds(trial) if reported is None else reported

    def is_feasible(self, trial: Mapping[str, Any]) -> bool:
        """Whether the trial keeps every constraint; an unreported metric keeps none."""
        constraints = self.study.get("constraints") or ()
        if not constraints:
            return True
        stored = {m: decode_metric(v) for m, v in (trial.get("values") or {}).items()}
        known = {m: v for m, v in stored.items() if v is not None}
        return is_feasible({**self.metrics(trial), **known}, constraints)

    def counts_as_result(self, trial: Mapping[str, Any]) -> bool:
        """Whether the trial may be best: complete, finite in every objective, feasible."""
        if trial["state"] != "complete" or trial.get("diverged"):
            return False
        values = [self.value(trial, objective) for objective in self.objectives]
        return all(v is not None and math.isfinite(v) for v in values) and self.is_feasible(trial)

    @cached_property
    def results(self) -> list[Mapping[str, Any]]:
        """The trials that may be best, best first; ties go to the lower number."""
        found = [trial for trial in self.trials if self.counts_as_result(trial)]
        return sorted(found, key=self._cost)

    def _cost(self, trial: Mapping[str, Any], objective: Objective | None = None) -> float:
        objective = objective or self.objective
        value = self.value(trial, objective)
        return math.inf if value is None else objective.cost(value)

    @cached_property
    def front(self) -> list[Mapping[str, Any]]:
        """The results that no other result dominates, in order of the first objective."""
        if not self.is_multi:
            return self.results[:1]
        costs = [[self._cost(trial, o) for o in self.objectives] for trial in self.results]
        return pareto(self.results, costs)

    @cached_property
    def by_optimizer(self) -> dict[str, list[Mapping[str, Any]]]:
        """Trials by optimizer, names in alphabetical order; empty where none is chosen."""
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for trial in self.trials:
            name = optimizer_of(trial)
            if name is not None:
                groups.setdefault(name, []).append(trial)
        return dict(sorted(groups.items()))
