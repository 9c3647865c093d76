"""Queries on idempotency keys: the first answer of a call, kept with its effect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from tuner.storage.engine import Tx
from tuner.storage.tables import idempotency

_FIND = select(idempotency)


def find(tx: Tx, key: str) -> Row[Any] | None:
    """The record of a key."""
    return tx.one(_FIND.where(idempotency.c.key == key).with_for_update())


def add(tx: Tx, key: str, fingerprint: str, status: int | None, body: str) -> None:
    """Record a call; `status` None while it is under way."""
    tx.execute(
        insert(idempotency),
        {
            "key": key,
            "fingerprint": fingerprint,
            "status": status,
            "body": body,
            "created_at": tx.now,
        },
    )


def finish(tx: Tx, key: str, status: int, body: str) -> None:
    """Record the answer of a call that was under way."""
    tx.execute(
        update(idempotency).where(idempotency.c.key == key).values(status=status, body=body)
    )


def remove(tx: Tx, key: str) -> None:
    """Delete the record of a call that came to nothing."""
    tx.execute(delete(idempotency).where(idempotency.c.key == key))


def forget(tx: Tx, before: float) -> int:
    """Delete records older than `before`."""
    return tx.changed(delete(idempotency).where(idempotency.c.created_at < before))
