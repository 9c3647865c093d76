"""Which optimizer contains which as a special case, and whether the results respect it.

A general method, tuned well enough over a range that reaches its special case, is never worse than
it (Choi et al. 2019, arXiv:1910.05446). Where it is, and noise does not explain it, the general
method was tuned too little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tuner.analysis.comparison.contest import Contest, median
from tuner.analysis.comparison.significance import LEVEL, permutation_p
from tuner.analysis.evidence import parameters_of
from tuner.optimizers import registry

# an epsilon of this size is far above the root mean square gradient of a usual network, so that
# it rules the denominator
_LARGE: Final = 0.1
# a decoupled decay of this size shrinks weights by less than a hundredth over a thousand steps at
# a rate of 0.1
_NO_DECAY: Final = 1e-4
_SMALL_RHO: Final = 1e-3
# NAdam's momentum is within 3 % of beta1 after 730 steps
_FAST: Final = 0.1


@dataclass(frozen=True)
class Need:
    """A value that a parameter of the general method must be able to take.

    Args:
        parameter: Its plain name.
        value: The value, or the bound of those that do.
        side: `low`: it must reach down to it; `high`: up to it; `is`: exactly it.
    """

    parameter: str
    value: Any
    side: str


@dataclass(frozen=True)
class Inclusion:
    """`special` is `general` with some parameters at certain values.

    Args:
        special: The contained method.
        general: The containing one.
        condition: What makes them equal, in words.
        needs: What the general method's ranges must reach.
        is_limit: Whether it holds only in the limit, to any accuracy.
    """

    special: str
    general: str
    condition: str
    needs: tuple[Need, ...]
    is_limit: bool = False


_EPS: Final = Need("eps", _LARGE, "high")
_SWAMPED: Final = "eps far above √v, lr = eps · the other's lr"
_NO_WD: Final = Need("weight_decay", _NO_DECAY, "low")
_AVERAGED: Final = f"{_SWAMPED} / (1 − beta1), beta1 = its momentum"
_START: Final = "up to the first steps, where the bias correction differs"

INCLUSIONS: Final = (
    Inclusion("sgd", "momentum", "momentum = 0", (Need("momentum", 0.0, "low"),)),
    Inclusion("sgd", "nesterov", "momentum = 0", (Need("momentum", 0.0, "low"),)),
    Inclusion("sgd", "rmsprop", _SWAMPED, (_EPS,), is_limit=True),
    Inclusion("sgd", "adagrad", _SWAMPED, (_EPS,), is_limit=True),
    Inclusion(
        "sgd",
        "sam",
        "momentum = 0, rho → 0",
        (Need("momentum", 0.0, "low"), Need("rho", _SMALL_RHO, "low")),
        is_limit=True,
    ),
    Inclusion("momentum", "sam", "rho → 0", (Need("rho", _SMALL_RHO, "low"),), is_limit=True),
    Inclusion("momentum", "adam", f"{_AVERAGED}; {_START}", (_EPS,), is_limit=True),
    Inclusion("momentum", "amsgrad", f"{_AVERAGED}; {_START}", (_EPS,), is_limit=True),
    Inclusion("momentum", "adamax", f"{_AVERAGED}; {_START}", (_EPS,), is_limit=True),
    Inclusion(
        "momentum",
        "adamw",
        f"{_AVERAGED}, weight_decay → 0; {_START}",
        (_EPS, _NO_WD),
        is_limit=True,
    ),
    Inclusion(
        "nesterov",
        "nadam",
        f"{_AVERAGED}, momentum_decay so large that μ is beta1; {_START}",
        (_EPS, Need("momentum_decay", _FAST, "high")),
        is_limit=True,
    ),
    Inclusion(
        "sgd",
        "adam",
        "eps far above √v, lr = eps · the other's lr, beta1 = 0",
        (_EPS, Need("beta1", 0.0, "low")),
        is_limit=True,
    ),
    Inclusion(
        "rmsprop",
        "adam",
        "beta1 = 0, bias_correction = false",
        (Need("beta1", 0.0, "low"), Need("bias_correction", value=False, side="is")),
    ),
    Inclusion("adam", "adamw", "both without weight decay", (_NO_WD,), is_limit=True),
    Inclusion("nadam", "nadamw", "both without weight decay", (_NO_WD,), is_limit=True),
    Inclusion("adamw", "sam_adamw", "rho → 0", (Need("rho", _SMALL_RHO, "low"),), is_limit=True),
)


def reaches(
    need: Need, optimizer: str, parameters: Mapping[str, Mapping[str, Any]]
) -> tuple[bool, str]:
    """Whether a study lets `optimizer` take what an inclusion needs, and what it allows instead.

    Args:
        need: The value.
        optimizer: The general method.
        parameters: The study's expanded parameters.
    """
    name = next(
        (key for key in (need.parameter, f"{optimizer}.{need.parameter}") if key in parameters),
        None,
    )
    if name is None:
        held = registry.parameter_default(optimizer, need.parameter)
        return _takes(need, held, held), f"{need.parameter} held at {held}"
    spec = parameters[name]
    if spec.get("type") == "fixed":
        return _takes(need, spec["value"], spec["value"]), f"{name} fixed at {spec['value']}"
    if spec.get("type") == "categorical":
        choices = list(spec.get("choices") or ())
        numbers = [c for c in choices if isinstance(c, int | float)]
        if need.side == "is" or not numbers:
            return any(_takes(need, c, c) for c in choices), f"{name} in {choices}"
        return _takes(need, min(numbers), max(numbers)), f"{name} in {choices}"
    low, high = spec.get("low"), spec.get("high")
    return _takes(need, low, high), f"{name} from {low:g} to {high:g}"


def _takes(need: Need, low: Any, high: Any) -> bool:
    if need.side == "is":
        return bool(low is need.value or high is need.value)
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    return bool(low <= need.value if need.side == "low" else high >= need.value)


def inclusions(contest: Contest, significance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each inclusion between two optimizers that were compared, judged on confirmed values.

    `verdict` is `respected`, `noise`, `range` (the general method could not become the special
    one), `under-tuned` or `unknown`.

    Args:
        contest: The comparison.
        significance: The result of `significance.significance`, for the spread over seeds.
    """
    parameters = parameters_of(contest.evidence.study)
    rows = {row["optimizer"]: row for row in significance["optimizers"]}
    entrants = {entrant.name: entrant for entrant in contest.entrants}
    found = []
    for item in INCLUSIONS:
        if item.special not in entrants or item.general not in entrants:
            continue
        checks = [reaches(need, item.general, parameters) for need in item.needs]
        special, general = (
            contest.independent(entrants[name]) for name in (item.special, item.general)
        )
        verdict = judge(special, general, all(ok for ok, _ in checks))
        found.append(
            {
                "special": item.special,
                "general": item.general,
                "condition": item.condition,
                "kind": "limit" if item.is_limit else "exact",
                "in_range": all(ok for ok, _ in checks),
                "missing": [text for ok, text in checks if not ok],
                "special_value": rows.get(item.special, {}).get("median"),
                "general_value": rows.get(item.general, {}).get("median"),
                "verdict": verdict,
            }
        )
    return found


def judge(special: list[float], general: list[float], in_range: bool) -> str:
    """The verdict on one inclusion.

    Noise explains a better special case where the permutation test of their runs, by itself, does
    not part the two at the level of `significance`.

    Args:
        special: Costs of the special method's confirmation runs.
        general: Costs of the general one's.
        in_range: Whether the general method's ranges reach the special one.
    """
    if not special or not general:
        return "unknown"
    if median(general) <= median(special):
        return "respected"
    if permutation_p(special, general) > LEVEL:
        return "noise"
    return "under-tuned" if in_range else "range"
