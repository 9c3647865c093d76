"""How an attempt ends: values chosen, the trial finished or put back, counters and best moved."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from tuner.core.lifecycle import Move, Reason, TrialState, after
from tuner.core.model import join
from tuner.core.names import nearest
from tuner.core.ranking import choose, is_feasible, loss
from tuner.core.study import DEFAULT_RETRY_ON, StudySpec
from tuner.errors import InvalidMetric
from tuner.service import branches
from tuner.service.specification import spec_of
from tuner.service.state import Ledger
from tuner.service.views import store_values
from tuner.storage import events, measurements, trials
from tuner.storage.engine import Tx

DEFAULT_MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, as told by its holder or found by the reaper."""

    state: TrialState
    values: dict[str, float] | None = None
    reason: Reason | None = None
    message: str | None = None


def end(tx: Tx, ledger: Ledger, trial: Row[Any], ending: Ending) -> TrialState:
    """End the current attempt of a running trial; the caller settles the ledger.

    Returns:
        The trial's state after it (`waiting` if it goes back to the queue).

    Raises:
        InvalidMetric: If a complete trial has no value for an objective.
    """
    spec = spec_of(ledger.study.spec)
    if ending.state == TrialState.FAIL:
        return _end_badly(tx, ledger, trial, ending, spec)
    values = final_values(tx, trial.id, spec, ending)
    move = Move.COMPLETE if ending.state == TrialState.COMPLETE else Move.PRUNE
    state = after(TrialState(trial.state), move)
    outcome = judge(spec, state, values)
    trials.change(
        tx,
        trial.id,
        state=str(state),
        metrics=store_values(values),
        reason=None,
        message=ending.message,
        result_seq=ledger.next_result(),
        finished_at=tx.now,
        **_no_lease(),
        **outcome,
    )
    _close_attempt(tx, trial, str(state), ending)
    branches.count_end(tx, ledger, trial, state)
    ledger.move(TrialState.RUNNING, state)
    if trial.confirms is None:
        note_best(ledger, trial.id, outcome["loss"])
    events.add(tx, ledger.study, f"trial.{state}", trial.number, diverged=outcome["diverged"])
    return state


def _end_badly(
    tx: Tx, ledger: Ledger, trial: Row[Any], ending: Ending, spec: StudySpec
) -> TrialState:
    reason = ending.reason or Reason.ERROR
    runner = spec.trial
    retry_on = runner.retry_on if runner is not None else DEFAULT_RETRY_ON
    most = runner.max_attempts if runner is not None else DEFAULT_MAX_ATTEMPTS
    counted = trial.failures + (1 if reason in retry_on else 0)
    back = reason == Reason.PREEMPTED or (reason in retry_on and counted < most)
    state = after(TrialState(trial.state), Move.REQUEUE if back else Move.FAIL)
    changes: dict[str, Any] = {} if back else {"finished_at": tx.now, "result_seq": None}
    trials.change(
        tx,
        trial.id,
        state=str(state),
        reason=str(reason),
        message=ending.message,
        failures=counted,
        **_no_lease(),
        **changes,
    )
    _close_attempt(tx, trial, "fail", Ending(TrialState.FAIL, None, reason, ending.message))
    if not back:
        branches.count_end(tx, ledger, trial, state)
    ledger.move(TrialState.RUNNING, state)
    kind = "trial.requeued" if back else "trial.fail"
    events.add(tx, ledger.study, kind, trial.number, reason=str(reason), attempt=trial.attempt)
    return state


def final_values(tx: Tx, trial_id: int, spec: StudySpec, ending: Ending) -> dict[str, float]:
    """The metrics that stand for the trial: those told, the others from what was reported.

    Raises:
        InvalidMetric: If a complete trial has no value for an objective.
    """
    values = dict(ending.values or {})
    for objective in spec.objectives:
        if objective.metric not in values:
            rows = measurements.of_metric(tx, trial_id, objective.metric)
            chosen = choose(rows, objective.from_, objective.direction)
            if chosen is not None:
                values[objective.metric] = chosen
    for constraint in spec.constraints:
        if constraint.metric not in values:
            last = choose(
                measurements.of_metric(tx, trial_id, constraint.metric), "last", "minimize"
            )
            if last is not None:
                values[constraint.metric] = last
    lacks = any(metric not in values for metric in spec.metrics)
    if lacks and ending.state == TrialState.COMPLETE:
        require_objectives(spec, values, reported=measurements.metrics_of(tx, trial_id))
    return values


def require_objectives(
    spec: StudySpec,
    values: dict[str, float],
    path: str = "",
    reported: Collection[str] = (),
) -> None:
    """Refuse a complete trial that lacks an objective's value.

    Args:
        spec: The study's.
        values: The trial's values.
        path: Leads to the trial.
        reported: The metrics that it has reported, to name the one that was meant.

    Raises:
        InvalidMetric: For the first objective without a value.
    """
    for metric in spec.metrics:
        if metric not in values:
            near = nearest(metric, sorted({*values, *reported}))
            raise InvalidMetric.at(
                join(path, f"values.{metric}"),
                f"the objective {metric!r} was neither told nor ever reported"
                + (f"; {near!r} was." if near else "."),
                allowed="a value, or a report of it before",
                hint="Report it during the trial or tell it at the end; check the metric's name.",
            )


def judge(spec: StudySpec, state: TrialState, values: dict[str, float]) -> dict[str, Any]:
    """Columns that follow from a finished trial's values: diverged, feasible, loss."""
    if state != TrialState.COMPLETE:
        return {"diverged": False, "feasible": True, "loss": None}
    diverged = any(not math.isfinite(values[metric]) for metric in spec.metrics)
    feasible = is_feasible(values, [c.model_dump(exclude_none=True) for c in spec.constraints])
    ranked = None
    if len(spec.objectives) == 1 and feasible and not diverged:
        ranked = loss(values[spec.metrics[0]], spec.objectives[0].direction)
    return {"diverged": diverged, "feasible": feasible, "loss": ranked}


def note_best(ledger: Ledger, trial_id: int, ranked: float | None) -> None:
    """Let the study know a better trial; among equals the lowest number (and id) is the best."""
    best = ledger.values.get("best_loss", ledger.study.best_loss)
    best_id = ledger.values.get("best_id", ledger.study.best_id)
    if ranked is not None and (best is None or (ranked, trial_id) < (best, best_id)):
        ledger.values["best_loss"] = ranked
        ledger.values["best_id"] = trial_id


def _close_attempt(tx: Tx, trial: Row[Any], state: str, ending: Ending) -> None:
    trials.end_attempt(
        tx,
        trial.id,
        trial.attempt,
        ended_at=tx.now,
        state=state,
        reason=None if ending.reason is None else str(ending.reason),
        message=ending.message,
    )


def _no_lease() -> dict[str, Any]:
    return {"lease": None, "lease_expires_at": None, "stop_reason": None}
