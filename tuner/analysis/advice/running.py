"""Advice about how trials run: failures by reason, and a pruner that stops what is known good."""

from __future__ import annotations

from typing import Any, Final

from tuner.analysis.advice.base import Advice, Round
from tuner.analysis.summary import failures
from tuner.core.space import Space
from tuner.errors import TunerError

# From this share of failed trials on the search is poorer for it; our choice.
FAILED_SHARE: Final = 0.1
FEWEST: Final = 2
# Stopped within this share of the longest training is early; our choice.
EARLY_STOP: Final = 0.34

_ACTIONS: Final = {
    "oom": "Give a trial more memory or a device of its own (`trial.resources`), or lower the top of "
    "what it grows with: batch size (with accumulation), width, depth.",
    "timeout": "Raise `trial.timeout`, train fewer epochs, or lower the top of what makes a trial slow.",
    "error": "Read what one wrote; a search learns nothing from a trial that breaks.",
    "no-result": "The trial ended without reporting the objective; look at the metric's name.",
    "lost": "Workers vanished; see whether the machine killed them, and the operations page.",
    "killed": "The system killed the trial, most often for memory: give it more.",
}


def many_failures(round_: Round) -> list[Advice]:
    """Many trials fail for one reason."""
    ended = sum(t["state"] in ("complete", "pruned", "fail") for t in round_.evidence.trials)
    found = []
    for row in failures(round_.evidence):
        reason, count = row["reason"], row["count"]
        few = count < max(FEWEST, FAILED_SHARE * ended)
        if row["kind"] != "fail" or few or reason == "cancelled":
            continue
        first = row["numbers"][0]
        found.append(
            Advice(
                "many-failures",
                "severe" if count >= ended / 2 else "warning",
                f"{count} of {ended} trials failed with {reason}.",
                {"reason": reason, "failed": count, "ended": ended, "numbers": row["numbers"]},
                _ACTIONS.get(reason, _ACTIONS["error"]),
                f"tuner trial log {round_.name} {first}",
            )
        )
    return found


def pruned_defaults(round_: Round) -> list[Advice]:
    """The pruner stopped trials of default settings early on."""
    pruner = (round_.study.get("pruner") or {}).get("name", "none")
    if pruner == "none" or not round_.parameters:
        return []
    longest = max((round_.evidence.steps(t) or 0 for t in round_.searched), default=0)
    tried = _defaults(round_)
    defaults = [t for t in round_.searched if t.get("params") and t["params"] in tried]
    stopped = [
        {"trial": t["number"], "optimizer": t["params"].get("optimizer"), "steps": steps}
        for t in defaults
        if t["state"] == "pruned"
        and (steps := round_.evidence.steps(t) or 0) <= EARLY_STOP * longest
    ]
    if not stopped:
        return []
    names = ", ".join(
        f"#{r['trial']}" + (f" ({r['optimizer']})" if r["optimizer"] else "") for r in stopped
    )
    return [
        Advice(
            "pruner-stops-defaults",
            "warning" if len(stopped) == len(defaults) else "info",
            f"{pruner} stopped {len(stopped)} of {len(defaults)} trials of default settings early: "
            f"{names}.",
            {"stopped": stopped, "defaults": len(defaults), "longest": longest},
            "Either the defaults are slow starters here (warm-up, small rates), and the pruner stops "
            "good settings too: let it begin later (min_step, n_startup or n_warmup_steps, see "
            "`tuner pruners list`). Or they are bad indeed: run one without pruner to see.",
        )
    ]


def _defaults(round_: Round) -> list[dict[str, Any]]:
    """The parameters of the trial of defaults, for each branch."""
    try:
        space = Space.parse(round_.parameters)
    except TunerError:
        return []
    return [
        dict(space.defaults({} if branch is None else {"optimizer": branch}))
        for branch in round_.branches
    ]
