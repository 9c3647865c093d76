"""Upkeep: expired leases, budgets of seconds, forgotten keys. Each function is one transaction."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.lifecycle import Reason, TrialState
from tuner.service.ending import Ending, end
from tuner.service.settling import settle
from tuner.service.state import Ledger
from tuner.service.views import busy_seconds
from tuner.service.workers import FORGET_S
from tuner.storage import events, idempotency, studies, trials, workers
from tuner.storage.engine import Tx

KEEP_KEYS_S: Final = 86_400.0
KEEP_EVENTS_S: Final = 7 * 86_400.0
FOLD_S: Final = 30.0
_BATCH: Final = 500


def expire(tx: Tx) -> int:
    """End the attempts whose lease ran out: back to the queue, or failed when used up.

    Returns:
        How many leases expired.
    """
    rows = trials.expired(tx, _BATCH)
    count = 0
    for study_id, group in groupby(rows, key=lambda row: row.study_id):
        study = studies.get(tx, study_id, lock=True)
        if study is None:
            continue
        ledger = Ledger(study)
        for found in group:
            row = trials.find(tx, study_id, found.number, lock=True)
            # renewed or ended since the scan
            if row is None or row.state != TrialState.RUNNING or row.lease_expires_at >= tx.now:
                continue
            end(tx, ledger, row, _lost(row))
            events.add(tx, study, "lease.expired", row.number, attempt=row.attempt)
            count += 1
        settle(tx, ledger)
    return count


def _lost(row: Row[Any]) -> Ending:
    if row.params is None:
        # nobody ever held it: whoever was to fill it in has ended, so no attempt is counted
        message = "The server ended before the sampler gave parameters."
        return Ending(TrialState.FAIL, None, Reason.PREEMPTED, message)
    message = f"Attempt {row.attempt} was not heard of for {row.lease_seconds:g} s."
    return Ending(TrialState.FAIL, None, Reason.LOST, message)


def keep_time(tx: Tx) -> None:
    """Fold the running seconds into the studies, and close those whose seconds are used up.

    What is not folded in is lost when the server ends; without a budget of seconds that costs
    less than a write in every sweep.
    """
    for study in studies.running(tx):
        if study.busy_since is None or (
            study.budget_seconds is None and tx.now - study.busy_since < FOLD_S
        ):
            continue
        locked = studies.get(tx, study.id, lock=True)
        if locked is None or locked.busy_since is None:
            continue
        ledger = Ledger(locked)
        ledger.values |= {"busy_seconds": busy_seconds(locked, tx.now), "busy_since": tx.now}
        studies.change(tx, locked.id, **ledger.values)
        limit = locked.budget_seconds
        if limit is not None and ledger.values["busy_seconds"] >= limit:
            fresh = studies.get(tx, study.id, lock=True)
            if fresh is not None:
                settle(tx, Ledger(fresh))


def after_gap(tx: Tx) -> int:
    """The server was away: no lease runs out before one full lease has passed from now.

    The time away does not count as time in which a trial ran.
    """
    studies.forget_busy_time(tx, tx.now)
    return trials.extend_all(tx, tx.now)


def forget(tx: Tx) -> None:
    """Delete old idempotency keys, events and workers."""
    idempotency.forget(tx, tx.now - KEEP_KEYS_S)
    events.forget(tx, tx.now - KEEP_EVENTS_S)
    workers.forget(tx, tx.now - FORGET_S)
