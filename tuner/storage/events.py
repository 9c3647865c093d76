"""Queries on events: what happened, in the order in which it was committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Row, cast, delete, func, insert, literal_column, select

from tuner.core.wire import dumps
from tuner.storage.engine import Tx
from tuner.storage.tables import events

_XID = cast(cast(func.pg_current_xact_id(), events.c.event.type), BigInteger)
_ADD = {"sqlite": insert(events), "postgresql": insert(events).values(xid=_XID)}
# Transactions below this are all over, so no smaller id can still appear.
_SETTLED = literal_column("(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)")


def add(tx: Tx, study: Row[Any], event: str, number: int | None = None, **data: Any) -> None:
    """Write that something happened in a study."""
    tx.execute(
        _ADD[tx.dialect],
        {
            "study_id": study.id,
            "study": study.name,
            "event": event,
            "number": number,
            "data": dumps(data),
            "at": tx.now,
        },
    )


def after(tx: Tx, last_id: int, *, study_id: int | None, limit: int) -> Sequence[Row[Any]]:
    """Events with larger ids, in order; never one that a smaller id could still precede."""
    statement = select(events).where(events.c.id > last_id).order_by(events.c.id).limit(limit)
    if study_id is not None:
        statement = statement.where(events.c.study_id == study_id)
    if tx.dialect == "postgresql":
        statement = statement.where(events.c.xid < _SETTLED)
    return tx.all(statement)


def last_id(tx: Tx) -> int:
    """The largest id that `after` would show."""
    statement = select(func.coalesce(func.max(events.c.id), 0))
    if tx.dialect == "postgresql":
        statement = statement.where(events.c.xid < _SETTLED)
    return int(tx.scalar(statement))


def forget(tx: Tx, before: float) -> int:
    """Delete events older than `before`."""
    return tx.changed(delete(events).where(events.c.at < before))
