"""Values as people read them: numbers, durations, table cells. Shared by Markdown and HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tuner.tasks.metrics import is_diagnostic

Table = tuple[list[str], list[list[str]]]
NONE = "–"
TRAINING_TIME = (
    "training time: the seconds that each trial's last attempt reported (the metric seconds), else "
    "from its start to its end, which counts the start of its process"
)


def number(value: Any, digits: int = 4) -> str:
    """A value in few characters: four significant digits, exact integers, texts unchanged."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def duration(seconds: float | None) -> str:
    """Seconds as `0.42 s`, `12.3 s`, `4 min 05 s`, `3 h 07 min` or `2 d 04 h`."""
    if seconds is None:
        return NONE
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    total = round(seconds)
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    if total < 86_400:
        return f"{total // 3600} h {total % 3600 // 60:02d} min"
    return f"{total // 86_400} d {total % 86_400 // 3600:02d} h"


def pairs(values: Mapping[str, Any]) -> str:
    """A mapping in one line: `lr 0.01, momentum 0.9`."""
    return ", ".join(f"{key} {number(value)}" for key, value in values.items()) or NONE


def objective_line(report: Mapping[str, Any]) -> str:
    """The objectives in words: `minimize val_loss (best step)`."""
    return "; ".join(
        f"{o.get('direction', 'minimize')} {o['metric']}"
        + (" (best step)" if o.get("from") == "best" else "")
        for o in report["study"]["spec"].get("objectives") or ()
    )


def budget_line(report: Mapping[str, Any]) -> str:
    """The budget in words; `none` if there is none."""
    budget = report["study"]["spec"].get("budget") or {}
    return pairs({key: value for key, value in budget.items() if value is not None})


def setup_line(report: Mapping[str, Any]) -> str:
    """Sampler, pruner and budget in one line."""
    facts = report["reproducibility"]
    names = [f"{key} {(facts[key] or {}).get('name', 'none')}" for key in ("sampler", "pruner")]
    return " · ".join([*names, f"budget: {budget_line(report)}"])


def optimizer_table(report: Mapping[str, Any]) -> Table:
    """The result table: one row an optimizer, best first."""
    rows = report["optimizers"]
    metric = report["history"]["metric"]
    with_accuracy = any(row["accuracy"] is not None for row in rows)
    multi = report["pareto"] is not None
    head = ["optimizer", "trials", "complete", "pruned", "fail", "diverged"]
    head += [f"best {metric}", f"median {metric}"]
    head += ["accuracy"] * with_accuracy + ["on front"] * multi
    head += ["best trial", "its epochs", "epochs, all", "training time"]
    body = []
    for row in rows:
        best = row["best"] or {}
        line = [row["optimizer"]]
        line += [str(row[k]) for k in ("trials", "complete", "pruned", "fail", "diverged")]
        line += [
            number(best.get("value")),
            number(row["quartiles"][2] if row["quartiles"] else None),
        ]
        line += [number(row["accuracy"])] * with_accuracy + [str(row["on_front"])] * multi
        line += [f"#{best['number']}" if best else NONE, number(best.get("epochs"))]
        line += [number(row["epochs"]), duration(row["seconds"])]
        body.append(line)
    return head, body


def best_metrics_table(report: Mapping[str, Any]) -> Table:
    """Final metrics of the best trial of each optimizer, those of its diagnostics left out."""
    rows = [row for row in report["optimizers"] if row["best"]]
    found = {name for row in rows for name in row["best"]["metrics"]}
    names = sorted(name for name in found if not is_diagnostic(name))
    return ["optimizer", *names], [
        [row["optimizer"], *(number(row["best"]["metrics"].get(name)) for name in names)]
        for row in rows
    ]


def best_params_table(report: Mapping[str, Any]) -> Table:
    """Parameters of the best trial of each optimizer, in one line each."""
    return ["optimizer", "trial", "parameters"], [
        [row["optimizer"], f"#{row['best']['number']}", pairs(_others(row["best"]["params"]))]
        for row in report["optimizers"]
        if row["best"]
    ]


def _others(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "optimizer"}


def params_table(best: Mapping[str, Any]) -> Table:
    """One trial's parameters, with a mark at the edges of ranges."""
    edge = {e["name"]: f"at its {e['bound']} bound {number(e['limit'])}" for e in best["edges"]}
    rows = [[name, number(value, 6), edge.get(name, "")] for name, value in best["params"].items()]
    if not edge:
        return ["parameter", "value"], [row[:2] for row in rows]
    return ["parameter", "value", "note"], rows


def importance_table(explained: Mapping[str, Any]) -> Table:
    """Importance in per cent, most important first."""
    return ["parameter", "importance", "group", "trials", "note"], [
        [
            row["name"],
            f"{row['importance']:.1%}",
            row["group"] or NONE,
            str(row["n_trials"]),
            row.get("caveat", ""),
        ]
        for row in explained["parameters"]
    ]


def inner_importance_table(explained: Mapping[str, Any]) -> Table:
    """Importance within one optimizer: parameters that explain something."""
    rows = [row for row in explained["parameters"] if row["importance"] > 0]
    return ["parameter", "importance"], [[r["name"], f"{r['importance']:.1%}"] for r in rows]


def failure_table(report: Mapping[str, Any]) -> Table:
    """Failed and diverged trials by reason."""
    body = []
    for row in report["failures"]:
        shown = ", ".join(str(n) for n in row["numbers"])
        more = row["count"] - len(row["numbers"])
        text = shown + (f" and {more} more" if more else "")
        body.append([row["kind"], row["reason"], str(row["count"]), text])
    return ["kind", "reason", "trials", "numbers"], body


def diagnostics_table(found: Mapping[str, Any]) -> Table:
    """Recognised problems of training, most frequent first."""
    body = []
    for row in found["summary"]:
        shown = ", ".join(str(n) for n in row["numbers"][:20])
        more = row["trials"] - min(20, len(row["numbers"]))
        text = shown + (f" and {more} more" if more else "")
        body.append([row["name"], row["severity"], str(row["trials"]), text])
    return ["problem", "severity", "trials", "numbers"], body


def finding_table(found: Mapping[str, Any], most: int = 20) -> Table:
    """What was recognised in single trials, the best ones first."""
    return ["trial", "problem", "what was seen", "what to do"], [
        [f"#{row['number']}", finding["name"], finding["text"], finding["action"]]
        for row in found["trials"][:most]
        for finding in row["findings"]
    ]


def front_table(report: Mapping[str, Any]) -> Table:
    """The Pareto front with its parameters."""
    front = report["pareto"]
    return ["trial", *front["metrics"], "parameters"], [
        [f"#{p['number']}", *(number(v) for v in p["values"]), pairs(p["params"])]
        for p in front["front"]
    ]


def timing_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """Where the time went, training and searching apart."""
    timing = report["timing"]
    return [
        ["wall time, creation to last result", duration(timing["wall_seconds"])],
        [
            "training (as reported, else start to end), summed over trials",
            duration(timing["training_seconds"]),
        ],
        ["searching (choosing parameters)", duration(timing["search_seconds"])],
        ["server time with a trial running", duration(timing["busy_seconds"])],
    ]


def reproducibility_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """What one needs to run the study again."""
    facts = report["reproducibility"]
    rows = [
        ["sampler", number(facts["sampler"] or None)],
        ["seed", number(facts["seed"])],
        ["pruner", number(facts["pruner"])],
        ["trial", number(facts["task"])],
        ["SHA-256 of the expanded space", facts["expanded_space_sha256"]],
        ["configurations trained", str(facts["runs"]["configurations"])],
        ["most runs of one configuration", str(facts["runs"]["most_runs"])],
    ]
    return rows + [[f"version of {k}", number(v)] for k, v in (facts["versions"] or {}).items()]


def headline(report: Mapping[str, Any]) -> Sequence[str]:
    """The result in one or two sentences."""
    if report["pareto"] is not None:
        n = report["pareto"]["total"]
        return [f"{n} trials lie on the Pareto front; several objectives have no single best."]
    best = report["best"]
    if best is None:
        return ["There is no result yet: no trial is complete, finite and feasible."]
    metric = report["history"]["metric"]
    text = f"Trial #{best['number']} is best with {metric} {number(best['value'])}"
    optimizer = best["params"].get("optimizer")
    return [text + (f", using {optimizer}." if optimizer is not None else ".")]
