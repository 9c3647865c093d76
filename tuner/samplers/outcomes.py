"""What models learn from: finite losses for diverged, pruned and infeasible trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuner.samplers.base import Observation, Request

Array = NDArray[np.float64]
LARGE: Final = 1e300


class Outcome(NamedTuple):
    """A trial that teaches something, with finite losses."""

    trial: Observation
    losses: tuple[float, ...]


def outcomes(request: Request, *, penalise_infeasible: bool = True) -> list[Outcome]:
    """The trials that a model learns from; failed ones teach nothing.

    A diverged trial gets the worst finite loss plus the spread of the others. A pruned one
    (single objective) gets its last loss, but no better than the median of the completed: it was
    stopped because others were better, so it must never look like a winner.

    Args:
        request: With the history.
        penalise_infeasible: Whether infeasible trials count as bad as diverged ones.
    """
    finite = [
        losses
        for item in request.history
        if item.state == "complete" and (losses := _finite(item)) is not None
    ]
    bad = _bad(finite, request.n_objectives)
    middle = float(np.median([losses[0] for losses in finite])) if finite else bad[0]
    result = []
    for item in request.history:
        if item.state == "complete":
            usable = item.feasible or not penalise_infeasible
            result.append(Outcome(item, (_finite(item) if usable else None) or bad))
        elif item.state == "pruned" and item.last is not None and request.n_objectives == 1:
            last = item.last[1] if math.isfinite(item.last[1]) else bad[0]
            result.append(Outcome(item, (min(max(last, middle), bad[0]),)))
    return result


def relevant(learned: Sequence[Outcome], limit: int) -> list[Outcome]:
    """At most `limit` outcomes, in order, so that the cost of a fit is bounded.

    A third of them are the best (by the sum of losses), the rest the newest.
    """
    if len(learned) <= limit:
        return list(learned)
    order = sorted(range(len(learned)), key=lambda i: sum(learned[i].losses))
    kept = set(order[: limit // 3])
    for i in reversed(range(len(learned))):
        if len(kept) == limit:
            break
        kept.add(i)
    return [learned[i] for i in sorted(kept)]


def compress(losses: Array) -> Array:
    """Keep the shape of the good half, and grow only with the logarithm above the median.

    How bad a bad loss is says little about where the best lies, and one loss of 1e12 would flatten
    all others. (Against ranks for the bad half and against plain standardising it did better on
    most of the project's search problems.)

    Args:
        losses: Shape (n,), finite.

    Returns:
        Shape (n,), in the same order and without unit: the median at 0, the good half with unit
        root mean square about it, z above the median as ln(1 + z).
    """
    above = losses - float(np.median(losses))
    good = above[above <= 0]
    size = float(np.abs(good).max()) or 1.0
    spread = size * (float(np.sqrt(np.mean((good / size) ** 2))) or 1.0)
    with np.errstate(over="ignore"):
        z = np.minimum(above / spread, LARGE)
    return np.where(z > 0, np.log1p(np.maximum(z, 0.0)), z)


def compress_each(losses: Array) -> Array:
    """`compress` for each objective, shape (n, m); what dominates what stays."""
    return np.column_stack([compress(column) for column in losses.T])


def _bad(finite: list[tuple[float, ...]], n_objectives: int) -> tuple[float, ...]:
    """A finite loss vector that is worse than all: the worst plus the spread, per objective."""
    if not finite:
        return (1.0,) * n_objectives
    columns = np.asarray(finite, dtype=float).T
    return tuple(
        float(max(column) + (np.ptp(column) or abs(max(column)) or 1.0)) for column in columns
    )


def _finite(item: Observation) -> tuple[float, ...] | None:
    """The losses if all are finite, kept away from the end of the floats."""
    if not item.losses or not all(math.isfinite(loss) for loss in item.losses):
        return None
    return tuple(min(max(loss, -LARGE), LARGE) for loss in item.losses)
