"""Ask: hand out waiting trials first, then new numbers, each under a fenced lease.

A number is reserved and leased in one transaction. Where the sampler needs no model its
parameters are computed there too; otherwise a ready suggestion is used, or the trial is reserved
without parameters, which a second transaction fills in, guarded by the lease.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row

from tuner.core.lifecycle import Move, Reason, StudyState, TrialState, after
from tuner.core.wire import dumps
from tuner.samplers import registry as samplers
from tuner.samplers.base import Request
from tuner.service import branches
from tuner.service.ending import Ending, end
from tuner.service.pool import DEADLINE_S
from tuner.service.settling import settle
from tuner.service.specification import sampler_of, size_of, space_of, spec_of
from tuner.service.state import STOPPED, Ledger, closing_reason, is_spent, numbers_left
from tuner.service.views import leased_view
from tuner.storage import events, studies, trials
from tuner.storage.engine import Tx

# Longer than any model takes (the pool ends what takes longer).
FIT_S: Final = 2 * DEADLINE_S


@dataclass(frozen=True)
class Ready:
    """A suggestion made ahead of time.

    Attributes:
        index: The sampler index that it is for.
        seen: Results that its model had seen (a value of the study's `results`).
        params: Its parameters.
        note: The sampler's note.
    """

    index: int
    seen: int
    params: Mapping[str, Any]
    note: Mapping[str, Any] | None


@dataclass(frozen=True)
class Wanted:
    """What a call of ask or lease wants from one study."""

    count: int
    worker_id: str | None
    lease_seconds: float
    ready: Ready | None = None


@dataclass
class Reserved:
    """What one study gave: leases by trial id, and the trials that still need parameters."""

    study_id: int
    study: str
    spec: str
    state: StudyState
    leases: dict[int, str] = field(default_factory=dict)
    unfilled: list[int] = field(default_factory=list)
    used_ready: bool = False


def reserve(tx: Tx, study: Row[Any], wanted: Wanted) -> Reserved:
    """Lease up to `wanted.count` trials of a study whose row the caller holds.

    Waiting trials come first, lowest number first; then new numbers within the budget.
    """
    result = Reserved(study.id, study.name, study.spec, StudyState(study.state))
    ledger = Ledger(study)
    if study.state != StudyState.ACTIVE:
        return result
    closed = closing_reason(ledger, tx.now)
    if closed == STOPPED:
        result.state = settle(tx, ledger)
        return result
    for row in trials.waiting(tx, study.id, wanted.count, replicates_only=closed is not None):
        result.leases[row.id] = _lease_again(tx, ledger, row, wanted)
        if row.params is None:
            result.unfilled.append(row.id)
    missing = wanted.count - len(result.leases)
    if missing > 0 and not closed and not is_spent(ledger):
        _make_new(tx, ledger, wanted, missing, result)
    if result.leases or closed or is_spent(ledger):
        ledger.values["leased_at"] = tx.now
        result.state = settle(tx, ledger)
    return result


def new_lease() -> str:
    """A token that nobody can guess; a new one for every attempt."""
    return secrets.token_urlsafe(18)


def _lease_again(tx: Tx, ledger: Ledger, row: Row[Any], wanted: Wanted) -> str:
    state = after(TrialState(row.state), Move.LEASE)
    lease = new_lease()
    number = row.attempt + 1
    trials.change(
        tx,
        row.id,
        state=str(state),
        attempt=number,
        started_at=tx.now,
        stop_reason=None,
        reason=None,
        message=None,
        last_step=None,
        last_loss=None,
        best_loss=None,
        **_lease_columns(tx, wanted, lease, is_filled=row.params is not None),
    )
    trials.start_attempts(tx, [_attempt(tx, row.id, number, lease, wanted)])
    ledger.move(TrialState.WAITING, state)
    events.add(tx, ledger.study, "trial.started", row.number, attempt=number)
    return lease


def _make_new(tx: Tx, ledger: Ledger, wanted: Wanted, missing: int, result: Reserved) -> None:
    study = ledger.study
    spec = spec_of(study.spec)
    places = branches.indices(tx, ledger, _within_budget(ledger, missing))
    number = ledger.current("next_number")
    made = _suggestions(ledger, wanted.ready, places)
    result.used_ready = wanted.ready is not None and len(made) > 0 and made[0] is wanted.ready
    if not samplers.needs_history(spec.sampler.name):
        if len(made) < len(places):
            # a sampler of unknown size that has run dry: nothing more will come
            ledger.values["size"] = ledger.current("next_index") + len(made)
        places = places[: len(made)]
    rows = []
    for i, index in enumerate(places):
        ready = made[i] if i < len(made) else None
        rows.append(
            {
                "study_id": study.id,
                "number": number + i,
                "state": str(TrialState.RUNNING),
                "params": None if ready is None else dumps(ready.params),
                "note": None if ready is None or ready.note is None else dumps(ready.note),
                "unseen": None if ready is None else ledger.current("results") - ready.seen,
                "sampler_index": index,
                "sampler_name": spec.sampler.name,
                "diverged": False,
                "feasible": True,
                "attempt": 1,
                "created_at": tx.now,
                "started_at": tx.now,
                **_lease_columns(tx, wanted, new_lease(), is_filled=ready is not None),
            }
        )
    if not rows:
        return
    ids = trials.add(tx, rows)
    trials.start_attempts(
        tx, [_attempt(tx, ids[r["number"]], 1, r["lease"], wanted) for r in rows]
    )
    for row in rows:
        trial_id = ids[row["number"]]
        result.leases[trial_id] = row["lease"]
        if row["params"] is None:
            result.unfilled.append(trial_id)
        ledger.move(None, TrialState.RUNNING)
        events.add(tx, study, "trial.started", row["number"], attempt=1)
    branches.count_new(tx, ledger, places)
    for column in ("next_number", "next_index", "numbers_made"):
        ledger.add(column, len(rows))


def _within_budget(ledger: Ledger, missing: int) -> int:
    study = ledger.study
    count, left = missing, numbers_left(ledger)
    if left is not None and size_of(ledger.spec) is None:
        count = min(count, left)
    if study.size is not None:
        count = min(count, study.size - ledger.current("next_index"))
    return max(0, count)


def _suggestions(ledger: Ledger, ready: Ready | None, places: list[int]) -> list[Ready]:
    """What can be said without a model: history-free suggestions, or a ready one that is fresh."""
    study = ledger.study
    spec = spec_of(study.spec)
    results = ledger.current("results")
    if samplers.needs_history(spec.sampler.name):
        running = ledger.current("n_running")
        fresh = ready is not None and ready.index in places[:1] and results - ready.seen <= running
        return [ready] if fresh and ready is not None else []
    sampler, space = sampler_of(study.spec), space_of(study.expanded)
    seed = int(spec.sampler.options.get("seed", 0))
    made: list[Ready] = []
    for index, count in _runs(places):
        request = Request(space, seed, index, count, n_objectives=len(spec.objectives))
        suggestions = sampler.suggest(request)
        made += [Ready(index + i, results, s.params, s.note) for i, s in enumerate(suggestions)]
    return made


def _runs(places: list[int]) -> list[tuple[int, int]]:
    """Consecutive indices together: (first, count)."""
    runs: list[tuple[int, int]] = []
    for index in places:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs


def _lease_columns(tx: Tx, wanted: Wanted, lease: str, *, is_filled: bool) -> dict[str, Any]:
    # the time in which a model computes the parameters is not the holder's
    patience = 0.0 if is_filled else FIT_S
    return {
        "lease": lease,
        "lease_seconds": wanted.lease_seconds,
        "lease_expires_at": tx.now + wanted.lease_seconds + patience,
        "worker_id": wanted.worker_id,
    }


def _attempt(tx: Tx, trial_id: int, number: int, lease: str, wanted: Wanted) -> dict[str, Any]:
    return {
        "trial_id": trial_id,
        "attempt": number,
        "lease": lease,
        "worker_id": wanted.worker_id,
        "started_at": tx.now,
    }


@dataclass(frozen=True)
class Filling:
    """Parameters for a reserved trial, guarded by its lease."""

    trial_id: int
    lease: str
    params: Mapping[str, Any]
    note: Mapping[str, Any] | None
    seen: int


def fill(tx: Tx, study_id: int, fillings: list[Filling], seconds: float) -> None:
    """Write parameters into reserved trials that are still held; others go back unfilled.

    Args:
        tx: The transaction.
        study_id: The study.
        fillings: What the sampler made.
        seconds: How long the sampler took, added to the study's search time.
    """
    study = studies.get(tx, study_id, lock=True)
    if study is None:
        return
    for item in fillings:
        made = {
            "params": dumps(item.params),
            "note": None if item.note is None else dumps(item.note),
            "unseen": study.results - item.seen,
        }
        trials.fill(tx, item.trial_id, item.lease, made)
    if seconds:
        studies.change(tx, study_id, search_seconds=study.search_seconds + seconds)


def leased(tx: Tx, reserved: Reserved) -> list[dict[str, Any]]:
    """The reserved trials as their holder gets them; those that were lost meanwhile left out."""
    return [
        leased_view(row, reserved.study, reserved.spec)
        for row in still_held(tx, reserved)
        if row.params is not None
    ]


def still_held(tx: Tx, reserved: Reserved) -> list[Row[Any]]:
    """The reserved trials whose lease is still the current one."""
    rows = trials.get_all(tx, reserved.leases)
    return [
        rows[trial_id]
        for trial_id, lease in reserved.leases.items()
        if trial_id in rows and rows[trial_id].lease == lease
    ]


def give_back(tx: Tx, reserved: Reserved) -> None:
    """Put reserved trials back into the queue; no attempt is counted."""
    study = studies.get(tx, reserved.study_id, lock=True)
    if study is None:
        return
    ledger = Ledger(study)
    for row in still_held(tx, reserved):
        message = "The sampler gave no parameters."
        end(tx, ledger, row, Ending(TrialState.FAIL, None, Reason.PREEMPTED, message))
    settle(tx, ledger)
