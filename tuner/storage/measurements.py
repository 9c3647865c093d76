"""Queries on measurements and logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, and_, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from tuner.storage.engine import Tx
from tuner.storage.tables import logs, measurements, trials

_ADD = {
    "sqlite": sqlite.insert(measurements).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(measurements).on_conflict_do_nothing(),
}


def add(
    tx: Tx, trial_id: int, attempt: int, rows: Sequence[tuple[int, str, float | None]]
) -> tuple[int, str, float | None] | None:
    """Insert (step, metric, value) rows; those that are there with the same value are skipped.

    Returns:
        The first row that is there with another value, or None if all is well.
    """
    key = {"trial_id": trial_id, "attempt": attempt}
    made = tx.changed(
        _ADD[tx.dialect],
        [
            # SQLite keeps no sign of zero, so neither does PostgreSQL
            {**key, "step": step, "metric": metric, "value": None if v is None else v + 0.0}
            for step, metric, v in rows
        ],
    )
    return None if made == len(rows) else _clash(tx, trial_id, attempt, rows)


def _clash(
    tx: Tx, trial_id: int, attempt: int, rows: Sequence[tuple[int, str, float | None]]
) -> tuple[int, str, float | None] | None:
    steps = {step for step, _, _ in rows}
    there = {
        (int(row.step), str(row.metric)): row.value
        for row in tx.all(
            select(measurements.c.step, measurements.c.metric, measurements.c.value).where(
                measurements.c.trial_id == trial_id,
                measurements.c.attempt == attempt,
                measurements.c.step.between(min(steps), max(steps)),
            )
        )
    }
    for step, metric, value in rows:
        if there[(step, metric)] != value:
            return step, metric, there[(step, metric)]
    return None


def of_metric(tx: Tx, trial_id: int, metric: str) -> list[tuple[int, float]]:
    """(step, value) of one metric over all attempts, the newest attempt's where a step repeats."""
    rows = tx.all(
        select(measurements.c.step, measurements.c.value)
        .where(measurements.c.trial_id == trial_id, measurements.c.metric == metric)
        .order_by(measurements.c.attempt)
    )
    newest = {
        int(row.step): float("nan") if row.value is None else float(row.value) for row in rows
    }
    return list(newest.items())


def metrics_of(tx: Tx, trial_id: int) -> list[str]:
    """The names of all metrics that a trial has reported, in order."""
    names = (
        select(measurements.c.metric)
        .distinct()
        .where(measurements.c.trial_id == trial_id)
        .order_by(measurements.c.metric)
    )
    return [str(row.metric) for row in tx.all(names)]


def page(
    tx: Tx, trial_id: int, *, after: tuple[int, int] | None, limit: int
) -> list[tuple[int, int, dict[str, float | None]]]:
    """(attempt, step, values) in order, from `after` on."""
    keys = (
        select(measurements.c.attempt, measurements.c.step)
        .where(measurements.c.trial_id == trial_id)
        .group_by(measurements.c.attempt, measurements.c.step)
        .order_by(measurements.c.attempt, measurements.c.step)
        .limit(limit)
    )
    if after is not None:
        attempt, step = after
        keys = keys.where(
            or_(
                measurements.c.attempt > attempt,
                and_(measurements.c.attempt == attempt, measurements.c.step > step),
            )
        )
    wanted = keys.subquery()
    rows = tx.all(
        select(measurements)
        .join(
            wanted,
            and_(wanted.c.attempt == measurements.c.attempt, wanted.c.step == measurements.c.step),
        )
        .where(measurements.c.trial_id == trial_id)
        .order_by(measurements.c.attempt, measurements.c.step, measurements.c.metric)
    )
    grouped: dict[tuple[int, int], dict[str, float | None]] = {}
    for row in rows:
        grouped.setdefault((row.attempt, row.step), {})[row.metric] = row.value
    return [(attempt, step, values) for (attempt, step), values in grouped.items()]


def of_study(
    tx: Tx,
    study_id: int,
    most: int,
    metrics: Sequence[str] | None = None,
    whole: Sequence[int] = (),
) -> Iterable[Row[Any]]:
    """Rows (number, attempt, step, metric, value) of a study, one by one.

    Args:
        tx: The transaction.
        study_id: The study.
        most: How many rows at most.
        metrics: Only these metrics; None: all.
        whole: The numbers of trials of which every metric counts all the same.
    """
    statement = (
        select(
            trials.c.number,
            measurements.c.attempt,
            measurements.c.step,
            measurements.c.metric,
            measurements.c.value,
        )
        .join(trials, trials.c.id == measurements.c.trial_id)
        .where(trials.c.study_id == study_id)
        .order_by(trials.c.number, measurements.c.attempt, measurements.c.step)
        .limit(most)
    )
    if metrics is not None:
        wanted = measurements.c.metric.in_(metrics)
        statement = statement.where(or_(wanted, trials.c.number.in_(whole)) if whole else wanted)
    return tx.execute(statement)


def append_log(tx: Tx, trial_id: int, attempt: int, text: str) -> None:
    """Add text to a trial's log."""
    tx.execute(
        insert(logs),
        {"trial_id": trial_id, "attempt": attempt, "text": text, "created_at": tx.now},
    )


def log_size(tx: Tx, trial_id: int) -> int:
    """Characters in a trial's log."""
    return int(
        tx.scalar(
            select(func.coalesce(func.sum(func.length(logs.c.text)), 0)).where(
                logs.c.trial_id == trial_id
            )
        )
    )


def log(tx: Tx, trial_id: int) -> Sequence[Row[Any]]:
    """A trial's log in order."""
    return tx.all(select(logs).where(logs.c.trial_id == trial_id).order_by(logs.c.id))
