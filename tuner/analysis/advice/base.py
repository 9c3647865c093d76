"""A piece of advice, and the round of trials that it follows from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from tuner.analysis.comparison.contest import confirmed_by
from tuner.analysis.diagnosis.case import Finding, Severity, task_of
from tuner.analysis.evidence import Evidence, optimizer_of, parameters_of

Trial = Mapping[str, Any]

PLAYBOOK: Final = "Deep Learning Tuning Playbook (google-research/tuning_playbook)"
# So many of the best trials speak for the good region; our choice.
TOP: Final = 5


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Args:
        code: One of `collect.CODES`.
        severity: `severe` (the result misleads), `warning` (a better one is likely) or `info`.
        title: What was seen, in one line.
        evidence: The numbers it rests on, as JSON data.
        action: What to do, in one or two sentences.
        command: The exact command line, where one does it.
        study: The next study, ready to run, as the data of a study file.
    """

    code: str
    severity: Severity
    title: str
    evidence: Mapping[str, Any]
    action: str
    command: str | None = None
    study: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Round:
    """The trials of a study as advice sees them.

    Args:
        evidence: The study.
        explained: The importance of its parameters.
        findings: What was recognised in each examined trial.
    """

    evidence: Evidence
    explained: Mapping[str, Any]
    findings: Mapping[int, Sequence[Finding]] = field(default_factory=dict)

    @property
    def study(self) -> Mapping[str, Any]:
        """The Study object."""
        return self.evidence.study

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self.study.get("name"))

    @cached_property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The expanded space."""
        return parameters_of(self.study)

    @cached_property
    def task(self) -> dict[str, Any] | None:
        """The built-in task; None where the study has none."""
        return task_of(self.study)

    @property
    def is_finished(self) -> bool:
        """Whether the study hands out no more trials."""
        return self.study.get("state") == "finished"

    @cached_property
    def searched(self) -> list[Trial]:
        """The trials of the search, without repeats on fresh seeds."""
        return [trial for trial in self.evidence.trials if confirmed_by(trial) is None]

    @cached_property
    def results(self) -> list[Trial]:
        """Results of the search, best first."""
        return [trial for trial in self.evidence.results if confirmed_by(trial) is None]

    @property
    def leading(self) -> list[Trial]:
        """The best trials: the first `TOP`, of the front where there are several objectives."""
        return list(self.evidence.front if self.evidence.is_multi else self.results)[:TOP]

    @cached_property
    def branches(self) -> dict[str | None, list[Trial]]:
        """The search's trials by optimizer; under None where the space does not choose one."""
        spec = self.parameters.get("optimizer") or {}
        names = spec.get("choices") or [spec.get("value")]
        groups: dict[str | None, list[Trial]] = {
            None if name is None else str(name): [] for name in names
        }
        for trial in self.searched:
            groups.setdefault(optimizer_of(trial), []).append(trial)
        if "optimizer" in self.parameters:
            groups.pop(None, None)
        return groups

    def of_branch(self, name: str | None) -> dict[str, dict[str, Any]]:
        """The parameters that are searched in a branch, without `optimizer` itself."""
        return {
            key: spec
            for key, spec in self.parameters.items()
            if key != "optimizer" and spec.get("type") != "fixed" and _in_branch(spec, name)
        }

    def best_of(self, name: str | None) -> list[Trial]:
        """A branch's results, best first."""
        return [trial for trial in self.results if name is None or optimizer_of(trial) == name]


def _in_branch(spec: Mapping[str, Any], name: str | None) -> bool:
    allowed = (spec.get("when") or {}).get("optimizer")
    return name is None or allowed is None or name in allowed


def plain(name: str) -> str:
    """A parameter's name without its optimizer: `adam.lr` is `lr`."""
    return name.rpartition(".")[2]


def listed(numbers: Sequence[int], most: int = 10) -> str:
    """Trial numbers in few words: `#1, #5 and 3 more`."""
    more = len(numbers) - most
    shown = ", ".join(f"#{number}" for number in numbers[:most])
    return shown + (f" and {more} more" if more > 0 else "")
