"""How good a result a tuning budget buys: the expected best of n trials.

    E[min of n] = Σᵢ c₍ᵢ₎ · (((N−i+1)/N)ⁿ − ((N−i)/N)ⁿ)        c₍₁₎ ≤ … ≤ c₍N₎

the expectation of the best of n draws from the empirical distribution of the N trials' costs:
Dodge et al. 2019 (arXiv:1909.03004), section 3, turned from the maximum to the minimum.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tuner.analysis.comparison.contest import Contest, Entrant, Trial
from tuner.analysis.evidence import as_json
from tuner.analysis.series import thin

MAX_POINTS: Final = 64
MAX_STEPS: Final = 200
RESAMPLES: Final = 1000
LEVEL: Final = 0.95
_MOST_DRAWN: Final = 4_000_000
# a value further beyond the third quartile than this many times its distance from the best counts
# as if it were there, so that one exploded trial does not rule a mean
_FAR: Final = 3.0


def weights(n_trials: int, budgets: Sequence[int]) -> NDArray[np.float64]:
    """What each of the sorted costs weighs in the expected best of n draws.

    Args:
        n_trials: N, how many costs there are.
        budgets: The numbers of draws n.

    Returns:
        Shape (len(budgets), N); each row sums to 1.
    """
    left = np.arange(n_trials, -1, -1) / n_trials
    tails = left[None, :] ** np.asarray(budgets, dtype=np.float64)[:, None]
    found: NDArray[np.float64] = tails[:, :-1] - tails[:, 1:]
    return found


def expected_best(costs: Sequence[float], budgets: Sequence[int]) -> NDArray[np.float64]:
    """The expected least of n draws from `costs`, for each n of `budgets`."""
    found: NDArray[np.float64] = weights(len(costs), budgets) @ np.sort(np.asarray(costs))
    return found


def band(
    costs: Sequence[float], budgets: Sequence[int], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """A percentile bootstrap band of the expected best: trials drawn again with replacement.

    Args:
        costs: Finite costs, N of them.
        budgets: The numbers of draws n.
        seed: Of the resampling.

    Returns:
        The 2.5 and 97.5 percentiles, each of shape (len(budgets),), and the number of resamples.
    """
    n = len(costs)
    resamples = max(200, min(RESAMPLES, _MOST_DRAWN // n))
    rng = np.random.default_rng(seed)
    drawn = np.sort(np.asarray(costs)[rng.integers(0, n, (resamples, n))], axis=1)
    curves = drawn @ weights(n, budgets).T
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(curves, [tail, 100 - tail], axis=0)
    return low, high, resamples


def area(costs: Sequence[float], most: int) -> float:
    """The mean of the expected best over the budgets 1 … `most`.

    The tunability of Sivaprasad et al. 2020 (arXiv:1910.11758) with uniform weights.
    """
    left = np.arange(len(costs), -1, -1) / len(costs)
    inner = left[1:-1]
    # Σ leftⁿ for n = 1 … most; it is `most` at 1 and 0 at 0
    tails = np.concatenate([[most], inner * (1 - inner**most) / (1 - inner), [0.0]])
    return float((tails[:-1] - tails[1:]) @ np.sort(np.asarray(costs))) / most


def ceiling(costs: Sequence[float]) -> float | None:
    """The cost at which diverged, failed and far worse trials are counted; None without a value.

    The worst finite cost, but at most three times as far beyond the third quartile as that is from
    the best.
    """
    ordered = sorted(cost for cost in costs if math.isfinite(cost))
    if not ordered:
        return None
    quartile = ordered[(3 * (len(ordered) - 1) + 3) // 4]
    return min(ordered[-1], quartile + _FAR * (quartile - ordered[0]))


def points(n_trials: int) -> list[int]:
    """The budgets at which a curve is given: all up to `MAX_POINTS`, else evenly in ratio."""
    if n_trials <= MAX_POINTS:
        return list(range(1, n_trials + 1))
    spread = np.geomspace(1, n_trials, MAX_POINTS).round().astype(int)
    return [int(n) for n in np.unique(spread)]


def seed_of(text: str) -> int:
    """A fixed seed for resampling, from a name."""
    return zlib.crc32(text.encode())


def tuning(contest: Contest) -> dict[str, Any]:
    """The expected best and the best as it happened, per optimizer.

    `seconds` of a curve are n times the optimizer's mean training seconds of a search trial;
    those of what happened are summed in order of number.
    """
    every = [contest.cost(t) for entrant in contest.entrants for t in entrant.searched]
    top = ceiling(every)
    drawn = [entrant for entrant in contest.entrants if entrant.searched]
    common = min((len(entrant.searched) for entrant in drawn), default=0)
    curves = [] if top is None else [_curve(contest, e, top, common) for e in drawn]
    return {
        "metric": contest.metric,
        "worst": None if top is None else contest.value(top),
        "counted_as_worst": sum(top is not None and cost > top for cost in every),
        "level": LEVEL,
        "common": common,
        "curves": curves,
    }


def _curve(contest: Contest, entrant: Entrant, top: float, common: int) -> dict[str, Any]:
    costs = [min(contest.cost(trial), top) for trial in entrant.searched]
    budgets = points(len(costs))
    middle = expected_best(costs, budgets)
    low, high, resamples = band(costs, budgets, seed_of(entrant.name))
    seconds = [contest.evidence.training_seconds(trial) for trial in entrant.searched]
    known = [s for s in seconds if s is not None]
    mean = sum(known) / len(known) if known else None
    return {
        "optimizer": entrant.name,
        "trials": len(costs),
        "n": budgets,
        "expected": [contest.value(v) for v in middle],
        # of costs the lower end is the better one
        "better": [contest.value(v) for v in low],
        "worse": [contest.value(v) for v in high],
        "resamples": resamples,
        "mean_seconds": mean,
        "seconds": None if mean is None else [n * mean for n in budgets],
        "area": contest.value(area(costs, common)),
        "happened": _happened(contest, entrant.searched, seconds),
    }


def _happened(
    contest: Contest, trials: Sequence[Trial], seconds: Sequence[float | None]
) -> dict[str, Any]:
    """The best so far after each trial, in order of number; only where it improves, and the end."""
    best, spent = math.inf, 0.0
    rows: list[tuple[int, float, float]] = []
    for i, (trial, took) in enumerate(zip(trials, seconds, strict=True)):
        cost = contest.cost(trial)
        spent += took or 0.0
        if cost < best or (i == len(trials) - 1 and math.isfinite(best)):
            best = min(best, cost)
            rows.append((i + 1, spent, best))
    kept = thin(rows, MAX_STEPS)
    return {
        "n": [n for n, _, _ in kept],
        "seconds": [as_json(s) for _, s, _ in kept] if any(seconds) else None,
        "best": [contest.value(cost) for _, _, cost in kept],
    }
