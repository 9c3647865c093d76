"""Wider ranges: how far, and where a range may not go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from tuner.analysis.advice.base import plain
from tuner.analysis.diagnosis.case import task_of
from tuner.analysis.encoding import scale_of, to_scale
from tuner.core.parameter import MAX_SAFE_INT
from tuner.optimizers.registry import ENTRIES
from tuner.tasks.registry import OPTIONS

Bound = Literal["low", "high"]
# Half of the range again, on a log scale at most tenfold: the registry's own widenings of published
# ranges are tenfold. Our choice.
REACH: Final = 0.5
MOST_DECADES: Final = 1.0
_NEAREST_ONE: Final = 1.0 - 1e-6
_TINIEST: Final = 1e-30
_HUGEST: Final = 1e30


def widened(
    name: str, spec: Mapping[str, Any], bound: Bound, study: Mapping[str, Any]
) -> float | int | None:
    """The bound of a wider range that contains the old one; None where it may go no further.

    Args:
        name: The parameter.
        spec: Its entry in the expanded space: float or int, low < high.
        bound: The side to move.
        study: A Study object; its optimizers and its task say what values make sense.
    """
    least, most = limits(name, spec, study)
    old = float(spec[bound])
    target = min(max(_target(spec, bound), least), most)
    if spec.get("step") is not None:
        target = _on_grid(spec, bound, old, target, least if bound == "low" else most)
    elif spec["type"] == "int":
        target = _whole(old, target, bound, least, most)
    else:
        target = min(max(_rounded(target, scale_of(spec), bound), least), most)
    moved = target < old if bound == "low" else target > old
    if not moved:
        return None
    return round(target) if spec["type"] == "int" else target


def _target(spec: Mapping[str, Any], bound: Bound) -> float:
    """Where the bound would go if nothing stopped it."""
    scale = scale_of(spec)
    low, high = to_scale(spec["low"], scale), to_scale(spec["high"], scale)
    reach = REACH * (high - low)
    if scale != "linear":
        reach = min(reach, MOST_DECADES * math.log(10.0))
    z = low - reach if bound == "low" else high + reach
    if scale == "log":
        return math.exp(z)
    return -math.expm1(-z) if scale == "one_minus_log" else z


def limits(name: str, spec: Mapping[str, Any], study: Mapping[str, Any]) -> tuple[float, float]:
    """The least and the greatest value that make sense for a parameter, beyond its range.

    Known optimizers and tasks say it. Of a parameter that nobody knows, a linear range does not
    change its sign, and one of shares (from 0 to at most 1) reaches at most half the way to 1.
    """
    least, most = _known(name, study) or _guess(spec)
    if scale_of(spec) == "log":
        least = max(least, _TINIEST)
    if scale_of(spec) == "one_minus_log":
        most = min(most, _NEAREST_ONE)
    if spec["type"] == "int":
        return max(math.ceil(max(least, -MAX_SAFE_INT)), -MAX_SAFE_INT), min(most, MAX_SAFE_INT)
    return max(least, -_HUGEST), min(most, _HUGEST)


def _known(name: str, study: Mapping[str, Any]) -> tuple[float, float] | None:
    owner = name.rpartition(".")[0]
    space = (study.get("expanded_space") or {}).get("parameters") or {}
    choice = space.get("optimizer") or {}
    owners = [owner] if owner else [*choice.get("choices", []), choice.get("value")]
    task = task_of(study)
    if task is not None and not owner:
        owners.append(task.get("optimizer", OPTIONS["optimizer"].default))
    entries = [ENTRIES[item] for item in owners if item in ENTRIES]
    known = [p.limits for entry in entries if (p := entry.parameter(plain(name))) is not None]
    option = OPTIONS.get(plain(name)) if task is not None else None
    if option is not None and option.low is not None and option.high is not None:
        known.append((float(option.low), float(option.high)))
    if not known:
        return None
    return max(low for low, _ in known), min(high for _, high in known)


def _guess(spec: Mapping[str, Any]) -> tuple[float, float]:
    low, high = float(spec["low"]), float(spec["high"])
    if scale_of(spec) == "one_minus_log":
        return min(low, 0.0), 1.0
    if scale_of(spec) == "log" or spec["type"] == "int":
        return (min(low, 1.0) if low >= 1 and spec["type"] == "int" else -math.inf), math.inf
    least = 0.0 if low >= 0 else -math.inf
    most = 0.0 if high <= 0 else math.inf
    if low >= 0 and high <= 1:
        most = high + (1.0 - high) / 2
    return least, most


def _whole(old: float, target: float, bound: Bound, least: float, most: float) -> float:
    if bound == "low":
        return max(min(math.floor(target), old - 1), least)
    return min(max(math.ceil(target), old + 1), most)


def _on_grid(
    spec: Mapping[str, Any], bound: Bound, old: float, target: float, limit: float
) -> float:
    """As many whole steps as fit up to the target, at least one if the limit allows it."""
    step = float(spec["step"])
    count = math.floor(abs(target - old) / step + 1e-9)
    room = (old - limit if bound == "low" else limit - old) / step
    count = max(count, 1) if room >= 1 else count
    return old - count * step if bound == "low" else old + count * step


def _rounded(value: float, scale: str, bound: Bound) -> float:
    """The value in two digits (of 1 - value on that scale), rounded to the outside."""
    if scale == "one_minus_log":
        # a larger value is a smaller distance from 1
        return 1.0 - _two_digits(1.0 - value, up=bound == "low") if value > 0 else value
    return _two_digits(value, up=bound == "high")


def _two_digits(value: float, *, up: bool) -> float:
    if value == 0 or not math.isfinite(value):
        return value
    unit = math.floor(math.log10(abs(value))) - 1
    scaled = value / 10.0**unit
    nearest = round(scaled)
    if not math.isclose(scaled, nearest, rel_tol=1e-9):
        nearest = math.ceil(scaled) if up else math.floor(scaled)
    return float(f"{nearest}e{unit}")
