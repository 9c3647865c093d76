"""What follows from a change to a study: its confirmation, its state, and who is told to stop."""

from __future__ import annotations

from tuner.core.lifecycle import StopReason, StudyState
from tuner.service import branches, confirming
from tuner.service.state import STOPPED, Ledger, closing_reason, is_exhausted, is_spent
from tuner.service.views import busy_seconds
from tuner.storage import events, studies, trials
from tuner.storage.engine import Tx


def settle(tx: Tx, ledger: Ledger) -> StudyState:
    """Write the ledger, derive the study's state from it, and tell running trials to stop.

    A comparison whose search is over gets its confirmation here, in the transaction that has
    ended it.

    Returns:
        The study's state after the change.
    """
    study = ledger.study
    values = ledger.values
    branches.close_search(tx, ledger)
    closed = closing_reason(ledger, tx.now)
    if closed is None:
        confirming.enqueue_due(tx, ledger)
    for column in ledger.counts:
        values[column] = getattr(study, column) + ledger.counts[column]
    n_running, n_waiting = ledger.current("n_running"), ledger.current("n_waiting")
    _track_busy(ledger, n_running, tx.now)
    # what was confirmed by hand is run although the search has met its target or its time
    if closed not in (None, STOPPED):
        n_waiting = len(trials.waiting(tx, study.id, 1, replicates_only=True))
    over = closed is not None or is_spent(ledger)
    state, reason = StudyState.ACTIVE, None
    if n_running == 0 and (closed == STOPPED or (over and n_waiting == 0)):
        state, reason = StudyState.FINISHED, closed or _why_over(tx, ledger)
    elif values.get("paused", study.paused):
        state = StudyState.PAUSED
    elif over:
        reason = _what_is_left(tx, ledger, closed, n_running)
    if closed and n_running:
        stop = StopReason.CANCELLED if closed == STOPPED else StopReason.BUDGET
        trials.ask_to_stop(tx, study.id, stop, replicates=closed == STOPPED)
    values |= {"state": str(state), "state_reason": reason, "updated_at": tx.now}
    studies.change(tx, study.id, **values)
    if state != study.state:
        events.add(tx, study, f"study.{state}", reason=reason)
    return state


def _what_is_left(tx: Tx, ledger: Ledger, closed: str | None, n_running: int) -> str | None:
    """Why a study that is over gives out nothing new, but is not finished."""
    if closed is not None:
        left = f"waiting for {n_running} running trials" if n_running else "confirming"
        return f"{closed}; {left}"
    return confirming.progress(tx, ledger.study.id) if ledger.spec.compare else None


def _why_over(tx: Tx, ledger: Ledger) -> str:
    if ledger.spec.compare is not None:
        missing = confirming.left_out(tx, ledger)
        return "comparison complete" + (
            f"; no finite result of {', '.join(missing)}" if missing else ""
        )
    return "grid exhausted" if is_exhausted(ledger) else "budget of trials used"


def _track_busy(ledger: Ledger, n_running: int, now: float) -> None:
    """Count the seconds in which at least one trial runs."""
    study = ledger.study
    if n_running > 0 and study.busy_since is None:
        ledger.values["busy_since"] = now
    elif n_running == 0 and study.busy_since is not None:
        ledger.values["busy_seconds"] = busy_seconds(study, now)
        ledger.values["busy_since"] = None
