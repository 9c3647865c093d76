"""Studies and trials as rows and fields for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tuner.cli.output import Output, cell

Json = Mapping[str, Any]
STATES: Final = ("running", "waiting", "complete", "pruned", "fail")
TRIAL_COLUMNS: Final = (">number", "state", ">value", ">attempt", ">seconds", "reason", "params")


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one RFC 3339 time to another; None if either is missing."""
    if start is None or end is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def duration(seconds: float) -> str:
    """`4s`, `3m 20s`, `2h 05m`, `3d 04h`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02}h"


def counts(study: Json) -> str:
    """`running 2 · complete 12 · fail 1`, without the states that nobody is in."""
    found = study.get("counts", {})
    shown = [f"{state} {found[state]}" for state in STATES if found.get(state)]
    return " · ".join(shown) or "no trials yet"


def values(trial: Json, study: Json | None = None) -> str:
    """A trial's objective values, the metric named if there are several."""
    found: Json = trial.get("values") or {}
    if study is not None:
        metrics = [objective["metric"] for objective in study["objectives"]]
        found = {metric: found[metric] for metric in metrics if metric in found}
    if len(found) == 1:
        return cell(next(iter(found.values())))
    return cell(found) if found else "-"


def trial_row(trial: Json, study: Json | None = None) -> list[Any]:
    """One row of `TRIAL_COLUMNS`."""
    seconds = seconds_between(trial.get("started_at"), trial.get("finished_at"))
    return [
        trial["number"],
        trial["state"],
        values(trial, study) + (" diverged" if trial.get("diverged") else ""),
        trial.get("attempt"),
        None if seconds is None else f"{seconds:.1f}",
        trial.get("reason"),
        trial.get("params"),
    ]


def show_trial(out: Output, trial: Json) -> None:
    """A trial as fields."""
    seconds = seconds_between(trial.get("started_at"), trial.get("finished_at"))
    out.fields(
        {
            "study": trial["study"],
            "trial": trial["number"],
            "state": trial["state"],
            "reason": trial.get("reason"),
            "message": trial.get("message"),
            **{f"values.{name}": value for name, value in trial.get("values", {}).items()},
            "diverged": trial.get("diverged") or None,
            "attempt": trial.get("attempt"),
            "worker": trial.get("worker_id"),
            "created": trial.get("created_at"),
            "started": trial.get("started_at"),
            "finished": trial.get("finished_at"),
            "seconds": None if seconds is None else f"{seconds:.1f}",
            "lease": trial.get("lease"),
            "lease expires": trial.get("lease_expires_at"),
            **{f"params.{name}": value for name, value in trial.get("params", {}).items()},
        }
    )


def show_study(out: Output, study: Json) -> None:
    """A study as fields, then its parameters as a table."""
    best = study.get("best")
    runner = study.get("trial") or {}
    kind = next((kind for kind in ("task", "python", "command") if kind in runner), None)
    out.fields(
        {
            "study": study["name"],
            "state": study["state"],
            "why": study.get("state_reason"),
            "trials": counts(study),
            "objectives": ", ".join(
                f"{item['direction']} {item['metric']}" for item in study["objectives"]
            ),
            "best": f"{values(best, study)} (trial {best['number']})" if best else None,
            "best params": best["params"] if best else None,
            "budget": study.get("budget") or None,
            "sampler": study["sampler"],
            "pruner": study["pruner"],
            "runner": f"{kind}: {cell(runner[kind])}" if kind else "none (ask and tell)",
            "constraints": [cell(item) for item in study.get("constraints", ())] or None,
            "tags": study.get("tags") or None,
            "created": study.get("created_at"),
            "updated": study.get("updated_at"),
        }
    )
    parameters = study.get("expanded_space", {}).get("parameters", {})
    out.text("")
    out.table(
        ("parameter", "type", "domain", "scale", "default", "when"),
        [_parameter_row(name, entry) for name, entry in parameters.items()],
    )


def domain(entry: Json) -> str:
    """The values that a parameter may take."""
    if "choices" in entry:
        return cell(entry["choices"])
    if "value" in entry:
        return cell(entry["value"])
    step = f" step {cell(entry['step'])}" if entry.get("step") is not None else ""
    return f"{cell(entry.get('low'))} to {cell(entry.get('high'))}{step}"


def _parameter_row(name: str, entry: Json) -> list[Any]:
    when = {parent: "|".join(map(cell, found)) for parent, found in entry.get("when", {}).items()}
    scale = entry.get("scale")
    return [
        name,
        entry["type"],
        domain(entry),
        None if scale == "linear" else scale,
        entry.get("default"),
        when or None,
    ]
