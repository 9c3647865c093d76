"""The states of trials and studies, and the one table of allowed transitions."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tuner.errors import Conflict


class TrialState(StrEnum):
    """Where a trial stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"

    @property
    def is_finished(self) -> bool:
        """Whether the trial has ended."""
        return self in FINISHED


class StudyState(StrEnum):
    """Where a study stands."""

    ACTIVE = "active"
    PAUSED = "paused"
    FINISHED = "finished"


class Reason(StrEnum):
    """Why an attempt ended other than well."""

    ERROR = "error"
    OOM = "oom"
    TIMEOUT = "timeout"
    LOST = "lost"
    KILLED = "killed"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"
    NO_RESULT = "no-result"


class StopReason(StrEnum):
    """Why a running trial is asked to stop."""

    PRUNED = "pruned"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    PREEMPTED = "preempted"
    LEASE_LOST = "lease-lost"


class Move(StrEnum):
    """What can happen to a trial."""

    LEASE = "lease"
    COMPLETE = "complete"
    PRUNE = "prune"
    FAIL = "fail"
    REQUEUE = "requeue"
    CANCEL = "cancel"
    RETRY = "retry"


FINISHED: Final = frozenset({TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL})
RETRYABLE: Final = frozenset(
    {Reason.ERROR, Reason.OOM, Reason.TIMEOUT, Reason.LOST, Reason.KILLED, Reason.NO_RESULT}
)

TRANSITIONS: Final[dict[tuple[TrialState, Move], TrialState]] = {
    (TrialState.WAITING, Move.LEASE): TrialState.RUNNING,
    (TrialState.WAITING, Move.CANCEL): TrialState.FAIL,
    (TrialState.RUNNING, Move.COMPLETE): TrialState.COMPLETE,
    (TrialState.RUNNING, Move.PRUNE): TrialState.PRUNED,
    (TrialState.RUNNING, Move.FAIL): TrialState.FAIL,
    (TrialState.RUNNING, Move.REQUEUE): TrialState.WAITING,
    (TrialState.FAIL, Move.RETRY): TrialState.WAITING,
}


def after(state: TrialState, move: Move) -> TrialState:
    """The state after `move`.

    Raises:
        Conflict: If the table does not allow it.
    """
    try:
        return TRANSITIONS[(state, move)]
    except KeyError:
        raise Conflict(f"A trial that is {state} cannot {move}.") from None


# What a stop asks the trial to end as; None: it goes back to the queue or nothing is sent.
END_AFTER_STOP: Final[dict[StopReason, TrialState | None]] = {
    StopReason.PRUNED: TrialState.PRUNED,
    StopReason.BUDGET: TrialState.PRUNED,
    StopReason.CANCELLED: TrialState.FAIL,
    StopReason.PAUSED: None,
    StopReason.PREEMPTED: None,
    StopReason.LEASE_LOST: None,
}
