"""Which differences between confirmed values can be told from the luck of a seed.

The leader against each other optimizer: an exact permutation test of the rank sum (Wilcoxon 1945,
Mann and Whitney 1947, ties by mean ranks), two-sided, corrected for their number by Holm 1979. It
looks only at the order of values, so a diverged run needs no number: it is the worst.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from tuner.analysis.comparison.budget import seed_of
from tuner.analysis.comparison.contest import Contest, Entrant, median
from tuner.analysis.evidence import as_json

LEVEL: Final = 0.05
RESAMPLES: Final = 2000
MAX_EXACT: Final = 50_000
PERMUTATIONS: Final = 20_000
_MAX_SEEDS: Final = 50


def ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1, equal values with their mean rank; infinite values are equal and last."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    found = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for i in order[start:end]:
            found[i] = (start + 1 + end) / 2
        start = end
    return found


def permutation_p(a: Sequence[float], b: Sequence[float]) -> float:
    """The two-sided p-value of the rank sum of `a` among all ways to choose its members.

    Exact up to `MAX_EXACT` ways; beyond, of `PERMUTATIONS` random ones with the observed one
    among them, so that it is never 0.
    """
    both = np.asarray(ranks([*a, *b]))
    expected = len(a) * (len(both) + 1) / 2
    observed = abs(both[: len(a)].sum() - expected)
    if math.comb(len(both), len(a)) <= MAX_EXACT:
        index = np.array(list(combinations(range(len(both)), len(a))))
        away = np.abs(both[index].sum(axis=1) - expected)
        return float((away >= observed - 1e-9).mean())
    rng = np.random.default_rng(0)
    drawn = rng.permuted(np.tile(both, (PERMUTATIONS, 1)), axis=1)[:, : len(a)].sum(axis=1)
    hits = int((np.abs(drawn - expected) >= observed - 1e-9).sum())
    return (hits + 1) / (PERMUTATIONS + 1)


def smallest_p(n: int, m: int) -> float:
    """The least two-sided p-value that `n` against `m` runs can give."""
    return min(1.0, 2 / math.comb(n + m, n))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    found, top = [0.0] * len(p), 0.0
    for place, i in enumerate(order):
        top = max(top, min(1.0, (len(p) - place) * p[i]))
        found[i] = top
    return found


def interval(
    leader: Sequence[float], other: Sequence[float], seed: int
) -> tuple[float, float] | None:
    """A 95 % percentile bootstrap interval of median(other) − median(leader).

    None with fewer than two runs on a side, or where a run diverged.
    """
    values = [*leader, *other]
    if min(len(leader), len(other)) < 2 or not all(map(math.isfinite, values)):
        return None
    rng = np.random.default_rng(seed)
    first, second = (
        np.median(np.asarray(side)[rng.integers(0, len(side), (RESAMPLES, len(side)))], axis=1)
        for side in (leader, other)
    )
    low, high = np.percentile(second - first, [2.5, 97.5])
    return float(low), float(high)


def seeds_needed(comparisons: int) -> int | None:
    """The least number of seeds with which the first of so many comparisons can be significant."""
    return next(
        (n for n in range(2, _MAX_SEEDS) if comparisons * smallest_p(n, n) <= LEVEL),
        None,
    )


def significance(contest: Contest) -> dict[str, Any]:
    """The leader against the others.

    `group` holds those it cannot be told from, itself first; `close` those of them that even the
    uncorrected test does not tell from it. What is in `group` only may well be worse: the
    correction asks for more seeds than there are.
    """
    confirmed = [e for e in contest.entrants if e.runs]
    rows = [_row(contest, entrant) for entrant in confirmed]
    if len(confirmed) < 2:
        return {**_EMPTY, "optimizers": rows, "leader": confirmed[0].name if confirmed else None}
    leader, others = confirmed[0], confirmed[1:]
    mine = contest.independent(leader)
    theirs = [contest.independent(e) for e in others]
    adjusted = holm([permutation_p(mine, costs) for costs in theirs])
    for row, costs, p in zip(rows[1:], theirs, adjusted, strict=True):
        between = interval(mine, costs, seed_of(row["optimizer"]))
        row["p"] = permutation_p(mine, costs)
        row["p_holm"] = p
        row["behind"] = as_json(_behind(median(costs), median(mine)))
        row["interval"] = None if between is None else list(between)
    least = len(others) * min(smallest_p(len(mine), len(costs)) for costs in theirs)
    return {
        "leader": leader.name,
        "level": LEVEL,
        "group": [leader.name] + [row["optimizer"] for row in rows[1:] if row["p_holm"] > LEVEL],
        "close": [leader.name] + [row["optimizer"] for row in rows[1:] if row["p"] > LEVEL],
        "comparisons": len(others),
        "seeds": min(len(mine), *(len(costs) for costs in theirs)),
        "smallest_p": min(smallest_p(len(mine), len(costs)) for costs in theirs),
        "smallest_adjusted": min(1.0, least),
        "seeds_needed": seeds_needed(len(others)),
        "optimizers": rows,
    }


_EMPTY: Final[dict[str, Any]] = {
    "level": LEVEL,
    "group": [],
    "close": [],
    "comparisons": 0,
    "seeds": 0,
    "smallest_p": None,
    "smallest_adjusted": None,
    "seeds_needed": None,
}


def _behind(other: float, leader: float) -> float | None:
    return None if math.isinf(leader) else other - leader


def _row(contest: Contest, entrant: Entrant) -> dict[str, Any]:
    costs = contest.confirmed(entrant)
    values = list(costs.values())
    return {
        "optimizer": entrant.name,
        "setting": entrant.setting["number"] if entrant.setting else None,
        "seeds": len(values),
        "median": contest.value(median(values)),
        "best": contest.value(min(values)),
        "worst": contest.value(max(values)),
        "runs": [
            {"replicate": replicate, "number": run["number"], "value": contest.value(cost)}
            for run, (replicate, cost) in zip(entrant.runs, costs.items(), strict=True)
        ],
        "p": None,
        "p_holm": None,
        "behind": None,
        "interval": None,
    }
