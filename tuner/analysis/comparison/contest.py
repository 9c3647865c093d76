"""Who takes part in a comparison: each optimizer's search trials and its confirmation runs.

| word | meaning |
|---|---|
| search trial | a trial of the search, tried once |
| setting | the parameters that stand for an optimizer: those that were confirmed, else its best |
| confirmation run | a finished trial that repeats the setting on a fresh seed |
| cost | a value such that smaller is better; infinite if the trial diverged or failed |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tuner.analysis.evidence import FINISHED, Evidence, as_json

Trial = Mapping[str, Any]
CONFIRMS, REPLICATE = "confirms", "replicate"
# ends that say nothing about the setting: the trial's worker or its user ended it
NOT_ITS_FAULT = frozenset({"cancelled", "lost", "killed", "preempted"})


def confirmed_by(trial: Trial) -> int | None:
    """The number of the trial that this one repeats on a fresh seed; None in the search."""
    return _whole(trial, CONFIRMS)


def replicate_of(trial: Trial) -> int:
    """Which fresh seed a confirmation run has, from 1; 0 in the search."""
    return (_whole(trial, REPLICATE) or 0) if confirmed_by(trial) is not None else 0


def _whole(trial: Trial, key: str) -> int | None:
    """An integer among what a user may have written there."""
    found = (trial.get("user_attrs") or {}).get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def searched(evidence: Evidence) -> Evidence:
    """The study without its confirmation runs: what its sampler saw."""
    kept = [trial for trial in evidence.trials if confirmed_by(trial) is None]
    if len(kept) == len(evidence.trials):
        return evidence
    return replace(evidence, trials=kept)


@dataclass(frozen=True)
class Entrant:
    """One optimizer in the comparison.

    Args:
        name: The optimizer.
        searched: Its search trials that count, by number: all that ended, except those that the
            worker or the user ended.
        setting: The trial whose parameters stand for it; None without any result.
        runs: The setting's confirmation runs that count, by replicate.
        open: Trials of it that are still waiting or running.
    """

    name: str
    searched: Sequence[Trial]
    setting: Trial | None
    runs: Sequence[Trial]
    open: int


@dataclass(frozen=True)
class Contest:
    """A study as a comparison of its optimizers."""

    evidence: Evidence

    @property
    def plan(self) -> Mapping[str, Any]:
        """The study's `compare`: trials or seconds an optimizer, seeds, target."""
        given = self.evidence.study.get("compare")
        return given if isinstance(given, Mapping) else {}

    @property
    def metric(self) -> str:
        """The metric that is compared: the first objective's."""
        return self.evidence.objective.metric

    def cost(self, trial: Trial) -> float:
        """The trial's value as a cost; infinite if it diverged, failed or breaks a constraint."""
        value = self.evidence.value(trial)
        if trial["state"] == "fail" or trial.get("diverged") or value is None:
            return math.inf
        if not math.isfinite(value) or not self.evidence.is_feasible(trial):
            return math.inf
        return self.evidence.objective.cost(value)

    def value(self, cost: float) -> float | str | None:
        """A cost as the metric's value, in its wire form."""
        return as_json(cost if self.evidence.objective.direction == "minimize" else -cost)

    @cached_property
    def entrants(self) -> list[Entrant]:
        """The optimizers: confirmed ones by the median of their runs, then others by best value."""
        found = [self._entrant(name, group) for name, group in self.evidence.by_optimizer.items()]
        return sorted(found, key=self._place)

    @property
    def names(self) -> list[str]:
        """The optimizers in order of place."""
        return [entrant.name for entrant in self.entrants]

    def confirmed(self, entrant: Entrant) -> dict[int, float]:
        """The cost of each confirmation run, by replicate."""
        return {replicate_of(run): self.cost(run) for run in entrant.runs}

    def ignores_seeds(self, entrant: Entrant) -> bool:
        """Whether its runs are copies of each other, so that the seed cannot have been used.

        Equal values alone may be chance (an accuracy has few values); equal curves are not. So
        runs that reported no curve are taken for different ones.
        """
        costs = self.confirmed(entrant).values()
        if len(costs) < 2 or len(set(costs)) > 1 or not all(map(math.isfinite, costs)):
            return False
        curves = [self.evidence.curve(run, self.metric) for run in entrant.runs]
        return len(curves[0]) > 1 and all(curve == curves[0] for curve in curves[1:])

    def independent(self, entrant: Entrant) -> list[float]:
        """The costs that tests may use: of runs that are copies of each other, one."""
        costs = list(self.confirmed(entrant).values())
        return costs[:1] if self.ignores_seeds(entrant) else costs

    def _place(self, entrant: Entrant) -> tuple[bool, float, str]:
        costs = list(self.confirmed(entrant).values())
        if costs:
            return False, median(costs), entrant.name
        best = math.inf if entrant.setting is None else self.cost(entrant.setting)
        return True, best, entrant.name

    def _entrant(self, name: str, group: Sequence[Trial]) -> Entrant:
        counted = [trial for trial in group if is_counted(trial)]
        search = [trial for trial in counted if confirmed_by(trial) is None]
        by_setting: dict[int, list[Trial]] = {}
        for trial in counted:
            number = confirmed_by(trial)
            if number is not None:
                by_setting.setdefault(number, []).append(trial)
        setting = self._setting(search, by_setting)
        runs = by_setting.get(setting["number"], []) if setting is not None else []
        return Entrant(
            name,
            search,
            setting,
            # a run that was repeated counts once, with its newest end
            list({replicate_of(run): run for run in sorted(runs, key=_by_replicate)}.values()),
            sum(trial["state"] not in FINISHED for trial in group),
        )

    def _setting(
        self, search: Sequence[Trial], by_setting: Mapping[int, Sequence[Trial]]
    ) -> Trial | None:
        """The confirmed trial with the most runs, else the best complete one; ties by value."""
        usable = [
            trial
            for trial in search
            if trial["number"] in by_setting
            or (trial["state"] == "complete" and math.isfinite(self.cost(trial)))
        ]
        return min(
            usable,
            key=lambda t: (-len(by_setting.get(t["number"], ())), self.cost(t), t["number"]),
            default=None,
        )


def is_counted(trial: Trial) -> bool:
    """Whether a trial's end says something about its setting."""
    if trial["state"] == "fail":
        return trial.get("reason") not in NOT_ITS_FAULT
    # a repeat that was cut short is none
    return trial["state"] == "complete" or (
        trial["state"] == "pruned" and confirmed_by(trial) is None
    )


def _by_replicate(trial: Trial) -> tuple[int, int]:
    return replicate_of(trial), int(trial["number"])


def median(values: Sequence[float]) -> float:
    """The median; infinite as soon as more than half of the values are.

    Between a finite and an infinite middle it is infinite.
    """
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return math.inf
    if len(ordered) % 2:
        return ordered[half]
    low, high = ordered[half - 1], ordered[half]
    return high if math.isinf(high) else (low + high) / 2
