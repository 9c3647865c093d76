"""Queries on trials and their attempts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Update, and_, bindparam, delete, func, insert, or_, select, update

from tuner.storage.engine import Tx
from tuner.storage.tables import attempts, rungs, studies, trials

_ONE = select(trials).where(
    trials.c.study_id == bindparam("study_id"), trials.c.number == bindparam("number")
)
_BY_ID = select(trials).where(trials.c.id == bindparam("id"))
_BY_IDS = select(trials).where(trials.c.id.in_(bindparam("ids", expanding=True)))
_LOCK_ONE = _ONE.with_for_update(key_share=True)
_BY_STUDY_NAME = (
    select(trials, studies.c.spec.label("spec"), studies.c.name.label("study"))
    .join(studies, studies.c.id == trials.c.study_id)
    .where(studies.c.name == bindparam("study_name"), trials.c.number == bindparam("number"))
)
_LOCK_BY_STUDY_NAME = _BY_STUDY_NAME.with_for_update(of=trials, key_share=True)
_WAITING = (
    select(trials)
    .where(trials.c.study_id == bindparam("study_id"), trials.c.state == "waiting")
    .order_by(trials.c.number)
    .limit(bindparam("most"))
)
_WAITING_REPLICATES = _WAITING.where(trials.c.confirms.is_not(None))
_FILL = (
    update(trials)
    .where(
        trials.c.id == bindparam("trial_key"),
        trials.c.lease == bindparam("held"),
        trials.c.state == "running",
        trials.c.params.is_(None),
    )
    .values(
        params=bindparam("params"),
        note=bindparam("note"),
        unseen=bindparam("unseen"),
        # the model's time is no training
        started_at=bindparam("now"),
        lease_expires_at=bindparam("now") + trials.c.lease_seconds,
    )
)
_ATTEMPT = select(attempts).where(
    attempts.c.trial_id == bindparam("trial_id"), attempts.c.lease == bindparam("lease")
)
_ADD_TRIALS = insert(trials).returning(trials.c.id, trials.c.number)
_ADD_ATTEMPTS = insert(attempts)


def find(tx: Tx, study_id: int, number: int, *, lock: bool = False) -> Row[Any] | None:
    """The trial of that number."""
    return tx.one(_LOCK_ONE if lock else _ONE, {"study_id": study_id, "number": number})


def with_study(tx: Tx, study: str, number: int, *, lock: bool = False) -> Row[Any] | None:
    """The trial with `spec` and `study` (the name) of its study, in one query."""
    return tx.one(
        _LOCK_BY_STUDY_NAME if lock else _BY_STUDY_NAME,
        {"study_name": study, "number": number},
    )


def get(tx: Tx, trial_id: int) -> Row[Any] | None:
    """The trial of that id."""
    return tx.one(_BY_ID, {"id": trial_id})


def get_all(tx: Tx, trial_ids: Iterable[int]) -> dict[int, Row[Any]]:
    """The trials of those ids that are there, by id."""
    return {int(row.id): row for row in tx.all(_BY_IDS, {"ids": list(trial_ids)})}


def add(tx: Tx, rows: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Insert trials (all with the same keys) and return their ids by number."""
    if len(rows) == 1:
        made = tx.execute(_ADD_TRIALS, rows[0]).all()
    else:
        made = tx.execute(_ADD_TRIALS, list(rows)).all()
    return {int(row.number): int(row.id) for row in made}


def change(tx: Tx, trial_id: int, **values: Any) -> None:
    """Update columns of a trial."""
    tx.execute(_change(tuple(values)), {"trial_key": trial_id, **values})


@cache
def _change(columns: tuple[str, ...]) -> Update:
    return (
        update(trials)
        .where(trials.c.id == bindparam("trial_key"))
        .values({name: bindparam(name) for name in columns})
    )


def fill(tx: Tx, trial_id: int, lease: str, values: Mapping[str, Any]) -> bool:
    """Give a trial without parameters its own, if `lease` holds it; its time begins anew.

    Args:
        tx: The transaction.
        trial_id: The trial.
        lease: Must be the current one.
        values: `params`, `note`, `unseen`.

    Returns:
        Whether it was filled.
    """
    return tx.changed(_FILL, {"trial_key": trial_id, "held": lease, "now": tx.now, **values}) == 1


def waiting(
    tx: Tx, study_id: int, most: int, *, replicates_only: bool = False
) -> Sequence[Row[Any]]:
    """Waiting trials, lowest number first; or only those that repeat another one."""
    statement = _WAITING_REPLICATES if replicates_only else _WAITING
    return tx.all(statement, {"study_id": study_id, "most": most})


def expired(tx: Tx, most: int) -> Sequence[Row[Any]]:
    """Running trials whose lease has run out: id, study_id, number."""
    return tx.all(
        select(trials.c.id, trials.c.study_id, trials.c.number)
        .where(trials.c.state == "running", trials.c.lease_expires_at < tx.now)
        .order_by(trials.c.study_id, trials.c.id)
        .limit(most)
    )


def extend_all(tx: Tx, now: float) -> int:
    """Give every running trial one full lease from `now`.

    Those that still wait for parameters get just that: whoever computed them may be gone.
    """
    return tx.changed(
        update(trials)
        .where(
            trials.c.state == "running",
            or_(
                trials.c.lease_expires_at < now + trials.c.lease_seconds,
                trials.c.params.is_(None),
            ),
        )
        .values(lease_expires_at=now + trials.c.lease_seconds)
    )


def held(tx: Tx, leases: Sequence[str]) -> dict[str, Row[Any]]:
    """The running trials of those leases, with the name of their study as `study`."""
    if not leases:
        return {}
    rows = tx.all(
        select(trials, studies.c.name.label("study"))
        .join(studies, studies.c.id == trials.c.study_id)
        .where(trials.c.lease.in_(leases), trials.c.state == "running")
    )
    return {str(row.lease): row for row in rows}


def formerly_held(tx: Tx, leases: Sequence[str]) -> dict[str, tuple[str, int]]:
    """(study, number) of leases that were given out at any time."""
    if not leases:
        return {}
    rows = tx.all(
        select(attempts.c.lease, studies.c.name, trials.c.number)
        .join(trials, trials.c.id == attempts.c.trial_id)
        .join(studies, studies.c.id == trials.c.study_id)
        .where(attempts.c.lease.in_(leases))
    )
    return {str(row.lease): (str(row.name), int(row.number)) for row in rows}


def renew(tx: Tx, leases: Sequence[str]) -> None:
    """Let those of the leases that are current run their full time from now."""
    if leases:
        tx.execute(
            update(trials)
            .where(trials.c.lease.in_(leases), trials.c.state == "running")
            .values(lease_expires_at=tx.now + trials.c.lease_seconds)
        )


def ask_to_stop(tx: Tx, study_id: int, reason: str, *, replicates: bool = True) -> int:
    """Mark the running trials of a study that are not yet asked to stop.

    Without `replicates` those that repeat another trial go on.
    """
    statement = (
        update(trials)
        .where(
            trials.c.study_id == study_id,
            trials.c.state == "running",
            trials.c.stop_reason.is_(None),
        )
        .values(stop_reason=reason)
    )
    return tx.changed(statement if replicates else statement.where(trials.c.confirms.is_(None)))


def pending_params(tx: Tx, study_id: int) -> list[str]:
    """Parameters (JSON) of running and waiting trials of the search that have them, by number."""
    rows = tx.all(
        select(trials.c.params)
        .where(
            trials.c.study_id == study_id,
            trials.c.state.in_(("running", "waiting")),
            trials.c.params.is_not(None),
            trials.c.confirms.is_(None),
        )
        .order_by(trials.c.number)
    )
    return [str(row.params) for row in rows]


def results_since(tx: Tx, study_id: int, seq: int) -> Sequence[Row[Any]]:
    """Complete and pruned trials of the search that ended after `seq`, as they ended."""
    return tx.all(
        select(trials)
        .where(
            trials.c.study_id == study_id,
            trials.c.confirms.is_(None),
            trials.c.result_seq > seq,
            trials.c.state.in_(("complete", "pruned")),
        )
        .order_by(trials.c.result_seq)
    )


def complete(tx: Tx, study_id: int) -> Sequence[Row[Any]]:
    """All complete, feasible trials of the search that did not diverge."""
    return tx.all(
        select(trials)
        .where(
            trials.c.study_id == study_id,
            trials.c.confirms.is_(None),
            trials.c.state == "complete",
            trials.c.feasible.is_(True),
            trials.c.diverged.is_(False),
        )
        .order_by(trials.c.number)
    )


def page(
    tx: Tx,
    study_id: int,
    *,
    states: Sequence[str] | None = None,
    by_loss: bool = False,
    descending: bool = False,
    after: tuple[float | None, int] | None = None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Trials by number or by loss (those without one last), from `after` on.

    Args:
        tx: The transaction.
        study_id: The study.
        states: Only these states.
        by_loss: Order by loss, then number.
        descending: Turn the order round.
        after: (loss, number) of the last row before this page.
        limit: At most so many rows.
    """
    key = -trials.c.loss if descending else trials.c.loss
    statement = select(trials).where(trials.c.study_id == study_id).limit(limit)
    if states:
        statement = statement.where(trials.c.state.in_(states))
    if not by_loss:
        order = trials.c.number.desc() if descending else trials.c.number
        if after is not None:
            number = after[1]
            statement = statement.where(
                trials.c.number < number if descending else trials.c.number > number
            )
        return tx.all(statement.order_by(order))
    if after is not None:
        loss, number = after
        later = and_(trials.c.loss.is_(None), trials.c.number > number)
        if loss is not None:
            mark = -loss if descending else loss
            later = or_(
                trials.c.loss.is_(None), key > mark, and_(key == mark, trials.c.number > number)
            )
        statement = statement.where(later)
    return tx.all(statement.order_by(trials.c.loss.is_(None), key, trials.c.number))


def start_attempts(tx: Tx, rows: Sequence[dict[str, Any]]) -> None:
    """Insert attempts: trial_id, attempt, lease, worker_id, started_at each."""
    if rows:
        tx.execute(_ADD_ATTEMPTS, list(rows))


def attempt(tx: Tx, trial_id: int, lease: str) -> Row[Any] | None:
    """The attempt that a lease stood for."""
    return tx.one(_ATTEMPT, {"trial_id": trial_id, "lease": lease})


def attempts_of(tx: Tx, trial_id: int) -> Sequence[Row[Any]]:
    """All attempts of a trial, in order."""
    return tx.all(
        select(attempts).where(attempts.c.trial_id == trial_id).order_by(attempts.c.attempt)
    )


def end_attempt(tx: Tx, trial_id: int, number: int, **values: Any) -> None:
    """Write how an attempt ended."""
    tx.execute(
        _end_attempt(tuple(values)), {"trial_key": trial_id, "attempt_key": number, **values}
    )


@cache
def _end_attempt(columns: tuple[str, ...]) -> Update:
    return (
        update(attempts)
        .where(
            attempts.c.trial_id == bindparam("trial_key"),
            attempts.c.attempt == bindparam("attempt_key"),
        )
        .values({name: bindparam(name) for name in columns})
    )


def record_rung(
    tx: Tx, study_id: int, trial_id: int, bracket: int, step: int, loss: float | None
) -> None:
    """Record what a trial's current attempt reached at a rung."""
    where = and_(
        rungs.c.study_id == study_id,
        rungs.c.bracket == bracket,
        rungs.c.step == step,
        rungs.c.trial_id == trial_id,
    )
    tx.execute(delete(rungs).where(where))
    tx.execute(
        insert(rungs),
        {
            "study_id": study_id,
            "bracket": bracket,
            "step": step,
            "trial_id": trial_id,
            "loss": loss,
        },
    )


def rung_peers(
    tx: Tx, study_id: int, trial_id: int, bracket: int, step: int
) -> list[float | None]:
    """Losses that other trials recorded at a rung (None: not finite)."""
    rows = tx.all(
        select(rungs.c.loss).where(
            rungs.c.study_id == study_id,
            rungs.c.bracket == bracket,
            rungs.c.step == step,
            rungs.c.trial_id != trial_id,
        )
    )
    return [row.loss for row in rows]


def oldest_lease(tx: Tx) -> float | None:
    """When the next lease runs out, or None if nothing runs."""
    value = tx.scalar(
        select(func.min(trials.c.lease_expires_at)).where(trials.c.state == "running")
    )
    return None if value is None else float(value)
