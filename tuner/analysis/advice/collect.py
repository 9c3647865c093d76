"""All advice of a study, the most important first; `docs/advice.md` has a row for each code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tuner.analysis.advice import effort, ranges, revise, running, stability
from tuner.analysis.advice.base import Advice, Round
from tuner.analysis.diagnosis.case import SEVERITIES, Finding
from tuner.analysis.diagnosis.examine import diagnostics, findings_of
from tuner.analysis.evidence import Evidence
from tuner.analysis.importance import explain
from tuner.core.names import STUDY_NAME

RULES: Final[tuple[Callable[[Round], list[Advice]], ...]] = (
    running.many_failures,
    effort.confirmation,
    ranges.edge_of_range,
    effort.too_few_trials,
    stability.unstable_rates,
    stability.clipping,
    stability.best_trial,
    effort.length,
    ranges.batch_size,
    running.pruned_defaults,
    ranges.no_effect,
)
CODES: Final = (
    "many-failures",
    "lucky-seed",
    "unconfirmed",
    "edge-of-range",
    "too-few-trials",
    "unstable-learning-rates",
    "many-diverged",
    "clipping-too-often",
    "best-trial-ails",
    "still-improving",
    "best-too-early",
    "batch-size-not-retuned",
    "pruner-stops-defaults",
    "no-effect",
)


def advise(
    evidence: Evidence,
    explained: Mapping[str, Any] | None = None,
    findings: Mapping[int, Sequence[Finding]] | None = None,
) -> list[dict[str, Any]]:
    """What to do next, as plain JSON data; severest first, then in the order of `RULES`.

    Args:
        evidence: The study.
        explained: The importance of its parameters, computed if not given.
        findings: What was recognised in its trials, computed if not given.

    Returns:
        Mappings `{code, severity, title, evidence, action, command, study_file}`; `study_file` is
        None or `{name, yaml}`, a study file ready to run.
    """
    round_ = Round(
        evidence,
        explain(evidence) if explained is None else explained,
        findings_of(evidence) if findings is None else findings,
    )
    found = [advice for rule in RULES for advice in rule(round_)]
    found.sort(key=lambda advice: SEVERITIES.index(advice.severity))
    return [to_json(advice, round_.name) for advice in found]


def to_json(advice: Advice, name: str) -> dict[str, Any]:
    """One piece of advice as plain JSON data."""
    made, command = None, advice.command
    if advice.study is not None:
        comment = f"Proposed by `tuner study advise {name}` ({advice.code}): {advice.title}"
        text = revise.to_yaml(advice.study, comment)
        made = {"name": advice.study["name"], "yaml": text}
        file = f"{made['name']}.yaml"
        command = command or f"tuner study advise {name} --code {advice.code} --write {file}"
    return {
        "code": advice.code,
        "severity": advice.severity,
        "title": advice.title,
        "evidence": dict(advice.evidence),
        "action": advice.action,
        # a name that no server would take could be more than a name in a shell
        "command": command if STUDY_NAME.fullmatch(name) else None,
        "study_file": made,
    }


def answer(evidence: Evidence) -> dict[str, Any]:
    """What is asked for on demand: `{study, state, advice, diagnostics}`."""
    findings = findings_of(evidence)
    return {
        "study": evidence.study.get("name"),
        "state": evidence.study.get("state"),
        "advice": advise(evidence, None, findings),
        "diagnostics": diagnostics(evidence, findings),
    }
