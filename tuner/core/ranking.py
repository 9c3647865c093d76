"""Ranking of results: the one place where a direction flips a sign."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

Direction = Literal["minimize", "maximize"]
T = TypeVar("T")


def loss(value: float, direction: Direction) -> float:
    """`value` such that smaller is better; NaN becomes +inf."""
    if math.isnan(value):
        return math.inf
    return value if direction == "minimize" else -value


def is_better(a: float, b: float | None, direction: Direction) -> bool:
    """Whether `a` beats `b`; anything finite beats None."""
    return b is None or loss(a, direction) < loss(b, direction)


def reaches(value: float, target: float, direction: Direction) -> bool:
    """Whether `value` is at least as good as `target`."""
    return loss(value, direction) <= loss(target, direction)


def choose(
    rows: Iterable[tuple[int, float]], how: Literal["last", "best"], direction: Direction
) -> float | None:
    """The value that stands for a trial's reports of one metric.

    Args:
        rows: (step, value), the newest attempt's value where a step repeats.
        how: `last` is the value at the highest step; `best` the best finite one, or the last if
            none is finite.
        direction: Of the objective.

    Returns:
        The value, or None if nothing was reported.
    """
    ordered = sorted(rows)
    if not ordered:
        return None
    finite = [value for _, value in ordered if math.isfinite(value)]
    if how == "best" and finite:
        return min(finite, key=lambda value: loss(value, direction))
    return ordered[-1][1]


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether loss vector `a` is nowhere worse and somewhere better than `b`."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(
        x < y for x, y in zip(a, b, strict=True)
    )


def pareto(items: Sequence[T], losses: Sequence[Sequence[float]]) -> list[T]:
    """The items that no other dominates, in the given order.

    Args:
        items: Anything, length n.
        losses: One loss vector each, shape (n, m), smaller is better.
    """
    order = sorted(range(len(items)), key=lambda i: tuple(losses[i]))
    front: list[int] = []
    for i in order:
        # in the plane only the last one can: of all before it is the best in the second loss
        rivals = front if len(losses[i]) > 2 else front[-1:]
        if not any(dominates(losses[j], losses[i]) for j in rivals):
            front.append(i)
    return [items[i] for i in sorted(front)]


def is_feasible(values: Mapping[str, float], constraints: Iterable[Mapping[str, Any]]) -> bool:
    """Whether all constraints hold; a metric that is missing or NaN holds nothing.

    Args:
        values: A finished trial's metric values.
        constraints: Each `{"metric", "at_most"?, "at_least"?}`.
    """
    for constraint in constraints:
        value = values.get(constraint["metric"], math.nan)
        at_most, at_least = constraint.get("at_most"), constraint.get("at_least")
        if at_most is not None and not value <= at_most:
            return False
        if at_least is not None and not value >= at_least:
            return False
    return True
