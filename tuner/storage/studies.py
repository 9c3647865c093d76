"""Queries on studies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Update, bindparam, delete, func, insert, select, update

from tuner.storage.engine import Tx
from tuner.storage.tables import studies

_BY_NAME = select(studies).where(studies.c.name == bindparam("name"))
# key_share: trials may be inserted and measured meanwhile, the study's counters may not move
_LOCK_BY_NAME = _BY_NAME.with_for_update(key_share=True)
_BY_ID = select(studies).where(studies.c.id == bindparam("id"))
_LOCK_BY_ID = _BY_ID.with_for_update(key_share=True)


def find(tx: Tx, name: str, *, lock: bool = False) -> Row[Any] | None:
    """The study of that name; `lock` holds it until the transaction ends."""
    return tx.one(_LOCK_BY_NAME if lock else _BY_NAME, {"name": name})


def get(tx: Tx, study_id: int, *, lock: bool = False) -> Row[Any] | None:
    """The study of that id; `lock` holds it until the transaction ends."""
    return tx.one(_LOCK_BY_ID if lock else _BY_ID, {"id": study_id})


def add(tx: Tx, **values: Any) -> int:
    """Insert a study and return its id."""
    return int(tx.execute(insert(studies).returning(studies.c.id), values).scalar_one())


def change(tx: Tx, study_id: int, **values: Any) -> None:
    """Update columns of a study."""
    tx.execute(_change(tuple(values)), {"study_key": study_id, **values})


@cache
def _change(columns: tuple[str, ...]) -> Update:
    return (
        update(studies)
        .where(studies.c.id == bindparam("study_key"))
        .values({name: bindparam(name) for name in columns})
    )


def remove(tx: Tx, study_id: int) -> None:
    """Delete a study with everything in it."""
    tx.execute(delete(studies).where(studies.c.id == study_id))


def page(
    tx: Tx, *, after: str | None, limit: int, state: str | None, q: str | None
) -> Sequence[Row[Any]]:
    """Studies by name, from `after` on; `q` is part of the name."""
    statement = select(studies).order_by(studies.c.name).limit(limit)
    if after is not None:
        statement = statement.where(studies.c.name > after)
    if state is not None:
        statement = statement.where(studies.c.state == state)
    if q:
        statement = statement.where(
            func.lower(studies.c.name).contains(q.lower(), autoescape=True)
        )
    return tx.all(statement)


def leasable(
    tx: Tx, names: Sequence[str] | None, exclude: Sequence[str] = ()
) -> Sequence[Row[Any]]:
    """Active studies, the one served longest ago first; of equals the one with fewer running.

    Args:
        tx: The transaction.
        names: Only these; None: all.
        exclude: None of these.
    """
    statement = (
        select(studies)
        .where(studies.c.state == "active")
        .order_by(
            studies.c.leased_at.is_not(None),
            studies.c.leased_at,
            studies.c.n_running,
            studies.c.id,
        )
    )
    if names is not None:
        statement = statement.where(studies.c.name.in_(names))
    if exclude:
        statement = statement.where(studies.c.name.not_in(exclude))
    return tx.all(statement)


def running(tx: Tx) -> Sequence[Row[Any]]:
    """Studies with a running trial."""
    return tx.all(select(studies).where(studies.c.n_running > 0).order_by(studies.c.id))


def forget_busy_time(tx: Tx, now: float) -> None:
    """Count the running time of all studies from `now` on."""
    tx.execute(update(studies).where(studies.c.busy_since.is_not(None)).values(busy_since=now))


def totals(tx: Tx) -> dict[str, dict[str, int]]:
    """Trials by state over all studies, and studies by state."""
    names = ("waiting", "running", "complete", "pruned", "fail")
    columns = [func.coalesce(func.sum(studies.c[f"n_{name}"]), 0).label(name) for name in names]
    sums = tx.execute(select(*columns)).mappings().one()
    states = tx.all(select(studies.c.state, func.count().label("n")).group_by(studies.c.state))
    return {
        "trials": {name: int(sums[name]) for name in names},
        "studies": {str(row.state): int(row.n) for row in states},
    }
