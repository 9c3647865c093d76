"""Queries on workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from tuner.storage.engine import Tx
from tuner.storage.tables import trials, workers


def add(tx: Tx, **values: Any) -> None:
    """Insert a worker."""
    tx.execute(insert(workers), values)


def get(tx: Tx, worker_id: str) -> Row[Any] | None:
    """The worker of that id."""
    return tx.one(select(workers).where(workers.c.id == worker_id))


def change(tx: Tx, worker_id: str, **values: Any) -> bool:
    """Update columns of a worker; whether it exists."""
    return tx.changed(update(workers).where(workers.c.id == worker_id).values(**values)) == 1


def everyone(tx: Tx) -> Sequence[Row[Any]]:
    """All workers, newest first."""
    return tx.all(select(workers).order_by(workers.c.created_at.desc(), workers.c.id))


def live(tx: Tx, since: float) -> Sequence[Row[Any]]:
    """Workers that were heard of since then and are not draining."""
    return tx.all(
        select(workers).where(workers.c.heartbeat_at >= since, workers.c.draining.is_(False))
    )


def running_trials(tx: Tx) -> Sequence[Row[Any]]:
    """(worker_id, study_id, number) of all running trials."""
    return tx.all(
        select(trials.c.worker_id, trials.c.study_id, trials.c.number).where(
            trials.c.state == "running"
        )
    )


def remove(tx: Tx, worker_id: str) -> bool:
    """Delete a worker; whether it existed."""
    return tx.changed(delete(workers).where(workers.c.id == worker_id)) == 1


def forget(tx: Tx, before: float) -> int:
    """Delete workers not heard of since `before`."""
    return tx.changed(delete(workers).where(workers.c.heartbeat_at < before))
