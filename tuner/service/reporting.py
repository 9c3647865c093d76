"""What the holder of a lease says: report, heartbeat, tell, release, log."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Row

from tuner.core.lifecycle import Reason, TrialState
from tuner.core.messages import Heartbeat, Log, Measurement, Release, Report, Tell, as_float
from tuner.core.names import OPTIMIZER
from tuner.core.ranking import loss
from tuner.core.study import StudySpec
from tuner.core.wire import canonical, dumps, encode_metric, loads
from tuner.errors import AlreadyReported, AlreadyTold, LeaseLost
from tuner.service.ending import Ending, end
from tuner.service.idempotency import Answer
from tuner.service.settling import settle
from tuner.service.specification import pruned_metric, pruner_of, spec_of
from tuner.service.state import Ledger, no_trial, study_of, trial_of
from tuner.service.views import trial_view
from tuner.storage import events, measurements, trials
from tuner.storage.clock import rfc3339
from tuner.storage.engine import Tx

LOG_LIMIT = 1_000_000


def report(tx: Tx, study: str, number: int, body: Report) -> dict[str, Any]:
    """Take measurements, renew the lease, and answer whether the trial is to stop.

    Raises:
        LeaseLost: If the lease is not the current one; nothing changes.
        AlreadyReported: If a step and metric of this attempt has another value; nothing changes.
    """
    row = _held(tx, study, number, body.lease)
    rows = [
        (item.step, metric, _stored(as_float(value)))
        for item in body.measurements
        for metric, value in item.values.items()
    ]
    clash = measurements.add(tx, row.id, row.attempt, rows) if rows else None
    if clash is not None:
        step, metric, there = clash
        raise AlreadyReported(
            f"Trial {number} of {study!r} has already reported {metric} ="
            f" {encode_metric(there)} at step {step} of attempt {row.attempt}.",
            hint="A step is reported once per metric; the values that were sent are not taken.",
        )
    changes: dict[str, Any] = {"lease_expires_at": tx.now + row.lease_seconds}
    if body.checkpoint is not None:
        changes["checkpoint"] = dumps(body.checkpoint.model_dump())
    stop = row.stop_reason
    if rows:
        progress, prune = _follow(tx, row, body.measurements)
        changes |= progress
        if prune and stop is None:
            stop = changes["stop_reason"] = "pruned"
            events.add(tx, _as_study(row), "trial.pruning", number)
    trials.change(tx, row.id, **changes)
    return _answer(stop, changes["lease_expires_at"])


def heartbeat(tx: Tx, study: str, number: int, body: Heartbeat) -> dict[str, Any]:
    """Renew the lease and answer as report does.

    Raises:
        LeaseLost: If the lease is not the current one.
    """
    row = _held(tx, study, number, body.lease)
    expires = tx.now + row.lease_seconds
    trials.change(tx, row.id, lease_expires_at=expires)
    return _answer(row.stop_reason, expires)


def append_log(tx: Tx, study: str, number: int, body: Log) -> None:
    """Keep text in the trial's log, up to `LOG_LIMIT` characters.

    Raises:
        LeaseLost: If the lease is not the current one.
    """
    row = _held(tx, study, number, body.lease)
    room = LOG_LIMIT - measurements.log_size(tx, row.id)
    if room <= 0:
        return
    text = body.text
    if len(text) > room:
        text = text[:room] + "\n[the log is full; what follows is not kept]\n"
    measurements.append_log(tx, row.id, row.attempt, text)


def tell(tx: Tx, study_name: str, number: int, body: Tell) -> Answer:
    """End an attempt; an exact repeat gets the first answer, also after another attempt began.

    Raises:
        LeaseLost: If the lease is not the current one and has told nothing.
        AlreadyTold: If the lease has told something else.
        InvalidMetric: If a complete trial has no value for an objective; nothing changes.
    """
    values = None
    if body.values is not None:
        values = {name: as_float(value) for name, value in body.values.items()}
    reason = body.reason
    if body.state == "fail" and reason is None:
        reason = Reason.ERROR
    ending = Ending(TrialState(body.state), values, reason, body.message)
    told = canonical(body.model_dump(mode="json"))
    return _end_by_holder(tx, study_name, number, body.lease, told, ending)


def release(tx: Tx, study_name: str, number: int, body: Release) -> dict[str, Any]:
    """Give a trial back, or end the attempt by another reason; repeats are answered alike.

    Raises:
        LeaseLost: If the lease is not the current one and has released nothing.
    """
    ending = Ending(TrialState.FAIL, None, body.reason, body.message)
    told = canonical({"release": True})
    return _end_by_holder(tx, study_name, number, body.lease, told, ending).body


def _end_by_holder(
    tx: Tx, study_name: str, number: int, lease: str, told: str, ending: Ending
) -> Answer:
    study = study_of(tx, study_name, lock=True)
    trial = trial_of(tx, study, number, lock=True)
    if trial.lease != lease or trial.state != TrialState.RUNNING:
        return _repeat(tx, study_name, trial, lease, told)
    ledger = Ledger(study)
    end(tx, ledger, trial, ending)
    settle(tx, ledger)
    view = trial_view(trial_of(tx, study, number), study_name)
    trials.end_attempt(tx, trial.id, trial.attempt, told=told, answer=dumps(view))
    return Answer(200, view)


def _repeat(tx: Tx, study: str, trial: Row[Any], lease: str, told: str) -> Answer:
    attempt = trials.attempt(tx, trial.id, lease)
    if attempt is None or attempt.told is None:
        raise lease_lost(study, trial.number)
    if attempt.told != told:
        raise AlreadyTold(
            f"Trial {trial.number} of {study!r} was already told otherwise with this lease"
            f" (attempt {attempt.attempt} ended as {attempt.state}).",
            hint="A finished attempt never changes.",
        )
    return Answer(200, loads(attempt.answer))


def lease_lost(study: str, number: int) -> LeaseLost:
    """The error for a lease that is not the current one."""
    return LeaseLost(
        f"The lease on trial {number} of {study!r} is no longer the current one.",
        hint="Stop this attempt and send nothing more; another worker may run the trial.",
    )


def _held(tx: Tx, study: str, number: int, lease: str) -> Row[Any]:
    """The running trial that the lease holds, locked, with its study's `spec`."""
    row = trials.with_study(tx, study, number, lock=True)
    if row is None:
        study_of(tx, study)
        raise no_trial(study, number)
    if row.lease != lease or row.state != TrialState.RUNNING:
        raise lease_lost(study, number)
    return row


def _follow(tx: Tx, row: Row[Any], items: Sequence[Measurement]) -> tuple[dict[str, Any], bool]:
    """Follow the pruner's metric: progress columns, and whether the trial is to be pruned."""
    spec = spec_of(row.spec)
    metric, direction = pruned_metric(spec)
    # a trial that confirms another runs to its end, and is no peer of those that search
    pruner = pruner_of(row.spec) if row.confirms is None else None
    number, apart = _peers(row, spec) if pruner is not None else (row.number, lambda b: b)
    last_step, best = row.last_step, row.best_loss
    last_loss = row.last_loss
    prune = False
    for item in items:
        if metric not in item.values:
            continue
        current = loss(as_float(item.values[metric]), direction)
        if math.isfinite(current) and (best is None or current < best):
            best = current
        if pruner is not None:
            for rung in pruner.rungs(number, last_step, item.step):
                stored, bracket = _stored_loss(current), apart(rung.bracket)
                trials.record_rung(tx, row.study_id, row.id, bracket, rung.step, stored)
                peers = trials.rung_peers(tx, row.study_id, row.id, bracket, rung.step)
                losses = [math.inf if peer is None else peer for peer in peers]
                known = math.inf if best is None else best
                prune = prune or pruner.decide(number, rung, current, known, losses)
        if last_step is None or item.step >= last_step:
            last_step, last_loss = item.step, _stored_loss(current)
    if pruner is not None and last_step is not None and pruner.spares(last_step):
        prune = False
    return {"last_step": last_step, "last_loss": last_loss, "best_loss": best}, prune


def _peers(row: Row[Any], spec: StudySpec) -> tuple[int, Callable[[int], int]]:
    """The number by which a pruner knows a trial, and where its brackets are recorded.

    In a comparison each optimizer has brackets of its own, as if it had been tuned alone.
    """
    names = spec.compared
    if not names:
        return row.number, lambda bracket: bracket
    place = names.index(loads(row.params)[OPTIMIZER])
    index = row.sampler_index
    number = row.number if index is None else index // len(names)
    return number, lambda bracket: bracket * len(names) + place


def _as_study(row: Row[Any]) -> Any:
    """The study of a joined row, for events."""
    return _StudyRef(row.study_id, row.study)


class _StudyRef:
    def __init__(self, study_id: int, name: str) -> None:
        self.id = study_id
        self.name = name


def _stored(value: float) -> float | None:
    return None if math.isnan(value) else value


def _stored_loss(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _answer(stop: str | None, expires: float) -> dict[str, Any]:
    return {
        "should_stop": stop is not None,
        "reason": stop,
        "lease_expires_at": rfc3339(expires),
    }
