"""The report of a study: one JSON object, and its forms for reading.

`build_report` gathers, `render` writes it as JSON, Markdown or one self-contained HTML page.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tuner.analysis import markdown, page, series, summary
from tuner.analysis.advice.collect import advise
from tuner.analysis.comparison.build import comparison
from tuner.analysis.comparison.contest import searched
from tuner.analysis.diagnosis.examine import diagnostics, findings_of
from tuner.analysis.evidence import Evidence
from tuner.analysis.importance import explain
from tuner.analysis.notes import notes, repeats
from tuner.core.wire import canonical
from tuner.errors import FieldError, UnknownName

FORMATS = ("json", "md", "html")
SPEC_KEYS = (
    "name",
    "objectives",
    "constraints",
    "space",
    "compare",
    "sampler",
    "pruner",
    "budget",
    "trial",
    "tags",
)


def build_report(
    study: Mapping[str, Any],
    trials: Iterable[Mapping[str, Any]],
    measurements: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything the report says, as plain JSON data of bounded size.

    Args:
        study: A Study object, with `timing` `{search_seconds, busy_seconds}` where known.
        trials: Its Trial objects.
        measurements: Rows `{number, attempt, step, metric, value}`.
    """
    whole = Evidence.read(study, trials, measurements)
    # runs on fresh seeds confirm what the search found; they are no results of the search
    evidence = searched(whole)
    rows = summary.per_optimizer(evidence)
    explained = explain(evidence)
    findings = findings_of(whole)
    order = [row["name"] for row in explained["parameters"]]
    best = None if evidence.is_multi or not evidence.results else evidence.results[0]
    return {
        "study": _head(whole),
        "advice": advise(whole, explained, findings),
        "counts": summary.counts(whole.trials),
        "timing": summary.timing(whole),
        "comparison": comparison(whole),
        "best": summary.describe(evidence, best),
        "pareto": series.front(evidence),
        "optimizers": rows,
        "history": series.history(evidence),
        "curves": series.curves(evidence),
        "importance": explained,
        "slices": series.slices(evidence, order),
        "diagnostics": diagnostics(whole, findings),
        "failures": summary.failures(whole),
        "notes": notes(whole, rows),
        "reproducibility": _reproducibility(whole),
    }


def _head(evidence: Evidence) -> dict[str, Any]:
    study = evidence.study
    return {
        "name": study.get("name"),
        "state": study.get("state"),
        "state_reason": study.get("state_reason"),
        "created_at": study.get("created_at"),
        "updated_at": study.get("updated_at"),
        "spec": {key: study.get(key) for key in SPEC_KEYS},
    }


def _reproducibility(evidence: Evidence) -> dict[str, Any]:
    study = evidence.study
    sampler = study.get("sampler") or {}
    space = canonical(study.get("expanded_space") or {})
    return {
        "sampler": sampler,
        "seed": sampler.get("seed"),
        "pruner": study.get("pruner"),
        "task": study.get("trial"),
        "expanded_space_sha256": hashlib.sha256(space.encode()).hexdigest(),
        "versions": study.get("versions"),
        "runs": repeats(evidence),
    }


def render(report: Mapping[str, Any], format: str = "json") -> str:
    """The report as text in one of `FORMATS`.

    Raises:
        UnknownName: If the format is none of these.
    """
    if format == "json":
        return json.dumps(report, ensure_ascii=False, allow_nan=False)
    if format == "md":
        return markdown.render(report)
    if format == "html":
        return page.render(report)
    raise UnknownName(
        f"Unknown report format {format!r}.",
        hint=f"Use one of {', '.join(FORMATS)}.",
        errors=[FieldError("format", format, list(FORMATS))],
    )
