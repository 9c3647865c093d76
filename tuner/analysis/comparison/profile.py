"""Several comparisons side by side: ranks per task, and performance profiles over tasks.

    ρₒ(τ) = share of tasks p with  tₚₒ ≤ τ · minₒ tₚₒ            tₚₒ  time of optimizer o to target

Dolan and Moré 2002 (arXiv:cs/0102001), as AlgoPerf uses them (Dahl et al. 2023, arXiv:2306.07179):
an optimizer that does not reach a task's target has time ∞ there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tuner.analysis.comparison.build import compare
from tuner.analysis.comparison.contest import Contest
from tuner.analysis.comparison.convergence import MEASURES
from tuner.analysis.comparison.significance import ranks
from tuner.analysis.evidence import Evidence, as_json
from tuner.core.wire import decode_metric
from tuner.errors import Invalid

FEW_TASKS: Final = 8
# the range over which AlgoPerf integrates a profile
TAU_MAX: Final = 4.0


def profile(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, Any]]:
    """Performance profiles.

    Args:
        times: The time to target of each optimizer on each task, in one order of tasks; infinite
            where the target is not reached.

    Returns:
        Per optimizer `ratios`, the sorted ratios to the fastest on the tasks it solves (the share
        rises by 1/tasks at each; infinite to one that took no time), `solved`, the share of tasks
        it solves, and `score`, the mean of ρ over 1 ≤ τ ≤ 4. Tasks that no optimizer solves count
        as unsolved by all.
    """
    n_tasks = len(next(iter(times.values()), ()))
    least = [min(row[task] for row in times.values()) for task in range(n_tasks)]
    found: dict[str, dict[str, Any]] = {}
    for name, row in times.items():
        ratios = sorted(
            _ratio(time, best)
            for time, best in zip(row, least, strict=True)
            if math.isfinite(time)
        )
        gained = sum(max(0.0, TAU_MAX - ratio) for ratio in ratios)
        found[name] = {
            "ratios": ratios,
            "solved": len(ratios) / n_tasks if n_tasks else 0.0,
            "score": gained / (n_tasks * (TAU_MAX - 1)) if n_tasks else 0.0,
        }
    return found


def _ratio(time: float, least: float) -> float:
    return time / least if least > 0 else (1.0 if time <= least else math.inf)


def compare_studies(
    studies: Sequence[tuple[Mapping[str, Any], Sequence[Any], Sequence[Any]]],
) -> dict[str, Any]:
    """Several studies, each one task, as one JSON object.

    Args:
        studies: `(study, trials, measurements)` of each, as `report.build_report` takes them.

    Raises:
        Invalid: If a study compares no optimizers, or the studies have none in common.
    """
    contests = [Contest(Evidence.read(*parts)) for parts in studies]
    for contest in contests:
        _check(contest)
    common = sorted(set.intersection(*(set(contest.names) for contest in contests)))
    if not common:
        raise Invalid.at(
            "studies",
            "have no optimizer in common.",
            hint="Compare studies that tried the same optimizers.",
        )
    parts = [compare(contest) for contest in contests]
    tasks = [_task(contest, part, common) for contest, part in zip(contests, parts, strict=True)]
    return {
        "studies": [task["study"] for task in tasks],
        "optimizers": common,
        "left_out": sorted(set().union(*(contest.names for contest in contests)) - set(common)),
        "tasks": tasks,
        "ranks": _mean_ranks(tasks, common),
        "profiles": _profiles(parts, common),
        "tau_max": TAU_MAX,
        "few": len(tasks) < FEW_TASKS,
        "comparisons": parts,
    }


def _check(contest: Contest) -> None:
    if not any(entrant.setting is not None for entrant in contest.entrants):
        name = contest.evidence.study.get("name")
        raise Invalid.at(
            "studies",
            f"the study {name!r} has no result of any optimizer to compare.",
            found=name,
            hint="Its space must choose an `optimizer`, and a trial must be complete.",
        )


def _task(contest: Contest, part: Mapping[str, Any], common: Sequence[str]) -> dict[str, Any]:
    """One task's row: values, ranks and winner among the common optimizers."""
    rows = {row["optimizer"]: row for row in part["significance"]["optimizers"]}
    by_name = {entrant.name: entrant for entrant in contest.entrants}
    costs, cells = [], {}
    is_confirmed = []
    for name in common:
        row, setting = rows.get(name), by_name[name].setting
        value = row["median"] if row else None
        if row is None and setting is not None:
            value = contest.value(contest.cost(setting))
        number = decode_metric(value)
        costs.append(math.inf if number is None else contest.evidence.objective.cost(number))
        is_confirmed.append(row is not None)
        cells[name] = {
            "value": value,
            "best": row["best"] if row else None,
            "worst": row["worst"] if row else None,
            "seeds": row["seeds"] if row else 0,
        }
    for name, place in zip(common, _places(costs, is_confirmed), strict=True):
        cells[name]["rank"] = place
    ranked = [c for c, known in zip(costs, is_confirmed, strict=True) if known] or costs
    best = min(ranked)
    return {
        "study": str(contest.evidence.study.get("name")),
        "metric": contest.metric,
        "direction": contest.evidence.objective.direction,
        "target": part["convergence"]["target"],
        "target_source": part["convergence"]["source"],
        "winners": [
            name
            for name, cost, known in zip(common, costs, is_confirmed, strict=True)
            if cost == best < math.inf and (known or not any(is_confirmed))
        ],
        "optimizers": cells,
    }


def _places(costs: Sequence[float], is_confirmed: Sequence[bool]) -> list[float]:
    """Ranks, those of unconfirmed values after all confirmed ones: a best of many is partly luck."""
    found = [0.0] * len(costs)
    before = 0
    for known in (True, False):
        chosen = [i for i, confirmed in enumerate(is_confirmed) if confirmed is known]
        for i, rank in zip(chosen, ranks([costs[i] for i in chosen]), strict=True):
            found[i] = before + rank
        before += len(chosen)
    return found


def _mean_ranks(tasks: Sequence[Mapping[str, Any]], common: Sequence[str]) -> list[dict[str, Any]]:
    """Mean rank and number of wins, best first."""
    rows = [
        {
            "optimizer": name,
            "mean_rank": sum(task["optimizers"][name]["rank"] for task in tasks) / len(tasks),
            "wins": sum(name in task["winners"] for task in tasks),
        }
        for name in common
    ]
    return sorted(rows, key=lambda row: (row["mean_rank"], row["optimizer"]))


def _profiles(parts: Sequence[Mapping[str, Any]], common: Sequence[str]) -> list[dict[str, Any]]:
    """A profile for each measure that all tasks have; reported steps where they have no other."""
    shared = [
        (key, unit)
        for key, _, unit in MEASURES
        if all(_is_measured(part, common, key) for part in parts)
    ]
    found = []
    for key, unit in [pair for pair in shared if pair[0] != "epochs"] or shared:
        times = {name: [_time(part, name, key) for part in parts] for name in common}
        curves = {
            name: {**own, "ratios": [as_json(ratio) for ratio in own["ratios"]]}
            for name, own in profile(times).items()
        }
        found.append(
            {
                "measure": key,
                "unit": unit,
                "times": {name: [as_json(t) for t in row] for name, row in times.items()},
                "optimizers": curves,
            }
        )
    return found


def _is_measured(part: Mapping[str, Any], common: Sequence[str], key: str) -> bool:
    """Whether a task has the measure, of every optimizer that reached its target."""
    rows = [row for row in part["convergence"]["optimizers"] if row["optimizer"] in common]
    return key in part["convergence"]["measures"] and all(
        key in row["to_target"] for row in rows if row["reached"]
    )


def _time(part: Mapping[str, Any], name: str, key: str) -> float:
    """The median time to the task's target over the optimizer's runs."""
    for row in part["convergence"]["optimizers"]:
        if row["optimizer"] == name and key in row["to_target"]:
            found = decode_metric(row["to_target"][key]["median"])
            return math.inf if found is None else found
    return math.inf
