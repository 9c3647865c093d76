"""Queries on confirmation and on comparisons: what repeats what, and what each branch has used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, bindparam, case, func, insert, select, update

from tuner.storage.engine import Tx
from tuner.storage.tables import attempts, branches, measurements, trials

SECONDS: Final = "seconds"
_ENDED = trials.c.state.in_(("complete", "pruned", "fail"))
_REPEATS = trials.c.confirms.is_not(None)


class Branch(NamedTuple):
    """What the sampler's trials of one branch have come to, or a change of it.

    Attributes:
        made: Trials given out.
        ended: Of them, those that have ended.
        failed: Of these, those that failed.
        seconds: Of training, summed over the ended ones: see `seconds_of`.
    """

    made: int = 0
    ended: int = 0
    failed: int = 0
    seconds: float = 0.0


_ADD = (
    update(branches)
    .where(branches.c.study_id == bindparam("key"), branches.c.place == bindparam("at"))
    .values({name: branches.c[name] + bindparam(f"more_{name}") for name in Branch._fields})
)


def start_branches(tx: Tx, study_id: int, n: int) -> None:
    """Begin the sums of `n` branches."""
    tx.execute(insert(branches), [{"study_id": study_id, "place": i} for i in range(n)])


def branches_of(tx: Tx, study_id: int) -> list[Branch]:
    """The sums of all branches, in their order."""
    rows = tx.all(
        select(*(branches.c[name] for name in Branch._fields))
        .where(branches.c.study_id == study_id)
        .order_by(branches.c.place)
    )
    return [Branch(*row) for row in rows]


def add_to_branch(tx: Tx, study_id: int, place: int, more: Branch) -> None:
    """Move the sums of a branch."""
    changes = {f"more_{name}": value for name, value in more._asdict().items()}
    tx.execute(_ADD, {"key": study_id, "at": place, **changes})


def seconds_of(tx: Tx, trial_id: int, attempt: int) -> float:
    """Seconds of training of an attempt: the most it has reported as `seconds`, else its length.

    An attempt that is still open lasts until now; without an attempt it is 0.
    """
    reported = tx.scalar(
        select(func.max(measurements.c.value)).where(
            measurements.c.trial_id == trial_id,
            measurements.c.attempt == attempt,
            measurements.c.metric == SECONDS,
        )
    )
    if reported is not None:
        return float(reported)
    ended = func.coalesce(attempts.c.ended_at, tx.now)
    length = tx.scalar(
        select(ended - attempts.c.started_at).where(
            attempts.c.trial_id == trial_id, attempts.c.attempt == attempt
        )
    )
    return float(length or 0.0)


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
        .where(trials.c.study_id == study_id, _REPEATS)
        .order_by(trials.c.number)
    )


def replicates_ended(tx: Tx, study_id: int) -> tuple[int, int]:
    """How many trials repeat another one: those that have ended, and all."""
    ended = func.coalesce(func.sum(case((_ENDED, 1), else_=0)), 0)
    row = tx.one(
        select(ended.label("ended"), func.count().label("made")).where(
            trials.c.study_id == study_id, _REPEATS
        )
    )
    return (0, 0) if row is None else (int(row.ended), int(row.made))
