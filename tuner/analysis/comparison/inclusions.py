"""Which optimizer contains which as a special case, and whether the results respect it.

A general method, tuned well enough over a range that holds its special case, is never worse than
it (Choi et al. 2019, arXiv:1910.05446). Where it is, and noise does not explain it, the general
method was tuned too little. What it has to hold is the setting of the special case that it lost
to: the learning rate at the scale of the inclusion, the weight decay, and what else the two share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tuner.analysis.comparison.contest import Contest, median
from tuner.analysis.comparison.significance import LEVEL, permutation_p
from tuner.analysis.comparison.spans import Ranges, Span, hold
from tuner.analysis.evidence import Evidence, parameters_of

# an epsilon of this size is far above the root mean square gradient of a usual network, so that
# it rules the denominator
_LARGE: Final = 0.1
# a decoupled decay of this size shrinks weights by less than a hundredth over a thousand steps at
# a rate of 0.1
_NO_DECAY: Final = 1e-4
_SMALL_RHO: Final = 1e-3
# NAdam's momentum is within 3 % of beta1 after 730 steps
_FAST: Final = 0.1
_DECAY: Final = "weight_decay"


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
        rate: The special method's learning rate is the general one's (`equal`), that over epsilon
            (`by-eps`), or that times 1 - momentum (`averaged`).
        shared: Further parameters that have to be the same: the special method's, the general one's.
        only: What the special method must be itself.
    """

    special: str
    general: str
    condition: str
    needs: tuple[Need, ...]
    is_limit: bool = False
    rate: Literal["equal", "by-eps", "averaged"] = "equal"
    shared: tuple[tuple[str, str], ...] = ((_DECAY, _DECAY),)
    only: tuple[tuple[str, Any], ...] = ()


_EPS: Final = Need("eps", _LARGE, "high")
_SWAMPED: Final = "eps far above √v, lr = eps · the other's lr"
_NO_WD: Final = Need(_DECAY, _NO_DECAY, "low")
_AVERAGED: Final = f"{_SWAMPED} / (1 − beta1), beta1 = its momentum"
_START: Final = "up to the first steps, where the bias correction differs"
_NEITHER: Final = "both without weight decay, which one couples to the gradient and one does not"
_MOMENTUM: Final = (("momentum", "beta1"), (_DECAY, _DECAY))
_BETAS: Final = (("beta1", "beta1"), ("beta2", "beta2"), ("eps", "eps"))


def _averaged(
    special: str, general: str, condition: str = "", *needs: Need, **more: Any
) -> Inclusion:
    """The inclusion in a method that divides a mean of gradients by a swamped denominator."""
    how = f"{_AVERAGED}{condition}; {_START}"
    kind = {"rate": "averaged", "shared": _MOMENTUM, **more}
    return Inclusion(special, general, how, (_EPS, *needs), is_limit=True, **kind)


INCLUSIONS: Final = (
    Inclusion("sgd", "momentum", "momentum = 0", (Need("momentum", 0.0, "low"),)),
    Inclusion("sgd", "nesterov", "momentum = 0", (Need("momentum", 0.0, "low"),)),
    Inclusion("sgd", "rmsprop", _SWAMPED, (_EPS,), is_limit=True, rate="by-eps"),
    Inclusion("sgd", "adagrad", _SWAMPED, (_EPS,), is_limit=True, rate="by-eps"),
    Inclusion(
        "sgd",
        "sam",
        "momentum = 0, rho → 0",
        (Need("momentum", 0.0, "low"), Need("rho", _SMALL_RHO, "low")),
        is_limit=True,
    ),
    Inclusion(
        "momentum",
        "sam",
        "rho → 0",
        (Need("rho", _SMALL_RHO, "low"),),
        is_limit=True,
        shared=(("momentum", "momentum"), (_DECAY, _DECAY)),
    ),
    _averaged("momentum", "adam"),
    _averaged("momentum", "amsgrad"),
    _averaged("momentum", "adamax"),
    _averaged(
        "momentum",
        "adamw",
        f", {_NEITHER}",
        _NO_WD,
        shared=(("momentum", "beta1"),),
        only=((_DECAY, 0.0),),
    ),
    _averaged(
        "nesterov",
        "nadam",
        ", momentum_decay so large that μ is beta1",
        Need("momentum_decay", _FAST, "high"),
    ),
    Inclusion(
        "sgd",
        "adam",
        f"{_SWAMPED}, beta1 = 0",
        (_EPS, Need("beta1", 0.0, "low")),
        is_limit=True,
        rate="by-eps",
    ),
    Inclusion(
        "rmsprop",
        "adam",
        "beta1 = 0, bias_correction = false, beta2 = its alpha",
        (Need("beta1", 0.0, "low"), Need("bias_correction", value=False, side="is")),
        shared=(("alpha", "beta2"), ("eps", "eps"), (_DECAY, _DECAY)),
    ),
    Inclusion(
        "adam",
        "adamw",
        _NEITHER,
        (_NO_WD,),
        is_limit=True,
        shared=_BETAS,
        only=((_DECAY, 0.0), ("bias_correction", True)),
    ),
    Inclusion(
        "nadam",
        "nadamw",
        _NEITHER,
        (_NO_WD,),
        is_limit=True,
        shared=(*_BETAS, ("momentum_decay", "momentum_decay")),
        only=((_DECAY, 0.0),),
    ),
    Inclusion(
        "adamw",
        "sam_adamw",
        "rho → 0",
        (Need("rho", _SMALL_RHO, "low"),),
        is_limit=True,
        shared=(*_BETAS, (_DECAY, _DECAY)),
    ),
)


def reaches(need: Need, optimizer: str, ranges: Ranges) -> tuple[bool, str]:
    """Whether a study lets `optimizer` take what an inclusion needs, and what it allows instead.

    Args:
        need: The value.
        optimizer: The general method.
        ranges: The study's space.
    """
    span = ranges.span(optimizer, need.parameter)
    if need.side == "is":
        return span.takes(need.value), span.text
    if need.side == "low":
        return any(low <= need.value for low, _ in span.numbers), span.text
    return any(high >= need.value for _, high in span.numbers), span.text


def ranges_of(evidence: Evidence) -> Ranges:
    """The study's space as its optimizers see it."""
    task = (evidence.study.get("trial") or {}).get("task")
    return Ranges(parameters_of(evidence.study), task if isinstance(task, Mapping) else {})


def in_the_way(item: Inclusion, ranges: Ranges, params: Mapping[str, Any]) -> list[str]:
    """What keeps the general method from becoming a setting of the special one; empty: nothing.

    Args:
        item: The inclusion.
        ranges: The study's space.
        params: The parameters of the special method's setting.
    """
    checks = [reaches(need, item.general, ranges) for need in item.needs]
    unreached = [text for ok, text in checks if not ok]
    return unreached + _uncovered(
        item, ranges, lambda name: ranges.of_setting(item.special, name, params)
    )


def beyond(item: Inclusion, ranges: Ranges) -> list[str]:
    """Where the special method's ranges reach beyond what the general one can become."""
    return _uncovered(item, ranges, lambda name: ranges.span(item.special, name))


def _uncovered(item: Inclusion, ranges: Ranges, own: Callable[[str], Span]) -> list[str]:
    """What of the special method the general one's ranges do not hold.

    Args:
        item: The inclusion.
        ranges: The study's space.
        own: What a parameter of the special method may be.
    """
    found = [own(name).text for name, value in item.only if own(name).parts != ((value, value),)]
    for name, other in item.shared:
        mine, theirs = own(name), ranges.span(item.general, other)
        if not _holds(name, theirs, mine):
            found.append(f"{theirs.text}, but {mine.text}")
    return found + _rate_uncovered(item, ranges, own)


def _holds(name: str, theirs: Span, mine: Span) -> bool:
    parts = theirs.numbers
    if name == _DECAY:
        # a range on a log scale ends above zero, and so little decay is as good as none
        parts = [(0.0 if low <= _NO_DECAY else low, high) for low, high in parts]
    return len(mine.numbers) == len(mine.parts) and hold(parts, mine.numbers)


def _rate_uncovered(item: Inclusion, ranges: Ranges, own: Callable[[str], Span]) -> list[str]:
    mine, theirs = own("lr"), ranges.span(item.general, "lr")
    wanted, parts, texts = mine.numbers, theirs.numbers, ([theirs.text], [mine.text])
    if item.rate == "averaged":
        momentum = own("momentum")
        wanted = [
            (
                low / (1 - slow) if slow < 1 else math.inf,
                high / (1 - fast) if fast < 1 else math.inf,
            )
            for low, high in wanted
            for slow, fast in momentum.numbers
        ]
        texts[1].append(momentum.text)
    if item.rate != "equal":
        eps = ranges.span(item.general, "eps")
        parts = [
            (low / most, high / max(least, _LARGE))
            for low, high in parts
            for least, most in eps.numbers
            if most >= _LARGE
        ]
        if not parts:
            return []  # the need for a large epsilon says it
        texts[0].append(eps.text)
    if wanted and hold(parts, wanted):
        return []
    return [", but ".join(" and ".join(side) for side in texts)]


def inclusions(contest: Contest, significance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each inclusion between two optimizers that were compared, judged on confirmed values.

    `verdict` is `respected`, `noise`, `range` (the general method could not become the setting of
    the special one), `under-tuned` or `unknown`. `missing` says what is in the way; `beyond` where
    the special method's ranges go beyond the general one's, which its setting need not.

    Args:
        contest: The comparison.
        significance: The result of `significance.significance`, for the spread over seeds.
    """
    ranges = ranges_of(contest.evidence)
    rows = {row["optimizer"]: row for row in significance["optimizers"]}
    entrants = {entrant.name: entrant for entrant in contest.entrants}
    found = []
    for item in INCLUSIONS:
        if item.special not in entrants or item.general not in entrants:
            continue
        setting = entrants[item.special].setting or {}
        missing = in_the_way(item, ranges, setting.get("params") or {})
        special, general = (
            contest.independent(entrants[name]) for name in (item.special, item.general)
        )
        found.append(
            {
                "special": item.special,
                "general": item.general,
                "condition": item.condition,
                "kind": "limit" if item.is_limit else "exact",
                "in_range": not missing,
                "missing": missing,
                "beyond": beyond(item, ranges),
                "special_value": rows.get(item.special, {}).get("median"),
                "general_value": rows.get(item.general, {}).get("median"),
                "verdict": judge(special, general, not missing),
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
        in_range: Whether the general method's ranges hold the special one's setting.
    """
    if not special or not general:
        return "unknown"
    if median(general) <= median(special):
        return "respected"
    if permutation_p(special, general) > LEVEL:
        return "noise"
    return "under-tuned" if in_range else "range"
