"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis.series import thin
from tuner.analysis.wording import NONE, Table, number
from tuner.core.wire import decode_metric

Json = Mapping[str, Any]
NEVER: Final = "> all"
_VERDICTS: Final = {
    "respected": "respected",
    "noise": "not respected, within noise",
    "range": "not respected, out of range",
    "under-tuned": "not respected: under-tuned",
    "unknown": "not confirmed",
}
_BUDGETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
_UNITS: Final = {
    "epochs": "reported step",
    "steps": "steps",
    "seconds": "seconds",
    "evaluations": "evaluations",
}


def confirmed(comparison: Json) -> Table:
    """Confirmed values with their distance to the leader."""
    apart = comparison["significance"]
    metric = comparison["metric"]
    head = ["optimizer", "trial", "seeds", f"median {metric}", "best", "worst", "behind leader"]
    head += ["95 % interval", "p", "p (Holm)", "told from leader"]
    body = []
    for row in apart["optimizers"]:
        is_leader = row["optimizer"] == apart["leader"]
        body.append(
            [
                row["optimizer"],
                f"#{row['setting']}",
                str(row["seeds"]),
                *(number(row[key]) for key in ("median", "best", "worst")),
                NONE if is_leader else number(row["behind"], 3),
                span(row["interval"]),
                number(row["p"], 2),
                number(row["p_holm"], 2),
                "leader" if is_leader else _told(row, apart["level"]),
            ]
        )
    return head, body


def _told(row: Json, level: float) -> str:
    if row["p_holm"] is None:
        return NONE
    if row["p_holm"] <= level:
        return "yes"
    return "only uncorrected" if row["p"] <= level else "no"


def span(ends: Sequence[float] | None) -> str:
    """Two ends as `low to high`."""
    return NONE if ends is None else f"{number(ends[0], 3)} to {number(ends[1], 3)}"


def runs(comparison: Json) -> Table:
    """Every confirmation run."""
    rows = comparison["significance"]["optimizers"]
    seeds = sorted({run["replicate"] for row in rows for run in row["runs"]})[:20]
    body = []
    for row in rows:
        found = {run["replicate"]: run["value"] for run in row["runs"]}
        body.append([row["optimizer"], *(number(found.get(seed)) for seed in seeds)])
    return ["optimizer", *(f"seed {seed}" for seed in seeds)], body


def budget(comparison: Json) -> Table:
    """The expected best after some budgets, with its band."""
    curves = comparison["budget"]["curves"]
    shown = _budgets(curves)
    body = [[c["optimizer"], *(_banded(c, n) for n in shown), str(c["trials"])] for c in curves]
    head = [f"best of {n}" if n > 1 else "one trial" for n in shown]
    return ["optimizer", *head, "trials"], body


def _budgets(curves: Sequence[Json]) -> list[int]:
    known = set().union(*(curve["n"] for curve in curves))
    longest = max(curve["n"][-1] for curve in curves)
    return [n for n in _BUDGETS if n in known and n < longest] + [longest]


def _banded(curve: Json, n: int) -> str:
    if n not in curve["n"]:
        return NONE
    i = curve["n"].index(n)
    ends = sorted(
        v for key in ("better", "worse") if (v := decode_metric(curve[key][i])) is not None
    )
    return f"{number(curve['expected'][i])} ({number(ends[0], 3)} to {number(ends[-1], 3)})"


def budget_seconds(comparison: Json) -> Table:
    """What a trial of each optimizer took."""
    return ["optimizer", "trials", "mean seconds of a trial", "seconds of all"], [
        [
            curve["optimizer"],
            str(curve["trials"]),
            number(curve["mean_seconds"], 3),
            number(curve["seconds"][-1] if curve["seconds"] else None, 4),
        ]
        for curve in comparison["budget"]["curves"]
    ]


def happened(comparison: Json) -> Table:
    """When the search found its best."""
    body = []
    for curve in comparison["budget"]["curves"]:
        best = curve["happened"]["best"]
        at = best.index(best[-1]) if best else None
        body.append(
            [
                curve["optimizer"],
                str(curve["trials"]),
                number(best[0] if best else None),
                number(best[-1] if best else None),
                NONE if at is None else str(curve["happened"]["n"][at]),
            ]
        )
    return ["optimizer", "trials", "first value", "best value", "found by trial"], body


def convergence(comparison: Json) -> Table:
    """Median and range of the time to target, one row an optimizer."""
    data = comparison["convergence"]
    body = []
    for row in data["optimizers"]:
        cells = [_to_target(row["to_target"].get(key)) for key in data["measures"]]
        body.append([row["optimizer"], f"{row['reached']} of {row['runs']}", *cells])
    return ["optimizer", "reached it", *(_UNITS[key] for key in data["measures"])], body


def _to_target(found: Json | None) -> str:
    if found is None:
        return NONE
    middle = _or_never(found["median"])
    if found["low"] is None:
        return middle
    return f"{middle} ({number(found['low'])} to {_or_never(found['high'])})"


def _or_never(value: Any) -> str:
    return NEVER if value == "Infinity" else number(value)


def progress(comparison: Json) -> Table:
    """The median best so far at a few reported steps."""
    rows = comparison["convergence"]["progress"]
    shown = thin(sorted(set().union(*(row["epochs"] for row in rows))), 8)
    body = []
    for row in rows:
        found = dict(zip(row["epochs"], row["value"], strict=True))
        body.append([row["optimizer"], *(number(found.get(step)) for step in shown)])
    return ["optimizer", *(f"step {step}" for step in shown)], body


def stability(comparison: Json) -> Table:
    """How often it fails and how much luck matters."""
    head = ["optimizer", "search trials", "diverged", "failed", "within 10 %", "seeds"]
    head += ["std over seeds", "range over seeds", "near the best rate", "trials near"]
    body = []
    for row in comparison["stability"]:
        near = row["near"] or {}
        lost = near.get("lost")
        worse = "" if near.get("worse") is None else f"{near['worse']:+.3g}"
        worse = worse or (f"{lost} lost" if lost else NONE)
        share = row["diverged"] / row["trials"] if row["trials"] else 0.0
        body.append(
            [
                row["optimizer"],
                str(row["trials"]),
                f"{row['diverged']} ({share:.0%})",
                str(row["failed"]),
                NONE if row["close"] is None else f"{row['close']:.0%}",
                str(row["seeds"]),
                number(row["std"], 3),
                number(row["range"], 3),
                worse,
                number(near.get("trials")),
            ]
        )
    return head, body


def generalisation(comparison: Json, family: str) -> Table:
    """Training, validation and test values of one family of metrics."""
    body = []
    for row in comparison["generalisation"]["optimizers"]:
        found = row[family] or {}
        test = found.get("test")
        span_ = [test["low"], test["high"]] if test else None
        cells = [
            number(part["median"]) if (part := found.get(key)) else NONE
            for key in ("train", "val", "gap", "test")
        ]
        body.append([row["optimizer"], *cells, span(span_), str(row["runs"])])
    head = [f"train {family}", f"validation {family}", "gap (validation − train)"]
    return ["optimizer", *head, f"test {family}", "test range", "seeds"], body


def tunability(comparison: Json) -> Table:
    """Default, tuned and confirmed values, and the mean expected best."""
    data = comparison["tunability"]
    metric = data["metric"]
    keys = ("default_value", "best_value", "confirmed_value", "gain", "gain_confirmed", "area")
    head = [f"default {metric}", "best of search", "confirmed median", "gain, best"]
    head += ["gain, confirmed", "mean expected best"]
    body = [[row["optimizer"], *(number(row[key]) for key in keys)] for row in data["optimizers"]]
    return ["optimizer", *head], body


def inclusions(comparison: Json) -> Table:
    """Each inclusion with its condition and its verdict."""
    body = []
    for row in comparison["inclusions"]:
        how = "in the limit" if row["kind"] == "limit" else "exactly"
        body.append(
            [
                f"{row['special']} ⊂ {row['general']}",
                f"{how}, {row['condition']}",
                _reach(row),
                number(row["special_value"]),
                number(row["general_value"]),
                _VERDICTS[row["verdict"]],
            ]
        )
    return ["inclusion", "when", "in range", "special", "general", "verdict"], body


def _reach(row: Json) -> str:
    """Whether the general method could become the setting of the special one."""
    if not row["in_range"]:
        return f"no: {'; '.join(row['missing'])}"
    return f"the setting is, not all: {'; '.join(row['beyond'])}" if row["beyond"] else "yes"
