"""Use cases on trials by anyone: read, list, stop, retry, best, Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tuner.core.lifecycle import Move, Reason, StopReason, TrialState, after
from tuner.core.names import nearest
from tuner.core.ranking import loss, pareto
from tuner.core.wire import decode_metric, encode_metric
from tuner.errors import Conflict, Invalid, NoResultYet, TrialFinished
from tuner.service import branches
from tuner.service.cursors import decode, encode, page_of
from tuner.service.settling import settle
from tuner.service.specification import spec_of
from tuner.service.state import Ledger, study_of, trial_of
from tuner.service.views import metric_values, trial_view
from tuner.storage import events, measurements, trials
from tuner.storage.clock import rfc3339
from tuner.storage.engine import Tx

SORTS: Final = ("number", "-number", "value", "-value")


def read(tx: Tx, name: str, number: int) -> dict[str, Any]:
    """The trial of that number, with its attempts."""
    study = study_of(tx, name)
    row = trial_of(tx, study, number)
    attempts = [
        {
            "attempt": item.attempt,
            "worker_id": item.worker_id,
            "started_at": rfc3339(item.started_at),
            "ended_at": rfc3339(item.ended_at),
            "state": item.state,
            "reason": item.reason,
            "message": item.message,
        }
        for item in trials.attempts_of(tx, row.id)
    ]
    return {**trial_view(row, name), "attempts": attempts}


def page(
    tx: Tx,
    name: str,
    *,
    states: Sequence[str] | None,
    sort: str | None,
    cursor: str | None,
    limit: int,
) -> dict[str, Any]:
    """Trials by number, or by the objective's value (those that are not ranked come last).

    Raises:
        Invalid: For an unknown state, sort or cursor.
    """
    study = study_of(tx, name)
    order = _order(sort)
    for state in states or ():
        _among("state", state, [str(item) for item in TrialState])
    by_value = order.endswith("value")
    spec = spec_of(study.spec)
    if by_value and len(spec.objectives) > 1:
        raise Invalid.at(
            "sort", "a study with several objectives sorts by number only.", found=sort
        )
    flipped = spec.objectives[0].direction == "maximize"
    after_row = None
    if cursor is not None:
        mark, number = decode(cursor, f"trials:{order}", (float, int, type(None)), int)
        after_row = (mark, number)
    rows = trials.page(
        tx,
        study.id,
        states=states,
        by_loss=by_value,
        descending=order.startswith("-") != (by_value and flipped),
        after=after_row,
        limit=limit + 1,
    )
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = encode(f"trials:{order}", last.loss if by_value else None, last.number)
    return page_of([trial_view(row, name) for row in rows[:limit]], following)


def measurement_page(
    tx: Tx, name: str, number: int, *, cursor: str | None, limit: int
) -> dict[str, Any]:
    """A trial's measurements by attempt and step."""
    row = trial_of(tx, study_of(tx, name), number)
    mark = None
    if cursor is not None:
        attempt, step = decode(cursor, "measurements", int, int)
        mark = (attempt, step)
    found = measurements.page(tx, row.id, after=mark, limit=limit + 1)
    items = [
        {
            "attempt": attempt,
            "step": step,
            "values": {metric: encode_metric(value) for metric, value in values.items()},
        }
        for attempt, step, values in found[:limit]
    ]
    more = encode("measurements", *found[limit - 1][:2]) if len(found) > limit else None
    return page_of(items, more)


def log(tx: Tx, name: str, number: int) -> dict[str, Any]:
    """A trial's log, by attempt."""
    row = trial_of(tx, study_of(tx, name), number)
    items = [
        {"attempt": item.attempt, "text": item.text, "created_at": rfc3339(item.created_at)}
        for item in measurements.log(tx, row.id)
    ]
    return page_of(items, None)


def stop(tx: Tx, name: str, number: int) -> dict[str, Any]:
    """Ask a running trial to stop (`cancelled`); end a waiting one; repeats change nothing.

    Raises:
        TrialFinished: If the trial has ended.
    """
    study = study_of(tx, name, lock=True)
    row = trial_of(tx, study, number, lock=True)
    state = TrialState(row.state)
    if state.is_finished:
        if state == TrialState.FAIL and row.reason == Reason.CANCELLED:
            return trial_view(row, name)
        raise TrialFinished(
            f"Trial {number} of {name!r} is finished ({state}), so it cannot be stopped.",
            hint=f"Read it with: tuner trial show {name} {number}",
        )
    if state == TrialState.RUNNING:
        # a pause would only give it back
        if row.stop_reason in (None, StopReason.PAUSED, StopReason.PREEMPTED):
            trials.change(tx, row.id, stop_reason=str(StopReason.CANCELLED))
            events.add(tx, study, "trial.stopping", number)
        return trial_view(row, name)
    ledger = Ledger(study)
    new = after(state, Move.CANCEL)
    trials.change(
        tx, row.id, state=str(new), reason=str(Reason.CANCELLED), message=None, finished_at=tx.now
    )
    branches.count_end(tx, ledger, row, new)
    ledger.move(state, new)
    settle(tx, ledger)
    events.add(tx, study, "trial.fail", number, reason=str(Reason.CANCELLED))
    return trial_view(trial_of(tx, study, number), name)


def retry(tx: Tx, name: str, number: int) -> dict[str, Any]:
    """Put a failed trial back into the queue as one more attempt.

    Raises:
        Conflict: If it did not fail.
    """
    study = study_of(tx, name, lock=True)
    row = trial_of(tx, study, number, lock=True)
    if row.state != TrialState.FAIL:
        raise Conflict(
            f"Trial {number} of {name!r} is {row.state}; only a failed trial can be retried.",
            hint=f"To run its parameters again: tuner study enqueue {name}",
        )
    ledger = Ledger(study)
    new = after(TrialState.FAIL, Move.RETRY)
    trials.change(
        tx, row.id, state=str(new), reason=None, message=None, finished_at=None, result_seq=None
    )
    branches.count_end(tx, ledger, row, TrialState.FAIL, sign=-1)
    ledger.move(TrialState.FAIL, new)
    ledger.values["stopped"] = False
    settle(tx, ledger)
    events.add(tx, study, "trial.retried", number)
    return trial_view(trial_of(tx, study, number), name)


def best(tx: Tx, name: str) -> dict[str, Any]:
    """The best feasible, finite, complete trial.

    Raises:
        Conflict: If the study has several objectives.
        NoResultYet: If there is none.
    """
    study = study_of(tx, name)
    if len(spec_of(study.spec).objectives) > 1:
        raise Conflict(
            f"Study {name!r} has several objectives, so it has no single best trial.",
            hint="Read its Pareto front: study.pareto in Python, GET …/pareto over HTTP, or"
            f" tuner study best {name}",
        )
    row = None if study.best_id is None else trials.get(tx, study.best_id)
    if row is None:
        raise NoResultYet(
            f"Study {name!r} has no feasible, finite, complete trial yet.",
            hint=f"See its trials with: tuner study trials {name}",
        )
    return trial_view(row, name)


def front(tx: Tx, name: str) -> dict[str, Any]:
    """The trials that no other dominates; for a single objective the best one."""
    study = study_of(tx, name)
    spec = spec_of(study.spec)
    rows = list(trials.complete(tx, study.id))
    losses = []
    for row in rows:
        values = metric_values(row.metrics)
        losses.append(
            [loss(decode_metric(values[o.metric]) or 0.0, o.direction) for o in spec.objectives]
        )
    return {"items": [trial_view(row, name) for row in pareto(rows, losses)], "next_cursor": None}


def _order(sort: str | None) -> str:
    if sort is None:
        return "number"
    _among("sort", sort, list(SORTS))
    return sort


def _among(path: str, value: str, allowed: list[str]) -> None:
    if value not in allowed:
        raise Invalid.at(
            path,
            f"found {value!r}, allowed: {', '.join(allowed)}.",
            found=value,
            allowed=allowed,
            nearest=nearest(value, allowed),
        )
