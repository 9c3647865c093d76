"""Queries on confirmation and on comparisons: what repeats what, and what each branch has used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, Subquery, case, func, select

from tuner.storage.engine import Tx
from tuner.storage.tables import measurements, trials

SECONDS: Final = "seconds"
_ENDED = trials.c.state.in_(("complete", "pruned", "fail"))


class Branch(NamedTuple):
    """What the sampler's trials of one branch have come to.

    Attributes:
        made: Trials given out.
        ended: Of them, those that have ended.
        failed: Of these, those that failed.
        seconds: Of training, summed over the ended ones: the most that the last attempt has
            reported as the metric `seconds`, else from its start to its end.
    """

    made: int = 0
    ended: int = 0
    failed: int = 0
    seconds: float = 0.0


class Phase(NamedTuple):
    """How many trials a comparison has: of the sampler and of the confirmation, ended and all."""

    searched: int
    replicates_ended: int
    replicates: int


def branches(tx: Tx, study_id: int, n: int) -> dict[int, Branch]:
    """The branches that have trials, by sampler index modulo `n`."""
    place = trials.c.sampler_index % n
    reported = _reported_seconds(study_id)
    spent = func.coalesce(reported.c.seconds, trials.c.finished_at - trials.c.started_at)
    rows = tx.all(
        select(
            place.label("place"),
            func.count().label("made"),
            func.sum(case((_ENDED, 1), else_=0)).label("ended"),
            func.sum(case((trials.c.state == "fail", 1), else_=0)).label("failed"),
            func.sum(case((_ENDED, spent), else_=0.0)).label("seconds"),
        )
        .join(reported, reported.c.trial_id == trials.c.id, isouter=True)
        .where(trials.c.study_id == study_id, trials.c.sampler_index.is_not(None))
        .group_by(place)
    )
    return {
        int(row.place): Branch(row.made, int(row.ended), int(row.failed), float(row.seconds or 0))
        for row in rows
    }


def _reported_seconds(study_id: int) -> Subquery:
    """`seconds` by `trial_id`, of trials that have reported them."""
    return (
        select(measurements.c.trial_id, func.max(measurements.c.value).label("seconds"))
        .join(trials, trials.c.id == measurements.c.trial_id)
        .where(
            trials.c.study_id == study_id,
            measurements.c.metric == SECONDS,
            measurements.c.attempt == trials.c.attempt,
        )
        .group_by(measurements.c.trial_id)
        .subquery()
    )


def ranked(tx: Tx, study_id: int) -> Sequence[Row[Any]]:
    """Trials of the search with a feasible, finite result, the best first: number, params, loss."""
    return tx.all(
        select(trials.c.number, trials.c.params, trials.c.loss)
        .where(
            trials.c.study_id == study_id,
            trials.c.loss.is_not(None),
            trials.c.confirms.is_(None),
        )
        .order_by(trials.c.loss, trials.c.number)
    )


def replicates(tx: Tx, study_id: int) -> Sequence[Row[Any]]:
    """Trials that repeat another one, by number: confirms, user_attrs, state."""
    return tx.all(
        select(trials.c.confirms, trials.c.user_attrs, trials.c.state)
        .where(trials.c.study_id == study_id, trials.c.confirms.is_not(None))
        .order_by(trials.c.number)
    )


def phase(tx: Tx, study_id: int) -> Phase:
    """How far a comparison is."""
    repeats = trials.c.confirms.is_not(None)
    sampled = trials.c.sampler_index.is_not(None)
    row = tx.all(
        select(
            func.coalesce(func.sum(case((sampled & _ENDED, 1), else_=0)), 0).label("searched"),
            func.coalesce(func.sum(case((repeats & _ENDED, 1), else_=0)), 0).label("ended"),
            func.coalesce(func.sum(case((repeats, 1), else_=0)), 0).label("replicates"),
        ).where(trials.c.study_id == study_id)
    )[0]
    return Phase(int(row.searched), int(row.ended), int(row.replicates))
