"""A line search for the strong Wolfe conditions: Nocedal and Wright 2006, algorithms 3.5 and 3.6.

t  step length   φ(t)  loss at that step   φ'(t)  its slope

φ(t) ≤ φ(0) + 1e-4·t·φ'(0)   and   |φ'(t)| ≤ −c·φ'(0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

ARMIJO: Final = 1e-4
_MOST: Final = 25


class Point(NamedTuple):
    """A step length with loss and slope there."""

    t: float
    loss: float
    slope: float


Evaluate = Callable[[float], Point]


def strong_wolfe(
    evaluate: Evaluate, start: Point, first: float, curvature: float, slack: float
) -> Point | None:
    """A step length that keeps the strong Wolfe conditions.

    Args:
        evaluate: Loss and slope at a step length.
        start: The point at step length 0; its slope is negative.
        first: The step length to try first.
        curvature: c of the module's conditions, below 1.
        slack: Rise of the loss that counts as rounding.

    Returns:
        The point evaluated last, or None where none was found in 25 evaluations.
    """
    search = _Search(evaluate, start, curvature, slack)
    previous, t = start, first
    while search.left > 0:
        point = search.at(t)
        if search.is_too_high(point) or (previous.t > 0 and point.loss > previous.loss + slack):
            return search.zoom(previous, point)
        if search.is_flat(point):
            return point
        if point.slope >= 0:
            return search.zoom(point, previous)
        wider = _cubic(previous, point)
        previous, t = point, min(max(wider, 2 * t), 10 * t) if math.isfinite(wider) else 2 * t
    return None


class _Search:
    def __init__(self, evaluate: Evaluate, start: Point, curvature: float, slack: float) -> None:
        self.left = _MOST
        self._evaluate, self._start = evaluate, start
        self._curvature, self._slack = curvature, slack

    def at(self, t: float) -> Point:
        self.left -= 1
        point = self._evaluate(t)
        is_finite = math.isfinite(point.loss) and math.isfinite(point.slope)
        return point if is_finite else Point(t, math.inf, math.inf)

    def is_too_high(self, point: Point) -> bool:
        allowed = self._start.loss + ARMIJO * point.t * self._start.slope + self._slack
        return point.loss > allowed

    def is_flat(self, point: Point) -> bool:
        return abs(point.slope) <= -self._curvature * self._start.slope

    def zoom(self, low: Point, high: Point) -> Point | None:
        """Shrink a bracket whose end `low` is the better one."""
        while self.left > 0:
            width = high.t - low.t
            t = _cubic(low, high)
            # Keep away from the ends, so that the bracket shrinks.
            share = (t - low.t) / width if width else math.nan
            if not 0.0 < share < 1.0:
                share = 0.5
            point = self.at(low.t + min(max(share, 0.05), 0.95) * width)
            if self.is_too_high(point) or point.loss > low.loss + self._slack:
                high = point
                continue
            if self.is_flat(point):
                return point
            if point.slope * width >= 0:
                high = low
            low = point
        return None


def _cubic(a: Point, b: Point) -> float:
    """The minimum of the cubic through two points and slopes, eq. 3.59; nan where there is none."""
    if not math.isfinite(b.loss):
        return math.nan
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b.t - a.t)
    bottom = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / bottom if bottom else math.nan
