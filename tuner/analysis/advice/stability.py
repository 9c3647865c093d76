"""Advice about stability: learning rates that diverge, clipping, what ails the best trial."""

from __future__ import annotations

import math
import statistics
from typing import Any, Final

from tuner.analysis.advice import revise
from tuner.analysis.advice.base import Advice, Round, Trial, listed
from tuner.analysis.advice.ranges import is_rate
from tuner.analysis.diagnosis.rules import PATHOLOGIES
from tuner.analysis.diagnosis.signals import SPIKES
from tuner.analysis.evidence import as_json
from tuner.analysis.wording import number

# From this share of unstable trials on it is worth acting; our choice.
UNSTABLE_SHARE: Final = 0.1
FEWEST: Final = 2
# Youden's J from which on the rate tells unstable from stable trials; our choice.
TELLS_APART: Final = 0.5
# The playbook: the learning rate that a warm-up leads to is at least ten times the unstable one.
WARMUP_FACTOR: Final = 10.0
# The playbook: warm-up takes at most a tenth of the steps.
WARMUPS: Final = (0.0, 0.02, 0.05, 0.1)
# The playbook: clip at the 90th percentile of the gradient norms; more than half of the steps
# clipped means that the learning rate is too high.
CLIP_PERCENTILE: Final = 90
CLIPPED: Final = 0.5


def is_unstable(round_: Round, trial: Trial) -> bool:
    """Whether a trial diverged or its loss spiked."""
    spikes = round_.evidence.curve(trial, "loss_spikes")
    found = round_.findings.get(trial["number"], ())
    return (
        bool(trial.get("diverged"))
        or any(f.name == "divergence" for f in found)
        or (bool(spikes) and spikes[-1][1] >= SPIKES)
    )


def unstable_rates(round_: Round) -> list[Advice]:
    """Learning rates from some value on diverge: warm up, clip, or lower the range."""
    rows = []
    told: set[int] = set()
    for name, spec in round_.parameters.items():
        if is_rate(name, spec):
            row = _edge_of_stability(round_, name)
            if row is not None:
                told.update(row.pop("numbers"))
                rows.append(row)
    found = [_rates(round_, rows)] if rows else []
    return [*found, *_diverged(round_, told)]


def _edge_of_stability(round_: Round, name: str) -> dict[str, Any] | None:
    ended = ("complete", "pruned")
    marked = [
        (rate, is_unstable(round_, trial), trial)
        for trial in round_.searched
        if trial["state"] in ended and (rate := _rate(trial, name)) is not None
    ]
    bad = [t["number"] for _, unstable, t in marked if unstable]
    if len(bad) < max(FEWEST, UNSTABLE_SHARE * len(marked)):
        return None
    edge = separating_rate([(rate, unstable) for rate, unstable, _ in marked])
    if edge is None:
        return None
    best_rate = _best_rate(round_, name)
    return {
        "parameter": name,
        "unstable_from": edge,
        "unstable": len(bad),
        "trials": len(marked),
        "best": best_rate,
        # within a decade the best rate is bounded by stability, not by quality
        "limits_the_best": best_rate is None or WARMUP_FACTOR * best_rate >= edge,
        "numbers": bad,
    }


def _rate(trial: Trial, name: str) -> float | None:
    """A trial's learning rate; None where it has none, or one that is no positive number."""
    found = trial["params"].get(name)
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if is_number and found > 0 else None


def _best_rate(round_: Round, name: str) -> float | None:
    """The best trial's rate; of several objectives the largest on the front."""
    is_multi = round_.evidence.is_multi
    trials = round_.evidence.front if is_multi else round_.results
    rates = [rate for trial in trials if (rate := _rate(trial, name)) is not None]
    return max(rates, default=None) if is_multi else next(iter(rates), None)


def separating_rate(marked: list[tuple[float, bool]]) -> float | None:
    """The rate from which on trials are unstable; None where rates do not tell them apart.

    It is the one with the largest J: the share of unstable trials at or above it minus that of the
    stable ones.

    Args:
        marked: Learning rates, each with whether its trial was unstable.

    Source: Youden 1950, Index for rating diagnostic tests.
    """
    total = [sum(unstable for _, unstable in marked), sum(not unstable for _, unstable in marked)]
    if not all(total):
        return None
    above = [0, 0]
    best: tuple[float, float] | None = None
    ordered = sorted(marked, key=lambda item: -item[0])
    for i, (rate, unstable) in enumerate(ordered):
        above[0 if unstable else 1] += 1
        if i + 1 < len(ordered) and ordered[i + 1][0] == rate:
            continue
        j = above[0] / total[0] - above[1] / total[1]
        if above[0] >= FEWEST and (best is None or j >= best[0]):
            best = (j, rate)
    return best[1] if best is not None and best[0] >= TELLS_APART else None


def _rates(round_: Round, rows: list[dict[str, Any]]) -> Advice:
    told = ", ".join(
        f"{r['parameter']} from {number(r['unstable_from'], 2)} on ({r['unstable']} of {r['trials']} trials)"
        for r in rows
    )
    clip = clip_value(round_)
    evidence: dict[str, Any] = {"parameters": rows, "clip_norm": as_json(clip)}
    title = f"Training is unstable with {told}."
    limiting = [row for row in rows if row["limits_the_best"]]
    if not limiting:
        tops = ", ".join(f"{r['parameter']} high: {number(r['unstable_from'], 2)}" for r in rows)
        action = (
            f"The best rates lie far below, so only time is lost there: lower the top ({tops})."
        )
        return Advice("unstable-learning-rates", "info", title, evidence, action)
    at = "the 90th percentile of the gradient norms" + (f", {number(clip, 2)}" if clip else "")
    action = (
        "The best rates lie within a decade of it, so stability may be what bounds them. Warm up "
        f"(at most a tenth of the steps, to rates up to {WARMUP_FACTOR:g} times the unstable one), "
        f"or clip gradients at {at}."
    )
    study = _stabilised(round_, limiting, clip)
    return Advice("unstable-learning-rates", "warning", title, evidence, action, study=study)


def clip_value(round_: Round) -> float | None:
    """The 90th percentile of the stable trials' gradient norms; None without any.

    The median of the epochs' own percentiles where they are reported (`grad_norm_p90`), else the
    percentile of the epochs' means.
    """
    stable = [trial for trial in round_.searched if not is_unstable(round_, trial)]
    reported = _finite(round_, stable, "grad_norm_p90")
    if reported:
        return float(f"{statistics.median(reported):.2g}")
    means = _finite(round_, stable, "grad_norm")
    if len(means) < 2:
        return None
    return float(f"{statistics.quantiles(means, n=100)[CLIP_PERCENTILE - 1]:.2g}")


def _finite(round_: Round, trials: list[Trial], metric: str) -> list[float]:
    return [
        value
        for trial in trials
        for _, value in round_.evidence.curve(trial, metric)
        if math.isfinite(value)
    ]


def _stabilised(
    round_: Round, rows: list[dict[str, Any]], clip: float | None
) -> dict[str, Any] | None:
    """The study with warm-up searched, rates to match and, where norms were measured, clipping."""
    if round_.task is None:
        return None
    data = revise.revised(round_.study, "stable")
    changed = False
    if "warmup" not in round_.parameters:
        choices = list(WARMUPS)
        revise.override(data, "warmup", type="categorical", choices=choices, default=WARMUPS[-1])
        changed = True
        for row in rows:
            high = float(f"{WARMUP_FACTOR * row['unstable_from']:.1g}")
            if high > float(round_.parameters[row["parameter"]].get("high") or math.inf):
                revise.override(data, row["parameter"], high=high)
    if clip and "clip_norm" not in round_.parameters and "clip_norm" not in round_.task:
        data["trial"]["task"]["clip_norm"] = clip
        changed = True
    return revise.checked(data) if changed else None


def _diverged(round_: Round, told: set[int]) -> list[Advice]:
    bad = [t["number"] for t in round_.searched if t.get("diverged") and t["number"] not in told]
    ended = sum(t["state"] in ("complete", "pruned") for t in round_.searched)
    if len(bad) < max(FEWEST, UNSTABLE_SHARE * ended):
        return []
    numbers = {"diverged": len(bad), "trials": ended, "numbers": bad[:50]}
    if len(bad) == ended:
        return [
            Advice(
                "many-diverged",
                "warning",
                f"All {ended} trials diverged.",
                numbers,
                "Check the data for values that are not finite; then lower every learning rate, by "
                "powers of ten until a trial ends well.",
            )
        ]
    return [
        Advice(
            "many-diverged",
            "warning",
            f"{len(bad)} of {ended} trials diverged, not because of large learning rates alone.",
            numbers,
            f"Look for what they share ({listed(bad)}): the report plots each parameter with these "
            "trials marked. Check the data for values that are not finite.",
        )
    ]


def clipping(round_: Round) -> list[Advice]:
    """More than half of the best trials' steps were clipped."""
    rows = []
    for trial in round_.leading:
        shares = [v for _, v in round_.evidence.curve(trial, "clipped_share") if math.isfinite(v)]
        if shares:
            rows.append({"trial": trial["number"], "clipped_share": statistics.fmean(shares)})
    if not rows or statistics.median(row["clipped_share"] for row in rows) <= CLIPPED:
        return []
    share = statistics.median(row["clipped_share"] for row in rows)
    return [
        Advice(
            "clipping-too-often",
            "warning",
            f"In the best {len(rows)} trials {share:.0%} of the steps were clipped.",
            {"trials": rows, "median": share},
            "Clipping then sets the step length. Lower the learning rate, or raise clip_norm"
            + (f" to about {number(clip, 2)}." if (clip := clip_value(round_)) else "."),
        )
    ]


def best_trial(round_: Round) -> list[Advice]:
    """What was recognised in the training of the best trial itself."""
    if not round_.results or round_.evidence.is_multi:
        return []
    best = round_.results[0]["number"]
    found = [f for f in round_.findings.get(best, ()) if f.severity != "info"]
    if not found:
        return []
    rows = [finding.to_json(PATHOLOGIES[finding.name].action) for finding in found]
    actions = dict.fromkeys(PATHOLOGIES[finding.name].action for finding in found)
    return [
        Advice(
            "best-trial-ails",
            "warning",
            f"Trial #{best} is best, but: {' '.join(finding.text for finding in found)}",
            {"trial": best, "findings": rows},
            " ".join(actions),
        )
    ]
