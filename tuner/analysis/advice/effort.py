"""Advice about effort: how many trials, how long each trains, and whether a result holds."""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

from tuner.analysis.advice import revise
from tuner.analysis.advice.base import TOP, Advice, Round, Trial, confirms
from tuner.analysis.diagnosis.case import MIN_POINTS
from tuner.analysis.wording import number
from tuner.optimizers.expand import LARGE_FROM, MEDIUM_FROM

# The playbook's table for Adam (see optimizers.expand): 10 trials for two parameters, 25 for three.
# One parameter: our choice.
FOR_ONE: Final = 5
# Beyond: ten for each parameter, Loeppky, Sacks and Welch 2009, Choosing the sample size of a
# computer experiment.
FOR_EACH: Final = 10
# The playbook: best step in the last 25 % → train longer, in the first 10 % → shorter.
LATE: Final = 0.75
EARLY: Final = 0.1
# Less of the whole gain than this in the last quarter is hardly worth it; our choice.
GAIN: Final = 0.02
LONGER: Final = 2.0
SHORTER: Final = 0.25
# The share of the best trials that must agree; our choice.
AGREE: Final = 0.5
# A value further from the mean of its repeats than this many standard errors of prediction is luck.
LUCK: Final = 2.0
SEEDS: Final = 5


def needed_trials(parameters: int) -> int:
    """Trials that a search over so many parameters should have; see the constants' sources."""
    table = {0: 1, 1: FOR_ONE, 2: MEDIUM_FROM, 3: LARGE_FROM}
    return table.get(parameters, FOR_EACH * parameters)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def too_few_trials(round_: Round) -> list[Advice]:
    """Fewer trials in a branch than its parameters need, by the end of the budget."""
    budget = (round_.study.get("budget") or {}).get("trials")
    if not round_.is_finished and budget is None:
        return []
    rows: list[dict[str, Any]] = []
    for branch, trials in round_.branches.items():
        own = round_.of_branch(branch)
        told = [
            t for t in trials if t["state"] in ("complete", "pruned") and not t.get("diverged")
        ]
        planned = 0 if round_.is_finished else int(budget or 0) // len(round_.branches)
        needed = needed_trials(len(own))
        if max(len(told), planned) < needed:
            row = {"optimizer": branch, "parameters": len(own), "trials": len(told)}
            rows.append({**row, "needed": needed})
    if not rows:
        return []
    total = sum(
        max(needed_trials(len(round_.of_branch(b))), len(t)) for b, t in round_.branches.items()
    )
    total += len(round_.evidence.trials) - len(round_.searched)
    worst = max(rows, key=lambda row: row["needed"] - row["trials"])
    where = f" for {worst['optimizer']}" if worst["optimizer"] is not None else ""
    if len(rows) > 1:
        where += f" (and too few for {_counted(len(rows) - 1, 'other optimizer')})"
    title = (
        f"{_counted(worst['trials'], 'usable trial')} over "
        f"{_counted(worst['parameters'], 'parameter')}{where}; "
        f"a search of that many needs about {worst['needed']}."
    )
    evidence = {"branches": rows, "total_needed": total}
    action = (
        "Search on, or search fewer parameters (size: small): what looks best may be the luck of "
        "few draws."
    )
    if round_.study.get("compare"):
        data = revise.revised(round_.study, "longer")
        compare = dict(round_.study["compare"])
        compare["trials"] = max(row["needed"] for row in rows)
        compare.pop("seconds", None)
        data |= {"compare": compare}
        data.pop("budget", None)
        made = revise.checked(data)
        return [Advice("too-few-trials", "warning", title, evidence, action, study=made)]
    command = f"tuner study edit {round_.name} --trials {total}"
    return [Advice("too-few-trials", "warning", title, evidence, action, command)]


def _shape(round_: Round, trial: Trial) -> dict[str, Any] | None:
    """Where on its way a trial was best, and what the last quarter gained; None without a curve."""
    objective = round_.evidence.objective
    points = [
        (step, objective.cost(value))
        for step, value in round_.evidence.curve(trial, objective.metric)
        if math.isfinite(value)
    ]
    if len(points) < MIN_POINTS or points[-1][0] <= 0:
        return None
    last = points[-1][0]
    step, low = min(points, key=lambda point: point[1])
    before = min((c for s, c in points if s <= LATE * last), default=points[0][1])
    whole = points[0][1] - low
    gain = max(0.0, before - low) / whole if whole > 0 else 0.0
    row = {"trial": trial["number"], "best_step": step, "steps": last}
    return {**row, "at": step / last, "gain_of_last_quarter": gain}


def length(round_: Round) -> list[Advice]:
    """The best trials were best at the end (train longer), or early on (train shorter)."""
    if round_.evidence.is_multi:
        return []
    shapes = [s for trial in round_.results[:TOP] if (s := _shape(round_, trial)) is not None]
    if not shapes or shapes[0]["trial"] != round_.results[0]["number"]:
        return []
    late = [s for s in shapes if s["at"] >= LATE and not _overfits(round_, s["trial"])]
    early = [s for s in shapes if s["at"] <= EARLY]
    if shapes[0] in late and len(late) > AGREE * len(shapes):
        return [_longer(round_, shapes, late)]
    if shapes[0] in early and len(early) > AGREE * len(shapes):
        return [_shorter(round_, shapes, early)]
    return []


def _overfits(round_: Round, number_: int) -> bool:
    return any(f.name == "overfitting" for f in round_.findings.get(number_, ()))


def _longer(round_: Round, shapes: list[dict[str, Any]], late: list[dict[str, Any]]) -> Advice:
    gain = statistics.median(s["gain_of_last_quarter"] for s in late)
    title = (
        f"{len(late)} of the {len(shapes)} best trials were best in the last quarter of their "
        f"training, which brought {gain:.1%} of all they gained."
    )
    return Advice(
        "still-improving",
        "warning" if gain >= GAIN else "info",
        title,
        {"trials": shapes, "gain_of_last_quarter": gain},
        "Train longer in the next round, with the schedule stretched over it; a schedule that "
        "ends at zero is best at its end by nature, there the gain decides.",
        study=_with_epochs(round_, LONGER, "longer"),
    )


def _shorter(round_: Round, shapes: list[dict[str, Any]], early: list[dict[str, Any]]) -> Advice:
    return Advice(
        "best-too-early",
        "warning",
        f"{len(early)} of the {len(shapes)} best trials were best in the first tenth of their "
        "training.",
        {"trials": shapes},
        "Train shorter and spend the time on more trials; or regularise, or lower the learning "
        "rate, if later steps should still help.",
        study=_with_epochs(round_, SHORTER, "shorter"),
    )


def _with_epochs(round_: Round, factor: float, suffix: str) -> dict[str, Any] | None:
    """The study with more or fewer epochs, its pruner's steps scaled alike."""
    epochs = (round_.task or {}).get("epochs", 27)
    if round_.task is None or "epochs" in round_.parameters:
        return None
    data = revise.revised(round_.study, suffix)
    data["trial"]["task"]["epochs"] = max(2, round(epochs * factor))
    pruner = data.get("pruner") or {}
    for key in ("max_step",):
        if isinstance(pruner.get(key), int):
            pruner[key] = max(1, round(pruner[key] * factor))
    return revise.checked(data)


def confirmation(round_: Round) -> list[Advice]:
    """A best trial that was never repeated, or whose repeats on fresh seeds are worse."""
    if round_.evidence.is_multi or not round_.results:
        return []
    repeats: dict[int, list[float]] = {}
    for trial in round_.evidence.results:
        number_ = confirms(trial)
        if number_ is not None:
            repeats.setdefault(number_, []).append(float(round_.evidence.value(trial) or 0.0))
    if not repeats:
        return _unconfirmed(round_)
    found = [_luck(round_, number_, values) for number_, values in sorted(repeats.items())]
    rows = [row for row in found if row is not None]
    if not rows:
        return []
    first = rows[0]
    title = (
        f"Trial #{first['trial']} was lucky: {number(first['value'])}, but "
        f"{number(first['mean'])} ± {number(first['deviation'], 2)} over {first['seeds']} fresh seeds."
    )
    return [
        Advice(
            "lucky-seed",
            "severe",
            title,
            {"trials": rows},
            "Go by the mean of the repeats, and confirm the next best settings too before choosing.",
            f"tuner study confirm {round_.name} --seeds {SEEDS} --top 3",
        )
    ]


def _luck(round_: Round, number_: int, values: list[float]) -> dict[str, Any] | None:
    original = next((t for t in round_.results if t["number"] == number_), None)
    value = None if original is None else round_.evidence.value(original)
    if value is None or len(values) < 2:
        return None
    cost = round_.evidence.objective.cost
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    worse = cost(mean) - cost(value)
    spread = deviation * math.sqrt(1 + 1 / len(values))
    all_worse = all(cost(v) > cost(value) for v in values)
    if not all_worse or worse <= LUCK * spread:
        return None
    row = {"trial": number_, "value": value, "mean": mean, "deviation": deviation}
    return {**row, "seeds": len(values)}


def _unconfirmed(round_: Round) -> list[Advice]:
    if not round_.is_finished or len(round_.results) < 2 or round_.task is None:
        return []
    best = round_.results[0]
    return [
        Advice(
            "unconfirmed",
            "info",
            f"Trial #{best['number']}, the best of {len(round_.results)}, was trained on one seed.",
            {"trial": best["number"], "results": len(round_.results)},
            "The best of many is partly luck. Train it again on fresh seeds before deciding.",
            f"tuner study confirm {round_.name} --seeds {SEEDS}",
        )
    ]
