"""Advice about the space: best values at an edge, parameters without effect, batch size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tuner.analysis.advice import revise
from tuner.analysis.advice.base import TOP, Advice, Round, Trial, plain
from tuner.analysis.advice.widen import Bound, widened
from tuner.analysis.encoding import is_numeric, position
from tuner.analysis.evidence import optimizer_of
from tuner.analysis.summary import edges
from tuner.analysis.wording import number

# Best trials within this share of the range next to a bound speak for the bound; our choice.
NEAR: Final = 0.1
# So many of the best `TOP` trials there make it more than luck; our choice.
CLUSTER: Final = 3
# A parameter is judged without effect only where the surrogate explains this much of the ranks
# out of bag, over so many trials; our choice.
EXPLAINED: Final = 0.3
ENOUGH_TRIALS: Final = 20


def edge_of_range(round_: Round) -> list[Advice]:
    """The best trial of a branch lies at a bound: propose the wider range, as a ready study."""
    if round_.evidence.is_multi:
        return []  # a front reaches the edges by its nature
    rows = [row for branch in round_.branches for row in _edges(round_, branch)]
    rows = list({(row["parameter"], row["bound"]): row for row in rows}.values())
    if not rows:
        return []
    wider = [row for row in rows if row["proposed"] is not None]
    told = ", ".join(
        f"{r['parameter']} at its {r['bound']} bound {number(r['limit'])}" for r in rows
    )
    if not wider:
        return []
    data = revise.revised(round_.study, "wider")
    for row in wider:
        revise.override(data, row["parameter"], **{row["bound"]: row["proposed"]})
    sure = any(row["top_near"] >= CLUSTER for row in wider)
    spans = ", ".join(f"{r['parameter']} {r['bound']}: {number(r['proposed'])}" for r in wider)
    return [
        Advice(
            "edge-of-range",
            "warning" if sure else "info",
            f"The best value lies at the edge of its range: {told}.",
            {"parameters": rows, "top": TOP},
            f"The optimum may lie outside. Search on with wider ranges: {spans}.",
            study=revise.checked(data),
        )
    ]


def _edges(round_: Round, branch: str | None) -> list[dict[str, Any]]:
    best = round_.best_of(branch)[:TOP]
    if not best:
        return []
    own = round_.of_branch(branch)
    found = []
    for edge in edges(own, best[0]):
        name, spec, bound = edge["name"], own[edge["name"]], edge["bound"]
        found.append(
            {
                "parameter": name,
                "optimizer": optimizer_of(best[0]),
                "trial": best[0]["number"],
                "value": edge["value"],
                "bound": bound,
                "limit": edge["limit"],
                "proposed": widened(name, spec, bound, round_.study),
                "top_near": sum(_is_near(trial, name, spec, bound) for trial in best),
            }
        )
    return found


def _is_near(trial: Trial, name: str, spec: Mapping[str, Any], bound: Bound) -> bool:
    value = trial["params"].get(name)
    if value is None or isinstance(value, bool | str):
        return False
    place = position(float(value), spec)
    return place <= NEAR if bound == "low" else place >= 1 - NEAR


def no_effect(round_: Round) -> list[Advice]:
    """Parameters whose shuffling does no harm to the prediction of trials that were not seen."""
    if round_.evidence.is_multi:
        return []  # what explains one objective says nothing about the others
    parts = [round_.explained, *round_.explained.get("per_optimizer", {}).values()]
    silent: dict[str, int] = {}
    heard: set[str] = set()
    for part in parts:
        if part.get("quality") is None or part["quality"] < EXPLAINED:
            continue
        for row in part["parameters"]:
            if row["importance"] > 0:
                heard.add(row["name"])
            elif "caveat" not in row and row["n_trials"] >= ENOUGH_TRIALS:
                silent[row["name"]] = row["n_trials"]
    names = [name for name in silent if name not in heard and name != "optimizer"]
    if not names or not round_.results:
        return []
    fixed = {name: round_.results[0]["params"].get(name) for name in names}
    values = ", ".join(f"{n}: {number(v)}" for n, v in fixed.items() if v is not None)
    return [
        Advice(
            "no-effect",
            "info",
            f"No effect of {', '.join(names)} could be told from noise.",
            {"parameters": [{"parameter": name, "trials": silent[name]} for name in names]},
            "Leave such a parameter out next time: the rest is then searched more closely"
            + (f". The best trial had {values}" if values else "")
            + ". It holds for the values that were tried, and for the others being as they were.",
        )
    ]


def batch_size(round_: Round) -> list[Advice]:
    """The batch size is searched while learning rates are shared by all sizes, or fixed."""
    searched = {
        name: spec
        for name, spec in round_.parameters.items()
        if plain(name) == "batch_size" and _varies(spec)
    }
    if not searched:
        return []
    fixed_rates = [
        str(branch)
        for branch in round_.branches
        if not any(is_rate(n, s) for n, s in round_.of_branch(branch).items())
        and any(name in round_.of_branch(branch) for name in searched)
    ]
    names = ", ".join(searched)
    kept = ", ".join(name for name in fixed_rates if name != "None")
    at = f" of {kept}" if kept else ""
    how = (
        f"while the learning rate{at} stays the same"
        if fixed_rates
        else "together with learning rates that all sizes share"
    )
    return [
        Advice(
            "batch-size-not-retuned",
            "warning" if fixed_rates else "info",
            f"{names} is searched {how}.",
            {"parameters": list(searched), "fixed_rates": fixed_rates},
            "Each batch size has its own best learning rate and regularisation, so sizes are "
            "compared unfairly. Take the largest one that the hardware runs well, fix it, and tune "
            "the rest for it; at another size tune again.",
        )
    ]


def is_rate(name: str, spec: Mapping[str, Any]) -> bool:
    """Whether a parameter is a learning rate, by its role or its name."""
    role = spec.get("role")
    return role == "learning_rate" or plain(name) in ("lr", "learning_rate")


def _varies(spec: Mapping[str, Any]) -> bool:
    return is_numeric(spec) or len(spec.get("choices") or ()) > 1
