"""Which parameters mattered: out-of-bag permutation importance in a conditional, mixed space.

A random forest learns the *rank* of each trial's objective from its parameters. A parameter's
importance is how much worse the forest predicts trials it has not seen once that parameter's
values are shuffled among the trials in which it is active.

| choice | why |
|---|---|
| ranks, not values | one exploded loss must not outweigh all other trials |
| diverged trials tie for the worst rank | they are information, not missing data |
| pruned trials count at the value they had when stopped | leaving them out hides the bad regions |
| failed trials are left out | a crash says nothing about the objective |
| repeats on fresh seeds are left out | they are no trials of the search |
| shuffled among active trials only | a conditional parameter is judged within its branch |
| no result when the forest explains nothing out of bag | shares of noise look like findings |

It describes the trials that were run, not the whole space: an adaptive sampler tries few bad
values, which makes a parameter it has settled look less important.

Source: Breiman 2001, Random Forests, section 10 (permutation of out-of-bag cases).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from tuner.analysis.comparison.contest import confirmed_by
from tuner.analysis.encoding import Column, encode
from tuner.analysis.evidence import Evidence, Objective, optimizer_of, parameters_of

METHOD = "random forest on ranks, out-of-bag permutation"
MIN_TRIALS = 10
# beyond this more trials no longer change the ranking, only the time
MAX_TRIALS = 1000
N_TREES = 200
FEW_TRIALS = 10
# a share smaller than two standard errors over the trees cannot be told from none
_SIGNAL = 2.0
# below this the shares are those of noise; up to WEAK they deserve a warning
_EXPLAINED = 0.1
_WEAK = 0.3
_SEED = 20_011

Array = NDArray[np.float64]


def importance(
    study: Mapping[str, Any],
    trials: Iterable[Mapping[str, Any]],
    measurements: Iterable[Mapping[str, Any]] = (),
    metric: str | None = None,
) -> dict[str, Any]:
    """Importance of every parameter, over all trials and within each optimizer.

    Args:
        study: A Study object.
        trials: Its Trial objects.
        measurements: Its measurements; only needed for the values of pruned trials.
        metric: The objective to explain; the first unless named.

    Returns:
        `{method, metric, n_trials, quality, caveat, parameters, per_optimizer, reason}`; `parameters` are
        `{name, importance, group, n_trials, caveat?}`, most important first, importances sum
        to 1; `quality` is the share of the ranks' variance explained out of bag. If nothing can be
        computed, `parameters` is empty and `reason` says why.
    """
    return explain(Evidence.read(study, trials, measurements), metric)


def explain(evidence: Evidence, metric: str | None = None) -> dict[str, Any]:
    """`importance` on evidence that is already read."""
    objective = next((o for o in evidence.objectives if o.metric == metric), evidence.objective)
    parameters = parameters_of(evidence.study)
    scored = _scored(evidence, objective)
    result = {
        "method": METHOD,
        "metric": objective.metric,
        **_importance(parameters, scored),
        "per_optimizer": {},
    }
    names = sorted({name for t, _ in scored if (name := optimizer_of(t)) is not None})
    if len(names) > 1:
        result["per_optimizer"] = {
            name: _importance(
                {key: spec for key, spec in parameters.items() if key != "optimizer"},
                [(trial, cost) for trial, cost in scored if optimizer_of(trial) == name],
            )
            for name in names
        }
    return result


_Scored = list[tuple[Mapping[str, Any], float]]


def _scored(evidence: Evidence, objective: Objective) -> _Scored:
    """Trials of the search with their cost; infinite for diverged ones."""
    scored: _Scored = []
    for trial in evidence.trials:
        # a repeat in the bag would foretell its twin outside
        if trial["state"] not in ("complete", "pruned") or confirmed_by(trial) is not None:
            continue
        value = evidence.value(trial, objective)
        if trial["state"] == "complete" and trial.get("diverged"):
            value = math.nan
        if value is None:
            continue
        scored.append((trial, objective.cost(value) if math.isfinite(value) else math.inf))
    return scored


def _importance(parameters: Mapping[str, Mapping[str, Any]], scored: _Scored) -> dict[str, Any]:
    n = len(scored)
    if n > MAX_TRIALS:
        keep = np.linspace(0, n - 1, MAX_TRIALS).round().astype(int)
        scored = [scored[i] for i in keep]
    X, columns = encode(parameters, [trial["params"] for trial, _ in scored])
    columns = [column for column in columns if column.active.any()]
    ranks = _ranks(np.array([cost for _, cost in scored]))
    out: dict[str, Any] = {
        "n_trials": n,
        "quality": None,
        "caveat": None,
        "parameters": [],
        "reason": None,
    }
    out["reason"] = _obstacle(len(scored), ranks, columns)
    if out["reason"]:
        return out
    varying = [column for column in columns if column.varies]
    quality, gains = _permute(X, ranks, varying)
    out["quality"] = round(quality, 4)
    total = float(gains.sum())
    if quality < _EXPLAINED or total <= 0.0:
        out["reason"] = (
            "The surrogate explains nothing on trials it has not seen "
            f"(out-of-bag R² {quality:.2f}): too few trials, or the objective is mostly noise."
        )
        return out
    if quality < _WEAK:
        out["caveat"] = f"Weak: the surrogate explains only {quality:.0%} of the ranks' variance."
    shares = dict(zip((c.name for c in varying), gains / total, strict=True))
    rows = [_row(c, parameters[c.name], shares.get(c.name, 0.0)) for c in columns]
    out["parameters"] = sorted(rows, key=lambda row: (-row["importance"], row["name"]))
    return out


def _ranks(costs: Array) -> Array:
    """Average ranks in (0, 1); equal costs (all diverged ones) share theirs."""
    if not costs.size:
        return costs
    _, inverse, count = np.unique(costs, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    mean: Array = (last - (count - 1) / 2.0)[inverse] / len(costs)
    return mean


def _obstacle(n: int, ranks: Array, columns: Sequence[Column]) -> str | None:
    if n < MIN_TRIALS:
        return f"Needs at least {MIN_TRIALS} complete or pruned trials with a value, has {n}."
    if not any(column.varies for column in columns):
        return "No parameter takes more than one value in these trials."
    if np.ptp(ranks) == 0:
        return "All trials have the same value."
    return None


def _row(column: Column, spec: Mapping[str, Any], share: float) -> dict[str, Any]:
    n_active = int(column.active.sum())
    row: dict[str, Any] = {
        "name": column.name,
        "importance": float(share),
        "group": spec.get("group"),
        "n_trials": n_active,
    }
    if not column.varies:
        row["caveat"] = "one value only, so nothing is known about it"
    elif n_active < FEW_TRIALS:
        row["caveat"] = f"active in {n_active} trials only"
    return row


def _permute(X: NDArray[np.float32], y: Array, columns: Sequence[Column]) -> tuple[float, Array]:
    """Out-of-bag R² and each parameter's rise in squared error when it is shuffled.

    Args:
        X: Encoded parameters, shape (n, columns).
        y: Ranks, shape (n,).
        columns: The parameters to shuffle.

    Returns:
        R² out of bag, and the rises, shape (parameters,), ≥ 0, zero where the mean rise over
        the trees is within two standard errors of none.
    """
    # bounded leaves keep trees small where there are many trials
    leaf = max(2, len(y) // 200)
    forest = RandomForestRegressor(
        N_TREES, min_samples_leaf=leaf, max_features=0.6, random_state=_SEED, n_jobs=1
    ).fit(X, y)
    rng = np.random.default_rng(_SEED)
    n = len(y)
    total, votes = np.zeros(n), np.zeros(n)
    rises = np.zeros((N_TREES, len(columns)))
    bags = forest.estimators_samples_
    for t, (tree, bag) in enumerate(zip(forest.estimators_, bags, strict=True)):
        out = np.setdiff1d(np.arange(n), bag)
        rows = X[out]
        predicted = tree.tree_.predict(rows)[:, 0]
        total[out] += predicted
        votes[out] += 1
        error = np.mean((predicted - y[out]) ** 2)
        for k, column in enumerate(columns):
            active = np.flatnonzero(column.active[out])
            if len(active) > 1:
                shuffled = rows.copy()
                shuffled[active, column.index] = rows[rng.permutation(active), column.index]
                rises[t, k] = np.mean((tree.tree_.predict(shuffled)[:, 0] - y[out]) ** 2) - error
    seen = votes > 0
    residual = y[seen] - total[seen] / votes[seen]
    quality = 1.0 - float(np.sum(residual**2) / np.sum((y[seen] - y[seen].mean()) ** 2))
    mean, spread = rises.mean(axis=0), rises.std(axis=0) / math.sqrt(N_TREES)
    return quality, np.where(mean > _SIGNAL * spread, mean, 0.0)
