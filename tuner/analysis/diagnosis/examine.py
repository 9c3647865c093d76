"""Which trials are examined, and what was found in them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tuner.analysis.diagnosis.case import Finding, cases_of
from tuner.analysis.diagnosis.rules import PATHOLOGIES, recognise
from tuner.analysis.evidence import SECONDS, Evidence, objectives_of, optimizer_of
from tuner.core.wire import decode_metric

# All metrics are read of so many trials only: a study of 10 000 trials with 20 metrics in 27 epochs
# has five million rows.
MAX_EXAMINED: Final = 300
MAX_BEST: Final = 100
_PER_OPTIMIZER: Final = 3
COMPARED: Final = (
    *(f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("loss", "accuracy")),
    *("steps", SECONDS, "evaluations"),
)
_SHOWN: Final = 50

Trial = Mapping[str, Any]


def examined(study: Mapping[str, Any], trials: Sequence[Trial]) -> list[int]:
    """The numbers of the trials whose every metric is worth reading, ascending.

    At most about `MAX_EXAMINED`: the best ones over all and of each optimizer, repeats on fresh
    seeds, and of the others an even choice.

    Args:
        study: A Study object.
        trials: Its Trial objects, by number.
    """
    if len(trials) <= MAX_EXAMINED:
        return [trial["number"] for trial in trials]
    chosen = {number for o in objectives_of(study) for number in _best(trials, o.metric, o.cost)}
    chosen |= {t["number"] for t in trials if "confirms" in (t.get("user_attrs") or {})}
    rest = [t["number"] for t in trials if t["number"] not in chosen and t["state"] != "waiting"]
    room = max(1, MAX_EXAMINED - len(chosen))
    every = max(1.0, len(rest) / room)
    chosen.update(rest[int(i * every)] for i in range(min(room, len(rest))))
    return sorted(chosen)


def _best(trials: Iterable[Trial], metric: str, cost: Any) -> list[int]:
    scored = []
    for trial in trials:
        value = decode_metric((trial.get("values") or {}).get(metric))
        if trial["state"] == "complete" and value is not None and math.isfinite(value):
            scored.append((cost(value), trial["number"], optimizer_of(trial)))
    scored.sort(key=lambda item: item[:2])
    seen: Counter[str | None] = Counter()
    found = []
    for i, (_, number, optimizer) in enumerate(scored):
        seen[optimizer] += 1
        if i < MAX_BEST or seen[optimizer] <= _PER_OPTIMIZER:
            found.append(number)
    return found


def curve_metrics(study: Mapping[str, Any]) -> list[str]:
    """The metrics that a report needs of every trial: objectives, constraints, a comparison's.

    The seconds of training among them.
    """
    named = [*(study.get("objectives") or ()), *(study.get("constraints") or ())]
    others = COMPARED if study.get("compare") else (SECONDS,)
    return list(dict.fromkeys([*(item["metric"] for item in named), *others]))


def findings_of(evidence: Evidence) -> dict[int, list[Finding]]:
    """What is recognised in each examined trial; trials without a curve are not among them."""
    numbers = examined(evidence.study, evidence.trials)
    return {number: recognise(case) for number, case in cases_of(evidence, numbers).items()}


def diagnostics(
    evidence: Evidence, findings: Mapping[int, Sequence[Finding]] | None = None
) -> dict[str, Any]:
    """The findings as the report holds them, bounded in size.

    Returns:
        `{examined, total, summary, trials}`: `summary` has a row `{name, trials, severity,
        numbers}` for each pathology found, most frequent first; `trials` the findings of the best
        trials and then of the newest, `{number, findings}`.
    """
    found = findings_of(evidence) if findings is None else findings
    rows = []
    for name in PATHOLOGIES:
        hits = {n: f.severity for n, fs in found.items() for f in fs if f.name == name}
        if hits:
            worst = min(hits.values(), key=("severe", "warning", "info").index)
            numbers = sorted(hits)[:_SHOWN]
            rows.append({"name": name, "trials": len(hits), "severity": worst, "numbers": numbers})
    best = [trial["number"] for trial in evidence.results]
    order = dict.fromkeys([*best, *sorted(found, reverse=True)])
    shown = [number for number in order if found.get(number)][:_SHOWN]
    return {
        "examined": len(found),
        "total": len(evidence.trials),
        "summary": sorted(rows, key=lambda row: (-row["trials"], row["name"])),
        "trials": [
            {
                "number": number,
                "findings": [f.to_json(PATHOLOGIES[f.name].action) for f in found[number]],
            }
            for number in shown
        ],
    }
