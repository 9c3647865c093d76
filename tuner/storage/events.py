"""Queries on events: what happened, in the order in which it was committed.

Events are collected during a transaction and written at its end, on PostgreSQL under a lock that
is held until the commit: whoever has seen an id will never meet a smaller one later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, text

from tuner.core.wire import dumps
from tuner.storage.engine import Tx
from tuner.storage.tables import events

_ADD = insert(events)
# The last lock of every transaction that takes it, so it is part of no deadlock.
_IN_ORDER = text("SELECT pg_advisory_xact_lock(7205759404)")


def add(tx: Tx, study: Row[Any], event: str, number: int | None = None, **data: Any) -> None:
    """Note that something happened in a study; `flush` writes it."""
    tx.outbox.append(
        {
            "study_id": study.id,
            "study": study.name,
            "event": event,
            "number": number,
            "data": dumps(data),
            "at": tx.now,
        }
    )


def flush(tx: Tx) -> None:
    """Write the events of a transaction, as its last statement."""
    if not tx.outbox:
        return
    if tx.dialect == "postgresql":
        tx.execute(_IN_ORDER)
    tx.execute(_ADD, tx.outbox)


def after(
    tx: Tx, last_id: int, *, study_id: int | None, limit: int, gone: str | None = None
) -> Sequence[Row[Any]]:
    """Events with larger ids, in order.

    Args:
        tx: The transaction.
        last_id: The id after which they are wanted.
        study_id: Only those of this study.
        limit: At most so many.
        gone: Only those of a study of this name that has no id any more.
    """
    statement = select(events).where(events.c.id > last_id).order_by(events.c.id).limit(limit)
    if study_id is not None:
        statement = statement.where(events.c.study_id == study_id)
    elif gone is not None:
        statement = statement.where(events.c.study == gone)
    return tx.all(statement)


def last_id(tx: Tx) -> int:
    """The largest id, 0 if there is none."""
    return int(tx.scalar(select(func.coalesce(func.max(events.c.id), 0))))


def forget(tx: Tx, before: float) -> int:
    """Delete events older than `before`."""
    return tx.changed(delete(events).where(events.c.at < before))
