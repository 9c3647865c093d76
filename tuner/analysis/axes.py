"""Axes and marks of the charts: robust ranges, and one colour, dash and symbol an optimizer.

Colours are Okabe and Ito's, readable with colour-vision deficiency; dash and symbol repeat the
distinction without colour. `@ink` and `@muted` are filled in by the page for light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tuner.core.ranking import Direction

COLORS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#9A8F1C")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "star", "hexagon", "cross")
INK, MUTED = "@ink", "@muted"

# a loss that spans more than this factor is drawn on a log axis
_LOG_FACTOR = 10.0
# values further beyond the third quartile than this many times its distance from the best are
# drawn at the rim, so that one exploded trial does not flatten all others
_FAR = 3.0
_PAD = 0.04


@dataclass(frozen=True)
class Style:
    """How one optimizer is drawn everywhere."""

    color: str
    dash: str
    symbol: str


def styles(names: Sequence[str]) -> dict[str | None, Style]:
    """A style for each name, alike in all charts; None (no optimizer) has the first colour."""
    found: dict[str | None, Style] = {None: Style(COLORS[0], DASHES[0], SYMBOLS[0])}
    for i, name in enumerate(names):
        # 7, 6 and 8 turn at different speeds, so pairs repeat late
        found[name] = Style(
            COLORS[i % len(COLORS)], DASHES[i % len(DASHES)], SYMBOLS[i % len(SYMBOLS)]
        )
    return found


@dataclass(frozen=True)
class Axis:
    """An axis of objective values.

    Args:
        log: Whether it is logarithmic.
        low: Lowest value drawn in place.
        high: Highest value drawn in place.
        worst: Where trials without a finite value are drawn, just outside the range.
        beyond: How many values lie outside and are drawn at the rim.
        range: The axis range as plotly takes it (exponents on a log axis).
    """

    log: bool
    low: float
    high: float
    worst: float
    beyond: int
    range: tuple[float, float]

    def place(self, value: float) -> float:
        """The value, moved to the rim if it lies beyond."""
        return min(max(value, self.low), self.high)

    def layout(self, title: str) -> dict[str, Any]:
        """The axis as plotly's layout."""
        found = {"title": {"text": title}, "range": list(self.range)}
        return {**found, **log_ticks(*self.range)} if self.log else found


def log_ticks(low: float, high: float, most: float = 3.0) -> dict[str, Any]:
    """A log axis with few, fully written ticks; plotly's own shorten 0.02 to a bare 2.

    Args:
        low: Exponent (base 10) of the lower end.
        high: Exponent of the upper end.
        most: From how many decades on only powers of ten are written.
    """
    decades = range(math.floor(low), math.ceil(high) + 1)
    if high - low > most:
        decades = decades[:: math.ceil((high - low) / 6)]
        digits: tuple[int, ...] = (1,)
    else:
        digits = (1, 2, 5) if high - low > 0.7 else (1, 2, 3, 4, 5, 6, 7, 8)
    values = [float(f"{digit}e{decade}") for decade in decades for digit in digits]
    values = [value for value in values if 0.0 < value < math.inf]  # beyond what floats hold
    texts = [f"{value:g}".replace("e-0", "e-") for value in values]
    return {"type": "log", "tickvals": values, "ticktext": texts}


def value_axis(values: Sequence[float], direction: Direction) -> Axis:
    """An axis on which the good values can be told apart.

    Args:
        values: Finite values, any number.
        direction: Of the objective; the far side that may be cut is the bad one.
    """
    if not values:
        return Axis(log=False, low=0.0, high=1.0, worst=0.95, beyond=0, range=(0.0, 1.0))
    log = min(values) > 0 and max(values) / min(values) > _LOG_FACTOR
    sign = 1.0 if direction == "minimize" else -1.0
    costs = sorted(sign * (math.log10(v) if log else v) for v in values)
    best, quartile = costs[0], costs[(3 * (len(costs) - 1) + 3) // 4]
    far = quartile + _FAR * (quartile - best)
    end = max((c for c in costs if c <= far), default=costs[-1])
    span = (end - best) or abs(best) * 0.1 or 1.0
    inner = [best - _PAD * span, end, end + 2 * _PAD * span, end + 3 * _PAD * span]
    signed = [sign * c for c in inner]
    plain = [_power(s) if log else s for s in signed]
    low, high = sorted((plain[0], plain[1]))
    ends = sorted((signed[0], signed[3]))
    beyond = sum(c > end for c in costs)
    return Axis(log, low, high, plain[2], beyond, (ends[0], ends[1]))


def _power(exponent: float) -> float:
    return float(10.0 ** min(max(exponent, -300.0), 300.0))


def jitter(number: int, width: float = 0.28) -> float:
    """A sideways shift within ±width, spread evenly and the same at every drawing."""
    return (((number * 0.618033988749895) % 1.0) * 2.0 - 1.0) * width
