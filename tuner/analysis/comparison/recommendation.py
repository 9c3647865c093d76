"""What to use: the leader, those that cannot be told from it, the cheapest of them, and its code."""

from __future__ import annotations

import math
import pprint
from collections.abc import Mapping
from typing import Any, Final

from tuner.analysis.comparison.contest import Contest, Entrant, median
from tuner.analysis.comparison.significance import LEVEL, smallest_p
from tuner.core.names import MISSING, resolve
from tuner.core.wire import decode_metric
from tuner.optimizers import registry
from tuner.optimizers.torch_code import optimizer_call, schedule_lines
from tuner.tasks.registry import OPTIONS

# in this order the cheapest is chosen by what every one of the group has
PREFERENCE: Final = ("seconds", "evaluations", "steps", "epochs")
SCHEDULING: Final = ("schedule", "warmup", "lr_end", "lr_drops", "lr_power")
STEP: Final = "# each step: take_step(optimizer, lambda: loss_fn(model(x), y), model)"
WHOLE: Final = "# each batch is the whole training set, as in the trial"
_WIDTH: Final = 92


def recommendation(
    contest: Contest, significance: Mapping[str, Any], convergence: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The recommended optimizer with its code; None while no optimizer has a result.

    Of those that not even the uncorrected test tells from the leader though they have the seeds
    for it, and whose median lies within the range of its seeds, it is the one that reaches the
    target soonest, by the median over its runs; without such times, or with too few seeds for any
    test, the leader.

    Args:
        contest: The comparison.
        significance: The result of `significance.significance`.
        convergence: The result of `convergence.convergence`.
    """
    usable = [entrant for entrant in contest.entrants if _has_result(contest, entrant)]
    if not usable:
        return None
    leader = usable[0]
    names = {entrant.name for entrant in usable}
    group = [name for name in significance["group"] if name in names] or [leader.name]
    close = [name for name in significance["close"] if name in names] or [leader.name]
    as_good = [entrant.name for entrant in usable if _is_as_good(contest, entrant, leader, close)]
    least = significance["smallest_p"]
    # a test that can tell nothing apart makes nobody as good as the leader
    can_tell = least is not None and least <= significance["level"]
    cheapest, by = _cheapest(as_good, convergence) if can_tell else (None, None)
    chosen = next(entrant for entrant in usable if entrant.name == (cheapest or leader.name))
    return {
        "leader": leader.name,
        "confirmed": bool(leader.runs),
        "group": group,
        "close": close,
        "cheapest": cheapest,
        "cheapest_by": by,
        "optimizer": chosen.name,
        "setting": chosen.setting["number"] if chosen.setting else None,
        "params": dict((chosen.setting or {}).get("params") or {}),
        **code(contest, chosen),
    }


def _is_as_good(contest: Contest, entrant: Entrant, leader: Entrant, close: list[str]) -> bool:
    """Whether it may stand for the leader: not told from it, and no worse than its runs.

    A test that finds no difference does not show that there is none, so it must have had the seeds
    to find one, and the median has to lie within the range of the leader's seeds as well, those
    that were lost not counted.
    """
    if entrant is leader:
        return True
    own, best = (list(contest.confirmed(one).values()) for one in (entrant, leader))
    worst = max((cost for cost in best if math.isfinite(cost)), default=-math.inf)
    seeds = [len(contest.independent(one)) for one in (entrant, leader)]
    can_tell = bool(own) and smallest_p(*seeds) <= LEVEL
    return can_tell and entrant.name in close and median(own) <= worst


def _has_result(contest: Contest, entrant: Entrant) -> bool:
    """Whether more than half of its runs gave a value, or the one unconfirmed trial did."""
    if entrant.setting is None:
        return False
    costs = list(contest.confirmed(entrant).values()) or [contest.cost(entrant.setting)]
    return math.isfinite(median(costs))


def _cheapest(close: list[str], convergence: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The one of them with the least median time to target, and what was counted."""
    rows = {row["optimizer"]: row["to_target"] for row in convergence["optimizers"]}
    for key in PREFERENCE:
        if all(key in rows.get(name, {}) for name in close):
            costs = {name: decode_metric(rows[name][key]["median"]) for name in close}
            known = {name: cost for name, cost in costs.items() if cost is not None}
            least = min(known.values(), default=float("inf"))
            if least < float("inf"):
                return min(known, key=lambda name: known[name]), key
    return None, None


def code(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    """The setting as Python: with tuner's helpers, and with torch alone where that has it all."""
    params = dict((entrant.setting or {}).get("params") or {})
    task = task_of(contest)
    scheduling = _scheduling(params, task)
    grouping = task.get("groups") or []
    if entrant.name not in registry.ENTRIES:
        reason = f"{entrant.name} is not in tuner's registry, so only its parameters are given"
        return {"tuner_code": f"params = {_written(params)}\n", "torch_code": None, "why": reason}
    given = {**{k: v for k, v in scheduling.items() if resolve(params, k) is MISSING}, **params}
    several = _evaluates_again(entrant.name)
    ours = [
        f"from tuner.training import build_optimizer, build_scheduler{', take_step' * several}",
        "",
        f"params = {_written(given)}",
        *([f"groups = {_written(grouping)}"] if grouping else []),
        f"optimizer = build_optimizer(model, params{', groups' if grouping else ''})",
        "scheduler = build_scheduler(optimizer, params, total_steps)  # step() after each step",
        *([STEP] if several else []),
        *([WHOLE] if takes_everything(entrant.name, params, task) else []),
    ]
    plain, why = _plain(entrant.name, params, task)
    return {"tuner_code": "\n".join(ours) + "\n", "torch_code": plain, "why": why}


def _evaluates_again(name: str) -> bool:
    """Whether a step needs more than one loss and its gradient, so that step() alone fails."""
    cost = registry.get(name).cost
    return cost.functions > 1 or cost.products > 0


def takes_everything(name: str, params: Mapping[str, Any], task: Mapping[str, Any]) -> bool:
    """Whether the built-in task gave it the whole training set as one batch."""
    entry = registry.ENTRIES.get(name)
    batch = entry.batch if entry is not None else "any"
    unset = resolve(params, "batch_size") is MISSING and task.get("batch_size") is None
    return bool(task) and (batch == "full" or (batch == "large" and unset))


def _written(data: Any) -> str:
    return pprint.pformat(data, width=_WIDTH, sort_dicts=False)


def task_of(contest: Contest) -> Mapping[str, Any]:
    """The study's built-in task; empty if it has none."""
    trial = contest.evidence.study.get("trial")
    task = trial.get("task") if isinstance(trial, Mapping) else None
    return task if isinstance(task, Mapping) else {}


def _option(name: str, params: Mapping[str, Any], task: Mapping[str, Any]) -> Any:
    found = resolve(params, name)
    if found is not MISSING:
        return found
    return task.get(name, OPTIONS[name].default)


def _scheduling(params: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
    """What the task itself says about the schedule."""
    return {name: task[name] for name in SCHEDULING if name in task and name not in params}


def _plain(
    name: str, params: Mapping[str, Any], task: Mapping[str, Any]
) -> tuple[str | None, str | None]:
    """The setting with torch alone, or why there is no such code."""
    if task.get("groups"):
        return None, "parameter groups are built by tuner.training.build_optimizer"
    if _option("layer_decay", params, task) != 1 or _option("decay_on", params, task) != "all":
        return None, "layer_decay and decay_on are built by tuner.training.build_optimizer"
    values = {
        parameter.name: parameter.otherwise if found is MISSING else found
        for parameter in registry.get(name).parameters
        for found in [resolve(params, parameter.name)]
    }
    call = optimizer_call(name, values)
    schedule = schedule_lines({key: _option(key, params, task) for key in SCHEDULING})
    if call is None:
        return None, f"torch.optim has no {name} with these parameters"
    if schedule is None:
        return None, "the schedule is built by tuner.training.build_scheduler"
    imports = ["import math", ""] if any("math." in line for line in schedule) else []
    lines = [*imports, "import torch", "", f"optimizer = {call}", *schedule]
    note = "each step takes the whole training set" if name == "gd" else None
    return "\n".join(lines) + "\n", note
