"""Advice about effort: how many trials, how long each trains, and whether a result holds."""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

from tuner.analysis.advice import revise
from tuner.analysis.advice.base import TOP, Advice, Round, Trial
from tuner.analysis.comparison.contest import Contest, confirmed_by, is_counted
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
# Few repeats know their own spread badly: Student's t at 95 %, one-sided, of 1 to 4 degrees of
# freedom; from 5 on it is about `LUCK`.
STUDENT: Final = (6.31, 2.92, 2.35, 2.13)
# The share of lost repeats from which on the setting is at fault; our choice.
LOST: Final = 0.5
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
        needed = needed_trials(len(own))
        if max(len(told), _planned(round_)) < needed:
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
    is_grid = (round_.study.get("sampler") or {}).get("name") == "grid"
    on = "Search on with another sampler or more `points`" if is_grid else "Search on"
    action = (
        f"{on}, or search fewer parameters (size: small): what looks best may be the luck of "
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
    # a grid that is spent has no more, and fewer than the budget are no help
    is_help = not is_grid and (budget is None or total > budget)
    return [
        Advice("too-few-trials", "warning", title, evidence, action, command if is_help else None)
    ]


def _planned(round_: Round) -> int:
    """The trials that each branch will have by the end of the budget; 0 where it has ended."""
    if round_.is_finished:
        return 0
    each = (round_.study.get("compare") or {}).get("trials")
    budget = (round_.study.get("budget") or {}).get("trials") or 0
    return int(each) if each is not None else int(budget) // len(round_.branches)


def _shape(round_: Round, trial: Trial) -> dict[str, Any] | None:
    """Where on its way a trial was best, and what the last quarter gained; None without a curve.

    The curve of one that diverged in the end says nothing about the length of training.
    """
    objective = round_.evidence.objective
    curve = round_.evidence.curve(trial, objective.metric)
    points = [(step, objective.cost(value)) for step, value in curve if math.isfinite(value)]
    if len(points) < MIN_POINTS or points[-1][0] <= 0 or not math.isfinite(curve[-1][1]):
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
    """A best trial that was never repeated, or trials whose repeats on fresh seeds are worse."""
    if round_.evidence.is_multi or not round_.results:
        return []
    repeats = _repeats(round_)
    open_ = [] if round_.results[0]["number"] in repeats else _unconfirmed(round_)
    rows = [
        row
        for trial in round_.results
        if (row := _luck(round_, trial, repeats.get(trial["number"], []))) is not None
    ]
    if not rows:
        return open_
    first = rows[0]
    but = (
        f"{first['lost']} of {first['seeds']} fresh seeds diverged or failed"
        if first["deviation"] is None
        else f"{number(first['mean'])} ± {number(first['deviation'], 2)} over {first['seeds']} fresh seeds"
    )
    return [
        Advice(
            "lucky-seed",
            "severe",
            f"Trial #{first['trial']} was lucky: {number(first['value'])}, but {but}.",
            {"trials": rows},
            "Go by the mean of the repeats, and confirm the next best settings too before choosing.",
            f"tuner study confirm {round_.name} --seeds {SEEDS} --top 3",
        ),
        *open_,
    ]


def _repeats(round_: Round) -> dict[int, list[float]]:
    """The costs of the repeats on fresh seeds by the trial that they repeat, infinite if lost."""
    contest = Contest(round_.evidence)
    found: dict[int, list[float]] = {}
    for trial in round_.evidence.trials:
        number_ = confirmed_by(trial)
        if number_ is not None and is_counted(trial):
            found.setdefault(number_, []).append(contest.cost(trial))
    return found


def _luck(round_: Round, trial: Trial, costs: list[float]) -> dict[str, Any] | None:
    """What a trial's repeats came to, if they show that it was lucky."""
    value = round_.evidence.value(trial)
    if value is None or len(costs) < 2:
        return None
    objective = round_.evidence.objective
    finite = [cost for cost in costs if math.isfinite(cost)]
    lost = len(costs) - len(finite)
    is_lost = lost >= LOST * len(costs)
    if not is_lost and not _is_worse(objective.cost(value), finite):
        return None
    mean = (
        None
        if is_lost
        else statistics.fmean(finite) * (1 if objective.direction == "minimize" else -1)
    )
    row = {"trial": trial["number"], "value": value, "mean": mean}
    row["deviation"] = None if is_lost else statistics.stdev(finite)
    return {**row, "seeds": len(costs), "lost": lost}


def _is_worse(own: float, repeats: list[float]) -> bool:
    """Whether repeats are worse than what they repeat, all of them and clearly, as costs."""
    if len(repeats) < 2 or min(repeats) <= own:
        return False
    freedom = len(repeats) - 1
    bound = STUDENT[freedom - 1] if freedom <= len(STUDENT) else LUCK
    spread = statistics.stdev(repeats) * math.sqrt(1 + 1 / len(repeats))
    return statistics.fmean(repeats) - own > bound * spread


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
