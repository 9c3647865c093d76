"""The one way into this package from another process: plain data in, plain data out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuner.analysis.advice.collect import answer
from tuner.analysis.comparison.profile import compare_studies
from tuner.analysis.comparison.several import render as render_several
from tuner.analysis.evidence import Evidence
from tuner.analysis.export import export
from tuner.analysis.importance import importance
from tuner.analysis.report import build_report, render
from tuner.core.wire import encode_metric
from tuner.errors import FieldError, UnknownName

KINDS = ("report", "advice", "importance", "export", "comparison")
CONTENT_TYPES = {
    "json": "application/json",
    "md": "text/markdown; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jsonl": "application/jsonl; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}


def run(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one request; picklable, so that a process pool can call it.

    Args:
        request: `{kind: report | advice | importance | export, study, trials, measurements?,
            format?, metric?}`, or `{kind: comparison, studies: [{study, trials, measurements?}, …],
            format?}`; measurements are rows `{number, attempt, step, metric, value}` or columns
            of these names, with `metric` an index into `metrics`; `format` is json (default), md
            or html for a report or comparison, jsonl (default), csv or parquet for an export;
            `metric` names the objective whose importance is asked for.

    Returns:
        `{content_type, body}`: a dict where the content is JSON, else text, or bytes for parquet.

    Raises:
        UnknownName: If the kind or the format does not exist.
    """
    kind = request["kind"]
    if kind == "comparison":
        return _comparison(request)
    study, trials = request["study"], request["trials"]
    measurements = _rows(request.get("measurements") or ())
    if kind == "importance":
        body = importance(study, trials, measurements, request.get("metric"))
        return {"content_type": CONTENT_TYPES["json"], "body": body}
    if kind == "advice":
        found = answer(Evidence.read(study, trials, measurements))
        return {"content_type": CONTENT_TYPES["json"], "body": found}
    if kind == "export":
        format_ = request.get("format") or "jsonl"
        text = export(study, trials, format_)
        return {"content_type": CONTENT_TYPES[format_], "body": text}
    if kind == "report":
        format_ = request.get("format") or "json"
        report = build_report(study, trials, measurements)
        content = report if format_ == "json" else render(report, format_)
        return {"content_type": CONTENT_TYPES[format_], "body": content}
    raise UnknownName(
        f"Unknown kind of analysis {kind!r}.", errors=[FieldError("kind", kind, list(KINDS))]
    )


def _comparison(request: Mapping[str, Any]) -> dict[str, Any]:
    found = compare_studies(
        [
            (item["study"], item["trials"], _rows(item.get("measurements") or ()))
            for item in request["studies"]
        ]
    )
    format_ = request.get("format") or "json"
    content = found if format_ == "json" else render_several(found, format_)
    return {"content_type": CONTENT_TYPES[format_], "body": content}


def _rows(
    measurements: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
) -> Sequence[Mapping[str, Any]]:
    """Measurements as rows; a server sends them as columns, which cross a process border fast."""
    if not isinstance(measurements, Mapping):
        return measurements
    names = measurements["metrics"]
    columns = [measurements[key] for key in ("number", "attempt", "step", "metric", "value")]
    return [
        {
            "number": number,
            "attempt": attempt,
            "step": step,
            "metric": names[metric],
            "value": encode_metric(value),
        }
        for number, attempt, step, metric, value in zip(*columns, strict=True)
    ]
