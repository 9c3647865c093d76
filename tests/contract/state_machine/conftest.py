"""What a study does by the words of the contract; random histories of studies are held against it.

`pytest tests/contract/state_machine --hypothesis-profile=long` plays many long histories.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings

from tuner.errors import (
    AlreadyReported,
    AlreadyTold,
    BudgetSpent,
    Conflict,
    InvalidMetric,
    LeaseLost,
    TrialFinished,
    TrialNotFound,
)

settings.register_profile("long", max_examples=300, stateful_step_count=80)
RETRY_ON = ("oom", "lost", "killed")


@dataclass
class Trial:
    number: int
    state: str
    attempt: int = 0
    failures: int = 0
    reason: str | None = None
    values: dict[str, Any] = field(default_factory=dict)
    lease: str | None = None
    lease_s: float = 0
    expires: float = 0
    stop: str | None = None
    reports: dict[tuple[int, int], Any] = field(default_factory=dict)


@dataclass
class StudyModel:
    """One study by the words of the contract: lists and dicts, no database, no concurrency."""

    now: float
    max_attempts: int
    budget: int | None
    target: float | None
    made: int = 0
    paused: bool = False
    stopped: bool = False
    trials: list[Trial] = field(default_factory=list)
    ended: dict[str, str | None] = field(default_factory=dict)

    def count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.trials)

    @property
    def closed(self) -> str | None:
        losses = [t.values["loss"] for t in self.trials if t.state == "complete"]
        finite = [loss for loss in losses if not isinstance(loss, str)]
        if self.stopped:
            return "cancelled"
        met = self.target is not None and min(finite, default=math.inf) <= self.target
        return "budget" if met else None

    @property
    def over(self) -> bool:
        spent = self.budget is not None and self.made >= self.budget
        nothing_left = self.closed or (spent and not self.count("waiting"))
        return bool(not self.count("running") and nothing_left)

    @property
    def state(self) -> str:
        return "finished" if self.over else "paused" if self.paused else "active"

    def settle(self) -> None:
        if self.closed:
            self.ask_to_stop(self.closed)

    def ask_to_stop(self, reason: str) -> None:
        for trial in self.trials:
            if trial.state == "running" and trial.stop is None:
                trial.stop = reason

    def ask(self, count: int) -> list[Trial]:
        if self.state != "active" or self.closed:
            return []
        given = [t for t in self.trials if t.state == "waiting"][:count]
        while len(given) < count and (self.budget is None or self.made < self.budget):
            given.append(self.add("waiting", counts=True))
        return given

    def add(self, state: str, *, counts: bool, values: Any = None) -> Trial:
        trial = Trial(len(self.trials), state, values=values or {})
        self.trials.append(trial)
        self.made += counts
        return trial

    def lease(self, trial: Trial, lease: str, seconds: float) -> None:
        trial.state, trial.reason, trial.stop = "running", None, None
        trial.attempt += 1
        trial.lease, trial.lease_s, trial.expires = lease, seconds, self.now + seconds

    def enqueue(self) -> Trial:
        if self.closed:
            raise Conflict
        if self.budget is not None and self.made >= self.budget:
            raise BudgetSpent
        return self.add("waiting", counts=True)

    def held(self, number: int, lease: str) -> Trial:
        if number >= len(self.trials):
            raise TrialNotFound
        trial = self.trials[number]
        if trial.state != "running" or trial.lease != lease:
            raise LeaseLost
        return trial

    def heartbeat(self, number: int, lease: str) -> str | None:
        trial = self.held(number, lease)
        trial.expires = self.now + trial.lease_s
        return trial.stop

    def report(self, number: int, lease: str, step: int, value: Any) -> str | None:
        trial = self.held(number, lease)
        if trial.reports.get((trial.attempt, step), value) != value:
            raise AlreadyReported
        trial.reports[(trial.attempt, step)] = value
        return self.heartbeat(number, lease)

    def end(self, number: int, lease: str, told: str, state: str, **how: Any) -> bool:
        """End an attempt; False for a repeat that gets its first answer."""
        if self.ended.get(lease) == told and number < len(self.trials):
            return False
        if self.ended.get(lease) and number < len(self.trials):
            raise AlreadyTold
        trial = self.held(number, lease)
        values = dict(how.get("values") or {})
        if state == "complete" and not values:
            steps: dict[int, Any] = {}
            for (_, step), value in sorted(trial.reports.items(), key=lambda item: item[0]):
                steps[step] = value
            if not steps:
                raise InvalidMetric
            values = {"loss": steps[max(steps)]}
        self.ended[lease] = told
        if state == "fail":
            self.fail(trial, how.get("reason") or "error")
        else:
            trial.state, trial.reason, trial.values = state, None, values
        trial.lease = trial.stop = None
        self.settle()
        return True

    def fail(self, trial: Trial, reason: str) -> None:
        trial.failures += reason in RETRY_ON
        back = reason == "preempted" or (reason in RETRY_ON and trial.failures < self.max_attempts)
        trial.state, trial.reason = "waiting" if back else "fail", reason
        trial.lease = trial.stop = None

    def sweep(self) -> None:
        for trial in self.trials:
            if trial.state == "running" and trial.expires < self.now:
                self.fail(trial, "lost")
        self.settle()

    def reopen(self) -> None:
        for trial in self.trials:
            trial.expires = max(trial.expires, self.now + trial.lease_s)

    def stop(self, number: int) -> None:
        trial = self.trials[number]
        if trial.state == "running":
            if trial.stop in (None, "paused"):
                trial.stop = "cancelled"
        elif trial.state == "waiting":
            trial.state, trial.reason = "fail", "cancelled"
        elif (trial.state, trial.reason) != ("fail", "cancelled"):
            raise TrialFinished

    def retry(self, number: int) -> None:
        if self.trials[number].state != "fail":
            raise Conflict
        self.trials[number].state, self.trials[number].reason = "waiting", None
        self.stopped = False
        self.settle()

    def resume(self) -> None:
        before = self.paused, self.stopped
        self.paused = self.stopped = False
        if self.over:
            self.paused, self.stopped = before
            raise BudgetSpent
        self.settle()


@pytest.fixture
def study_model() -> type[StudyModel]:
    """The class of a study's model."""
    return StudyModel
